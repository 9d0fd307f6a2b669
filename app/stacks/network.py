"""The network of a cluster: a VPC of its own, or one that is given.

Layout of an own VPC, as eksctl's users know it: a public and a private subnet for each zone, each an eighth of the
VPC's block (/19 of the default 192.168.0.0/16), public ones first. More than four zones take sixteenths.

One zone: EKS wants control-plane subnets in two zones at least (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html),
and so does an Application Load Balancer. A cluster asked for with one zone therefore gets the subnet pair of a second
zone (`control_plane_zone`) as well, but nodes and the NAT gateway stay in the zone that was asked for.
"""

import ipaddress
from dataclasses import dataclass
from typing import Literal

from troposphere import AWSObject, Cidr, GetAtt, Ref, Select, Template, ec2

from app.core.errors import FieldError, InvalidError
from app.stacks.template import Value, tag_list

IpFamily = Literal["ipv4", "ipv6"]
Nat = Literal["none", "single", "per_zone"]

DEFAULT_CIDR = "192.168.0.0/16"
MAX_ZONES = 6
SMALLEST_SUBNET = 28
LARGEST_VPC = 16


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """A VPC that the cluster's stack makes.

    Attributes:
        zones: One to six availability zone names (`eu-central-1a`) for nodes, in order; the first one holds the
            single NAT gateway.
        cidr: The VPC's IPv4 block, /16 to /25 (/24 from five zones on), without host bits.
        nat: `none` leaves the private subnets without a way out, so that nodes go to the public ones; `single` is one
            gateway in the first zone; `per_zone` one in each zone of `zones`.
        control_plane_zone: With one zone only: a second zone, for the control plane's and load balancers' subnets.
    """

    zones: tuple[str, ...]
    cidr: str = DEFAULT_CIDR
    nat: Nat = "single"
    control_plane_zone: str | None = None


@dataclass(frozen=True, slots=True)
class GivenNetwork:
    """A VPC that exists already; nothing in it is changed, not even tags.

    Attributes:
        vpc_id: `vpc-…`.
        public_subnet_ids: `subnet-…` of subnets with a route to an internet gateway.
        private_subnet_ids: `subnet-…` of the others. Both together lie in two zones or more (AWS checks).
    """

    vpc_id: str
    public_subnet_ids: tuple[str, ...] = ()
    private_subnet_ids: tuple[str, ...] = ()


Network = OwnNetwork | GivenNetwork


@dataclass(frozen=True, slots=True)
class NetworkParts:
    """What the rest of a template refers to: literal ids of a given VPC, or `Ref`s into the stack.

    Attributes:
        vpc_id: The VPC.
        public: Its public subnets, in the order of the zones.
        private: Its private subnets, likewise.
        nodes: Where nodes go if their group names no subnets: the private ones of the zones that were asked for, or
            the public ones if there is no way out of the private ones.
    """

    vpc_id: Value
    public: tuple[Value, ...]
    private: tuple[Value, ...]
    nodes: tuple[Value, ...]

    @property
    def subnets(self) -> tuple[Value, ...]:
        """All subnets: what the control plane is told, so that load balancers may use any of them."""
        return self.public + self.private


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """The blocks of one zone."""

    zone: str
    public_cidr: str
    private_cidr: str


def plan_subnets(network: OwnNetwork) -> tuple[SubnetPlan, ...]:
    """Return the subnet pair of each zone, the control plane's extra zone last.

    Raises:
        InvalidError: The block is not an IPv4 network of a fitting size, or the zones are none, too many, repeated,
            or one without a second for the control plane. Pointers are those of the cluster spec.
    """
    zones = _all_zones(network)
    block = _vpc_block(network.cidr)
    bits = max(3, (2 * len(zones) - 1).bit_length())
    if block.prefixlen < LARGEST_VPC or block.prefixlen + bits > SMALLEST_SUBNET:
        smallest = SMALLEST_SUBNET - bits
        raise _invalid("/network/cidr", f"must be between /{LARGEST_VPC} and /{smallest} for {len(zones)} zones")
    blocks = [str(subnet) for _, subnet in zip(range(2 * len(zones)), block.subnets(bits), strict=False)]
    pairs = zip(zones, blocks[: len(zones)], blocks[len(zones) :], strict=True)
    return tuple(SubnetPlan(zone, public, private) for zone, public, private in pairs)


