"""Fargate profiles, which ministack does not have."""

from __future__ import annotations

import uuid
from typing import Any

from ministack.services import ec2, eks

from . import access
from .records import (
    Record,
    active_cluster,
    arn,
    fargate_profile,
    fargate_profiles,
    in_use,
    invalid,
    now,
)
from .subnets import is_public
from .trust import check_fargate_role


def create(cluster_name: str, body: dict[str, Any]) -> Record:
    """Notes a profile that is being created. Its subnets must be private ones of the cluster's VPC."""
    owner = active_cluster(cluster_name)
    name = body.get("fargateProfileName", "")
    if (cluster_name, name) in fargate_profiles:
        raise in_use(f"A Fargate Profile already exists with this name in this cluster: {name}")
    check_fargate_role(body.get("podExecutionRoleArn", ""))
    subnets = list(body.get("subnets") or owner["resourcesVpcConfig"]["subnetIds"])
    for subnet_id in subnets:
        if subnet_id not in ec2._subnets:
            raise invalid(f"The subnet ID '{subnet_id}' does not exist")
        if is_public(subnet_id):
            raise invalid(f"Subnet {subnet_id} provided in Fargate Profile is not a private subnet")
    if not body.get("selectors"):
        raise invalid("Fargate Profile must have at least one selector")
    record = {
        "fargateProfileName": name,
        "fargateProfileArn": arn("fargateprofile", cluster_name, name, str(uuid.uuid4())),
        "clusterName": cluster_name,
        "createdAt": now(),
        "podExecutionRoleArn": body["podExecutionRoleArn"],
        "subnets": subnets,
        "selectors": list(body["selectors"]),
        "status": "CREATING",
        "tags": dict(body.get("tags") or {}),
        "health": {"issues": []},
    }
    fargate_profiles[cluster_name, name] = record
    access.admit_nodes(cluster_name, record["podExecutionRoleArn"], "FARGATE_LINUX")
    if record["tags"]:
        eks._tags[record["fargateProfileArn"]] = dict(record["tags"])
    return record


def remove(cluster_name: str, name: str) -> Record:
    """Takes a profile away."""
    record = fargate_profile(cluster_name, name)
    record["status"] = "DELETING"
    fargate_profiles.pop((cluster_name, name), None)
    access.dismiss_nodes(cluster_name, record["podExecutionRoleArn"])
    eks._tags.pop(record["fargateProfileArn"], None)
    return record
