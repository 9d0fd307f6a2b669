"""EC2: what a request asks about the network it names, and what a deleted cluster left behind."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.errors import NotFound, translate
from app.gateways.aws.stack import tags_of

if TYPE_CHECKING:
    from types_aiobotocore_ec2 import EC2Client

T = TypeVar("T")

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
        found = await self._rows("describe_subnets", "Subnets", _filter("subnet-id", ids), _subnet) if ids else []
        known = {subnet.id: subnet for subnet in found}
        return [known[wanted] for wanted in ids if wanted in known]

    async def vpc(self, vpc_id: str) -> Vpc | None:
        """Return the VPC, or None if there is none."""
        return next(iter(await self._rows("describe_vpcs", "Vpcs", _filter("vpc-id", [vpc_id]), _vpc)), None)

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
                return next((pair.get("KeyPairId", name) for pair in answer["KeyPairs"]), None)
        except NotFound:
            return None

    async def instance_type_offerings(self, types: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return for each instance type the names of the zones that offer it; an unknown type has no zones."""
        offered: dict[str, set[str]] = defaultdict(set)
        filters = _filter("instance-type", types)
        extra = {"LocationType": "availability-zone"}
        if types:
            method, key = "describe_instance_type_offerings", "InstanceTypeOfferings"
            for instance_type, zone in await self._rows(method, key, filters, _offering, extra):
                offered[instance_type].add(zone)
        return {wanted: frozenset(offered[wanted]) for wanted in types}

    async def security_groups(self, ids: Sequence[str]) -> list[SecurityGroup]:
        """Return the security groups of these ids that exist, in the order asked for."""
        method, wanted = "describe_security_groups", _filter("group-id", ids)
        found = await self._rows(method, "SecurityGroups", wanted, _security_group) if ids else []
        known = {group.id: group for group in found}
        return [known[wanted] for wanted in ids if wanted in known]

    async def leftover_security_groups(self, cluster: str) -> list[SecurityGroup]:
        """Return the security groups tagged for a cluster: the AWS load balancer controller's, mostly."""
        wanted = _filter("tag-key", [cluster_tag(cluster)])
        return await self._rows("describe_security_groups", "SecurityGroups", wanted, _security_group)

    async def leftover_interfaces(self, cluster: str) -> list[NetworkInterface]:
        """Return the network interfaces tagged for a cluster, or with the CNI's own tag for it.

        The VPC CNI tags what it makes with `cluster.k8s.amazonaws.com/name`; those that it loses keep subnets and
        security groups from being deleted.
        """
        method, key = "describe_network_interfaces", "NetworkInterfaces"
        of_cni = _filter("tag:cluster.k8s.amazonaws.com/name", [cluster])
        tagged = await self._rows(method, key, _filter("tag-key", [cluster_tag(cluster)]), _interface)
        found = {one.id: one for one in [*tagged, *await self._rows(method, key, of_cni, _interface)]}
        return list(found.values())

    async def leftover_volumes(self, cluster: str) -> list[Volume]:
        """Return the volumes that a cluster's persistent volumes were made of."""
        return await self._rows("describe_volumes", "Volumes", _filter("tag-key", [cluster_tag(cluster)]), _volume)

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
        self,
        method: str,
        key: str,
        filters: Any,
        read: Callable[[Mapping[str, Any]], T],
        extra: Mapping[str, Any] | None = None,
    ) -> list[T]:
        # Filters, not id lists: EC2 refuses a whole call for one unknown id, and names only the first.
        paginator = cast("Any", await self._client()).get_paginator(method)
        operation = "ec2:" + "".join(word.capitalize() for word in method.split("_"))
        found: list[T] = []
        with translate(operation):
            async for page in paginator.paginate(Filters=filters, **(extra or {})):
                found.extend(map(read, page.get(key, ())))
        return found


def _filter(name: str, values: Sequence[str]) -> Any:
    return [{"Name": name, "Values": list(values)}]


def _subnet(data: Mapping[str, Any]) -> Subnet:
    return Subnet(
        id=_id(data, "SubnetId"),
        vpc_id=data["VpcId"],
        zone=data["AvailabilityZone"],
        zone_id=data.get("AvailabilityZoneId", ""),
        cidr=data.get("CidrBlock", ""),
        free_addresses=data.get("AvailableIpAddressCount", 0),
        public_addresses=data.get("MapPublicIpOnLaunch", False),
        tags=tags_of(data),
    )


def _id(data: Mapping[str, Any], key: str) -> str:
    """Of an element that comes twice botocore makes a list."""
    if not isinstance(data[key], str):
        raise TypeError(f"{key} is no text")
    return str(data[key])


def _vpc(data: Mapping[str, Any]) -> Vpc:
    blocks = [block["CidrBlock"] for block in data.get("CidrBlockAssociationSet", ()) if "CidrBlock" in block]
    cidrs = tuple(dict.fromkeys([data["CidrBlock"], *blocks]))
    return Vpc(data["VpcId"], cidrs, data.get("IsDefault", False), tags_of(data))


def _offering(data: Mapping[str, Any]) -> tuple[str, str]:
    return _id(data, "InstanceType"), _id(data, "Location")


def _interface(data: Mapping[str, Any]) -> NetworkInterface:
    interface, status = _id(data, "NetworkInterfaceId"), data.get("Status", "")
    return NetworkInterface(interface, status, data.get("SubnetId"), data.get("Description", ""))


def _volume(data: Mapping[str, Any]) -> Volume:
    return Volume(data["VolumeId"], data["State"], data.get("Size", 0), tags_of(data))


def _security_group(data: Mapping[str, Any]) -> SecurityGroup:
    return SecurityGroup(_id(data, "GroupId"), data.get("GroupName", ""), data.get("VpcId"), tags_of(data))
