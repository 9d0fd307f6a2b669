"""Creating clusters, as JSON and as an eksctl file."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.running import REGION, WORKERS, Slipway, pointers

ARTICLE = Path(__file__).parents[3] / "examples" / "eksdemo.yaml"


@pytest.mark.parametrize(
    ("network", "subnets"),
    [
        ({"zones": 1, "nat": "single"}, 4),  # the second pair is for the control plane
        ({"zones": ["us-west-2b", "us-west-2c"], "nat": "none", "cidr": "10.4.0.0/20"}, 4),
        ({"zones": 3, "nat": "per_zone", "ip_family": "ipv6"}, 6),
    ],
)
async def test_networks_of_a_vpc_of_its_own(slipway: Slipway, network: dict[str, Any], subnets: int) -> None:
    name = f"net-{subnets}-{network['nat'].replace('_', '')}"
    cluster = await slipway.cluster(name, WORKERS, network=network)
    assert cluster["status"]["phase"] == "active"
    outputs = cluster["status"]["outputs"]
    assert len(outputs["subnet_ids"]) == subnets
    assert all(outputs.values())
    ec2 = await slipway.aws("ec2")
    gateways = await ec2.describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [outputs["vpc_id"]]}])
    alive = [gateway for gateway in gateways["NatGateways"] if gateway["State"] != "deleted"]
    assert len(alive) == {"none": 0, "single": 1, "per_zone": 3}[network["nat"]]
    eks = await slipway.aws("eks")
    group = (await eks.describe_nodegroup(clusterName=name, nodegroupName="workers"))["nodegroup"]
    assert len(group["subnets"]) == (1 if network["zones"] == 1 else subnets // 2)
    described = (await eks.describe_cluster(name=name))["cluster"]
    assert described["kubernetesNetworkConfig"]["ipFamily"] == network.get("ip_family", "ipv4")


async def test_every_setting_reaches_eks(slipway: Slipway) -> None:
    before = await slipway.leftovers()
    cluster = await slipway.cluster(
        "settings",
        version="1.33",
        endpoints={"public": True, "private": True, "public_cidrs": ["203.0.113.0/24"]},
        logging={"types": ["api", "audit"], "retention_days": 30},
        encryption={},
        access={"mode": "API", "oidc": True},
        deletion_protection=True,
        upgrade_policy="STANDARD",
        zonal_shift=True,
        tags={"team": "shop"},
    )
    eks, logs = await slipway.aws("eks"), await slipway.aws("logs")
    described = (await eks.describe_cluster(name="settings"))["cluster"]
    assert described["version"] == "1.33"
    assert described["resourcesVpcConfig"]["publicAccessCidrs"] == ["203.0.113.0/24"]
    assert described["resourcesVpcConfig"]["endpointPrivateAccess"] is True
    assert {"types": ["api", "audit"], "enabled": True} in described["logging"]["clusterLogging"]
    assert described["encryptionConfig"][0]["resources"] == ["secrets"]
    assert described["accessConfig"]["authenticationMode"] == "API"
    assert described["deletionProtection"] is True
    assert described["upgradePolicy"]["supportType"] == "STANDARD"
    assert described["zonalShiftConfig"]["enabled"] is True
    assert described["tags"]["team"] == "shop"
    groups = await logs.describe_log_groups(logGroupNamePrefix="/aws/eks/settings/cluster")
    assert groups["logGroups"][0]["retentionInDays"] == 30
    operation = (await slipway.get("/operations", resource="settings"))["items"][0]
    assert [step["name"] for step in operation["steps"]] == ["prepare", "create_stack", "update_deletion_protection"]
    assert operation["steps"][0]["status"] == "succeeded"

    problem = await slipway.refused("DELETE", "/clusters/settings")
    assert (problem["status"], problem["code"]) == (409, "deletion_protected")
    kubeconfig = (await slipway.client.get("/clusters/settings/kubeconfig")).text
    assert yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"] == cluster["status"]["outputs"]["endpoint"]
    await slipway.do("PATCH", "/clusters/settings", {"deletion_protection": False})
    await slipway.do("DELETE", "/clusters/settings")
    assert await slipway.leftovers() == before


async def test_config_map_mode_bootstraps_its_creator(slipway: Slipway) -> None:
    await slipway.cluster("configmap", access={"mode": "CONFIG_MAP"})
    eks = await slipway.aws("eks")
    access = (await eks.describe_cluster(name="configmap"))["cluster"]["accessConfig"]
    assert access == {"authenticationMode": "CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": True}
    await slipway.do("PATCH", "/clusters/configmap", {"access": {"mode": "API_AND_CONFIG_MAP"}})
    problem = await slipway.refused("PATCH", "/clusters/configmap", {"access": {"mode": "CONFIG_MAP"}})
    assert (problem["code"], pointers(problem)) == ("immutable_field", ["/access/mode"])


async def vpc(slipway: Slipway) -> dict[str, str]:
    """Make the VPC that the article's file supposes; return its ids by the ids that stand in the file."""
    ec2 = await slipway.aws("ec2")
    ids = {"vpc-a6e6f4e9": (await ec2.create_vpc(CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]}
    places = {"subnet-b4cf9ef3": "a", "subnet-a5d3bcfe": "b", "subnet-c5a3bdf0": "a", "subnet-1f5c79df": "b"}
    for number, (subnet, zone) in enumerate(places.items()):
        made = await ec2.create_subnet(
            VpcId=ids["vpc-a6e6f4e9"], CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )
        ids[subnet] = made["Subnet"]["SubnetId"]
        if number < 2:
            await ec2.modify_subnet_attribute(SubnetId=ids[subnet], MapPublicIpOnLaunch={"Value": True})
    return ids


def article(ids: dict[str, str]) -> str:
    text = ARTICLE.read_text()
    for old, new in ids.items():
        text = text.replace(old, new)
    return text


async def post_yaml(slipway: Slipway, text: str) -> Any:
    return await slipway.client.post("/clusters", content=text, headers={"Content-Type": "application/yaml"})


async def test_the_file_of_the_article_as_yaml_and_json(slipway: Slipway) -> None:
    ids = await vpc(slipway)
    answer = await post_yaml(slipway, article(ids))
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/operations/{answer.json()['id']}"
    ended = await slipway.wait(answer.json())
    assert ended["status"] == "succeeded", ended
    assert ended["kind"] == "cluster.apply"
    warnings = "\n".join(ended["warnings"])
    assert "/managedNodeGroups/0/taints" in warnings
    assert "/managedNodeGroups/0/ssh/allow" in warnings
    assert "addon coredns got tolerations" in warnings

    group = await slipway.get("/nodegroups/standard-workers", cluster="eksdemo")
    assert group["spec"]["taints"] == [{"key": "dedicated", "value": "worker", "effect": "NO_SCHEDULE"}]
    assert group["spec"]["labels"] == {"role": "worker"}
    assert group["spec"]["scaling"] == {"min": 2, "max": 2, "desired": 2}
    parameter = group["status"]["outputs"]["ssh_private_key_parameter"]
    ssm = await slipway.aws("ssm")
    key = await ssm.get_parameter(Name=parameter, WithDecryption=True)
    assert "PRIVATE KEY" in key["Parameter"]["Value"]
    cluster = await slipway.get("/clusters/eksdemo")
    assert cluster["status"]["outputs"]["vpc_id"] == ids["vpc-a6e6f4e9"]
    assert {addon["phase"] for addon in cluster["status"]["addons"]} == {"active"}

    document = yaml.safe_load(article(ids))
    document["metadata"]["name"] = "eksdemo-json"
    document["managedNodeGroups"] = []
    ended = await slipway.wait(await slipway.change("POST", "/clusters", document))
    assert ended["status"] == "succeeded", ended
    assert [child["kind"] for child in ended["children"]] == ["cluster.create"]
    cluster = await slipway.get("/clusters/eksdemo-json")
    assert {addon["phase"] for addon in cluster["status"]["addons"]} == {"waiting"}
    for name in ("eksdemo", "eksdemo-json"):
        await slipway.do("DELETE", f"/clusters/{name}")


async def test_a_given_vpc_is_held_against_the_file(slipway: Slipway) -> None:
    ids = await vpc(slipway)
    document = yaml.safe_load(article(ids))
    document["metadata"]["name"] = "mismatch"
    document["vpc"]["cidr"] = "10.1.0.0/16"
    document["vpc"]["subnets"]["public"]["us-west-2b"]["az"] = "us-west-2c"
    rows = await slipway.count("clusters")
    answer = await post_yaml(slipway, json.dumps(document))
    assert answer.status_code == 422, answer.text
    assert pointers(answer.json()) == ["/vpc/cidr", "/vpc/subnets/public/us-west-2b/az"]

    document = yaml.safe_load(article(ids))
    document["metadata"]["name"] = "mismatch"
    document["vpc"]["subnets"]["private"]["us-west-2a"]["id"] = "subnet-00000000"
    document["managedNodeGroups"][0]["instanceType"] = "m5.gigantic"
    answer = await post_yaml(slipway, json.dumps(document))
    assert answer.status_code == 422, answer.text
    assert pointers(answer.json()) == ["/vpc/subnets/private/us-west-2a/id"]
    document["vpc"] = yaml.safe_load(article(ids))["vpc"]
    answer = await post_yaml(slipway, json.dumps(document))
    assert pointers(answer.json()) == ["/managedNodeGroups/0/instanceType"]
    assert await slipway.count("clusters") == rows


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "b", "scaling": {"min": 4, "max": 2}}, "/nodegroups/1/scaling"),
    ({"name": "a"}, "/nodegroups/1/name"),
    ({"name": "b", "instance_types": ["m5.gigantic"]}, "/nodegroups/1/instance_types/0"),
    ({"name": "b", "instance_types": ["m5.large", "m6g.large"]}, "/nodegroups/1/instance_types"),
    ({"name": "b", "cluster": "whole"}, "/nodegroups/1/cluster"),
    ({"name": "b", "ssh": {"key_name": "nobody-has-it"}}, "/nodegroups/1/ssh/key_name"),
    ({"name": "b", "zones": ["us-west-2d"]}, "/nodegroups/1/zones/0"),
    ({"name": "b", "version": "1.35"}, "/nodegroups/1/version"),
]


async def test_one_wrong_node_group_keeps_all_from_beginning(slipway: Slipway) -> None:
    for group, pointer in WRONG:
        body = {"name": "whole", "region": REGION, "network": {"zones": 2}, "nodegroups": [{"name": "a"}, group]}
        problem = await slipway.refused("POST", "/clusters", body)
        assert problem["status"] == 422
        assert pointers(problem) == [pointer]
    assert [await slipway.count(table) for table in ("clusters", "nodegroups", "addons", "operations")] == [0, 0, 0, 0]
    assert not [call for call in slipway.cloud.calls() if "Create" in call]
