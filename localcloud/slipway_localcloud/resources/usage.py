"""What AWS checks before it makes or deletes network resources, in AWS's words; ministack lets it all pass."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from ministack.services import ec2, eks, iam

from ..errors import AwsError
from .registry import Properties


def refuse(code: str, message: str) -> AwsError:
    """An error of EC2."""
    return AwsError(code, message, service="Ec2")


def need_vpc(vpc_id: str) -> dict[str, Any]:
    """The VPC, or EC2's error."""
    if vpc_id not in ec2._vpcs:
        raise refuse("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")
    return dict(ec2._vpcs[vpc_id])


def need_subnet(subnet_id: str) -> dict[str, Any]:
    """The subnet, or EC2's error."""
    if subnet_id not in ec2._subnets:
        raise refuse("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
    return dict(ec2._subnets[subnet_id])


def need_group(group_id: str) -> dict[str, Any]:
    """The security group itself (not a copy), or EC2's error."""
    if group_id not in ec2._security_groups:
        raise refuse("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
    group: dict[str, Any] = ec2._security_groups[group_id]
    return group


def check_create(type_: str, properties: Properties) -> None:
    """Refuses what EC2 would refuse to make."""
    check: Callable[[Properties], object] | None = {
        "AWS::EC2::Subnet": _new_subnet,
        "AWS::EC2::SecurityGroup": _new_group,
        "AWS::EC2::RouteTable": lambda p: need_vpc(p.get("VpcId", "")),
        "AWS::EC2::VPCGatewayAttachment": lambda p: need_vpc(p.get("VpcId", "")),
        "AWS::IAM::Role": _new_role,
        "AWS::EC2::SubnetRouteTableAssociation": lambda p: need_subnet(p.get("SubnetId", "")),
    }.get(type_)
    if check is not None:
        check(properties)


def _new_subnet(properties: Properties) -> None:
    vpc = need_vpc(properties.get("VpcId", ""))
    cidr = properties.get("CidrBlock")
    if not cidr:
        return
    wanted = ipaddress.ip_network(cidr)
    if not wanted.subnet_of(ipaddress.ip_network(vpc["CidrBlock"])):  # type: ignore[arg-type]
        raise refuse("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")
    for other in ec2._subnets.values():
        if other["VpcId"] == vpc["VpcId"] and ipaddress.ip_network(other["CidrBlock"]).overlaps(wanted):
            raise refuse("InvalidSubnet.Conflict", f"The CIDR '{cidr}' conflicts with another subnet")


def _new_role(properties: Properties) -> None:
    name = properties.get("RoleName")
    if name and name in iam._roles:
        raise AwsError("EntityAlreadyExists", f"Role with name {name} already exists.", 409, "Iam")


def _new_group(properties: Properties) -> None:
    vpc_id, name = properties.get("VpcId"), properties.get("GroupName")
    if vpc_id:
        need_vpc(vpc_id)
    if name and any(g["GroupName"] == name and g["VpcId"] == vpc_id for g in ec2._security_groups.values()):
        raise refuse("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc_id}'")


def check_delete(type_: str, physical_id: str) -> None:
    """Refuses to delete what something still uses."""
    check = {
        "AWS::EC2::VPC": _vpc_in_use,
        "AWS::EC2::Subnet": _subnet_in_use,
        "AWS::EC2::SecurityGroup": _group_in_use,
        "AWS::EC2::InternetGateway": _gateway_in_use,
        "AWS::EC2::VPCGatewayAttachment": _addresses_mapped,
        "AWS::EC2::RouteTable": _table_in_use,
    }.get(type_)
    if check:
        check(physical_id)


def _depends(kind: str, id_: str) -> AwsError:
    return refuse("DependencyViolation", f"The {kind} '{id_}' has dependencies and cannot be deleted.")


def live_nat_gateways() -> list[dict[str, Any]]:
    """NAT gateways that still hold their address and interface."""
    return [nat for nat in ec2._nat_gateways.values() if nat["State"] in ("pending", "available")]


def _vpc_in_use(vpc_id: str) -> None:
    users = [*ec2._subnets.values(), *live_nat_gateways(), *ec2._egress_igws.values(), *ec2._vpc_endpoints.values()]
    main = ec2._vpcs.get(vpc_id, {}).get("MainRouteTableId")
    tables = [t for t in ec2._route_tables.values() if t["RouteTableId"] != main]
    groups = [g for g in ec2._security_groups.values() if g["GroupName"] != "default"]
    if any(user.get("VpcId") == vpc_id for user in [*users, *tables, *groups]):
        raise _depends("vpc", vpc_id)


def _subnet_in_use(subnet_id: str) -> None:
    clusters = [c for c in eks._clusters.values() if subnet_id in c["resourcesVpcConfig"]["subnetIds"]]
    groups = [n for n in eks._nodegroups.values() if subnet_id in n["subnets"]]
    others = [*live_nat_gateways(), *ec2._network_interfaces.values()]
    if clusters or groups or any(other.get("SubnetId") == subnet_id for other in others):
        raise _depends("subnet", subnet_id)


def _group_in_use(group_id: str) -> None:
    clusters = [c for c in eks._clusters.values() if group_id in c["resourcesVpcConfig"]["securityGroupIds"]]
    named = [
        pair
        for group in ec2._security_groups.values()
        if group["GroupId"] != group_id
        for permission in [*group["IpPermissions"], *group["IpPermissionsEgress"]]
        for pair in permission.get("UserIdGroupPairs", [])
        if pair.get("GroupId") == group_id
    ]
    interfaces = [
        i for i in ec2._network_interfaces.values() if group_id in {group["GroupId"] for group in i["Groups"]}
    ]
    if clusters or named or interfaces:
        raise refuse("DependencyViolation", f"resource {group_id} has a dependent object")


def _gateway_in_use(gateway_id: str) -> None:
    if ec2._internet_gateways.get(gateway_id, {}).get("Attachments"):
        raise _depends("internetGateway", gateway_id)


def _addresses_mapped(attachment_id: str) -> None:
    kind, _, vpc_id = attachment_id.partition("|")
    public = [n for n in live_nat_gateways() if n["VpcId"] == vpc_id and n["ConnectivityType"] == "public"]
    if kind == "IGW" and public:
        raise refuse(
            "DependencyViolation",
            f"Network {vpc_id} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway.",
        )


def _table_in_use(table_id: str) -> None:
    table = ec2._route_tables.get(table_id, {})
    if any(not a.get("Main") for a in table.get("Associations", [])):
        raise _depends("routeTable", table_id)
