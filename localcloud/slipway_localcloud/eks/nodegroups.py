"""Managed node groups: creation, updates and deletion, with the checks that EKS makes."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import ec2, eks

from .. import instances
from ..errors import AwsError
from . import access, catalog
from .records import Record, active_cluster, arn, cluster, in_use, invalid, nodegroup, now, start_update
from .subnets import without_public_addresses
from .trust import check_node_role

_QUOTA = (
    "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than your "
    "current vCPU limit of 0 allows for the instance bucket that the specified instance type belongs to. Please "
    "visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit. "
    "Launching EC2 instance failed."
)
_NO_ADDRESS = (
    "One or more Amazon EC2 Subnets of [{}] for node group {} does not automatically assign public IP addresses to "
    "instances launched into it. If you want your instances to be assigned a public IP address, then you need to "
    "enable auto-assign public IP address for the subnet. See IP addressing in VPC guide: "
    "https://docs.aws.amazon.com/vpc/latest/userguide/vpc-ip-addressing.html#subnet-public-ip"
)
_SPOT_QUOTA = "Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded."


def create(cluster_name: str, body: dict[str, Any]) -> Record:
    """Notes a node group that is being created. `finish` makes it active or says why it can't be."""
    owner = active_cluster(cluster_name)
    name = body.get("nodegroupName") or ""
    key = f"{cluster_name}/{name}"
    if key in eks._nodegroups:
        raise in_use(f"NodeGroup already exists with name {name} and cluster name {cluster_name}")
    types = _instance_types(body)
    _check_types(types)
    _check_version(body.get("version"), owner["version"])
    _check_network(body, owner)
    check_node_role(body.get("nodeRole", ""))
    version = body.get("version") or owner["version"]
    _check_image(types, body.get("amiType"), version, body.get("releaseVersion"))
    record = {
        "nodegroupName": name,
        "nodegroupArn": arn("nodegroup", cluster_name, name, str(uuid.uuid4())),
        "clusterName": cluster_name,
        "version": version,
        "releaseVersion": body.get("releaseVersion") or catalog.release_version(version),
        "createdAt": now(),
        "modifiedAt": now(),
        "status": "CREATING",
        "capacityType": body.get("capacityType", "ON_DEMAND"),
        "scalingConfig": check_scaling(body.get("scalingConfig") or {}),
        "instanceTypes": types,
        "subnets": list(body.get("subnets") or []),
        "amiType": body.get("amiType") or _ami_type(types[0]),
        "nodeRole": body["nodeRole"],
        "labels": dict(body.get("labels") or {}),
        "taints": list(body.get("taints") or []),
        "diskSize": int(body.get("diskSize") or 20),
        "updateConfig": body.get("updateConfig") or {"maxUnavailable": 1},
        "health": {"issues": []},
        "resources": {"autoScalingGroups": [{"name": f"eks-{name}-{uuid.uuid4()}"}]},
        "tags": dict(body.get("tags") or {}),
    }
    for field in ("remoteAccess", "launchTemplate", "nodeRepairConfig"):
        if body.get(field):
            record[field] = body[field]
    if body.get("remoteAccess"):
        record["resources"]["remoteAccessSecurityGroup"] = _remote_access(record, owner)
    eks._nodegroups[key] = record
    access.admit_nodes(cluster_name, record["nodeRole"], "EC2_LINUX")
    if record["tags"]:
        eks._tags[record["nodegroupArn"]] = dict(record["tags"])
    return record


def _ami_type(instance_type: str) -> str:
    found = instances.find(instance_type)
    if found and found.family.gpu:
        return "AL2023_x86_64_NVIDIA"
    return "AL2023_ARM_64_STANDARD" if found and found.family.architecture == "arm64" else "AL2023_x86_64_STANDARD"


def _instance_types(body: dict[str, Any]) -> list[str]:
    """The types of the request, or of its launch template, which must exist and say some things itself."""
    wanted = body.get("launchTemplate")
    data: dict[str, Any] = {}
    if wanted:
        found = [
            t
            for t in ec2._launch_templates.values()
            if wanted.get("id") == t["LaunchTemplateId"] or wanted.get("name") == t["LaunchTemplateName"]
        ]
        if not found:
            raise invalid(f"Launch template {wanted.get('id') or wanted.get('name')} does not exist")
        if body.get("diskSize"):
            raise invalid("Disk size must be specified within the launch template.")
        if body.get("remoteAccess"):
            raise invalid("Remote access configuration cannot be specified with a launch template.")
        data = found[0]["Versions"][-1].get("LaunchTemplateData") or {}
    inside = [data["InstanceType"]] if data.get("InstanceType") else []
    return list(body.get("instanceTypes") or inside or ["t3.medium"])


