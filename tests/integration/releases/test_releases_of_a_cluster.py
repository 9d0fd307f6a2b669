"""Releases that come with their cluster's own request, that wait for it, and that go with it."""

import uuid
from typing import Any

from integration.conftest import LocalCloud
from integration.releases.conftest import Helmed
from integration.releases.test_secrets_by_reference import aws_secret
from integration.running import REGION, WORKERS, pointers

from app.demo.follow import moment


def cluster(name: str, releases: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    base = {"name": name, "region": REGION, "network": {"zones": 2, "nat": "none"}, "addons": [], "version": "1.34"}
    return {**base, "nodegroups": [WORKERS], "releases": releases, **spec}


def release(slipway: Helmed, name: str, **spec: Any) -> dict[str, Any]:
    body = slipway.body(name, **spec)
    del body["cluster"]
    return body


async def test_a_cluster_with_its_releases_from_one_request(slipway: Helmed) -> None:
    name = f"c-{uuid.uuid4().hex[:8]}"
    asked = [release(slipway, "gateway", depends_on=["istiod"]), release(slipway, "istiod", depends_on=["base"])]
    begun = await slipway.change("POST", "/clusters", cluster(name, [*asked, release(slipway, "base")]))
    assert begun["kind"] == "cluster.apply"
    # One more, by its own request, while the cluster is being made.
    late = await slipway.change("POST", "/releases", slipway.body("late", cluster=name))
    kinds = {child["resource"]["name"]: child["id"] for child in begun["children"]}
    for awaited in (kinds[name], kinds["workers"]):
        other = await slipway.get(f"/operations/{awaited}")
        is_over = other["finished_at"] and moment(other["finished_at"]) <= moment(late["created_at"])
        assert is_over or awaited in late["depends_on"], (other, late)
    creates = {n: await slipway.child(begun, "release.create", n) for n in ("base", "istiod", "gateway")}
    assert creates["base"]["id"] in creates["istiod"]["depends_on"]
    assert creates["istiod"]["id"] in creates["gateway"]["depends_on"]

    ended = await slipway.wait(begun)
    assert ended["status"] == "succeeded", ended
    assert (await slipway.wait(late))["status"] == "succeeded"
    found = {item["name"]: item for item in (await slipway.get("/releases", cluster=name))["items"]}
    assert {n: item["status"]["phase"] for n, item in found.items()} == dict.fromkeys(
        ("base", "istiod", "gateway", "late"), "active"
    )
    finished = {
        n: moment((await slipway.child(begun, "release.create", n))["finished_at"])
        for n in ("base", "istiod", "gateway")
    }
    assert finished["base"] < finished["istiod"] < finished["gateway"]

    deleted = await slipway.do("DELETE", f"/clusters/{name}")
    began, ended_at = {}, {}
    for child in deleted["children"]:
        shown = await slipway.get(f"/operations/{child['id']}")
        key = child["kind"], child["resource"]["name"]
        began[key], ended_at[key] = moment(shown["started_at"]), moment(shown["finished_at"])
    releases = [end for (kind, _), end in ended_at.items() if kind == "release.delete"]
    assert len(releases) == 4
    assert ended_at["release.delete", "gateway"] <= began["release.delete", "istiod"]
    assert max(releases) <= began["nodegroup.delete", "workers"]
    assert (await slipway.get("/releases", namespace=slipway.namespace))["items"] == []


async def test_what_does_not_come_takes_its_releases_with_it(slipway: Helmed, localcloud: LocalCloud) -> None:
    localcloud.rules([{"op": "create", "type": "AWS::EKS::Nodegroup", "fail": "No capacity"}])
    name = f"c-{uuid.uuid4().hex[:8]}"
    ended = await slipway.wait(await slipway.change("POST", "/clusters", cluster(name, [release(slipway, "web")])))
    assert ended["status"] == "failed"
    child = await slipway.child(ended, "release.create", "web")
    assert child["error"]["code"] == "dependency_failed"
    assert (await slipway.release())["status"]["phase"] == "failed"

    # A retry of the whole takes up what is left, in the same order.
    localcloud.rules([])
    again = await slipway.wait(await slipway.change("POST", f"/operations/{ended['id']}/retry"))
    assert again["status"] == "succeeded", again
    assert (await slipway.release())["status"]["phase"] == "active"
    await slipway.do("DELETE", f"/clusters/{name}")


async def test_a_cluster_that_goes_takes_no_release(slipway: Helmed, localcloud: LocalCloud) -> None:
    localcloud.rules([{"op": "delete", "type": "AWS::EKS::Cluster", "delay": 1}])
    name = f"c-{uuid.uuid4().hex[:8]}"
    begun = await slipway.change("POST", "/clusters", cluster(name, [release(slipway, "web")]))
    deleting = await slipway.change("DELETE", f"/clusters/{name}")  # it takes over, also of what waits
    refused = await slipway.refused("POST", "/releases", slipway.body("late", cluster=name))
    assert (refused["status"], refused["code"]) == (409, "cluster_deleting")
    assert (await slipway.wait(deleting))["status"] == "succeeded"
    assert (await slipway.wait(begun))["status"] == "cancelled"
    assert (await slipway.get("/releases", namespace=slipway.namespace))["items"] == []


async def test_a_request_is_taken_whole_or_not_at_all(slipway: Helmed) -> None:
    name = f"c-{uuid.uuid4().hex[:8]}"
    web = release(slipway, "web")
    cases: list[tuple[list[dict[str, Any]], str, list[str]]] = [
        ([web, {**web, "cluster": "other"}], "invalid", ["/releases/1/cluster"]),
        ([web, web], "invalid", ["/releases/1/name"]),
        ([{**web, "set": ["a"]}], "invalid", ["/releases/0/set/0"]),
        ([{**web, "values": {"password": "(redacted)"}}], "invalid", ["/releases/0/values/password"]),
        ([{**web, "depends_on": ["none"]}], "invalid", ["/releases/0/depends_on/0"]),
        ([{**web, "depends_on": ["web"]}], "invalid", ["/releases/0/depends_on"]),
        ([{**web, "values": {"replicas": "two"}}], "values_invalid", ["/releases/0/values/replicas"]),
        (
            [{**web, "chart": {**web["chart"], "version": "9.9.9"}}],
            "chart_version_not_found",
            ["/releases/0/chart/version"],
        ),
    ]
    arn = await aws_secret(slipway, "s3cret")
    cases += [
        ([web, {**web, "name": "b", "values": {"key": {"from_secrets_manager": {"arn": each}}}}], code, at)
        for each, code in (
            (f"{arn[:-6]}AAAAAA", "secret_not_found"),
            (arn.replace("us-west-2", "us-west-9"), "secret_not_found"),
            (arn.replace(arn.split(":")[4], "999999999999"), "secret_access_denied"),
        )
        for at in [["/releases/1/values/key"]]
    ]
    for releases, code, places in cases:
        problem = await slipway.refused("POST", "/clusters", cluster(name, releases))
        assert (problem["status"], problem["code"], pointers(problem)) == (422, code, places)
    assert (await slipway.client.get(f"/clusters/{name}")).status_code == 404
