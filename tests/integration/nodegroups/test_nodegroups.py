"""Node groups: create, change, delete, and what is refused."""

from typing import Any

import pytest
from integration.running import REGION, WORKERS, Slipway, pointers

from app.demo.follow import moment


@pytest.fixture
async def ready(slipway: Slipway) -> Slipway:
    """A service with a cluster and a node group."""
    await slipway.cluster(slipway.name, WORKERS, version="1.34")
    return slipway


async def live(slipway: Slipway, name: str = "workers") -> dict[str, Any]:
    eks = await slipway.aws("eks")
    return dict((await eks.describe_nodegroup(clusterName=slipway.name, nodegroupName=name))["nodegroup"])


async def test_changes_in_place(ready: Slipway) -> None:
    eks = await ready.aws("eks")
    await ready.do("PATCH", "/nodegroups/workers", {"scaling": {"desired": 2}})
    assert (await live(ready))["scalingConfig"] == {"minSize": 1, "maxSize": 3, "desiredSize": 2}
    # An autoscaler wants three: what does not speak of the number leaves it alone.
    await eks.update_nodegroup_config(
        clusterName=ready.name, nodegroupName="workers", scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 3}
    )
    patch = {
        "labels": {"role": "worker"},
        "taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}],
        "tags": {"team": "shop"},
        "scaling": {"max": 5},
    }
    ended = await ready.do("PATCH", "/nodegroups/workers", patch)
    assert [step["name"] for step in ended["steps"]] == ["update_stack"]
    group = await live(ready)
    assert group["scalingConfig"] == {"minSize": 1, "maxSize": 5, "desiredSize": 3}
    assert group["labels"]["role"] == "worker"
    assert group["taints"] == [{"key": "dedicated", "value": "gpu", "effect": "NO_SCHEDULE"}]
    assert group["tags"]["team"] == "shop"
    # Bounds that leave the live number out move it as little as they must.
    await ready.do("PATCH", "/nodegroups/workers", {"scaling": {"max": 2}, "labels": None, "taints": None})
    group = await live(ready)
    assert group["scalingConfig"]["desiredSize"] == 2
    assert "role" not in group["labels"]
    assert not group.get("taints")

    version = group["launchTemplate"]["version"]
    await ready.do("PATCH", "/nodegroups/workers", {"instance_types": ["m5.xlarge"]})
    assert (await live(ready))["launchTemplate"]["version"] != version
    spec = (await ready.get("/nodegroups/workers"))["spec"]
    assert spec["instance_types"] == ["m5.xlarge"]
    answer = await ready.client.get("/nodegroups/workers")
    assert answer.headers["etag"] == '"5"'
    calls = ready.cloud.calls()
    assert (await ready.do("PATCH", "/nodegroups/workers", {}))["kind"] == "nodegroup.update"
    assert (await ready.client.get("/nodegroups/workers")).headers["etag"] == '"5"'
    asked = {name: number for name, number in ready.cloud.calls().items() if number != calls.get(name)}
    assert not [name for name in asked if name.startswith("ec2:")]


async def test_what_is_refused(ready: Slipway) -> None:
    subnets = (await ready.get(f"/clusters/{ready.name}"))["status"]["outputs"]["subnet_ids"]
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"name": "other"}, "immutable_field", ["/name"]),
        ({"cluster": "other"}, "immutable_field", ["/cluster"]),
        ({"capacity_type": "SPOT"}, "immutable_field", ["/capacity_type"]),
        ({"ami_type": "BOTTLEROCKET_x86_64"}, "immutable_field", ["/ami_type"]),
        ({"subnets": subnets[:1]}, "immutable_field", ["/subnets"]),
        ({"instance_types": ["m5.large", "m5.xlarge"]}, "immutable_field", ["/instance_types"]),
        ({"instance_types": ["m6g.large"]}, "immutable_field", ["/instance_types"]),
        ({"zones": ["us-west-2a"]}, "immutable_field", ["/zones"]),
        ({"instance_types": ["m5.gigantic"]}, "invalid", ["/instance_types/0"]),
        ({"version": "1.33"}, "invalid", ["/version"]),
        ({"version": "1.35"}, "invalid", ["/version"]),
        ({"scaling": {"min": 9}}, "invalid", ["/scaling"]),
        ({"scaling": {"desired": 9}}, "invalid", ["/scaling"]),
        ({"labels": {"kubernetes.io/x": "y"}}, "invalid", ["/labels"]),
        ({"ssh": {"key_name": "{{resolve:ssm:secret}}"}}, "dynamic_reference", ["/ssh/key_name"]),
        ({"colour": "red"}, "invalid", ["/colour"]),
    ]
    operations = await ready.count("operations")
    for patch, code, places in cases:
        problem = await ready.refused("PATCH", "/nodegroups/workers", patch)
        assert (problem["status"], problem["code"], pointers(problem)) == (422, code, places), patch
    problem = await ready.refused("POST", "/nodegroups", {"name": "workers", "cluster": ready.name})
    assert (problem["status"], problem["code"]) == (409, "nodegroup_exists")
    problem = await ready.refused("POST", "/nodegroups", {"name": "workers", "cluster": "nobody"})
    assert (problem["status"], problem["code"]) == (404, "cluster_not_found")
    many = {f"k{number:03}" * 30: "v" * 256 for number in range(45)}
    problem = await ready.refused("POST", "/nodegroups", {"name": "tags", "cluster": ready.name, "tags": many})
    assert (problem["status"], problem["code"]) == (422, "template_too_large")
    assert await ready.count("operations") == operations


