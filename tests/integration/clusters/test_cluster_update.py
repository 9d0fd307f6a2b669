"""Changing clusters: merge patches, one change at a time, and what AWS can only replace."""

import asyncio
from typing import Any

import pytest
from integration.running import REGION, WORKERS, Slipway, pointers


async def test_several_settings_are_a_row_of_stack_updates(slipway: Slipway) -> None:
    await slipway.cluster("row", tags={"team": "shop", "gone": "soon"})
    before = await slipway.client.get("/clusters/row")
    patch = {
        "endpoints": {"private": True, "public_cidrs": ["203.0.113.0/24"]},
        "logging": {"types": ["api"], "retention_days": 7},
        "tags": {"gone": None, "new": "one"},
        "upgrade_policy": "STANDARD",
        "version": "1.35",
    }
    accepted = await slipway.client.patch("/clusters/row", json=patch, headers={"If-Match": before.headers["etag"]})
    assert accepted.status_code == 202, accepted.text
    problem = await slipway.refused("POST", f"/operations/{accepted.json()['id']}/cancel")
    assert (problem["status"], problem["code"]) == (409, "not_cancellable")
    ended = await slipway.wait(accepted.json())
    assert ended["status"] == "succeeded", ended
    assert ended["kind"] == "cluster.update"
    assert [step["name"] for step in ended["steps"]] == [
        "update_logging",
        "update_endpoints",
        "update_upgrade_policy",
        "update_version",
        "update_settings",
    ]
    assert {step["status"] for step in ended["steps"]} == {"succeeded"}
    eks = await slipway.aws("eks")
    described = (await eks.describe_cluster(name="row"))["cluster"]
    assert described["version"] == "1.35"
    assert described["resourcesVpcConfig"]["endpointPrivateAccess"] is True
    assert described["upgradePolicy"]["supportType"] == "STANDARD"
    assert described["tags"]["new"] == "one"
    assert "gone" not in described["tags"]
    after = await slipway.client.get("/clusters/row")
    assert after.headers["etag"] == '"2"'
    assert after.json()["spec"]["tags"] == {"team": "shop", "new": "one"}
    assert after.json()["status"]["observed_generation"] == 2

    problem = await slipway.refused("PATCH", "/clusters/row", {}, headers={"If-Match": before.headers["etag"]})
    assert (problem["status"], problem["code"], problem["etag"]) == (412, "precondition_failed", '"2"')
    same = await slipway.do("PATCH", "/clusters/row", {})
    assert same["kind"] == "cluster.update"
    assert (await slipway.client.get("/clusters/row")).headers["etag"] == '"2"'


@pytest.fixture
async def ready(slipway: Slipway) -> Slipway:
    await slipway.cluster(slipway.name, version="1.33")
    return slipway


async def test_what_cannot_be_changed(ready: Slipway) -> None:
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"name": "other"}, "immutable_field", ["/name"]),
        ({"region": "eu-west-1"}, "immutable_field", ["/region"]),
        ({"network": {"cidr": "10.9.0.0/16"}}, "immutable_field", ["/network/cidr"]),
        ({"encryption": {}}, "immutable_field", ["/encryption"]),
        ({"version": "1.32"}, "invalid", ["/version"]),
        ({"version": "1.35"}, "invalid", ["/version"]),
        ({"version": "1.99"}, "invalid", ["/version"]),
        ({"endpoints": {"public": False}}, "invalid", ["/endpoints"]),
        ({"nodegroups": []}, "invalid", ["/nodegroups"]),
        ({"logging": {"types": ["api"], "retention_days": 8}}, "invalid", ["/logging"]),
    ]
    operations = await ready.count("operations")
    for patch, code, places in cases:
        problem = await ready.refused("PATCH", f"/clusters/{ready.name}", patch)
        assert (problem["status"], problem["code"], pointers(problem)) == (422, code, places), patch
    assert await ready.count("operations") == operations
    # Null gives a setting back to its default; a version stays what it is.
    await ready.do("PATCH", f"/clusters/{ready.name}", {"version": None, "endpoints": None})
    assert (await ready.get(f"/clusters/{ready.name}"))["spec"]["version"] == "1.33"


