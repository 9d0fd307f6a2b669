"""What a change of a cluster would do, told without doing it."""

from typing import Any

import pytest
from integration.running import REGION, WORKERS, Json, Slipway, pointers

from app.kinds.all import KINDS

DRY = {"dry_run": "true"}
NETWORK = {"zones": 2, "nat": "none"}


async def plan(slipway: Slipway, method: str, path: str, body: Any = None) -> Json:
    answer = await slipway.client.request(method, path, params=DRY, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def steps(planned: Json) -> list[tuple[str, str]]:
    return [(step["kind"], step["resource"]) for step in planned["steps"]]


async def test_a_whole_cluster(slipway: Slipway) -> None:
    kept = {kind.plural: kind for kind in KINDS.values() if not kind.managed}
    own = {plural: [{k: v for k, v in kind.example.items() if k != "cluster"}] for plural, kind in kept.items()}
    addons = [{"name": "coredns"}]
    body = {"name": slipway.name, "region": REGION, "network": NETWORK, "addons": addons, **own}
    before = await slipway.leftovers()
    planned = await plan(slipway, "POST", "/clusters", body)
    kinds = [kind for kind, _ in steps(planned)]
    assert kinds[0] == "cluster.create"
    assert sorted(kinds[1:]) == sorted(f"{kind}.create" for kind in KINDS)
    assert len(planned["stacks"]) == 1 + len(kept)
    assert {change["action"] for stack in planned["stacks"] for change in stack["resources"]} == {"add"}
    assert await slipway.count("operations") == await slipway.count("clusters") == await slipway.count("resources") == 0
    assert await slipway.leftovers() == before
    assert (await slipway.get("/clusters"))["items"] == []
    answer = await slipway.client.post("/clusters", params=DRY, json={**body, "version": "1.99"})
    assert (answer.status_code, pointers(answer.json())) == (422, ["/version"])


async def test_changes_of_one_that_is_there(slipway: Slipway) -> None:
    await slipway.cluster(slipway.name, WORKERS, version="1.34")
    path, operations = f"/clusters/{slipway.name}", await slipway.count("operations")
    planned = await plan(slipway, "PATCH", path, {"logging": {"types": ["api"]}})
    assert steps(planned) == [("cluster.update", slipway.name)]
    assert [change["pointer"] for change in planned["spec_diff"]] == ["/logging/types"]
    [changed] = planned["stacks"][0]["resources"]
    assert (changed["type"], changed["action"]) == ("AWS::EKS::Cluster", "modify")
    assert [each["name"] for each in changed["properties"]] == ["Logging"]
    planned = await plan(slipway, "DELETE", path)
    assert steps(planned) == [("cluster.delete", slipway.name), ("nodegroup.delete", "workers")]

    for method, body, status, code in (
        ("PATCH", {"name": "other"}, 422, "immutable_field"),
        ("PATCH", {"version": "1.30"}, 422, "invalid"),
    ):
        answer = await slipway.client.request(method, path, params=DRY, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    body = {"name": slipway.name, "region": REGION, "network": NETWORK}
    answer = await slipway.client.post("/clusters", params=DRY, json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "cluster_exists")
    assert await slipway.count("operations") == operations

    await slipway.do("PATCH", path, {"deletion_protection": True})
    answer = await slipway.client.delete(path, params=DRY)
    assert (answer.status_code, answer.json()["code"]) == (409, "deletion_protected")
    assert (await slipway.get(path))["status"]["phase"] == "active"


@pytest.mark.parametrize("key", ["planned-once"])
async def test_a_plan_and_a_change_are_two_requests(slipway: Slipway, key: str) -> None:
    """The same key with and without `dry_run` is another request, as with any other query."""
    body = {"name": slipway.name, "region": REGION, "network": NETWORK, "addons": []}
    headers = {"Idempotency-Key": key}
    first = await slipway.client.post("/clusters", params=DRY, json=body, headers=headers)
    again = await slipway.client.post("/clusters", params=DRY, json=body, headers=headers)
    assert (first.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    problem = await slipway.refused("POST", "/clusters", body, headers=headers)
    assert problem["code"] == "idempotency_key_reused"