async def test_placement(ready: Slipway) -> None:
    ec2 = await ready.aws("ec2")
    await ready.do("POST", "/nodegroups", {"name": "a", "cluster": ready.name, "zones": ["us-west-2a"]})
    found = await ec2.describe_subnets(SubnetIds=(await live(ready, "a"))["subnets"])
    assert [subnet["AvailabilityZone"] for subnet in found["Subnets"]] == ["us-west-2a"]
    body = {"name": "b", "cluster": ready.name, "subnet_type": "private"}
    await ready.do("POST", "/nodegroups", body)
    private = (await live(ready, "b"))["subnets"]
    assert len(private) == 2
    assert not {*private} & {*(await live(ready))["subnets"]}  # without NAT gateways nodes go to public subnets
    await ready.do("POST", "/nodegroups", {"name": "c", "cluster": ready.name, "subnets": private[:1]})
    assert (await live(ready, "c"))["subnets"] == private[:1]


async def test_failures_with_cause_and_hint_and_how_they_are_put_right(ready: Slipway) -> None:
    body = {"name": "gpu", "cluster": ready.name, "instance_types": ["p5.48xlarge"]}
    failed = await ready.wait(await ready.change("POST", "/nodegroups", body))
    error = failed["error"]
    assert error["code"] == "vcpu_quota_exceeded"
    assert (error["cause"]["type"], error["cause"]["resource"]) == ("AWS::EKS::Nodegroup", "Nodegroup")
    assert error["hint"]
    group = await ready.get("/nodegroups/gpu")
    assert group["status"]["phase"] == "failed"
    # What never came to be may change all but its name and cluster.
    patch = {"instance_types": ["m6g.large"], "capacity_type": "SPOT"}
    await ready.do("PATCH", "/nodegroups/gpu", patch)
    assert (await live(ready, "gpu"))["capacityType"] == "SPOT"
    assert (await ready.get("/nodegroups/gpu"))["status"]["phase"] == "active"

    ready.cloud.rules([{"op": "update", "type": "AWS::EKS::Nodegroup", "fail": "NodeCreationFailure: no", "times": 1}])
    error = await ready.fail("PATCH", "/nodegroups/workers", {"labels": {"a": "b"}})
    assert error["cause"]["type"] == "AWS::EKS::Nodegroup"
    status = (await ready.get("/nodegroups/workers"))["status"]
    assert status["phase"] == "active"
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {"Ready": "True", "Synced": "False"}
    await ready.do("PATCH", "/nodegroups/workers", {})
    assert (await live(ready))["labels"]["a"] == "b"

    ready.cloud.rules([{"op": "delete", "type": "AWS::EKS::Nodegroup", "fail": "stuck", "times": 2}])
    failed = await ready.wait(await ready.change("DELETE", "/nodegroups/gpu"))
    assert failed["status"] == "failed"
    await ready.do("POST", f"/operations/{failed['id']}/retry")
    assert (await ready.client.get("/nodegroups/gpu")).status_code == 404
    await ready.do("DELETE", "/nodegroups/workers")
    await ready.do("POST", "/nodegroups", {**WORKERS, "cluster": ready.name})


