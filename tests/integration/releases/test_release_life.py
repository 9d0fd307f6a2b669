"""A release over its life: install, read, upgrade, roll back, test, uninstall."""

import asyncio
from typing import Any

from integration.releases.conftest import CLUSTER, MISSING, Helmed, app_chart
from sqlalchemy import text

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.objects import Ref
from app.releases.models import Release


def names(operation: dict[str, Any]) -> list[str]:
    return [step["name"] for step in operation["steps"]]


def conditions(release: dict[str, Any]) -> dict[str, str]:
    """Return what is said of the release; a control plane that has just started may have been waited for."""
    found = {condition["type"]: condition["status"] for condition in release["status"]["conditions"]}
    return {name: status for name, status in found.items() if name != "ClusterReachable"}


async def replicas(kubernetes: Kubernetes, namespace: str, name: str = "web") -> int:
    found = await kubernetes.get(Ref("Deployment", namespace, name, "apps/v1"))
    assert found is not None
    return int(found["spec"]["replicas"])


async def test_from_install_to_uninstall(slipway: Helmed, kubernetes: Kubernetes) -> None:
    body = slipway.body(values={"replicas": 2, "password": "correct horse"}, set=["image=registry.example/web:1.1"])
    operation = await slipway.do("POST", "/releases", {**body, "tags": {"team": "shop"}})
    assert operation["kind"] == "release.create"
    assert names(operation) == ["wait_for_cluster", "prepare_namespace", "fetch_chart", "install"]
    assert all(step["status"] == "succeeded" for step in operation["steps"])
    events = (await slipway.get(f"/operations/{operation['id']}/events", limit=200))["items"]
    told = {(event["data"]["action"], event["data"]["kind"]) for event in events if event["type"] == "release.progress"}
    assert {("applied", "Deployment"), ("applied", "Service"), ("applied", "Secret")} <= told

    answer = await slipway.client.get("/releases/web", params={"cluster": CLUSTER, "namespace": slipway.namespace})
    release = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert release["spec"]["values"] == {
        "replicas": 2,
        "password": "(redacted)",
        "image": "registry.example/web:1.1",
    }
    assert release["spec"]["set"] == []
    status = release["status"]
    assert status["phase"] == "active"
    assert conditions(release) == {"Ready": "True", "Synced": "True"}
    assert status["outputs"]["revision"] == 1
    assert status["outputs"]["chart_version"] == "0.1.0"
    assert status["outputs"]["app_version"] == "1.10"
    assert status["outputs"]["chart_digest"].startswith("sha256:")
    assert status["access"]["services"][0]["cluster_host"] == f"web.{slipway.namespace}.svc"
    assert status["access"]["port_forward"].endswith("service/web 8080:80")
    assert await replicas(kubernetes, slipway.namespace) == 2

    listed = await slipway.get("/releases", cluster=CLUSTER, namespace=slipway.namespace, tag="team=shop")
    assert [item["id"] for item in listed["items"]] == [release["id"]]
    assert (await slipway.get("/releases", tag="team=none"))["items"] == []

    path = f"/releases/{release['id']}"
    patch = {"values": {"replicas": 1}, "set": ["image=registry.example/web:1.2"]}
    preview = await slipway.client.post(f"{path}/diff", json=patch)
    assert preview.status_code == 200, preview.text
    changed = {change["kind"]: change for change in preview.json()["changes"]}
    assert set(changed) == {"Deployment"}
    assert {(f["pointer"], f["before"], f["after"]) for f in changed["Deployment"]["fields"]} == {
        ("/spec/replicas", 2, 1),
        ("/spec/template/spec/containers/0/image", "registry.example/web:1.1", "registry.example/web:1.2"),
    }
    assert preview.json()["unchanged"] == 2

    upgraded = await slipway.do("PATCH", path, patch)
    assert (upgraded["kind"], names(upgraded)[-1]) == ("release.update", "upgrade")
    release = await slipway.get(path)
    assert (release["generation"], release["status"]["outputs"]["revision"]) == (2, 2)
    assert await replicas(kubernetes, slipway.namespace) == 1
    assert (await slipway.get(f"{path}/values"))["password"] == "(redacted)"

    # What was read can be sent back: the secret stays what it was.
    values = {**await slipway.get(f"{path}/values"), "replicas": 3}
    await slipway.do("PUT", f"{path}/values", values)
    secret = await kubernetes.get(Ref("Secret", slipway.namespace, "web"))
    assert secret is not None
    assert secret["data"]["password"] == "Y29ycmVjdCBob3JzZQ=="
    assert await replicas(kubernetes, slipway.namespace) == 3
    await slipway.do("PUT", f"{path}/values", {"replicas": 1})
    assert await slipway.get(f"{path}/values") == {"replicas": 1}
    assert (await slipway.get(f"{path}/values", all="true"))["image"] == "registry.example/web:1.0"
    assert (await slipway.get(f"{path}/values", revision=1))["replicas"] == 2

    history = (await slipway.get(f"{path}/history"))["items"]
    assert [(r["revision"], r["status"]) for r in history][:2] == [(4, "deployed"), (3, "superseded")]
    back = await slipway.do("POST", f"{path}/rollback", {"revision": 2})
    assert (back["kind"], names(back)) == ("release.rollback", ["wait_for_cluster", "roll_back"])
    release = await slipway.get(path)
    assert release["status"]["outputs"]["revision"] == 5
    assert release["generation"] == 5
    assert release["spec"]["values"]["image"] == "registry.example/web:1.2"
    assert (await slipway.refused("POST", f"{path}/rollback", {"revision": 99}))["code"] == "revision_not_found"

    tested = await slipway.do("POST", f"{path}/test")
    assert names(tested) == ["wait_for_cluster", "test"]
    assert [(t["name"], t["phase"]) for t in (await slipway.get(path))["status"]["tests"]] == [
        ("web-test", "Succeeded")
    ]

    deleted = await slipway.do("DELETE", path)
    assert deleted["kind"] == "release.delete"
    assert (await slipway.client.get(path)).status_code == 404
    assert await kubernetes.get(Ref("Deployment", slipway.namespace, "web", "apps/v1")) is None
    gone = await slipway.get("/releases", include_deleted="true", namespace=slipway.namespace)
    assert [item["id"] for item in gone["items"]] == [release["id"]]