def _check_image(types: list[str], ami_type: str | None, version: str, release: str | None) -> None:
    """The AMI must fit the instance types and the Kubernetes version."""
    if release and not release.startswith(f"{version}."):
        raise invalid(f"Requested release version {release} is not valid for kubernetes version {version}.")
    if not ami_type or ami_type == "CUSTOM":
        return
    if ami_type.startswith("AL2_") and catalog.minor(version) > 32:
        raise invalid(f"AMI Type {ami_type} is only supported for kubernetes versions 1.32 or earlier")
    wanted = "arm64" if "ARM" in ami_type.upper() else "x86_64"
    wrong = [name for name in types if (found := instances.find(name)) and found.family.architecture != wanted]
    if wrong:
        raise invalid(f"[{', '.join(wrong)}] is not a valid instance type for requested amiType {ami_type}")


def _check_types(types: list[str]) -> None:
    unknown = [name for name in types if instances.find(name) is None]
    if unknown:
        raise invalid(f"The following supplied instance types do not exist: [{', '.join(unknown)}]")


def _check_version(version: str | None, cluster_version: str) -> None:
    if not version:
        return
    if version not in catalog.VERSIONS:
        raise invalid(f"unsupported Kubernetes version {version}")
    if catalog.minor(version) > catalog.minor(cluster_version):
        raise invalid(
            f"Nodegroup Kubernetes version {version} must be less than or equal to the cluster version "
            f"{cluster_version}"
        )


def _check_network(body: dict[str, Any], owner: Record) -> None:
    for subnet_id in body.get("subnets") or []:
        if subnet_id not in ec2._subnets:
            raise invalid(f"The subnet ID '{subnet_id}' does not exist")
        if ec2._subnets[subnet_id]["VpcId"] != owner["resourcesVpcConfig"]["vpcId"]:
            raise invalid(f"Subnet {subnet_id} is not in the VPC of the cluster")
    key = (body.get("remoteAccess") or {}).get("ec2SshKey")
    if key and key not in ec2._key_pairs:
        raise invalid(f"The key pair '{key}' does not exist")


def check_scaling(wanted: dict[str, Any], current: dict[str, int] | None = None) -> dict[str, int]:
    """The sizes after a change, checked as EKS does: a desired size that is not sent stays what it is."""
    sizes = {**(current or {"minSize": 1, "maxSize": 2}), **{k: int(v) for k, v in wanted.items()}}
    least, most = sizes["minSize"], sizes["maxSize"]
    if least > most:
        raise invalid(f"Minimum capacity {least} can't be greater than maximum size {most}")
    desired = sizes.setdefault("desiredSize", max(least, min(2, most)))
    if desired < least:
        raise invalid(f"Minimum capacity {least} can't be greater than desired size {desired}")
    if desired > most:
        raise invalid(f"desired capacity {desired} can't be greater than max size {most}")
    return sizes


def _remote_access(record: Record, owner: Record) -> str:
    """The security group for SSH that EKS makes; without source groups SSH is open to the world."""
    group_id: str = ec2._new_sg_id()
    sources = record["remoteAccess"].get("sourceSecurityGroups") or []
    ec2._security_groups[group_id] = {
        "GroupId": group_id,
        "GroupName": f"eks-remoteAccess-{secrets.token_hex(8)}",
        "Description": "Security group for all nodes in the nodeGroup to allow SSH access",
        "VpcId": owner["resourcesVpcConfig"]["vpcId"],
        "OwnerId": get_account_id(),
        "IpPermissions": [
            {
                "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [], "PrefixListIds": [],
                "IpRanges": [] if sources else [{"CidrIp": "0.0.0.0/0"}],
                "UserIdGroupPairs": [{"GroupId": source} for source in sources],
            }
        ],
        "IpPermissionsEgress": [
            {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [], "PrefixListIds": [],
             "UserIdGroupPairs": []}
        ],
    }  # fmt: skip
    ec2._tags[group_id] = [{"Key": "eks", "Value": record["nodegroupName"]}]
    return group_id