async def test_a_create_is_cancelled_or_superseded(ready: Slipway) -> None:
    before = await ready.leftovers()
    for how in ("cancel", "delete"):
        ready.cloud.rules([{"op": "create", "type": "AWS::EKS::Nodegroup", "delay": 60}])
        operation = await ready.change("POST", "/nodegroups", {"name": how, "cluster": ready.name})
        await ready.until(f"/operations/{operation['id']}", lambda found: found["status"] == "running")
        if how == "cancel":
            await ready.change("POST", f"/operations/{operation['id']}/cancel")
        else:
            await ready.do("DELETE", f"/nodegroups/{how}")
        assert (await ready.wait(operation))["status"] == "cancelled"
        assert (await ready.client.get(f"/nodegroups/{how}")).status_code == 404
    assert await ready.leftovers() == before


async def test_an_update_is_taken_back(ready: Slipway) -> None:
    ready.cloud.rules([{"op": "update", "type": "AWS::EKS::Nodegroup", "delay": 60, "times": 1}])
    operation = await ready.change("PATCH", "/nodegroups/workers", {"labels": {"a": "b"}})
    problem = await ready.refused("DELETE", "/nodegroups/workers")
    assert (problem["status"], problem["code"]) == (409, "operation_in_progress")
    assert problem["operation_id"] == operation["id"]
    gateway = await ready.gateway()
    while not await gateway.cloudformation.in_progress():
        assert (await ready.get(f"/operations/{operation['id']}"))["status"] in ("pending", "running")
    await ready.change("POST", f"/operations/{operation['id']}/cancel")
    assert (await ready.wait(operation))["status"] == "cancelled"
    assert "a" not in (await live(ready))["labels"]
    status = (await ready.get("/nodegroups/workers"))["status"]
    assert status["phase"] == "active"
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {"Ready": "True", "Synced": "False"}


async def test_a_group_waits_for_its_cluster_and_the_addons_for_the_group(slipway: Slipway) -> None:
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Cluster", "delay": 3}])
    network = {"zones": 2, "nat": "none"}
    body = {"name": slipway.name, "region": REGION, "network": network, "addons": [{"name": "coredns"}]}
    cluster = await slipway.change("POST", "/clusters", body)
    group = await slipway.change("POST", "/nodegroups", {**WORKERS, "cluster": slipway.name})
    assert (group["status"], group["depends_on"]) == ("pending", [cluster["id"]])
    [addon] = (await slipway.get("/operations", kind="addon.create"))["items"]
    assert group["id"] in addon["depends_on"]
    for operation in (cluster, group, addon):
        assert (await slipway.wait(operation))["status"] == "succeeded"
    # A second one waits for an update of the cluster only to end.
    slipway.cloud.rules([{"op": "update", "type": "AWS::EKS::Cluster", "delay": 2, "fail": "no", "times": 1}])
    update = await slipway.change("PATCH", f"/clusters/{slipway.name}", {"logging": {"types": ["api"]}})
    second = await slipway.change("POST", "/nodegroups", {"name": "second", "cluster": slipway.name})
    assert second["depends_on"] == [update["id"]]
    assert (await slipway.wait(update))["status"] == "failed"
    assert (await slipway.wait(second))["status"] == "succeeded"


async def test_a_cluster_is_deleted_after_the_changes_of_what_belongs_to_it(slipway: Slipway) -> None:
    await slipway.cluster(slipway.name, WORKERS, addons=[{"name": "coredns"}])
    slipway.cloud.rules([{"op": "update", "type": f"AWS::EKS::{kind}", "delay": 5} for kind in ("Nodegroup", "Addon")])
    coredns = [{"name": "coredns", "configuration": {"replicaCount": 3}}]
    patched = await slipway.change("PATCH", f"/clusters/{slipway.name}", {"addons": coredns})
    addon = (await slipway.child(patched, "addon.update"))["id"]
    await slipway.until(f"/operations/{addon}", lambda found: found["status"] == "running")
    group = await slipway.change("PATCH", "/nodegroups/workers", {"scaling": {"desired": 2}})
    problem = await slipway.refused("DELETE", "/nodegroups/workers")
    assert (problem["status"], problem["operation_id"]) == (409, group["id"])

    deleted = await slipway.change("DELETE", f"/clusters/{slipway.name}")
    assert (await slipway.get("/nodegroups/workers"))["status"]["phase"] == "deleting"
    assert (await slipway.wait(deleted))["status"] == "succeeded"
    for changed, kind in ((group["id"], "nodegroup.delete"), (addon, "addon.delete")):
        change, delete = await slipway.get(f"/operations/{changed}"), await slipway.child(deleted, kind)
        assert (change["status"], change["id"] in delete["depends_on"]) == ("succeeded", True)
        assert moment(change["finished_at"]) <= moment(delete["started_at"])
