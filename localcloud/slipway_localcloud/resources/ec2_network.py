"""Elastic IPs, NAT gateways and IPv6: types that ministack's CloudFormation lacks, on its EC2 stores."""

from __future__ import annotations

import secrets

from ministack.services import ec2

from .registry import Attributes, Properties, Work
from .usage import live_nat_gateways, need_subnet, need_vpc, refuse


def hex_id(prefix: str) -> str:
    """A new id as EC2 makes them."""
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


def put_tags(resource_id: str, properties: Properties) -> None:
    """Takes the Tags property over into EC2's tags."""
    ec2._tags[resource_id] = [{"Key": t["Key"], "Value": t["Value"]} for t in properties.get("Tags") or []]


class Tagged:
    """A type of which only the tags can change in place."""

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes the tags."""
        await work.wait()
        put_tags(physical_id, new)
        return {}


class ElasticIp(Tagged):
    """AWS::EC2::EIP. Ref is the address, as on AWS."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Allocates an address."""
        allocation_id = hex_id("eipalloc")
        address = ec2._random_ip("52.")
        ec2._addresses[allocation_id] = {
            "AllocationId": allocation_id, "PublicIp": address, "Domain": "vpc", "AssociationId": None,
            "InstanceId": None, "NetworkInterfaceId": None, "PrivateIpAddress": None,
        }  # fmt: skip
        put_tags(allocation_id, properties)
        work.initiated(address)
        await work.wait()
        return {"AllocationId": allocation_id, "PublicIp": address}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes the tags."""
        await work.wait()
        for allocation_id in _allocations(physical_id):
            put_tags(allocation_id, new)
        return {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Releases the address, unless a NAT gateway holds it."""
        await work.wait()
        for allocation_id in _allocations(physical_id):
            if any(nat["AllocationId"] == allocation_id for nat in live_nat_gateways()):
                raise refuse("InvalidIPAddress.InUse", f"Address '{physical_id}' is in use.")
            ec2._addresses.pop(allocation_id, None)
            ec2._tags.pop(allocation_id, None)


def _allocations(address: str) -> list[str]:
    return [key for key, record in ec2._addresses.items() if record["PublicIp"] == address]


class NatGateway(Tagged):
    """AWS::EC2::NatGateway."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Makes a gateway in a subnet; a public one takes its Elastic IP."""
        subnet = need_subnet(properties.get("SubnetId", ""))
        allocation_id = properties.get("AllocationId", "")
        if allocation_id and allocation_id not in ec2._addresses:
            raise refuse("InvalidAllocationID.NotFound", f"The allocation ID '{allocation_id}' does not exist")
        if allocation_id and any(nat["AllocationId"] == allocation_id for nat in live_nat_gateways()):
            raise refuse("Resource.AlreadyAssociated", f"Elastic IP address [{allocation_id}] is already associated")
        gateway_id = hex_id("nat")
        ec2._nat_gateways[gateway_id] = gateway = {
            "NatGatewayId": gateway_id, "SubnetId": subnet["SubnetId"], "VpcId": subnet["VpcId"],
            "AllocationId": allocation_id, "ConnectivityType": properties.get("ConnectivityType", "public"),
            "State": "pending", "CreateTime": ec2._now_ts(), "Tags": [],
        }  # fmt: skip
        put_tags(gateway_id, properties)
        work.initiated(gateway_id)
        await work.wait()
        gateway["State"] = "available"
        return {"NatGatewayId": gateway_id}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the gateway; its address is free afterwards."""
        await work.wait()
        ec2._nat_gateways.pop(physical_id, None)
        ec2._tags.pop(physical_id, None)


class EgressOnlyGateway(Tagged):
    """AWS::EC2::EgressOnlyInternetGateway."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Makes a gateway for outgoing IPv6."""
        vpc = need_vpc(properties.get("VpcId", ""))
        gateway_id = hex_id("eigw")
        ec2._egress_igws[gateway_id] = {
            "EgressOnlyInternetGatewayId": gateway_id, "VpcId": vpc["VpcId"], "State": "attached", "Tags": [],
        }  # fmt: skip
        put_tags(gateway_id, properties)
        work.initiated(gateway_id)
        await work.wait()
        return {"Id": gateway_id}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the gateway."""
        await work.wait()
        ec2._egress_igws.pop(physical_id, None)
        ec2._tags.pop(physical_id, None)


class VpcCidrBlock:
    """AWS::EC2::VPCCidrBlock: mostly the IPv6 block that Amazon provides."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Adds a block to the VPC; the subnets' Fn::Cidr reads it from the VPC's Ipv6CidrBlocks."""
        vpc = ec2._vpcs[need_vpc(properties.get("VpcId", ""))["VpcId"]]
        association_id = hex_id("vpc-cidr-assoc")
        network = f"2600:1f14:{secrets.randbelow(65536):x}:{secrets.randbelow(256):x}00::/56"
        block = properties.get("CidrBlock") or properties.get("Ipv6CidrBlock") or network
        vpc.setdefault("_blocks", {})[association_id] = block
        if ":" in block:
            vpc.setdefault("_ipv6", []).append(block)
        work.initiated(association_id)
        await work.wait()
        return {"Id": association_id}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Never called: every property is create-only."""
        return {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Takes the block from the VPC."""
        await work.wait()
        vpc = ec2._vpcs.get(properties.get("VpcId", ""), {})
        block = vpc.get("_blocks", {}).pop(physical_id, None)
        if block in vpc.get("_ipv6", []):
            vpc["_ipv6"].remove(block)


HANDLERS = {
    "AWS::EC2::EIP": ElasticIp(),
    "AWS::EC2::NatGateway": NatGateway(),
    "AWS::EC2::EgressOnlyInternetGateway": EgressOnlyGateway(),
    "AWS::EC2::VPCCidrBlock": VpcCidrBlock(),
}
