"""The caller's own VPC, as the article takes it for given: two public and two private subnets in two zones."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.eks import Eks

if TYPE_CHECKING:
    from types_aiobotocore_ec2 import EC2Client

REGION = "us-west-2"
CIDR = "10.0.0.0/16"
SUBNETS = (
    ("public", "us-west-2a", "10.0.0.0/19"),
    ("public", "us-west-2b", "10.0.32.0/19"),
    ("private", "us-west-2a", "10.0.64.0/19"),
    ("private", "us-west-2b", "10.0.96.0/19"),
)
"""Kind, zone, CIDR; in the order in which the article's file names them."""


@dataclass(slots=True)
class Network:
    """What was made: ids.

    Attributes:
        vpc: The VPC.
        subnets: Ids by (kind, zone).
        gateway: The internet gateway.
        route_table: The route table of the public subnets.
        associations: Of that route table with the subnets.
    """

    vpc: str = ""
    subnets: dict[tuple[str, str], str] = field(default_factory=dict)
    gateway: str = ""
    route_table: str = ""
    associations: list[str] = field(default_factory=list)


class Account:
    """The account of the process's credentials, beside Slipway: what a user would do there, and look at."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()  # one loop for all calls, because the clients belong to one
        self._clients = AwsClients()

    def make_network(self) -> Network:
        """Make the VPC.

        Raises:
            AwsError: there are no credentials.
            ClientError: EC2 refuses.
        """
        return self._runner.run(_make(self._clients))

    def remove_network(self, network: Network) -> None:
        """Take away what `make_network` made.

        Raises:
            ClientError: EC2 refuses; something of somebody else's is still in the VPC.
        """
        self._runner.run(_remove(self._clients, network))

    def live_nodes(self, cluster: str, nodegroup: str) -> int | None:
        """Return how many nodes EKS itself says a group should have; None if it knows no such group."""
        found = self._runner.run(Eks(self._clients, PROCESS, REGION).describe_nodegroup(cluster, nodegroup))
        return found.desired if found else None

    def close(self) -> None:
        """Close the connections."""
        self._runner.run(self._clients.aclose())
        self._runner.close()


async def _make(clients: AwsClients) -> Network:
    network = Network()
    ec2 = await clients.client(PROCESS, REGION, "ec2")
    network.vpc = (await ec2.create_vpc(CidrBlock=CIDR))["Vpc"]["VpcId"]
    await ec2.create_tags(Resources=[network.vpc], Tags=[{"Key": "Name", "Value": "slipway-demo"}])
    for kind, zone, cidr in SUBNETS:
        made = await ec2.create_subnet(VpcId=network.vpc, CidrBlock=cidr, AvailabilityZone=zone)
        network.subnets[kind, zone] = made["Subnet"]["SubnetId"]
    await _open(ec2, network)
    return network


async def _open(ec2: "EC2Client", network: Network) -> None:
    """Give the public subnets a way to the internet, and their instances public addresses."""
    gateway = await ec2.create_internet_gateway()
    network.gateway = gateway["InternetGateway"]["InternetGatewayId"]
    await ec2.attach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    table = await ec2.create_route_table(VpcId=network.vpc)
    network.route_table = table["RouteTable"]["RouteTableId"]
    await ec2.create_route(
        RouteTableId=network.route_table, DestinationCidrBlock="0.0.0.0/0", GatewayId=network.gateway
    )
    for (kind, _), subnet in network.subnets.items():
        if kind == "public":
            await ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
            made = await ec2.associate_route_table(RouteTableId=network.route_table, SubnetId=subnet)
            network.associations.append(made["AssociationId"])


async def _remove(clients: AwsClients, network: Network) -> None:
    ec2 = await clients.client(PROCESS, REGION, "ec2")
    for association in network.associations:
        await ec2.disassociate_route_table(AssociationId=association)
    await ec2.delete_route_table(RouteTableId=network.route_table)
    await ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    await ec2.delete_internet_gateway(InternetGatewayId=network.gateway)
    for subnet in network.subnets.values():
        await ec2.delete_subnet(SubnetId=subnet)
    await ec2.delete_vpc(VpcId=network.vpc)


def with_ids(text: str, network: Network) -> str:
    """Return the article's file with the ids of this VPC in place of the article's; all else stays as it stands."""
    for written, ours in replacements(network).items():
        if text.count(written) != 1:
            raise ValueError(f"the file names {written} {text.count(written)} times, not once")
        text = text.replace(written, ours)
    return text


def replacements(network: Network) -> Mapping[str, str]:
    """Return what stands in the article's file, and what takes its place."""
    return {
        "vpc-a6e6f4e9": network.vpc,
        "subnet-b4cf9ef3": network.subnets["public", "us-west-2a"],
        "subnet-a5d3bcfe": network.subnets["public", "us-west-2b"],
        "subnet-c5a3bdf0": network.subnets["private", "us-west-2a"],
        "subnet-1f5c79df": network.subnets["private", "us-west-2b"],
    }