async def test_an_upgrade_tells_of_what_it_changes(slipway: Helmed) -> None:
    release = await slipway.install()

    async def ready_after(patch: dict[str, Any]) -> list[str]:
        operation = await slipway.do("PATCH", f"/releases/{release['id']}", patch)
        events = (await slipway.get(f"/operations/{operation['id']}/events", limit=200))["items"]
        told = [event["data"] for event in events if event["type"] == "release.progress"]
        assert "Unknown" not in {one["status"] for one in told}
        assert told[-1]["action"] == "ready"
        return [f"{one['kind']}/{one['name']}" for one in told if one["action"] == "ready" and one["name"]]

    assert await ready_after({"values": {"password": "other"}}) == []
    assert await ready_after({"values": {"image": "registry.example/web:1.1"}}) == ["Deployment/web"]


async def test_what_is_read_from_the_cluster(slipway: Helmed, kubernetes: Kubernetes) -> None:
    release = await slipway.install(values={"password": "correct horse"})
    path = f"/releases/{release['id']}"
    manifest = await slipway.get(f"{path}/manifest")
    assert "kind: Deployment" in manifest["manifest"]
    assert "web-test" in manifest["hooks"]
    notes = await slipway.get(f"{path}/notes")
    assert notes == {"revision": 1, "notes": "Reach web with the password (redacted)"}
    resources = {item["kind"]: item for item in (await slipway.get(f"{path}/resources"))["items"]}
    assert set(resources) == {"Deployment", "Service", "Secret"}
    assert all(item["ready"] for item in resources.values())
    assert [pod["phase"] for pod in resources["Deployment"]["pods"]] == ["Running"]

    assert not (await slipway.get(f"{path}/drift"))["drifted"]
    live = await kubernetes.get(Ref("Deployment", slipway.namespace, "web", "apps/v1"))
    assert live is not None
    await kubernetes.replace({**live, "spec": {**live["spec"], "replicas": 4}})
    drift = await slipway.get(f"{path}/drift")
    assert drift["drifted"]
    assert [change["kind"] for change in drift["changes"]] == ["Deployment"]
    assert {"pointer": "/spec/replicas", "before": 4, "after": 1} in drift["changes"][0]["fields"]

    # Nothing that callers see, and nothing that the database keeps, holds the secret.
    for part in ("", "/values", "/manifest", "/notes", "/resources", "/history", "/drift"):
        answer = await slipway.client.get(path + part)
        assert answer.status_code == 200
        assert "correct horse" not in answer.text
        assert "Y29ycmVjdCBob3JzZQ" not in answer.text
    async with slipway.app.state.database.read() as session:
        for table in ("releases", "release_revisions", "operations", "operation_events", "webhook_events"):
            rows = (await session.execute(text(f"SELECT * FROM {table}"))).all()
            assert "correct horse" not in str(rows), table


