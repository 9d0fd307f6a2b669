"""What a change of a release would do, told without doing it."""

from typing import Any

from integration.releases.conftest import Helmed
from integration.running import Json

DRY = {"dry_run": "true"}
SECRET = "correct horse battery"


async def plan(slipway: Helmed, method: str, path: str, body: Any = None) -> tuple[list[str], dict[str, Any]]:
    """Return the kinds of a plan's operations, and its difference by pointer; what is secret stands nowhere in it."""
    answer = await slipway.client.request(method, path, params=DRY, json=body)
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    assert "another horse" not in answer.text
    found: Json = answer.json()
    assert found["stacks"] == []
    assert {step["resource"] for step in found["steps"]} == {"web"}
    changes = {each["pointer"]: (each["before"], each["after"]) for each in found["spec_diff"]}
    return [step["kind"] for step in found["steps"]], changes


async def test_every_change_of_a_release(slipway: Helmed) -> None:
    body = slipway.body(values={"replicas": 1, "password": SECRET})
    kinds, changes = await plan(slipway, "POST", "/releases", body)
    assert kinds == ["release.create"]
    assert changes["/values"] == (None, {"replicas": 1, "password": "(redacted)"})
    assert changes["/name"] == (None, "web")
    assert (await slipway.get("/releases"))["items"] == []

    release = await slipway.install(values={"replicas": 1, "password": SECRET})
    path, operations = f"/releases/{release['id']}", await slipway.count("operations")
    patch: Json = {"values": {"replicas": 2, "password": "another horse"}, "tags": {"team": "shop"}}
    assert await plan(slipway, "PATCH", path, patch) == (
        ["release.update"],
        {
            "/tags/team": (None, "shop"),
            "/values/password": ("(redacted)", "(redacted)"),
            "/values/replicas": (1, 2),
        },
    )
    assert await plan(slipway, "PATCH", path, {}) == (["release.update"], {})
    assert await plan(slipway, "PUT", f"{path}/values", {"password": "(redacted)", "note": {"of": SECRET}}) == (
        ["release.update"],
        {"/values/note": (None, {"of": "(redacted)"}), "/values/replicas": (1, None)},
    )
    assert await plan(slipway, "POST", f"{path}/test") == (["release.test"], {})
    kinds, changes = await plan(slipway, "DELETE", path)
    assert kinds == ["release.delete"]
    assert changes["/values"] == ({"replicas": 1, "password": "(redacted)"}, None)

    refused = [
        ("PATCH", path, {"name": "other"}, 422, "immutable_field"),
        ("PATCH", path, {"values": {"replicas": -1}}, 422, "values_invalid"),
        ("POST", "/releases", body, 409, "release_exists"),
        ("POST", f"{path}/rollback", {"revision": 7}, 422, "revision_not_found"),
    ]
    for method, where, document, status, code in refused:
        answer = await slipway.client.request(method, where, params=DRY, json=document)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    stale = await slipway.client.patch(path, params=DRY, json=patch, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    assert await slipway.count("operations") == operations
    assert (await slipway.get(path))["generation"] == 1

    await slipway.do("PATCH", path, {"values": {"replicas": 2, "password": "another horse"}})
    assert await plan(slipway, "POST", f"{path}/rollback", {"revision": 1}) == (
        ["release.rollback"],
        {"/values/password": ("(redacted)", "(redacted)"), "/values/replicas": (2, 1)},
    )
    assert (await slipway.get(path))["status"]["outputs"]["revision"] == 2
