"""Filters and refusals of EC2 calls that ministack passes over.

It lists all network interfaces whatever the filters say, and all security groups for `group-id`: a caller
that cleans up after a cluster would meet what belongs to others. And its deletions take things away that
are in use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from ministack.services import ec2

from .errors import AwsError
from .resources.usage import check_delete

Response = tuple[int, dict[str, str], bytes]
Fields = dict[str, list[str]]
Call = Callable[[Fields], Response]
Record = dict[str, Any]

_GROUP: dict[str, Callable[[Record], list[str]]] = {
    "group-id": lambda r: [r["GroupId"]],
    "group-name": lambda r: [r["GroupName"]],
    "vpc-id": lambda r: [r["VpcId"]],
    "description": lambda r: [r["Description"]],
    "owner-id": lambda r: [r["OwnerId"]],
    "ip-permission.group-id": lambda r: [
        pair.get("GroupId", "") for p in r["IpPermissions"] for pair in p.get("UserIdGroupPairs", [])
    ],
}
_INTERFACE: dict[str, Callable[[Record], list[str]]] = {
    "network-interface-id": lambda r: [r["NetworkInterfaceId"]],
    "subnet-id": lambda r: [r["SubnetId"]],
    "vpc-id": lambda r: [r["VpcId"]],
    "availability-zone": lambda r: [r["AvailabilityZone"]],
    "description": lambda r: [r["Description"]],
    "status": lambda r: [r["Status"]],
    "interface-type": lambda r: [r["InterfaceType"]],
    "group-id": lambda r: [group["GroupId"] for group in r["Groups"]],
    "attachment.instance-id": lambda r: [(r.get("Attachment") or {}).get("InstanceId", "")],
}


def _chosen(id_: str, record: Record, filters: dict[str, list[str]], values: dict[str, Any]) -> bool:
    if not ec2._resource_matches_tag_filters(id_, filters):
        return False
    own = {name: globs for name, globs in filters.items() if name in values}
    return all(any(fnmatchcase(v, glob) for v in values[name](record) for glob in own[name]) for name in own)


def _filtered(call: Call, action: str, store: Any, member: str, collection: str, values: dict[str, Any]) -> Call:
    """A describe call that heeds its filters, and refuses those that it does not know."""

    def describe(fields: Fields) -> Response:
        filters = ec2._parse_filters(fields)
        for name in filters:
            if name not in values and not name.startswith("tag"):
                return _refusal(AwsError("InvalidParameterValue", f"The filter '{name}' is invalid"))
        if not filters:
            return call(fields)
        asked = ec2._parse_member_list(fields, member)
        found = [i for i, record in store.items() if _chosen(i, record, filters, values) and i in (asked or [i])]
        if not found:
            empty: Response = ec2._xml(200, f"{action}Response", f"<{collection}/>")
            return empty
        rest = {k: v for k, v in fields.items() if not re.match(rf"(Filter|{member})\.", k)}
        return call({**rest, **{f"{member}.{number}": [i] for number, i in enumerate(found, 1)}})

    return describe


def _refusal(error: AwsError) -> Response:
    response: Response = ec2._error(error.code, error.message, 400)
    return response


def _careful(call: Call, type_: str, member: str) -> Call:
    """A delete call that refuses what is in use."""

    def delete(fields: Fields) -> Response:
        try:
            check_delete(type_, (fields.get(member) or [""])[0])
        except AwsError as error:
            return _refusal(error)
        return call(fields)

    return delete


def _create_interface(fields: Fields) -> Response:
    """CreateNetworkInterface takes its tags, as all of EC2's calls that make something."""
    before = set(ec2._network_interfaces)
    status, headers, body = ec2._create_network_interface(fields)
    for made in set(ec2._network_interfaces) - before:
        ec2._parse_tag_specs(fields, "network-interface", made)
    return status, headers, body


def install() -> None:
    """Puts these in front of ministack's."""
    actions = ec2._ACTION_MAP
    lists = (
        ("DescribeSecurityGroups", ec2._security_groups, "GroupId", "securityGroupInfo", _GROUP),
        ("DescribeNetworkInterfaces", ec2._network_interfaces, "NetworkInterfaceId", "networkInterfaceSet", _INTERFACE),
    )
    for action, store, member, collection, values in lists:
        actions[action] = _filtered(actions[action], action, store, member, collection, values)
    for action, type_, member in (
        ("DeleteVpc", "AWS::EC2::VPC", "VpcId"),
        ("DeleteSubnet", "AWS::EC2::Subnet", "SubnetId"),
        ("DeleteSecurityGroup", "AWS::EC2::SecurityGroup", "GroupId"),
        ("DeleteInternetGateway", "AWS::EC2::InternetGateway", "InternetGatewayId"),
        ("DeleteRouteTable", "AWS::EC2::RouteTable", "RouteTableId"),
    ):
        actions[action] = _careful(actions[action], type_, member)
    actions["CreateNetworkInterface"] = _create_interface
