"""Clusters: creation, updates and deletion, with the checks that EKS makes."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch_logs, ec2, eks

from ..errors import AwsError
from ..kubernetes.certificates import Authority
from ..kubernetes.planes import PLANES
from . import catalog
from .records import Record, arn, cluster, fargate_profiles, in_use, invalid, now, of_cluster, start_update
from .trust import check_cluster_role

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def create(body: dict[str, Any], creator: str | None) -> Record:
    """Notes a cluster that is being created. `finish` makes it active."""
    name = body.get("name", "")
    if name in eks._clusters:
        raise in_use(f"Cluster already exists with name: {name}")
    version = body.get("version") or catalog.default_version()
    if not catalog.is_offered(version):
        raise invalid(f"unsupported Kubernetes version {version}")
    check_cluster_role(body.get("roleArn", ""))
    network = body.get("resourcesVpcConfig") or {}
    vpc_id = check_subnets(network.get("subnetIds") or [])
    record = _record(name, version, body)
    record["resourcesVpcConfig"] = {
        "subnetIds": list(network.get("subnetIds") or []),
        "securityGroupIds": list(network.get("securityGroupIds") or []),
        "clusterSecurityGroupId": _security_group(name, vpc_id),
        "vpcId": vpc_id,
        "endpointPublicAccess": network.get("endpointPublicAccess", True),
        "endpointPrivateAccess": network.get("endpointPrivateAccess", False),
        "publicAccessCidrs": network.get("publicAccessCidrs") or ["0.0.0.0/0"],
    }
    PLANES.attach(get_account_id(), get_region(), record)
    eks._clusters[name] = record
    if record["tags"]:
        eks._tags[record["arn"]] = dict(record["tags"])
    if record["accessConfig"]["authenticationMode"] != "CONFIG_MAP":
        eks._bootstrap_creator_access_entry(name, record, creator)
    write_log_group(record)
    return record


def _record(name: str, version: str, body: dict[str, Any]) -> Record:
    region, unique = get_region(), secrets.token_hex(16).upper()
    network = body.get("kubernetesNetworkConfig") or {}
    access = body.get("accessConfig") or {}
    family = network.get("ipFamily", "ipv4")
    addresses = (
        {"serviceIpv4Cidr": network.get("serviceIpv4Cidr", "10.100.0.0/16")}
        if family == "ipv4"
        else {"serviceIpv6Cidr": f"fd{secrets.token_hex(1)}:{secrets.token_hex(2)}::/108"}
    )
    return {
        "name": name,
        "arn": arn("cluster", name),
        "createdAt": now(),
        "version": version,
        "endpoint": f"https://{unique}.{secrets.token_hex(1)[:1]}r7.{region}.eks.amazonaws.com",
        "roleArn": body["roleArn"],
        "kubernetesNetworkConfig": {"ipFamily": family, **addresses, "elasticLoadBalancing": {"enabled": False}},
        "logging": _logging(body.get("logging")),
        "identity": {"oidc": {"issuer": f"https://oidc.eks.{region}.amazonaws.com/id/{unique}"}},
        "status": "CREATING",
        "certificateAuthority": {"data": base64.b64encode(Authority().certificate).decode()},
        "platformVersion": "eks.12",
        "tags": dict(body.get("tags") or {}),
        "encryptionConfig": body.get("encryptionConfig") or [],
        "accessConfig": {
            "authenticationMode": access.get("authenticationMode", "CONFIG_MAP"),
            "bootstrapClusterCreatorAdminPermissions": access.get("bootstrapClusterCreatorAdminPermissions", True),
        },
        "upgradePolicy": body.get("upgradePolicy") or {"supportType": "EXTENDED"},
        "zonalShiftConfig": body.get("zonalShiftConfig") or {"enabled": False},
        "deletionProtection": bool(body.get("deletionProtection", False)),
        "health": {"issues": []},
        "_auth_token": secrets.token_urlsafe(32),
        "_docker_id": None,
    }


def _logging(wanted: dict[str, Any] | None) -> dict[str, Any]:
    types = {t for item in (wanted or {}).get("clusterLogging", []) if item.get("enabled") for t in item["types"]}
    on, off = [t for t in LOG_TYPES if t in types], [t for t in LOG_TYPES if t not in types]
    return {"clusterLogging": [{"types": t, "enabled": e} for t, e in ((on, True), (off, False)) if t]}


def write_log_group(record: Record) -> None:
    """EKS makes the log group when it has something to write, again and again, and nobody deletes it."""
    name = f"/aws/eks/{record['name']}/cluster"
    if any(item["enabled"] for item in record["logging"]["clusterLogging"]) and name not in cloudwatch_logs._log_groups:
        cloudwatch_logs._create_log_group({"logGroupName": name})


def check_subnets(subnet_ids: list[str]) -> str:
    """Checks a cluster's subnets and returns their VPC."""
    for subnet_id in subnet_ids:
        if subnet_id not in ec2._subnets:
            raise invalid(f"The subnet ID '{subnet_id}' does not exist")
    subnets = [ec2._subnets[subnet_id] for subnet_id in subnet_ids]
    if len({subnet["AvailabilityZone"] for subnet in subnets}) < 2:
        raise invalid("Subnets specified must be in at least two different AZs")
    if len({subnet["VpcId"] for subnet in subnets}) > 1:
        raise invalid("Subnets specified must belong to the same VPC")
    return str(subnets[0]["VpcId"])


