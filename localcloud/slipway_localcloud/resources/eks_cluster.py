"""AWS::EKS::Cluster and AWS::EKS::Addon, on the same functions as the EKS API."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import eks

from ..eks import addons, clusters, records
from ..errors import Unstable
from ..kubernetes.planes import PLANES
from .registry import Attributes, Properties, Work

# How long an addon may be without a node before its stack gives up (AWS: about twenty minutes).
ADDON_PATIENCE = 30.0


def tag_map(tags: Any) -> dict[str, str]:
    """A Tags property as a dict."""
    if isinstance(tags, dict):
        return {str(k): str(v) for k, v in tags.items()}
    return {tag["Key"]: str(tag.get("Value", "")) for tag in tags or []}


def camel(value: Any) -> Any:
    """Properties in the spelling of the EKS API; booleans and numbers may have come as text."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: camel(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [camel(item) for item in value]
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def creator_arn() -> str:
    """Who CloudFormation acts for: the principal that made the stack, a role rather than its session."""
    from ministack.core.iam_evaluator import caller_arn

    arn = caller_arn()
    return eks._role_arn_from_assumed_role(arn) or arn or f"arn:aws:iam::{get_account_id()}:root"


def cluster_body(properties: Properties) -> dict[str, Any]:
    """The request that a Cluster's properties stand for."""
    body: dict[str, Any] = camel({k: v for k, v in properties.items() if k not in ("Tags", "Logging")})
    if "version" in body:
        body["version"] = str(properties["Version"])
    enabled = ((properties.get("Logging") or {}).get("ClusterLogging") or {}).get("EnabledTypes") or []
    body["logging"] = {"clusterLogging": [{"types": [item["Type"] for item in enabled], "enabled": True}]}
    body["tags"] = tag_map(properties.get("Tags"))
    return body


def cluster_attributes(record: records.Record) -> Attributes:
    """What Fn::GetAtt offers of a cluster."""
    return {
        "Id": record["name"],
        "Arn": record["arn"],
        "Endpoint": record["endpoint"],
        "CertificateAuthorityData": record["certificateAuthority"]["data"],
        "ClusterSecurityGroupId": record["resourcesVpcConfig"]["clusterSecurityGroupId"],
        "EncryptionConfigKeyArn": next((c["provider"]["keyArn"] for c in record["encryptionConfig"]), ""),
        "OpenIdConnectIssuerUrl": record["identity"]["oidc"]["issuer"],
        "KubernetesNetworkConfig.ServiceIpv6Cidr": record["kubernetesNetworkConfig"].get("serviceIpv6Cidr", ""),
    }


class Cluster:
    """AWS::EKS::Cluster. It is active before its stack goes on."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Creates the cluster; a failure that a rule wants leaves it in FAILED."""
        body = cluster_body(properties)
        body.setdefault("name", work.generated_name())
        record = clusters.create(body, creator_arn())
        work.initiated(record["name"])
        try:
            await work.wait()
        except Exception:
            record["status"] = "FAILED"
            raise
        clusters.finish(record)
        return cluster_attributes(record)

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes configuration and version; EKS checks the version."""
        before, after = cluster_body(old), cluster_body(new)
        record = records.cluster(physical_id)
        version = after.get("version")
        fields = (
            "logging", "accessConfig", "resourcesVpcConfig", "upgradePolicy", "zonalShiftConfig", "deletionProtection",
        )  # fmt: skip
        changed = {f: after[f] for f in fields if f in after and after[f] != before.get(f)}
        if version and version != record["version"]:
            await self._upgrade(work, physical_id, record, version)
            if changed:
                clusters.start_config_update(physical_id, changed)["status"] = "Successful"
                clusters.finish(record)
        else:
            await self._configure(work, physical_id, record, changed)
        record["tags"] = after["tags"]
        eks._tags[record["arn"]] = dict(after["tags"])
        return cluster_attributes(record)

    @staticmethod
    async def _upgrade(work: Work, name: str, record: records.Record, version: str) -> None:
        update = clusters.start_version_update(name, version)
        try:
            await work.wait()
            await PLANES.upgrade(record, version)
        except BaseException:
            record["status"], update["status"] = "ACTIVE", "Failed"
            raise
        clusters.finish_version_update(record, version)
        update["status"] = "Successful"

    @staticmethod
    async def _configure(work: Work, name: str, record: records.Record, changed: dict[str, Any]) -> None:
        update = clusters.start_config_update(name, changed) if changed else None
        try:
            await work.wait()
        except BaseException:
            if update:
                update["status"] = "Failed"
            raise
        finally:
            record["status"] = "ACTIVE"
        if update:
            update["status"] = "Successful"

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the cluster, unless node groups are attached."""
        if physical_id not in eks._clusters:
            return
        record = clusters.check_delete(physical_id)
        status, record["status"] = record["status"], "DELETING"
        try:
            await work.wait()
            clusters.remove(physical_id)
        except BaseException:
            record["status"] = status
            raise


class Addon:
    """AWS::EKS::Addon. One whose pods need a node fails if none comes."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Creates the addon and waits until it is healthy."""
        record = addons.create(properties["ClusterName"], self._body(properties))
        work.initiated(f"{properties['ClusterName']}|{properties['AddonName']}")
        await work.wait()
        await self._healthy(record)
        return {"Arn": record["addonArn"]}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes version, configuration and tags."""
        cluster_name, name = physical_id.split("|")
        record = records.addon(cluster_name, name)
        if record["status"] == "UPDATING":
            record["status"] = "ACTIVE"
        update = addons.change(cluster_name, name, self._body(new))
        try:
            await work.wait()
            await self._healthy(record)
        except BaseException:
            record["status"], update["status"] = "ACTIVE", "Failed"
            raise
        update["status"] = "Successful"
        record["tags"] = tag_map(new.get("Tags"))
        return {"Arn": record["addonArn"]}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the addon, if it and its cluster are still there."""
        await work.wait()
        cluster_name, name = physical_id.split("|")
        if f"{cluster_name}/{name}" in eks._addons:
            addons.remove(cluster_name, name)

    @staticmethod
    def _body(properties: Properties) -> dict[str, Any]:
        body: dict[str, Any] = {
            k[:1].lower() + k[1:]: v for k, v in properties.items() if k not in ("Tags", "ConfigurationValues")
        }
        if "PodIdentityAssociations" in properties:
            body["podIdentityAssociations"] = camel(properties["PodIdentityAssociations"])
        return {
            **body,
            "configurationValues": properties.get("ConfigurationValues", ""),
            "tags": tag_map(properties.get("Tags")),
        }

    @staticmethod
    async def _healthy(record: records.Record) -> None:
        end = time.monotonic() + ADDON_PATIENCE
        while not addons.settle(record):
            if time.monotonic() > end:
                addons.give_up(record)
                raise Unstable(
                    f"[Issue(Code=InsufficientNumberOfReplicas, Message={addons.REPLICAS}, ResourceIds=[])]",
                    "NotStabilized",
                )
            await asyncio.sleep(0.1)


HANDLERS = {"AWS::EKS::Cluster": Cluster(), "AWS::EKS::Addon": Addon()}
