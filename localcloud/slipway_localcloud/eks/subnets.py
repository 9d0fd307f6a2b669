"""What EKS finds out about subnets before it puts nodes and pods there."""

from __future__ import annotations

from ministack.services import ec2


def is_public(subnet_id: str) -> bool:
    """Whether the route table that the subnet is associated with leads to an internet gateway."""
    for table in ec2._route_tables.values():
        if any(a.get("SubnetId") == subnet_id for a in table["Associations"]):
            return any(str(route.get("GatewayId", "")).startswith("igw-") for route in table["Routes"])
    return False


def without_public_addresses(subnet_ids: list[str]) -> list[str]:
    """Public subnets that give their instances no public address: nodes there never reach the control plane."""
    return [s for s in subnet_ids if is_public(s) and not ec2._subnets.get(s, {}).get("MapPublicIpOnLaunch")]