async def test_one_change_at_a_time(ready: Slipway) -> None:
    ready.cloud.rules([{"op": "update", "type": "AWS::EKS::Cluster", "delay": 1}])
    answers = await asyncio.gather(
        *(ready.client.patch(f"/clusters/{ready.name}", json={"tags": {"n": str(number)}}) for number in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409]
    [accepted] = [answer.json() for answer in answers if answer.status_code == 202]
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "operation_in_progress"
            assert answer.json()["operation_id"] == accepted["id"]
    assert (await ready.wait(accepted))["status"] == "succeeded"
    assert (await ready.get(f"/clusters/{ready.name}"))["generation"] == 2


async def test_an_upgrade_takes_the_addons_along(slipway: Slipway) -> None:
    pinned = {"name": "metrics-server", "version": None}
    await slipway.cluster("along", WORKERS, version="1.33", addons=[{"name": "coredns"}, pinned])
    eks = await slipway.aws("eks")

    async def versions() -> dict[str, str]:
        found = {}
        for name in ("vpc-cni", "kube-proxy", "coredns"):
            addon = await eks.describe_addon(clusterName="along", addonName=name)
            found[name] = addon["addon"]["addonVersion"]
        return found

    async def default(name: str, version: str) -> str:
        offered = (await eks.describe_addon_versions(addonName=name, kubernetesVersion=version))["addons"][0]
        return next(
            str(entry["addonVersion"])
            for entry in offered["addonVersions"]
            if any(c["defaultVersion"] for c in entry["compatibilities"] if c["clusterVersion"] == version)
        )

    assert (await versions())["kube-proxy"] == await default("kube-proxy", "1.33")
    await slipway.do("PATCH", "/clusters/along", {"version": "1.34"})
    for operation in (await slipway.get("/operations", kind="addon.update"))["items"]:
        assert (await slipway.wait(operation))["status"] == "succeeded"
    assert await versions() == {name: await default(name, "1.34") for name in ("vpc-cni", "kube-proxy", "coredns")}
    # And the nodes, when they are asked to.
    problem = await slipway.refused("PATCH", "/nodegroups/workers", {"version": "1.35"})
    assert pointers(problem) == ["/version"]
    await slipway.do("PATCH", "/nodegroups/workers", {"version": "1.34"})
    group = (await eks.describe_nodegroup(clusterName="along", nodegroupName="workers"))["nodegroup"]
    assert group["version"] == "1.34"


async def test_a_failed_update_leaves_an_active_cluster_and_the_next_patch_starts_from_what_aws_has(
    ready: Slipway,
) -> None:
    ready.cloud.rules([{"op": "update", "type": "AWS::EKS::Cluster", "fail": "Update failed for a reason", "times": 1}])
    error = await ready.fail("PATCH", f"/clusters/{ready.name}", {"version": "1.34"})
    assert error["cause"]["type"] == "AWS::EKS::Cluster"
    assert error["cause"]["resource"] == "Cluster"
    assert "Update failed for a reason" in error["cause"]["message"]
    cluster = await ready.get(f"/clusters/{ready.name}")
    conditions = {entry["type"]: entry["status"] for entry in cluster["status"]["conditions"]}
    assert cluster["status"]["phase"] == "active"
    assert conditions == {"Ready": "True", "Synced": "False"}
    assert (cluster["generation"], cluster["status"]["observed_generation"]) == (2, 1)
    # A node group takes the version that AWS has.
    await ready.do("POST", "/nodegroups", {**WORKERS, "cluster": ready.name})
    assert (await ready.get("/nodegroups/workers"))["spec"]["version"] == "1.33"
    # The upgrade is still wanted, and a step of its own beside the new tag.
    ended = await ready.do("PATCH", f"/clusters/{ready.name}", {"tags": {"a": "b"}})
    assert [step["name"] for step in ended["steps"]] == ["update_version", "update_settings"]
    assert (await ready.get(f"/clusters/{ready.name}"))["status"]["observed_generation"] == 3


async def test_a_failed_upgrade_can_be_taken_back(ready: Slipway) -> None:
    ready.cloud.rules([{"op": "update", "type": "AWS::EKS::Cluster", "fail": "no", "times": 1}])
    await ready.fail("PATCH", f"/clusters/{ready.name}", {"version": "1.34"})
    await ready.do("PATCH", f"/clusters/{ready.name}", {"version": "1.33"})
    eks = await ready.aws("eks")
    assert (await eks.describe_cluster(name=ready.name))["cluster"]["version"] == "1.33"


async def test_a_cluster_that_never_came_to_be_is_laid_out_anew(slipway: Slipway) -> None:
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Cluster", "fail": "no capacity", "times": 1}])
    body = {"name": "anew", "region": REGION, "addons": [], "network": {"zones": 2, "nat": "none"}}
    await slipway.fail("POST", "/clusters", body)
    assert (await slipway.get("/clusters/anew"))["status"]["phase"] == "failed"
    problem = await slipway.refused("PATCH", "/clusters/anew", {"name": "other"})
    assert problem["code"] == "immutable_field"
    problem = await slipway.refused("PATCH", "/clusters/anew", {"version": "1.12"})
    assert pointers(problem) == ["/version"]
    problem = await slipway.refused("PATCH", "/clusters/anew", {"network": {"zones": ["us-west-2x"]}})
    assert pointers(problem) == ["/network/zones/0"]
    await slipway.do("PATCH", "/clusters/anew", {"network": {"zones": ["us-west-2b", "us-west-2c"]}})
    cluster = await slipway.get("/clusters/anew")
    assert cluster["status"]["phase"] == "active"
    ec2 = await slipway.aws("ec2")
    subnets = await ec2.describe_subnets(SubnetIds=cluster["status"]["outputs"]["subnet_ids"])
    assert {subnet["AvailabilityZone"] for subnet in subnets["Subnets"]} == {"us-west-2b", "us-west-2c"}
