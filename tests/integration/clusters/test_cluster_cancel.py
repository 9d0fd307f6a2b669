"""Cancelling, and deleting what is being created."""

from typing import Any

from integration.running import REGION, WORKERS, Slipway, running


async def begin(slipway: Slipway, *groups: dict[str, Any], delay: float = 60) -> dict[str, Any]:
    """Begin a cluster and return the operation once its stack is being made."""
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Cluster", "delay": delay}])
    body = {"name": slipway.name, "region": REGION, "network": {"zones": 2, "nat": "none"}, "nodegroups": groups}
    operation = await slipway.change("POST", "/clusters", {**body, "logging": {"types": ["api"]}})

    def is_made(found: dict[str, Any]) -> bool:
        steps = {step["name"]: step["status"] for step in found["items"][0]["steps"]}
        return steps.get("create_stack") == "running"

    await slipway.until(f"/operations?kind=cluster.create&resource={slipway.name}", is_made)
    return operation


async def test_a_cancelled_create_leaves_nothing(slipway: Slipway) -> None:
    before = await slipway.leftovers()
    operation = await begin(slipway)
    cancelled = await slipway.change("POST", f"/operations/{operation['id']}/cancel")
    assert cancelled["id"] == operation["id"]
    assert (await slipway.wait(operation))["status"] == "cancelled"
    assert (await slipway.client.get(f"/clusters/{slipway.name}")).status_code == 404
    assert await slipway.leftovers() == before
    problem = await slipway.refused("POST", f"/operations/{operation['id']}/cancel")
    assert (problem["status"], problem["code"]) == (409, "not_cancellable")
    problem = await slipway.refused("POST", f"/operations/{operation['id']}/retry")
    assert (problem["status"], problem["code"]) == (409, "not_retryable")


async def test_cancelling_a_parent_cancels_its_children(slipway: Slipway) -> None:
    before = await slipway.leftovers()
    parent = await begin(slipway, WORKERS)
    await slipway.change("POST", f"/operations/{parent['id']}/cancel")
    ended = await slipway.wait(parent)
    assert ended["status"] == "cancelled"
    assert {child["status"] for child in ended["children"]} == {"cancelled"}
    assert (await slipway.get("/nodegroups"))["items"] == []
    assert await slipway.leftovers() == before


async def test_a_child_that_waits_can_be_cancelled_alone(slipway: Slipway) -> None:
    parent = await begin(slipway, WORKERS, delay=4)
    slipway.cloud.rules(
        [
            {"op": "create", "type": "AWS::EKS::Cluster", "delay": 4},
            {"op": "create", "type": "AWS::EKS::Nodegroup", "delay": 60},
        ]
    )
    child = await slipway.child(parent, "nodegroup.create")
    assert child["status"] in ("pending", "running")  # a busy machine may have begun it
    await slipway.change("POST", f"/operations/{child['id']}/cancel")
    assert (await slipway.wait(child))["status"] == "cancelled"
    assert (await slipway.client.get("/nodegroups/workers")).status_code == 404
    ended = await slipway.wait(parent)
    states = {child["kind"]: child["status"] for child in ended["children"]}
    assert states["cluster.create"] == "succeeded"
    assert states["nodegroup.create"] == "cancelled"
    assert (await slipway.get(f"/clusters/{slipway.name}"))["status"]["phase"] == "active"


async def test_a_delete_supersedes_a_running_create(slipway: Slipway) -> None:
    before = await slipway.leftovers()
    parent = await begin(slipway, WORKERS)
    deleted = await slipway.do("DELETE", f"/clusters/{slipway.name}")
    assert deleted["kind"] == "cluster.delete"
    ended = await slipway.wait(parent)
    assert ended["status"] == "cancelled"
    assert {child["status"] for child in ended["children"]} == {"cancelled"}
    assert await slipway.leftovers() == before
    assert (await slipway.get("/clusters"))["items"] == []
    listed = (await slipway.get("/clusters", include_deleted="true"))["items"]
    assert [entry["name"] for entry in listed] == [slipway.name]
    assert listed[0]["deleted_at"] is not None


async def test_an_update_is_taken_back_and_a_delete_is_not(slipway: Slipway) -> None:
    await slipway.cluster(slipway.name)
    slipway.cloud.rules([{"op": "update", "type": "AWS::EKS::Cluster", "delay": 60, "times": 1}])
    operation = await slipway.change("PATCH", f"/clusters/{slipway.name}", {"logging": {"types": ["api"]}})
    gateway = await slipway.gateway()
    while not await gateway.cloudformation.in_progress():
        assert (await slipway.get(f"/operations/{operation['id']}"))["status"] in ("pending", "running")
    await slipway.change("POST", f"/operations/{operation['id']}/cancel")
    assert (await slipway.wait(operation))["status"] == "cancelled"
    cluster = await slipway.get(f"/clusters/{slipway.name}")
    assert cluster["status"]["phase"] == "active"
    assert {c["type"]: c["status"] for c in cluster["status"]["conditions"]} == {"Ready": "True", "Synced": "False"}
    eks = await slipway.aws("eks")
    described = (await eks.describe_cluster(name=slipway.name))["cluster"]
    assert not [entry for entry in described["logging"]["clusterLogging"] if entry["enabled"] and entry["types"]]

    slipway.cloud.rules([{"op": "delete", "type": "AWS::EKS::Cluster", "delay": 1}])
    delete = await slipway.change("DELETE", f"/clusters/{slipway.name}")
    problem = await slipway.refused("POST", f"/operations/{delete['id']}/cancel")
    assert (problem["status"], problem["code"]) == (409, "not_cancellable")
    for method, path, document in (
        ("POST", "/nodegroups", {"name": "late", "cluster": slipway.name}),
        ("PATCH", f"/clusters/{slipway.name}", {"tags": {"a": "b"}}),
    ):
        problem = await slipway.refused(method, path, document)
        assert (problem["status"], problem["code"]) == (409, "cluster_deleting")
    problem = await slipway.refused("DELETE", f"/clusters/{slipway.name}")
    assert (problem["code"], problem["operation_id"]) == ("operation_in_progress", delete["id"])
    assert (await slipway.wait(delete))["status"] == "succeeded"


async def test_the_whole_story_on_postgresql(postgres_url: str, aws_environment: Any) -> None:
    async with running(postgres_url, aws_environment) as slipway:
        before = await slipway.leftovers()
        cluster = await slipway.cluster(slipway.name, WORKERS, addons=None)
        assert {addon["phase"] for addon in cluster["status"]["addons"]} == {"active"}
        await slipway.do("PATCH", "/nodegroups/workers", {"scaling": {"desired": 2}})
        slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Nodegroup", "fail": "no", "times": 1}])
        failed = await slipway.wait(
            await slipway.change("POST", "/nodegroups", {"name": "second", "cluster": slipway.name})
        )
        assert failed["status"] == "failed"
        await slipway.do("POST", f"/operations/{failed['id']}/retry")
        await slipway.do("DELETE", f"/clusters/{slipway.name}")
        assert await slipway.leftovers() == before