def issue(record: Record) -> tuple[str, str, list[str]] | None:
    """Why the group's instances can't be launched or join: code, message, resources.

    A new account may run no GPUs, and nodes in a public subnet need a public address.
    """
    cut_off = without_public_addresses(record["subnets"])
    if cut_off:
        return "Ec2SubnetInvalidConfiguration", _NO_ADDRESS.format(", ".join(cut_off), record["nodegroupName"]), cut_off
    if record["scalingConfig"]["desiredSize"] == 0:
        return None
    types = [found for name in record["instanceTypes"] if (found := instances.find(name))]
    if any(found.family.bucket not in instances.ZERO_QUOTA for found in types):
        return None
    group = record["resources"]["autoScalingGroups"][0]["name"]
    return "AsgInstanceLaunchFailures", _SPOT_QUOTA if record["capacityType"] == "SPOT" else _QUOTA, [group]


def finish(record: Record) -> None:
    """The end of a creation or an update."""
    problem = issue(record)
    if problem:
        record["health"]["issues"] = [{"code": problem[0], "message": problem[1], "resourceIds": problem[2]}]
        record["status"] = "CREATE_FAILED"
    else:
        record["status"] = "ACTIVE"


def start_config_update(cluster_name: str, name: str, body: dict[str, Any]) -> Record:
    """Checks and begins UpdateNodegroupConfig."""
    record = _ready(cluster_name, name)
    if body.get("scalingConfig"):
        record["scalingConfig"] = check_scaling(body["scalingConfig"], record["scalingConfig"])
    labels = body.get("labels") or {}
    record["labels"] = {
        k: v
        for k, v in {**record["labels"], **(labels.get("addOrUpdateLabels") or {})}.items()
        if k not in (labels.get("removeLabels") or [])
    }
    taints = body.get("taints") or {}
    identity = [(t["key"], t["effect"]) for side in taints.values() for t in side]
    kept = [t for t in record["taints"] if (t["key"], t["effect"]) not in identity]
    record["taints"] = kept + list(taints.get("addOrUpdateTaints") or [])
    for field in ("updateConfig", "nodeRepairConfig"):
        if body.get(field):
            record[field] = body[field]
    record.update(status="UPDATING", modifiedAt=now())
    return start_update("ConfigUpdate", cluster_name, name)


def start_version_update(cluster_name: str, name: str, body: dict[str, Any]) -> Record:
    """Checks and begins UpdateNodegroupVersion; `finish_version_update` carries it out."""
    record = _ready(cluster_name, name)
    owner = cluster(cluster_name)
    version = body.get("version") or record["version"]
    _check_version(version, owner["version"])
    if catalog.minor(version) < catalog.minor(record["version"]):
        raise invalid(f"Nodegroup version can't be downgraded from {record['version']} to {version}")
    record.update(status="UPDATING", modifiedAt=now())
    release = body.get("releaseVersion") or catalog.release_version(version)
    return start_update("VersionUpdate", cluster_name, name, {"Version": version, "ReleaseVersion": release})


def finish_version_update(record: Record, update: Record, body: dict[str, Any]) -> None:
    """The nodes run their new version."""
    params = {item["type"]: item["value"] for item in update["params"]}
    record.update(version=params["Version"], releaseVersion=params["ReleaseVersion"], status="ACTIVE")
    if body.get("launchTemplate"):
        record["launchTemplate"] = body["launchTemplate"]


def _ready(cluster_name: str, name: str) -> Record:
    record = nodegroup(cluster_name, name)
    if record["status"] not in ("ACTIVE", "DEGRADED"):
        raise in_use(f"Nodegroup cannot be updated as it is currently not in Active State: {record['status']}")
    return record


def remove(cluster_name: str, name: str) -> Record:
    """Takes a node group away, with its security group for SSH."""
    record = nodegroup(cluster_name, name)
    record["status"] = "DELETING"
    eks._nodegroups.pop(f"{cluster_name}/{name}", None)
    access.dismiss_nodes(cluster_name, record["nodeRole"])
    eks._tags.pop(record["nodegroupArn"], None)
    ec2._security_groups.pop(record["resources"].get("remoteAccessSecurityGroup", ""), None)
    return record


def launch_failure(record: Record) -> AwsError | None:
    """The error with which CloudFormation's handler reports a group that could not launch."""
    from ..errors import Unstable

    issues = record["health"]["issues"]
    if not issues:
        return None
    listed = ", ".join(
        f"Issue(Code={i['code']}, Message={i['message']}, ResourceIds=[{', '.join(i['resourceIds'])}])" for i in issues
    )
    return Unstable(f"[{listed}]")
