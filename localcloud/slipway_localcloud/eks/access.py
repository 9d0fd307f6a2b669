"""Access entries: ministack's records, with EKS's checks and words."""

from __future__ import annotations

from typing import Any

from ministack.services import eks

from ..errors import AwsError
from .records import Record, active_cluster, fargate_profiles, in_use, invalid, of_cluster

POLICIES = (
    "AmazonEKSClusterAdminPolicy", "AmazonEKSAdminPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy",
    "AmazonEKSAdminViewPolicy", "AmazonEKSAutoNodePolicy", "AmazonEKSBlockStoragePolicy", "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingPolicy", "AmazonEKSNetworkingPolicy", "AmazonEKSHybridPolicy",
    "AmazonEKSClusterInsightsPolicy", "AmazonEMRJobRunnerPolicy",
)  # fmt: skip
_PREFIX = "arn:aws:eks::aws:cluster-access-policy/"


def list_policies() -> list[dict[str, str]]:
    """All access policies."""
    return [{"name": name, "arn": _PREFIX + name} for name in POLICIES]


def check_policy(arn: str) -> None:
    """Refuses an access policy that does not exist."""
    if arn.removeprefix(_PREFIX) not in POLICIES:
        raise invalid(f"The policyArn parameter format is not valid: {arn}")


def create_entry(cluster_name: str, body: dict[str, Any]) -> Record:
    """Creates an access entry. The cluster must use the API for authentication."""
    owner = active_cluster(cluster_name)
    if owner["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        raise AwsError(
            "InvalidRequestException",
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this "
            "operation.",
        )
    principal = body.get("principalArn", "")
    if eks._ae_key(cluster_name, principal) in eks._access_entries:
        raise in_use("The specified access entry resource is already in use on this cluster.")
    if not principal.startswith("arn:aws"):
        raise invalid("The principalArn parameter format is not valid")
    kind = body.get("type", "STANDARD")
    body.setdefault("username", _user_name(principal))
    if kind != "STANDARD" and body.get("kubernetesGroups"):
        raise invalid(f"kubernetesGroups can't be set for an access entry of type {kind}")
    entry: Record = eks._build_access_entry(cluster_name, principal, body)
    eks._access_entries[eks._ae_key(cluster_name, principal)] = entry
    if entry["tags"]:
        eks._tags[entry["accessEntryArn"]] = dict(entry["tags"])
    return entry


def _user_name(principal: str) -> str:
    """EKS's default: a role's sessions each get a name of their own."""
    if ":role/" in principal:
        account, role = principal.split(":")[4], principal.rsplit("/", 1)[-1]
        return f"arn:aws:sts::{account}:assumed-role/{role}/{{{{SessionName}}}}"
    return principal


def admit_nodes(cluster_name: str, role_arn: str, kind: str) -> None:
    """EKS lets the nodes of managed node groups (EC2_LINUX) and Fargate (FARGATE_LINUX) in by itself."""
    owner = eks._clusters[cluster_name]
    key = eks._ae_key(cluster_name, role_arn)
    if owner["accessConfig"]["authenticationMode"] == "CONFIG_MAP" or key in eks._access_entries:
        return
    names = {"EC2_LINUX": "EC2PrivateDNSName", "FARGATE_LINUX": "SessionName"}
    body = {
        "type": kind,
        "username": f"system:node:{{{{{names[kind]}}}}}",
        "kubernetesGroups": ["system:nodes"],
    }
    eks._access_entries[key] = eks._build_access_entry(cluster_name, role_arn, body)


def dismiss_nodes(cluster_name: str, role_arn: str) -> None:
    """Takes the entry of `admit_nodes` away once nothing of the cluster uses the role."""
    users = [group["nodeRole"] for group in of_cluster(eks._nodegroups, cluster_name)]
    users += [profile["podExecutionRoleArn"] for profile in of_cluster(fargate_profiles, cluster_name)]
    key = eks._ae_key(cluster_name, role_arn)
    entry = eks._access_entries.get(key)
    if entry and entry["type"] != "STANDARD" and role_arn not in users:
        eks._access_entries.pop(key, None)