def _security_group(name: str, vpc_id: str) -> str:
    """The group that EKS puts between control plane and nodes; it goes away with the cluster."""
    group_id: str = ec2._new_sg_id()
    own = {"IpProtocol": "-1", "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": []}
    ec2._security_groups[group_id] = {
        "GroupId": group_id,
        "GroupName": f"eks-cluster-sg-{name}-{secrets.randbelow(10**9)}",
        "Description": "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
        "as well as any managed workloads.",
        "VpcId": vpc_id,
        "OwnerId": get_account_id(),
        "IpPermissions": [{**own, "UserIdGroupPairs": [{"GroupId": group_id}]}],
        "IpPermissionsEgress": [{**own, "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "UserIdGroupPairs": []}],
    }
    ec2._tags[group_id] = [
        {"Key": "aws:eks:cluster-name", "Value": name},
        {"Key": f"kubernetes.io/cluster/{name}", "Value": "owned"},
    ]
    return group_id


def finish(record: Record) -> None:
    """The end of a creation or an update."""
    record["status"] = "ACTIVE"


def start_config_update(name: str, body: dict[str, Any]) -> Record:
    """Checks and begins UpdateClusterConfig; the record changes at once, the status when it is finished."""
    record = _ready(name)
    params: dict[str, Any] = {}
    if "logging" in body:
        record["logging"] = _logging(body["logging"])
        params["ClusterLogging"] = record["logging"]
        write_log_group(record)
    network = body.get("resourcesVpcConfig") or {}
    if network.get("subnetIds"):
        check_subnets(network["subnetIds"])
    record["resourcesVpcConfig"].update(network)
    for field in ("upgradePolicy", "zonalShiftConfig", "deletionProtection"):
        if field in body:
            record[field] = body[field]
    mode = (body.get("accessConfig") or {}).get("authenticationMode")
    if mode:
        _change_mode(record, mode)
    record["status"] = "UPDATING"
    return start_update(_kind_of(body), name, params=params or {k: v for k, v in body.items() if k != "name"})


def _kind_of(body: dict[str, Any]) -> str:
    kinds = {
        "logging": "LoggingUpdate",
        "accessConfig": "AccessConfigUpdate",
        "upgradePolicy": "UpgradePolicyUpdate",
        "zonalShiftConfig": "ZonalShiftConfigUpdate",
        "deletionProtection": "DeletionProtectionUpdate",
    }
    return next((kind for field, kind in kinds.items() if field in body), "EndpointAccessUpdate")


def _change_mode(record: Record, mode: str) -> None:
    """Authentication modes only go forward: CONFIG_MAP, both, API."""
    order = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
    current = record["accessConfig"]["authenticationMode"]
    if order.index(mode) < order.index(current):
        raise invalid(f"Unsupported authentication mode update from {current} to {mode}")
    record["accessConfig"]["authenticationMode"] = mode


def _ready(name: str) -> Record:
    record = cluster(name)
    if record["status"] != "ACTIVE":
        raise in_use(f"Cannot update cluster {name} because it currently has status {record['status']}")
    return record


def start_version_update(name: str, version: str) -> Record:
    """Checks and begins an upgrade; `finish_version_update` carries it out."""
    record = _ready(name)
    current = record["version"]
    if not catalog.is_offered(version):
        raise invalid(f"unsupported Kubernetes version {version}")
    if catalog.minor(version) != catalog.minor(current) + 1:
        raise invalid(f"Unsupported Kubernetes minor version update from {current} to {version}")
    for group in of_cluster(eks._nodegroups, name):
        if catalog.minor(version) - catalog.minor(group["version"]) > 3:
            raise AwsError(
                "InvalidRequestException",
                f"Kubelet version {group['version']} of nodegroup {group['nodegroupName']} is too old for {version}",
            )
    record["status"] = "UPDATING"
    return start_update("VersionUpdate", name, params={"Version": version, "PlatformVersion": "eks.12"})


def finish_version_update(record: Record, version: str) -> None:
    """The control plane has its new version."""
    record["version"] = version
    record["status"] = "ACTIVE"


def check_delete(name: str) -> Record:
    """Refuses to delete a cluster that is protected or still has compute."""
    record = cluster(name)
    if record["deletionProtection"]:
        raise AwsError(
            "InvalidRequestException",
            f"Cannot delete cluster {name}: deletion protection is enabled. Disable it and try again.",
        )
    if of_cluster(eks._nodegroups, name):
        raise in_use("Cluster has nodegroups attached")
    if of_cluster(fargate_profiles, name):
        raise in_use("Cluster has Fargate profiles attached")
    return record


def remove(name: str) -> Record:
    """Takes a cluster away, with its addons and its security group; the log group stays."""
    record = check_delete(name)
    write_log_group(record)
    for addon in of_cluster(eks._addons, name):
        eks._addons.pop(f"{name}/{addon['addonName']}", None)
        eks._tags.pop(addon["addonArn"], None)
    ec2._security_groups.pop(record["resourcesVpcConfig"]["clusterSecurityGroupId"], None)
    eks._delete_cluster(name)
    record["status"] = "DELETING"
    return record