def given_parts(network: GivenNetwork) -> NetworkParts:
    """Return the parts of a VPC that exists.

    Raises:
        InvalidError: Fewer than two subnets are given.
    """
    if len(set(network.public_subnet_ids + network.private_subnet_ids)) < 2:
        raise _invalid("/network/subnets", "EKS needs subnets in two zones or more")
    nodes = network.private_subnet_ids or network.public_subnet_ids
    return NetworkParts(network.vpc_id, network.public_subnet_ids, network.private_subnet_ids, nodes)


def add_network(template: Template, network: Network, cluster: str, ip_family: IpFamily) -> NetworkParts:
    """Add the network to the template (nothing, if it is given) and return what to refer to.

    Raises:
        InvalidError: See `plan_subnets` and `given_parts`.
    """
    if isinstance(network, GivenNetwork):
        return given_parts(network)
    # cfn-lint warns of literal zones, since a template may be used in another region: each of ours is for one cluster.
    template.set_metadata({"cfn-lint": {"config": {"ignore_checks": ["W3010"]}}})
    return _Builder(template, network, cluster, ip_family).build()


class _Builder:
    """Adds the resources of one VPC; it lives for one call of `add_network`."""

    def __init__(self, template: Template, network: OwnNetwork, cluster: str, ip_family: IpFamily) -> None:
        self.template = template
        self.network = network
        self.cluster = cluster
        self.ipv6 = ip_family == "ipv6"
        self.plan = plan_subnets(network)

    def build(self) -> NetworkParts:
        vpc = self._add(
            ec2.VPC("VPC", CidrBlock=self.network.cidr, EnableDnsSupport=True, EnableDnsHostnames=True), "vpc"
        )
        self._add(ec2.InternetGateway("InternetGateway"), "internet-gateway")
        self.template.add_resource(
            ec2.VPCGatewayAttachment(
                "InternetGatewayAttachment", VpcId=Ref(vpc), InternetGatewayId=Ref("InternetGateway")
            )
        )
        if self.ipv6:
            self.template.add_resource(
                ec2.VPCCidrBlock("Ipv6CidrBlock", VpcId=Ref(vpc), AmazonProvidedIpv6CidrBlock=True)
            )
            self.template.add_resource(ec2.EgressOnlyInternetGateway("EgressOnlyInternetGateway", VpcId=Ref(vpc)))
        public = tuple(self._public_subnet(index, plan) for index, plan in enumerate(self.plan))
        self._public_routes()
        gateways = self._nat_gateways()
        private = tuple(self._private_subnet(index, plan, gateways) for index, plan in enumerate(self.plan))
        nodes = (public if self.network.nat == "none" else private)[: len(self.network.zones)]
        return NetworkParts(Ref(vpc), public, private, nodes)

    def _add(self, resource: AWSObject, name: str, **tags: str) -> AWSObject:
        resource.Tags = tag_list({**tags, "Name": f"{self.cluster}/{name}"})
        return self.template.add_resource(resource)

    def _ipv6_properties(self, index: int) -> dict[str, object]:
        if not self.ipv6:
            return {}
        blocks = Cidr(Select(0, GetAtt("VPC", "Ipv6CidrBlocks")), 2 * len(self.plan), 64)
        return {
            "Ipv6CidrBlock": Select(index, blocks),
            "AssignIpv6AddressOnCreation": True,
            # GetAtt names the VPC, not its block: without this the list may still be empty.
            "DependsOn": "Ipv6CidrBlock",
        }

    def _public_subnet(self, index: int, plan: SubnetPlan) -> Value:
        subnet = ec2.Subnet(
            f"PublicSubnet{index + 1}",
            VpcId=Ref("VPC"),
            AvailabilityZone=plan.zone,
            CidrBlock=plan.public_cidr,
            # Managed nodes in a public subnet cannot reach the control plane without one.
            MapPublicIpOnLaunch=True,
            **self._ipv6_properties(index),
        )
        self._add(subnet, f"public-{plan.zone}", **{"kubernetes.io/role/elb": "1"})
        self.template.add_resource(
            ec2.SubnetRouteTableAssociation(
                f"PublicSubnet{index + 1}Routes", SubnetId=Ref(subnet), RouteTableId=Ref("PublicRouteTable")
            )
        )
        return Ref(subnet)

    def _public_routes(self) -> None:
        self._add(ec2.RouteTable("PublicRouteTable", VpcId=Ref("VPC")), "public")
        destinations = {"PublicRoute": {"DestinationCidrBlock": "0.0.0.0/0"}}
        if self.ipv6:
            destinations["PublicRouteIpv6"] = {"DestinationIpv6CidrBlock": "::/0"}
        for title, destination in destinations.items():
            self.template.add_resource(
                ec2.Route(
                    title,
                    DependsOn="InternetGatewayAttachment",
                    RouteTableId=Ref("PublicRouteTable"),
                    GatewayId=Ref("InternetGateway"),
                    **destination,
                )
            )

    def _nat_gateways(self) -> tuple[Value, ...]:
        count = {"none": 0, "single": 1, "per_zone": len(self.network.zones)}[self.network.nat]
        gateways: list[Value] = []
        for index in range(count):
            zone = self.plan[index].zone
            address = ec2.EIP(f"NatAddress{index + 1}", Domain="vpc", DependsOn="InternetGatewayAttachment")
            self._add(address, f"nat-{zone}")
            gateway = ec2.NatGateway(
                f"NatGateway{index + 1}",
                AllocationId=GetAtt(address, "AllocationId"),
                SubnetId=Ref(f"PublicSubnet{index + 1}"),
            )
            gateways.append(Ref(self._add(gateway, f"nat-{zone}")))
        return tuple(gateways)

    def _private_subnet(self, index: int, plan: SubnetPlan, gateways: tuple[Value, ...]) -> Value:
        number = index + 1
        subnet = ec2.Subnet(
            f"PrivateSubnet{number}",
            VpcId=Ref("VPC"),
            AvailabilityZone=plan.zone,
            CidrBlock=plan.private_cidr,
            **self._ipv6_properties(len(self.plan) + index),
        )
        self._add(subnet, f"private-{plan.zone}", **{"kubernetes.io/role/internal-elb": "1"})
        table = self._add(ec2.RouteTable(f"PrivateRouteTable{number}", VpcId=Ref("VPC")), f"private-{plan.zone}")
        self.template.add_resource(
            ec2.SubnetRouteTableAssociation(
                f"PrivateSubnet{number}Routes", SubnetId=Ref(subnet), RouteTableId=Ref(table)
            )
        )
        if gateways:
            gateway = gateways[index] if index < len(gateways) else gateways[0]
            self.template.add_resource(
                ec2.Route(
                    f"PrivateRoute{number}",
                    RouteTableId=Ref(table),
                    DestinationCidrBlock="0.0.0.0/0",
                    NatGatewayId=gateway,
                )
            )
        if self.ipv6:
            self.template.add_resource(
                ec2.Route(
                    f"PrivateRouteIpv6{number}",
                    RouteTableId=Ref(table),
                    DestinationIpv6CidrBlock="::/0",
                    EgressOnlyInternetGatewayId=Ref("EgressOnlyInternetGateway"),
                )
            )
        return Ref(subnet)


def _all_zones(network: OwnNetwork) -> tuple[str, ...]:
    zones = network.zones
    if not 1 <= len(zones) <= MAX_ZONES or len(set(zones)) != len(zones):
        raise _invalid("/network/zones", f"must be one to {MAX_ZONES} different zones")
    if len(zones) > 1:
        return zones
    if network.control_plane_zone is None or network.control_plane_zone in zones:
        raise _invalid("/network/zones", "one zone needs a second one for the control plane's subnets")
    return (*zones, network.control_plane_zone)


def _vpc_block(cidr: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise _invalid("/network/cidr", f"not an IPv4 network: {error}") from error


def _invalid(pointer: str, detail: str) -> InvalidError:
    return InvalidError("the network cannot be laid out", [FieldError(pointer, detail)])
