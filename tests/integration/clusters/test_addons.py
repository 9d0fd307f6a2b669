"""Addons: they wait for a node, tolerate what they must, and are changed with the cluster's spec."""

from datetime import datetime
from typing import Any

from integration.running import REGION, WORKERS, Slipway

from app.demo.follow import moment

NETWORK = {"zones": 2, "nat": "none"}
TAINT = {"key": "dedicated", "value": "gpu", "effect": "NO_SCHEDULE"}


async def phases(slipway: Slipway) -> dict[str, str]:
    status = (await slipway.get(f"/clusters/{slipway.name}"))["status"]
    return {addon["name"]: addon["phase"] for addon in status["addons"]}


async def test_addons_wait_for_the_first_node_group(slipway: Slipway) -> None:
    await slipway.do("POST", "/clusters", {"name": slipway.name, "region": REGION, "network": NETWORK})
    assert await phases(slipway) == {"coredns": "waiting", "metrics-server": "waiting"}
    # Another addon waits, too; what nobody installs is nobody's failure.
    addons = [{"name": "coredns"}, {"name": "eks-pod-identity-agent"}]
    ended = await slipway.do("PATCH", f"/clusters/{slipway.name}", {"addons": addons})
    assert ended["kind"] == "cluster.apply"
    assert await phases(slipway) == {"coredns": "waiting", "eks-pod-identity-agent": "waiting"}

    body = {**WORKERS, "cluster": slipway.name, "taints": [TAINT]}
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Nodegroup", "fail": "no", "times": 1}])
    await slipway.fail("POST", "/nodegroups", body)
    for operation in (await slipway.get("/operations", kind="addon.create"))["items"]:
        assert (await slipway.wait(operation))["error"]["code"] == "no_nodes"
    assert set((await phases(slipway)).values()) == {"failed"}
    # Once the group is put right, they come by themselves.
    await slipway.do("PATCH", "/nodegroups/workers", {"labels": {"a": "b"}})
    created = (await slipway.get("/operations", kind="addon.create"))["items"][:2]
    for operation in created:
        ended = await slipway.wait(operation)
        assert ended["status"] == "succeeded", ended
        assert [warning for warning in ended["warnings"] if "tolerations" in warning]
    assert set((await phases(slipway)).values()) == {"active"}
    eks = await slipway.aws("eks")
    addon = (await eks.describe_addon(clusterName=slipway.name, addonName="coredns"))["addon"]
    assert '"key":"dedicated"' in addon["configurationValues"]


async def test_addons_are_changed_with_the_spec(slipway: Slipway) -> None:
    addons: list[dict[str, Any]] = [{"name": "coredns"}, {"name": "metrics-server"}]
    await slipway.cluster(slipway.name, WORKERS, addons=addons)
    changed = [{"name": "coredns", "configuration": {"replicaCount": 3}}, {"name": "snapshot-controller"}]
    parent = await slipway.do("PATCH", f"/clusters/{slipway.name}", {"addons": changed})
    kinds = sorted((child["kind"], child["resource"]["name"]) for child in parent["children"])
    assert kinds == [
        ("addon.create", "snapshot-controller"),
        ("addon.delete", "metrics-server"),
        ("addon.update", "coredns"),
        ("cluster.update", slipway.name),
    ]
    assert await phases(slipway) == {"coredns": "active", "snapshot-controller": "active"}
    eks = await slipway.aws("eks")
    addon = (await eks.describe_addon(clusterName=slipway.name, addonName="coredns"))["addon"]
    assert addon["configurationValues"] == '{"replicaCount":3}'

    slipway.cloud.rules([{"op": "update", "type": "AWS::EKS::Addon", "fail": "ConfigurationConflict", "times": 1}])
    again = [{"name": "coredns", "configuration": {"replicaCount": 4}}, {"name": "snapshot-controller"}]
    parent = await slipway.wait(await slipway.change("PATCH", f"/clusters/{slipway.name}", {"addons": again}))
    assert parent["status"] == "failed"
    assert (await phases(slipway))["coredns"] == "active"
    await slipway.do("POST", f"/operations/{parent['id']}/retry")
    addon = (await eks.describe_addon(clusterName=slipway.name, addonName="coredns"))["addon"]
    assert addon["configurationValues"] == '{"replicaCount":4}'

    # In order: node groups, addons, the cluster itself; and its name can be used again.
    before = await slipway.get(f"/clusters/{slipway.name}")
    deleted = await slipway.do("DELETE", f"/clusters/{slipway.name}")
    times: dict[str, list[tuple[datetime, datetime]]] = {}
    for child in deleted["children"]:
        operation = await slipway.get(f"/operations/{child['id']}")
        times.setdefault(child["kind"], []).append((moment(operation["started_at"]), moment(operation["finished_at"])))
    assert max(end for _, end in times["nodegroup.delete"]) <= min(start for start, _ in times["addon.delete"])
    assert max(end for _, end in times["addon.delete"]) <= moment(deleted["started_at"])
    assert [step["name"] for step in deleted["steps"]] == ["delete_stack", "delete_log_group", "check_leftovers"]
    listed = await slipway.get("/nodegroups", include_deleted="true")
    assert [group["name"] for group in listed["items"]] == ["workers"]
    created = await slipway.cluster(slipway.name)
    assert created["id"] != before["id"]


