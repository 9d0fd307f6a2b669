"""EC2: what a request asks about the network it names, and what a deleted cluster left behind."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.errors import NotFound, translate
from app.gateways.aws.stack import tags_of

if TYPE_CHECKING:
    from types_aiobotocore_ec2 import EC2Client

ZONES_WITHOUT_EKS = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})
"""Zone ids where EKS can't place a control plane (EKS User Guide, network-reqs.html, "Subnet requirements")."""


def cluster_tag(cluster: str) -> str:
    """Return the key of the tag that Kubernetes puts on what it makes in AWS for a cluster."""
    return f"kubernetes.io/cluster/{cluster}"


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet; `free_addresses` are IPv4, `public_addresses` says whether instances get one by themselves."""

    id: str
    vpc_id: str
    zone: str
    zone_id: str
    cidr: str
    free_addresses: int
    public_addresses: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC; `cidrs` are its IPv4 ranges, the first one first."""

    id: str
    cidrs: tuple[str, ...]
    is_default: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Zone:
    """An availability zone: `us-east-1a` means another place in each account, `use1-az2` the same in all."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group."""

    id: str
    name: str
    vpc_id: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """A network interface; `status` is `available` when nothing uses it, so that it may be deleted."""

    id: str
    status: str
    subnet_id: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Volume:
    """An EBS volume; `state` is `available` when it is attached to nothing."""

    id: str
    state: str
    size_gib: int
    tags: Mapping[str, str]


