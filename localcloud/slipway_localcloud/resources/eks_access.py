"""Access entries, pod identity associations and identity providers: ministack's EKS API behind CloudFormation."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import eks

from ..eks import access
from ..eks.records import active_cluster
from ..errors import AwsError
from .eks_cluster import camel, tag_map
from .registry import Attributes, Properties, Work


def _answer(response: tuple[int, dict[str, str], bytes]) -> dict[str, Any]:
    """ministack's answer, or its error as ours."""
    status, _, body = response
    document: dict[str, Any] = json.loads(body or b"{}")
    if status >= 400:
        raise AwsError(document.get("__type", "InvalidRequestException"), document.get("message", ""), status)
    return document


class AccessEntry:
    """AWS::EKS::AccessEntry. Ref is principal|cluster, as on AWS."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Creates the entry and associates its policies."""
        cluster_name, principal = properties["ClusterName"], properties["PrincipalArn"]
        body = camel({k: v for k, v in properties.items() if k not in ("Tags", "AccessPolicies")})
        body["tags"] = tag_map(properties.get("Tags"))
        entry = access.create_entry(cluster_name, body)
        work.initiated(f"{principal}|{cluster_name}")
        self._policies(cluster_name, principal, [], properties.get("AccessPolicies") or [])
        await work.wait()
        return {"AccessEntryArn": entry["accessEntryArn"]}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes groups, user name, policies and tags."""
        cluster_name, principal = new["ClusterName"], new["PrincipalArn"]
        body = {"kubernetesGroups": new.get("KubernetesGroups") or []}
        if new.get("Username"):
            body["username"] = new["Username"]
        entry = _answer(eks._update_access_entry(cluster_name, principal, body))["accessEntry"]
        self._policies(cluster_name, principal, old.get("AccessPolicies") or [], new.get("AccessPolicies") or [])
        eks._tags[entry["accessEntryArn"]] = tag_map(new.get("Tags"))
        await work.wait()
        return {"AccessEntryArn": entry["accessEntryArn"]}

    @staticmethod
    def _policies(cluster: str, principal: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
        wanted = {policy["PolicyArn"] for policy in new}
        for policy in old:
            if policy["PolicyArn"] not in wanted:
                _answer(eks._disassociate_access_policy(cluster, principal, policy["PolicyArn"]))
        for policy in new:
            access.check_policy(policy["PolicyArn"])
            _answer(eks._associate_access_policy(cluster, principal, camel(policy)))

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the entry, if it is still there."""
        await work.wait()
        principal, cluster_name = physical_id.split("|")
        if eks._ae_key(cluster_name, principal) in eks._access_entries:
            eks._delete_access_entry(cluster_name, principal)


class PodIdentity:
    """AWS::EKS::PodIdentityAssociation. Ref is the association's id."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Creates the association."""
        active_cluster(properties["ClusterName"])
        body = camel({k: v for k, v in properties.items() if k not in ("Tags", "ClusterName")})
        body["tags"] = tag_map(properties.get("Tags"))
        made = _answer(eks._create_pod_identity_association(properties["ClusterName"], body))["association"]
        work.initiated(made["associationArn"])
        await work.wait()
        attributes = {"AssociationArn": made["associationArn"], "AssociationId": made["associationId"]}
        return {**attributes, "ExternalId": made.get("externalId", "")}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes the role."""
        body = camel({k: v for k, v in new.items() if k in ("RoleArn", "TargetRoleArn", "DisableSessionTags")})
        eks_id = physical_id.rsplit("/", 1)[-1]
        _answer(eks._update_pod_identity_association(new["ClusterName"], eks_id, body))
        eks._tags[physical_id] = tag_map(new.get("Tags"))
        await work.wait()
        return {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the association."""
        await work.wait()
        eks._delete_pod_identity_association(properties["ClusterName"], physical_id.rsplit("/", 1)[-1])


class IdentityProvider:
    """AWS::EKS::IdentityProviderConfig."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Associates an OpenID Connect provider; a cluster has one at most."""
        name, cluster_name = properties["IdentityProviderConfigName"], properties["ClusterName"]
        active_cluster(cluster_name)
        oidc = {**camel(properties.get("Oidc") or {}), "identityProviderConfigName": name}
        _answer(
            eks._associate_identity_provider_config(
                cluster_name, {"oidc": oidc, "tags": tag_map(properties.get("Tags"))}
            )
        )
        record = eks._idp_configs[f"{cluster_name}\x00{name}"]
        work.initiated(f"{name}|{cluster_name}|oidc")
        await work.wait()
        record["status"] = "ACTIVE"
        return {"IdentityProviderConfigArn": record["arn"]}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes the tags; all else replaces the configuration."""
        await work.wait()
        return {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Takes the provider away."""
        await work.wait()
        name, cluster_name, _ = physical_id.split("|")
        record = eks._idp_configs.pop(f"{cluster_name}\x00{name}", None)
        if record:
            eks._tags.pop(record["arn"], None)


HANDLERS = {
    "AWS::EKS::AccessEntry": AccessEntry(),
    "AWS::EKS::PodIdentityAssociation": PodIdentity(),
    "AWS::EKS::IdentityProviderConfig": IdentityProvider(),
}