async def test_the_clusters_tags_reach_its_addons_and_change_nothing_else(slipway: Slipway) -> None:
    await slipway.cluster(slipway.name, WORKERS, addons=[{"name": "coredns"}], tags={"team": "shop"})
    eks = await slipway.aws("eks")

    async def coredns() -> dict[str, Any]:
        return dict((await eks.describe_addon(clusterName=slipway.name, addonName="coredns"))["addon"])

    before = await coredns()
    assert before["tags"]["team"] == "shop"
    slipway.cloud.rules([{"op": "update", "logical": "Addon", "fail": "AccessDenied", "times": 1}])
    failed = await slipway.wait(await slipway.change("PATCH", f"/clusters/{slipway.name}", {"tags": {"team": "pay"}}))
    assert [(child["kind"], child["status"]) for child in failed["children"]] == [
        ("cluster.update", "succeeded"),
        ("addon.update", "failed"),
    ]
    again = await slipway.do("PATCH", f"/clusters/{slipway.name}", {"tags": {"team": "pay"}})
    assert [child["kind"] for child in again["children"]] == ["cluster.update", "addon.update"]
    after = await coredns()
    assert (after["tags"]["team"], after["addonVersion"]) == ("pay", before["addonVersion"])
    same = await slipway.do("PATCH", f"/clusters/{slipway.name}", {"tags": {"team": "pay"}})
    assert (same["kind"], same["children"]) == ("cluster.update", [])


async def test_a_create_that_waits_takes_a_newer_spec_up(slipway: Slipway) -> None:
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Nodegroup", "delay": 60}])
    addons: list[dict[str, Any]] = [{"name": "coredns"}]
    body = {"name": slipway.name, "region": REGION, "network": NETWORK, "nodegroups": [WORKERS], "addons": addons}
    parent = await slipway.change("POST", "/clusters", body)
    await slipway.wait(await slipway.child(parent, "cluster.create"))
    changed = [{"name": "coredns", "configuration": {"replicaCount": 3}}]
    again = await slipway.do("PATCH", f"/clusters/{slipway.name}", {"addons": changed})
    assert [child["kind"] for child in again["children"]] == ["cluster.update"]
    slipway.cloud.rules([])
    cancelled = await slipway.change("POST", f"/operations/{parent['id']}/cancel")
    assert (await slipway.wait(cancelled))["status"] == "cancelled"
    assert await phases(slipway) == {"coredns": "waiting"}

    # Begun again, once with the spec of now; what was cancelled is not missed.
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Nodegroup", "delay": 3}])
    group = await slipway.change("POST", "/nodegroups", {**WORKERS, "cluster": slipway.name})
    [create] = (await slipway.get("/operations", kind="addon.create", status="pending"))["items"]
    assert create["depends_on"] == [group["id"]]
    changed = [{"name": "coredns", "configuration": {"replicaCount": 4}}]
    await slipway.do("PATCH", f"/clusters/{slipway.name}", {"addons": changed})
    assert (await slipway.wait(create))["status"] == "succeeded"
    eks = await slipway.aws("eks")
    addon = (await eks.describe_addon(clusterName=slipway.name, addonName="coredns"))["addon"]
    assert addon["configurationValues"] == '{"replicaCount":4}'
    same = await slipway.do("PATCH", f"/clusters/{slipway.name}", {"addons": changed})
    assert (same["kind"], same["children"]) == ("cluster.update", [])


async def test_a_retried_group_begins_its_addons_after_its_node_groups(slipway: Slipway) -> None:
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Nodegroup", "fail": "no", "times": 1}])
    body = {"name": slipway.name, "region": REGION, "network": NETWORK, "nodegroups": [WORKERS]}
    failed = await slipway.wait(await slipway.change("POST", "/clusters", {**body, "addons": [{"name": "coredns"}]}))
    before = await slipway.child(failed, "addon.create")
    assert (failed["status"], before["error"]["code"]) == ("failed", "no_nodes")
    again = await slipway.do("POST", f"/operations/{failed['id']}/retry")
    assert [child["kind"] for child in again["children"]] == ["nodegroup.create", "addon.create"]
    group, addon = [await slipway.child(again, kind) for kind in ("nodegroup.create", "addon.create")]
    assert (addon["retry_of"], addon["depends_on"]) == (before["id"], [group["id"]])
    assert await phases(slipway) == {"coredns": "active"}


async def test_one_that_could_not_be_deleted_comes_back_when_it_is_wanted_again(slipway: Slipway) -> None:
    await slipway.cluster(slipway.name, WORKERS, addons=[{"name": "coredns"}])
    slipway.cloud.rules([{"op": "delete", "type": "AWS::EKS::Addon", "fail": "stuck"}])
    parent = await slipway.wait(await slipway.change("PATCH", f"/clusters/{slipway.name}", {"addons": []}))
    assert (await slipway.child(parent, "addon.delete"))["error"]["cause"]["message"] == "stuck"
    assert await phases(slipway) == {"coredns": "failed"}
    # Nobody wants it: another node group does not bring it back.
    await slipway.do("POST", "/nodegroups", {**WORKERS, "name": "others", "cluster": slipway.name})
    assert await phases(slipway) == {"coredns": "failed"}
    slipway.cloud.rules([])
    await slipway.do("PATCH", f"/clusters/{slipway.name}", {"addons": [{"name": "coredns"}]})
    assert await phases(slipway) == {"coredns": "active"}
    eks = await slipway.aws("eks")
    addon = (await eks.describe_addon(clusterName=slipway.name, addonName="coredns"))["addon"]
    assert addon["status"] == "ACTIVE"
