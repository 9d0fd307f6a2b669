"""What EKS asks of the IAM roles it is given."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import iam

from .records import invalid


def _trusts(role_arn: str, service: str) -> bool | None:
    """Whether the role lets the service assume it; None if there is no such role."""
    role = iam._roles.get(role_arn.rsplit("/", 1)[-1])
    if role is None or role.get("Arn") != role_arn:
        return None
    document: Any = role.get("AssumeRolePolicyDocument") or {}
    if isinstance(document, str):
        document = json.loads(document)
    statements = document.get("Statement") or []
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal") or {}
        services = principal.get("Service", []) if isinstance(principal, dict) else principal
        services = [services] if isinstance(services, str) else services
        if statement.get("Effect") == "Allow" and (service in services or "*" in services):
            return True
    return False


def check_cluster_role(role_arn: str) -> None:
    """A cluster's role must trust EKS."""
    if not _trusts(role_arn, "eks.amazonaws.com"):
        raise invalid(
            f"Role with arn: {role_arn}, could not be assumed because it does not exist or the trusted entity is "
            "not correct"
        )


def check_node_role(role_arn: str) -> None:
    """A node group's role must trust EC2."""
    trusts = _trusts(role_arn, "ec2.amazonaws.com")
    if trusts is None:
        raise invalid(f"The role with name {role_arn.rsplit('/', 1)[-1]} cannot be found.")
    if not trusts:
        raise invalid(
            "Following required service principals [ec2.amazonaws.com] were not found in the trust relationships of "
            f"nodeRole {role_arn}"
        )


def check_fargate_role(role_arn: str) -> None:
    """A Fargate profile's role must trust Fargate's pods."""
    if not _trusts(role_arn, "eks-fargate-pods.amazonaws.com"):
        raise invalid(
            "Misconfigured PodExecutionRole Trust Policy; Please add the eks-fargate-pods.amazonaws.com Service "
            "Principal"
        )
