"""Releases whose chart is in a registry of the project: pushed with Slipway's credentials, installed by its name."""

from pathlib import Path
from typing import Any

import pytest
from integration.registries.conftest import helm_push, made, pusher_of
from integration.releases.conftest import Helmed, app_chart
from integration.running import pointers


@pytest.fixture
async def registry(slipway: Helmed, tmp_path: Path) -> dict[str, Any]:
    """A registry that holds two versions of the chart."""
    registry = await made(slipway, f"{slipway.namespace}/demo")
    credentials = (await slipway.client.post(f"/registries/{registry['id']}/credentials")).json()
    for version in ("0.1.0", "0.2.0"):
        archive = tmp_path / f"demo-{version}.tgz"
        archive.write_bytes(app_chart(version))
        await helm_push(credentials, archive, tmp_path)
    return registry


async def test_a_chart_is_installed_upgraded_and_pinned_by_its_digest(
    slipway: Helmed, registry: dict[str, Any], tmp_path: Path
) -> None:
    digests = {
        image["tags"][0]: image["digest"]
        for image in (await slipway.get(f"/registries/{registry['id']}/images"))["items"]
    }
    chart = {"registry": registry["id"], "name": "demo", "version": "0.1.0"}
    release = await slipway.install(chart=chart)
    outputs = release["status"]["outputs"]
    assert (outputs["chart_version"], outputs["chart_digest"]) == ("0.1.0", digests["0.1.0"])

    # The tag is pushed again, with something else: what was looked at stays, until the chart of the spec changes.
    credentials = (await slipway.client.post(f"/registries/{registry['id']}/credentials")).json()
    archive = tmp_path / "demo-0.1.0.tgz"
    archive.write_bytes(app_chart("0.1.0", **{"templates__NOTES.txt": "changed"}))
    await helm_push(credentials, archive, tmp_path)
    place = f"/releases/web?namespace={slipway.namespace}"
    await slipway.do("PATCH", place, {"values": {"replicas": 0}})
    assert (await slipway.release())["status"]["outputs"]["chart_digest"] == digests["0.1.0"]
    await slipway.do("PATCH", place, {"chart": {"version": "^0.2"}})
    outputs = (await slipway.release())["status"]["outputs"]
    assert (outputs["chart_version"], outputs["chart_digest"]) == ("0.2.0", digests["0.2.0"])
    newest = await slipway.install("newest", chart={"registry": registry["id"], "name": "demo"})
    assert newest["status"]["outputs"]["chart_version"] == "0.2.0"


async def test_what_a_registry_does_not_have(slipway: Helmed, registry: dict[str, Any], tmp_path: Path) -> None:
    (await pusher_of(slipway, tmp_path, registry["id"])).image("9.0.0")
    operations = await slipway.count("operations")
    good = {"registry": registry["id"], "name": "demo", "version": "0.1.0"}
    for change, status, code in (
        ({"version": "3.0.0"}, 422, "chart_version_not_found"),
        ({"name": "other"}, 422, "chart_not_found"),
        ({"version": "9.0.0"}, 422, "chart_invalid"),
        ({"registry": "nobody"}, 404, "registry_not_found"),
    ):
        problem = await slipway.refused("POST", "/releases", slipway.body(chart={**good, **change}))
        assert (problem["status"], problem["code"]) == (status, code), problem
        if status == 422:
            assert pointers(problem)[0].startswith("/chart")
    assert await slipway.count("operations") == operations
    await slipway.do("DELETE", f"/registries/{registry['id']}?force=true")
    problem = await slipway.refused("POST", "/releases", slipway.body(chart=good))
    assert (problem["status"], problem["code"]) == (404, "registry_not_found")