async def test_a_failure_is_told_down_to_the_pod(slipway: Helmed) -> None:
    error = await slipway.fail("POST", "/releases", slipway.body(values={"image": MISSING}, timeout_seconds=6))
    assert error["code"] == "image_not_found"
    assert error["hint"]
    assert error["cause"]["type"] == "Pod"
    assert "web:missing" in error["cause"]["message"]
    release = await slipway.release()
    assert release["status"]["phase"] == "failed"
    # Put right by a PATCH, it is installed.
    await slipway.do("PATCH", f"/releases/{release['id']}", {"values": {"image": None}, "timeout_seconds": 120})
    assert (await slipway.release())["status"]["phase"] == "active"

    # An upgrade that fails leaves it active, and says what is wrong.
    error = await slipway.fail(
        "PATCH", f"/releases/{release['id']}", {"values": {"image": MISSING}, "timeout_seconds": 6}
    )
    assert error["code"] == "image_not_found"
    release = await slipway.release()
    assert release["status"]["phase"] == "active"
    assert conditions(release) == {"Ready": "True", "Synced": "False"}
    not_ready = (await slipway.get(f"/releases/{release['id']}/resources"))["items"]
    assert any(pod["reason"] in ("ErrImagePull", "ImagePullBackOff") for item in not_ready for pod in item["pods"])

    # Taken back when that is asked for; the desired spec stays the caller's.
    patch = {"on_failure": "rollback", "values": {"replicas": 2}}
    ended = await slipway.wait(await slipway.change("PATCH", f"/releases/{release['id']}", patch))
    assert ended["status"] == "failed"
    assert {s["name"]: s["status"] for s in ended["steps"]}["recover"] == "succeeded"
    release = await slipway.release()
    assert release["spec"]["values"] == {"image": MISSING, "replicas": 2}
    history = (await slipway.get(f"/releases/{release['id']}/history"))["items"]
    assert history[0]["status"] == "deployed"
    assert release["status"]["outputs"]["revision"] == history[0]["revision"]


async def test_why_something_is_not_ready_is_told_before_the_time_is_over(slipway: Helmed) -> None:
    operation = await slipway.change("POST", "/releases", slipway.body(values={"image": MISSING}, timeout_seconds=300))
    told: list[str] = []
    for _ in range(240):
        events = (await slipway.get(f"/operations/{operation['id']}/events", limit=200))["items"]
        data = [event["data"] for event in events if event["type"] == "release.progress"]
        told = [one["status"] for one in data if (one["action"], one["kind"]) == ("waiting", "Pod")]
        if told:
            break
        await asyncio.sleep(0.25)
    assert told[0].startswith(("ErrImagePull: ", "ImagePullBackOff: "))
    assert "web:missing" in told[0]
    await slipway.client.post(f"/operations/{operation['id']}/cancel")
    assert (await slipway.wait(operation))["status"] == "cancelled"


async def test_a_failed_install_is_taken_away(slipway: Helmed, kubernetes: Kubernetes) -> None:
    body = slipway.body(values={"image": MISSING}, timeout_seconds=6, on_failure="uninstall")
    error = await slipway.fail("POST", "/releases", body)
    assert error["code"] == "image_not_found"
    assert (await slipway.release())["status"]["phase"] == "failed"
    assert await kubernetes.get(Ref("Deployment", slipway.namespace, "web", "apps/v1")) is None


async def test_what_does_not_go_is_told_with_whom_it_waits_for(slipway: Helmed, kubernetes: Kubernetes) -> None:
    held = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/hold]}\n"
    slipway.source.publish(("demo", "0.1.0", app_chart(templates__held_yaml=held)))
    release = await slipway.install()
    async with slipway.app.state.database.write() as session:  # a PATCH would install it again, within that time
        row = await session.get_one(Release, release["id"])
        row.spec = {**row.spec, "timeout_seconds": 8}
    error = await slipway.fail("DELETE", f"/releases/{release['id']}")
    assert error["code"] == "object_terminating"
    assert error["cause"] == {
        "resource": "ConfigMap/held",
        "type": "ConfigMap",
        "message": "Terminating: it is deleted but not gone; its finalizers: example.com/hold",
        "aws_code": None,
    }
    live = await kubernetes.get(Ref("ConfigMap", slipway.namespace, "held"))
    assert live is not None
    await kubernetes.replace({**live, "metadata": {**live["metadata"], "finalizers": []}})
    await slipway.do("DELETE", f"/releases/{release['id']}")


async def test_tests_that_fail(slipway: Helmed) -> None:
    release = await slipway.install(values={"testImage": "registry.example/crash:1"})
    error = await slipway.fail("POST", f"/releases/{release['id']}/test")
    assert error["code"] != "internal_error"
    assert error["hint"]
    release = await slipway.release()
    assert release["status"]["phase"] == "active"
    assert release["status"]["tests"][0]["phase"] == "Failed"