class Ec2:
    """Calls to EC2 in one account and region. Methods raise `AwsError`."""

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self._clients = clients
        self._account = account
        self._region = region

    async def subnets(self, ids: Sequence[str]) -> list[Subnet]:
        """Return the subnets of these ids that exist, in the order asked for; all pages.

        Unknown ids are left out, not refused: compare the lengths to tell which are wrong.
        """
        rows = await self._rows("describe_subnets", "Subnets", _filter("subnet-id", ids)) if ids else []
        known = {data["SubnetId"]: _subnet(data) for data in rows}
        return [known[wanted] for wanted in ids if wanted in known]

    async def vpc(self, vpc_id: str) -> Vpc | None:
        """Return the VPC, or None if there is none."""
        for data in await self._rows("describe_vpcs", "Vpcs", _filter("vpc-id", [vpc_id])):
            blocks = [block["CidrBlock"] for block in data.get("CidrBlockAssociationSet", ()) if "CidrBlock" in block]
            cidrs = tuple(dict.fromkeys([data["CidrBlock"], *blocks]))
            return Vpc(data["VpcId"], cidrs, data.get("IsDefault", False), tags_of(data))
        return None

    async def availability_zones(self) -> list[Zone]:
        """Return the zones that can hold a cluster's subnets, by name.

        Available ones of type availability-zone (no Local Zones, no Wavelength) without `ZONES_WITHOUT_EKS`.
        """
        client = await self._client()
        with translate("ec2:DescribeAvailabilityZones"):
            answer = await client.describe_availability_zones(Filters=_filter("state", ["available"]))
        zones = [
            Zone(data["ZoneName"], data.get("ZoneId", ""))
            for data in answer["AvailabilityZones"]
            if data.get("ZoneType", "availability-zone") == "availability-zone"
        ]
        return sorted((zone for zone in zones if zone.id not in ZONES_WITHOUT_EKS), key=lambda zone: zone.name)

    async def regions(self) -> list[str]:
        """Return the names of all regions of this one's partition, those that have to be opted in to among them."""
        client = await self._client()
        with translate("ec2:DescribeRegions"):
            answer = await client.describe_regions(AllRegions=True)
        return sorted(data["RegionName"] for data in answer["Regions"])

    async def key_pair(self, name: str) -> str | None:
        """Return the id of the key pair of that name, or None if there is none in this region."""
        client = await self._client()
        try:
            with translate("ec2:DescribeKeyPairs"):
                answer = await client.describe_key_pairs(KeyNames=[name])
        except NotFound:
            return None
        return next((pair.get("KeyPairId", name) for pair in answer["KeyPairs"]), None)

    async def instance_type_offerings(self, types: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return for each instance type the names of the zones that offer it; an unknown type has no zones."""
        offered: dict[str, set[str]] = defaultdict(set)
        filters = _filter("instance-type", types)
        extra = {"LocationType": "availability-zone"}
        if types:
            for data in await self._rows("describe_instance_type_offerings", "InstanceTypeOfferings", filters, extra):
                offered[data["InstanceType"]].add(data["Location"])
        return {wanted: frozenset(offered[wanted]) for wanted in types}

    async def security_groups(self, ids: Sequence[str]) -> list[SecurityGroup]:
        """Return the security groups of these ids that exist, in the order asked for."""
        rows = await self._rows("describe_security_groups", "SecurityGroups", _filter("group-id", ids)) if ids else []
        known = {data["GroupId"]: _security_group(data) for data in rows}
        return [known[wanted] for wanted in ids if wanted in known]

    async def leftover_security_groups(self, cluster: str) -> list[SecurityGroup]:
        """Return the security groups tagged for a cluster: the AWS load balancer controller's, mostly."""
        rows = await self._rows(
            "describe_security_groups", "SecurityGroups", _filter("tag-key", [cluster_tag(cluster)])
        )
        return [_security_group(data) for data in rows]

    async def leftover_interfaces(self, cluster: str) -> list[NetworkInterface]:
        """Return the network interfaces tagged for a cluster, or with the CNI's own tag for it.

        The VPC CNI tags what it makes with `cluster.k8s.amazonaws.com/name`; those that it loses keep subnets and
        security groups from being deleted.
        """
        tagged = await self._rows(
            "describe_network_interfaces", "NetworkInterfaces", _filter("tag-key", [cluster_tag(cluster)])
        )
        of_cni = await self._rows(
            "describe_network_interfaces",
            "NetworkInterfaces",
            _filter("tag:cluster.k8s.amazonaws.com/name", [cluster]),
        )
        found = {data["NetworkInterfaceId"]: data for data in [*tagged, *of_cni]}
        return [
            NetworkInterface(key, data.get("Status", ""), data.get("SubnetId"), data.get("Description", ""))
            for key, data in found.items()
        ]

    async def leftover_volumes(self, cluster: str) -> list[Volume]:
        """Return the volumes that a cluster's persistent volumes were made of."""
        rows = await self._rows("describe_volumes", "Volumes", _filter("tag-key", [cluster_tag(cluster)]))
        return [Volume(data["VolumeId"], data["State"], data.get("Size", 0), tags_of(data)) for data in rows]

    async def delete_security_group(self, group_id: str) -> None:
        """Delete a security group that nothing uses; one that is gone is fine.

        Raises:
            Conflict: It is in use.
        """
        client = await self._client()
        try:
            with translate("ec2:DeleteSecurityGroup"):
                await client.delete_security_group(GroupId=group_id)
        except NotFound:
            return

    async def _client(self) -> "EC2Client":
        return await self._clients.client(self._account, self._region, "ec2")

    async def _rows(
        self, method: str, key: str, filters: Any, extra: Mapping[str, Any] | None = None
    ) -> list[Mapping[str, Any]]:
        # Filters, not id lists: EC2 refuses a whole call for one unknown id, and names only the first.
        paginator = cast("Any", await self._client()).get_paginator(method)
        operation = "ec2:" + "".join(word.capitalize() for word in method.split("_"))
        found: list[Mapping[str, Any]] = []
        with translate(operation):
            async for page in paginator.paginate(Filters=filters, **(extra or {})):
                found.extend(page.get(key, ()))
        return found


def _filter(name: str, values: Sequence[str]) -> Any:
    return [{"Name": name, "Values": list(values)}]


def _subnet(data: Mapping[str, Any]) -> Subnet:
    return Subnet(
        id=data["SubnetId"],
        vpc_id=data["VpcId"],
        zone=data["AvailabilityZone"],
        zone_id=data.get("AvailabilityZoneId", ""),
        cidr=data.get("CidrBlock", ""),
        free_addresses=data.get("AvailableIpAddressCount", 0),
        public_addresses=data.get("MapPublicIpOnLaunch", False),
        tags=tags_of(data),
    )


def _security_group(data: Mapping[str, Any]) -> SecurityGroup:
    return SecurityGroup(data["GroupId"], data.get("GroupName", ""), data.get("VpcId"), tags_of(data))
