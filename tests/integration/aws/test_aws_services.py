"""EKS, EC2, load balancers and log groups, over HTTP."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from integration.conftest import LocalCloud

from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.ec2 import ZONES_WITHOUT_EKS, Ec2, cluster_tag
from app.gateways.aws.eks import Eks
from app.gateways.aws.elb import Elb
from app.gateways.aws.errors import NotFound
from app.gateways.aws.logs import Logs, control_plane_log_group

REGION = "us-east-1"


@pytest.fixture
def ec2(clients: AwsClients) -> Ec2:
    return Ec2(clients, PROCESS, REGION)


@pytest.fixture
def eks(clients: AwsClients) -> Eks:
    return Eks(clients, PROCESS, REGION)


@pytest.fixture
async def subnet(clients: AwsClients) -> AsyncIterator[dict[str, Any]]:
    client = await clients.client(PROCESS, REGION, "ec2")
    vpc_id = (await client.create_vpc(CidrBlock="10.7.0.0/16"))["Vpc"]["VpcId"]
    made = await client.create_subnet(VpcId=vpc_id, CidrBlock="10.7.1.0/24", AvailabilityZone="us-east-1a")
    yield dict(made["Subnet"])
    await client.delete_subnet(SubnetId=made["Subnet"]["SubnetId"])
    await client.delete_vpc(VpcId=vpc_id)


async def test_subnets_come_in_the_order_asked_for_without_unknown_ones(ec2: Ec2, subnet: dict[str, Any]) -> None:
    found = await ec2.subnets(["subnet-00000000000000000", subnet["SubnetId"]])

    assert [(one.id, one.vpc_id, one.cidr) for one in found] == [(subnet["SubnetId"], subnet["VpcId"], "10.7.1.0/24")]
    assert found[0].zone == "us-east-1a"
    assert found[0].free_addresses == 251
    assert await ec2.subnets([]) == []


async def test_a_vpc_is_found_or_not(ec2: Ec2, subnet: dict[str, Any]) -> None:
    vpc = await ec2.vpc(subnet["VpcId"])

    assert vpc is not None
    assert vpc.cidrs == ("10.7.0.0/16",)
    assert await ec2.vpc("vpc-00000000000000000") is None


async def test_zones_without_room_for_eks_are_left_out(ec2: Ec2) -> None:
    zones = await ec2.availability_zones()

    assert len(zones) >= 2
    assert [zone.name for zone in zones] == sorted(zone.name for zone in zones)
    assert not {zone.id for zone in zones} & ZONES_WITHOUT_EKS


async def test_a_key_pair_is_found_by_its_name(ec2: Ec2, clients: AwsClients, name: str) -> None:
    assert await ec2.key_pair(name) is None
    client = await clients.client(PROCESS, REGION, "ec2")
    made = await client.create_key_pair(KeyName=name)

    assert await ec2.key_pair(name) == made["KeyPairId"]
    await client.delete_key_pair(KeyName=name)


async def test_an_instance_type_names_its_zones(ec2: Ec2) -> None:
    offered = await ec2.instance_type_offerings(["m5.large", "x9.moon"])

    assert "us-east-1a" in offered["m5.large"]
    assert offered["x9.moon"] == frozenset()
    assert await ec2.instance_type_offerings([]) == {}


async def test_what_a_cluster_left_behind_is_found(
    ec2: Ec2, clients: AwsClients, subnet: dict[str, Any], name: str
) -> None:
    client = await clients.client(PROCESS, REGION, "ec2")
    tags: Any = [{"Key": cluster_tag(name), "Value": "owned"}]
    group = await client.create_security_group(
        GroupName=name,
        Description="x",
        VpcId=subnet["VpcId"],
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )
    interface = await client.create_network_interface(
        SubnetId=subnet["SubnetId"],
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": tags}],
    )
    volume = await client.create_volume(
        AvailabilityZone="us-east-1a", Size=3, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
    )
    interface_id = interface["NetworkInterface"].get("NetworkInterfaceId", "")

    assert [one.id for one in await ec2.security_groups([group["GroupId"], "sg-0"])] == [group["GroupId"]]
    assert [one.id for one in await ec2.leftover_security_groups(name)] == [group["GroupId"]]
    assert [one.id for one in await ec2.leftover_interfaces(name)] == [interface_id]
    assert [(one.id, one.size_gib) for one in await ec2.leftover_volumes(name)] == [(volume["VolumeId"], 3)]
    assert await ec2.leftover_volumes(f"{name}-other") == []

    await client.delete_network_interface(NetworkInterfaceId=interface_id)
    await ec2.delete_security_group(group["GroupId"])
    await ec2.delete_security_group(group["GroupId"])
    assert await ec2.leftover_interfaces(name) == []


async def test_load_balancers_of_a_cluster_are_found(clients: AwsClients, subnet: dict[str, Any], name: str) -> None:
    client = await clients.client(PROCESS, REGION, "elbv2")
    elb = Elb(clients, PROCESS, REGION)
    own = await client.create_load_balancer(
        Name=f"{name}-a", Subnets=[subnet["SubnetId"]], Tags=[{"Key": "elbv2.k8s.aws/cluster", "Value": name}]
    )
    other = await client.create_load_balancer(Name=f"{name}-b", Subnets=[subnet["SubnetId"]])
    arn = own["LoadBalancers"][0].get("LoadBalancerArn", "")

    assert [one.arn for one in await elb.leftovers(name)] == [arn]
    assert await elb.leftovers(name, vpc_id="vpc-other") == []

    await elb.delete(arn)
    await elb.delete(arn)
    assert await elb.leftovers(name) == []
    await elb.delete(other["LoadBalancers"][0].get("LoadBalancerArn", ""))


async def test_a_log_group_is_ensured_again_and_again(clients: AwsClients, name: str) -> None:
    logs = Logs(clients, PROCESS, REGION)
    group = control_plane_log_group(name)
    assert group == f"/aws/eks/{name}/cluster"
    assert not await logs.exists(group)

    await logs.ensure_log_group(group, 7, {"team": "a"})
    await logs.ensure_log_group(group, 30)

    assert await logs.exists(group)
    assert not await logs.exists(group.removesuffix("r"))
    client = await clients.client(PROCESS, REGION, "logs")
    described = (await client.describe_log_groups(logGroupNamePrefix=group))["logGroups"][0]
    assert described.get("retentionInDays") == 30
    await logs.set_retention(group, None)
    assert "retentionInDays" not in (await client.describe_log_groups(logGroupNamePrefix=group))["logGroups"][0]

    await logs.delete_log_group(group)
    await logs.delete_log_group(group)
    assert not await logs.exists(group)
    with pytest.raises(NotFound):
        await logs.set_retention(group, 7)


async def test_what_eks_does_not_have_is_none(eks: Eks, name: str) -> None:
    assert await eks.describe_cluster(name) is None
    assert await eks.describe_nodegroup(name, "ng") is None


@pytest.mark.calendar
async def test_versions_come_newest_first_with_one_default(eks: Eks) -> None:
    versions = await eks.cluster_versions()

    minors = [int(version.version.split(".")[1]) for version in versions]
    assert minors == sorted(minors, reverse=True)
    assert sum(version.is_default for version in versions) == 1
    assert {version.status for version in versions} <= {"STANDARD_SUPPORT", "EXTENDED_SUPPORT"}
    assert versions[0].standard_support_ends is not None


@pytest.mark.calendar
async def test_a_token_is_a_request_that_sts_answers(eks: Eks, localcloud: LocalCloud) -> None:
    """So does a cluster find out who its caller is; AWS refuses signatures that are older or younger than minutes."""
    encoded = (await eks.token("demo")).removeprefix("k8s-aws-v1.")
    url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    headers = {"Host": url.netloc, "x-k8s-aws-id": "demo"}
    async with httpx.AsyncClient(verify=False) as client:
        answer = await client.get(f"{localcloud.endpoint}/?{url.query}", headers=headers)
        other = await client.get(f"{localcloud.endpoint}/?{url.query}", headers=headers | {"x-k8s-aws-id": "other"})
    assert answer.status_code == 200, answer.text
    assert "user/developer" in answer.text
    assert other.status_code == 403


@pytest.mark.calendar
async def test_addons_have_versions_for_a_cluster_version(eks: Eks) -> None:
    newest = (await eks.cluster_versions())[0].version

    versions = await eks.addon_versions("vpc-cni", newest)

    assert sum(version.is_default for version in versions) == 1
    assert all(version.version.startswith("v") for version in versions)
    assert await eks.addon_versions("no-such-addon", newest) == []


@pytest.mark.calendar
async def test_a_cluster_is_read(eks: Eks, clients: AwsClients, iam: Any, subnet: dict[str, Any], name: str) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    role = (await iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust)))["Role"]["Arn"]
    ec2 = await clients.client(PROCESS, REGION, "ec2")
    second = await ec2.create_subnet(VpcId=subnet["VpcId"], CidrBlock="10.7.2.0/24", AvailabilityZone="us-east-1b")
    subnets = (subnet["SubnetId"], second["Subnet"].get("SubnetId", ""))
    client = await clients.client(PROCESS, REGION, "eks")
    await client.create_cluster(
        name=name, roleArn=role, resourcesVpcConfig={"subnetIds": list(subnets)}, tags={"team": "a"}
    )

    cluster = await eks.describe_cluster(name)

    assert cluster is not None
    assert (cluster.name, cluster.tags, cluster.role_arn) == (name, {"team": "a"}, role)
    assert cluster.status in {"CREATING", "ACTIVE"}
    assert set(cluster.subnet_ids) == set(subnets)
    assert cluster.vpc_id == subnet["VpcId"]
    assert (await eks.token(name)).startswith("k8s-aws-v1.")
    await client.delete_cluster(name=name)
    await ec2.delete_subnet(SubnetId=subnets[1])
