from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from stack_samples import GIVEN, ZONES, cluster, cluster_template, document, examples, of_type, own_networks

from app.core.errors import InvalidError
from app.stacks.network import GivenNetwork, OwnNetwork, plan_subnets


def subnets(doc, prefix=""):
    return {name: body for name, body in of_type(doc, "AWS::EC2::Subnet").items() if name.startswith(prefix)}


def table_of(doc, subnet):
    links = of_type(doc, "AWS::EC2::SubnetRouteTableAssociation").values()
    (table,) = [link["RouteTableId"]["Ref"] for link in links if link["SubnetId"]["Ref"] == subnet]
    return table


def routes_of(doc, subnet):
    table = table_of(doc, subnet)
    return [route for route in of_type(doc, "AWS::EC2::Route").values() if route["RouteTableId"]["Ref"] == table]


def listed(doc, output):
    return [item["Ref"] for item in doc["Outputs"][output]["Value"]["Fn::Join"][1]]


def rendered(network, **changes):
    return document(cluster_template(cluster(network=network, **changes)))


@examples
@given(own_networks())
def test_blocks_never_overlap_and_lie_in_the_vpc(network):
    plans = plan_subnets(network)
    blocks = [IPv4Network(block) for plan in plans for block in (plan.public_cidr, plan.private_cidr)]
    assert not any(one.overlaps(other) for one, other in combinations(blocks, 2))
    assert all(block.subnet_of(IPv4Network(network.cidr)) and block.prefixlen <= 28 for block in blocks)
    assert len({plan.zone for plan in plans}) == max(2, len(network.zones))


@examples
@given(own_networks())
def test_public_subnets_lead_to_the_internet_and_private_ones_do_not(network):
    doc = rendered(network)
    for name, subnet in subnets(doc, "Public").items():
        (route,) = routes_of(doc, name)
        assert route["GatewayId"] == {"Ref": "InternetGateway"}
        assert route["DestinationCidrBlock"] == "0.0.0.0/0"
        assert subnet["MapPublicIpOnLaunch"] is True
    for name, subnet in subnets(doc, "Private").items():
        routes = routes_of(doc, name)
        assert not any("GatewayId" in route for route in routes)
        assert len(routes) == (0 if network.nat == "none" else 1)
        assert "MapPublicIpOnLaunch" not in subnet
    assert len(subnets(doc)) == 2 * max(2, len(network.zones))


@examples
@given(own_networks())
def test_nodes_get_the_zones_that_were_asked_for_and_a_way_out(network):
    doc = rendered(network)
    nodes = listed(doc, "NodeSubnetIds")
    assert [subnets(doc)[name]["AvailabilityZone"] for name in nodes] == list(network.zones)
    assert all(routes_of(doc, name) for name in nodes)
    assert set(nodes) <= set(listed(doc, "SubnetIds"))


@examples
@given(own_networks())
def test_nat_gateways_stand_in_public_subnets_and_serve_their_own_zone(network):
    doc = rendered(network)
    gateways = of_type(doc, "AWS::EC2::NatGateway")
    assert len(gateways) == {"none": 0, "single": 1, "per_zone": len(network.zones)}[network.nat]
    assert len(of_type(doc, "AWS::EC2::EIP")) == len(gateways)
    zone_of = {name: subnets(doc)[body["SubnetId"]["Ref"]]["AvailabilityZone"] for name, body in gateways.items()}
    assert all(body["SubnetId"]["Ref"].startswith("Public") for body in gateways.values())
    if network.nat != "none":
        assert zone_of["NatGateway1"] == network.zones[0]
    if network.nat == "per_zone":
        for name, subnet in subnets(doc, "Private").items():
            if subnet["AvailabilityZone"] in network.zones:
                (route,) = routes_of(doc, name)
                assert zone_of[route["NatGatewayId"]["Ref"]] == subnet["AvailabilityZone"]


def test_the_default_layout_is_that_of_eksctl():
    plans = plan_subnets(OwnNetwork(ZONES[:3]))
    assert [plan.public_cidr for plan in plans] == ["192.168.0.0/19", "192.168.32.0/19", "192.168.64.0/19"]
    assert [plan.private_cidr for plan in plans] == ["192.168.96.0/19", "192.168.128.0/19", "192.168.160.0/19"]


def test_load_balancers_find_their_subnets():
    doc = rendered(OwnNetwork(ZONES[:2]))

    def has_tag(subnet, key):
        return {"Key": key, "Value": "1"} in subnet["Tags"]

    assert all(has_tag(subnet, "kubernetes.io/role/elb") for subnet in subnets(doc, "Public").values())
    assert all(has_tag(subnet, "kubernetes.io/role/internal-elb") for subnet in subnets(doc, "Private").values())


def test_one_zone_keeps_nodes_and_nat_there_and_gives_the_control_plane_a_second():
    doc = rendered(OwnNetwork(ZONES[:1], nat="per_zone", control_plane_zone=ZONES[1]))
    vpc_config = doc["Resources"]["Cluster"]["Properties"]["ResourcesVpcConfig"]
    zones = {subnets(doc)[item["Ref"]]["AvailabilityZone"] for item in vpc_config["SubnetIds"]}
    assert zones == set(ZONES[:2])
    assert listed(doc, "NodeSubnetIds") == ["PrivateSubnet1"]
    assert list(of_type(doc, "AWS::EC2::NatGateway")) == ["NatGateway1"]


def test_ipv6_gives_every_subnet_a_block_and_private_ones_a_way_out_only():
    doc = rendered(OwnNetwork(ZONES[:3]), ip_family="ipv6")
    indexes = [subnet["Ipv6CidrBlock"]["Fn::Select"][0] for subnet in subnets(doc).values()]
    assert sorted(indexes) == list(range(6))
    assert all(subnet["AssignIpv6AddressOnCreation"] is True for subnet in subnets(doc).values())
    assert all(doc["Resources"][name]["DependsOn"] == "Ipv6CidrBlock" for name in subnets(doc))
    for name in subnets(doc, "Private"):
        (route,) = [route for route in routes_of(doc, name) if "DestinationIpv6CidrBlock" in route]
        assert route["EgressOnlyInternetGatewayId"] == {"Ref": "EgressOnlyInternetGateway"}
    for name in subnets(doc, "Public"):
        (route,) = [route for route in routes_of(doc, name) if "DestinationIpv6CidrBlock" in route]
        assert route["GatewayId"] == {"Ref": "InternetGateway"}


def test_a_given_vpc_is_used_as_it_is():
    doc = rendered(GIVEN)
    assert not [body for body in doc["Resources"].values() if body["Type"] in {"AWS::EC2::VPC", "AWS::EC2::Subnet"}]
    outputs = {name: body["Value"] for name, body in doc["Outputs"].items()}
    assert outputs["VpcId"] == GIVEN.vpc_id
    assert outputs["SubnetIds"].split(",") == [*GIVEN.public_subnet_ids, *GIVEN.private_subnet_ids]
    assert outputs["NodeSubnetIds"].split(",") == list(GIVEN.private_subnet_ids)


def test_a_given_vpc_without_private_subnets_puts_nodes_into_public_ones():
    doc = rendered(GivenNetwork(GIVEN.vpc_id, ("subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb")))
    assert doc["Outputs"]["NodeSubnetIds"]["Value"] == doc["Outputs"]["PublicSubnetIds"]["Value"]
    assert "PrivateSubnetIds" not in doc["Outputs"]


@pytest.mark.parametrize(
    ("network", "pointer"),
    [
        (OwnNetwork(()), "/network/zones"),
        (OwnNetwork(ZONES[:1]), "/network/zones"),
        (OwnNetwork(ZONES[:1], control_plane_zone=ZONES[0]), "/network/zones"),
        (OwnNetwork((ZONES[0], ZONES[0])), "/network/zones"),
        (OwnNetwork((*ZONES, "us-east-1g")), "/network/zones"),
        (OwnNetwork(ZONES[:2], cidr="10.0.0.0/15"), "/network/cidr"),
        (OwnNetwork(ZONES[:2], cidr="10.0.0.0/26"), "/network/cidr"),
        (OwnNetwork(ZONES[:5], cidr="10.0.0.0/25"), "/network/cidr"),
        (OwnNetwork(ZONES[:2], cidr="10.0.0.1/16"), "/network/cidr"),
        (OwnNetwork(ZONES[:2], cidr="fd00::/56"), "/network/cidr"),
        (GivenNetwork(GIVEN.vpc_id, ("subnet-0aaaaaaaaaaaaaaaa",)), "/network/subnets"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_with_its_place(network, pointer):
    with pytest.raises(InvalidError) as caught:
        cluster_template(cluster(network=network))
    assert [error.pointer for error in caught.value.errors] == [pointer]
