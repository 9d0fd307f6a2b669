"""Releases through the real helm on a real API server: each way that they go well, and that they fail."""

import asyncio
import base64
import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from app.gateways.helm import errors, workspace
from app.gateways.helm.chart import Chart
from app.gateways.helm.client import Helm
from app.gateways.helm.process import Limits
from app.gateways.helm.progress import Progress
from app.gateways.helm.releases import Change, Releases
from app.gateways.helm.repair import Repaired, repair_pending
from app.gateways.kubernetes.access import access_of
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.diagnosis import diagnose, diagnose_job
from app.gateways.kubernetes.diff import diff
from app.gateways.kubernetes.namespaces import apply_namespace
from app.gateways.kubernetes.objects import Ref, parse_manifest
from app.gateways.kubernetes.resources import not_ready, read_resources

MISSING = "registry.example/web:missing"
NEVER = {"nodeSelector": {"disk": "ssd"}}
QUICK = Change(timeout_seconds=4)
"""For what would never become ready."""
ENOUGH = Change(timeout_seconds=120)
"""For what ends by itself, on any machine."""


async def test_a_release_over_its_life(releases: Releases, app: Chart, kubernetes: Kubernetes, namespace: str) -> None:
    heard: list[Progress] = []
    change = Change(timeout_seconds=60, description="first", tell=heard.append)
    first = await releases.upgrade("shop", app, {"replicas": 2}, namespace=namespace, change=change)
    assert (first.revision, first.status, first.values) == (1, "deployed", {"replicas": 2})
    assert ("applied", "Deployment", "shop") in {(event.action, event.kind, event.name) for event in heard}
    assert heard[-1].action in ("ready", "applied", "waiting")
    assert "hunter2" not in repr(heard) + repr(first)

    second = await releases.upgrade("shop", app, {"replicas": 1}, namespace=namespace, change=ENOUGH)
    assert (second.revision, second.status) == (2, "deployed")
    assert [
        (r.revision, r.status, r.chart, r.app_version) for r in await releases.history("shop", namespace=namespace)
    ] == [
        (1, "superseded", "demo-0.1.0", "1.10"),
        (2, "deployed", "demo-0.1.0", "1.10"),
    ]
    assert (await releases.history("shop", namespace=namespace))[0].description == "first"
    back = await releases.rollback("shop", 1, namespace=namespace, change=ENOUGH)
    assert (back.revision, back.status, back.values) == (3, "deployed", {"replicas": 2})

    found = await releases.get("shop", namespace=namespace)
    assert found.notes == "Hello from shop"
    assert found.updated_at is not None
    assert (await releases.get("shop", namespace=namespace, revision=2)).values == {"replicas": 1}
    assert (await releases.values("shop", namespace=namespace))["serviceType"] == "ClusterIP"
    objects = parse_manifest(found.manifest)
    resources = await read_resources(kubernetes, objects, namespace=namespace)
    assert {str(resource.ref) for resource in resources} == {"Deployment/shop", "Service/shop", "Secret/shop"}
    assert not not_ready(resources)
    assert "hunter2" not in repr([resource.item for resource in resources])
    assert access_of(resources).port_forward.endswith("service/shop 8080:80")

    tested = await releases.test("shop", namespace=namespace, timeout_seconds=120)
    assert tested.error is None
    assert [(test.name, test.phase) for test in tested.tests] == [("shop-test", "Succeeded")]
    assert await releases.uninstall("shop", namespace=namespace, change=ENOUGH)
    assert not await releases.uninstall("shop", namespace=namespace)
    assert await releases.find("shop", namespace=namespace) is None


async def test_an_image_that_cannot_be_pulled(
    releases: Releases, app: Chart, kubernetes: Kubernetes, namespace: str
) -> None:
    with pytest.raises(errors.WaitTimeout) as caught:
        await releases.upgrade("shop", app, {"image": MISSING}, namespace=namespace, change=QUICK)
    failed = await releases.get("shop", namespace=namespace)
    assert failed.status == "failed"
    for _ in range(600):  # its pod may have come late
        resources = await read_resources(kubernetes, parse_manifest(failed.manifest), namespace=namespace)
        cause = await diagnose(kubernetes, resources, namespace=namespace)
        if cause is not None and cause.code == "image_not_found":
            break
        await asyncio.sleep(0.1)
    failure = caught.value.as_failure(diagnosis=cause)
    assert failure.code == "image_not_found"
    assert failure.cause is not None
    assert failure.cause.type == "Pod"
    assert MISSING in failure.message
    healed = await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)
    assert (healed.revision, healed.status) == (2, "deployed")


async def test_a_broken_upgrade_is_rolled_back(releases: Releases, app: Chart, namespace: str) -> None:
    await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)
    with pytest.raises(errors.WaitTimeout):
        await releases.upgrade("shop", app, {"image": MISSING}, namespace=namespace, change=QUICK)
    back = await releases.rollback("shop", 1, namespace=namespace, change=ENOUGH)
    assert (back.revision, back.status) == (3, "deployed")


@pytest.mark.parametrize("wait", ["watcher", "legacy", "hooks"])
async def test_wait_strategies(releases: Releases, app: Chart, namespace: str, wait: Any) -> None:
    change = Change(timeout_seconds=120 if wait == "hooks" else 3, wait=wait)
    if wait == "hooks":
        assert (await releases.upgrade("shop", app, NEVER, namespace=namespace, change=change)).status == "deployed"
    else:
        with pytest.raises(errors.WaitTimeout):
            await releases.upgrade("shop", app, NEVER, namespace=namespace, change=change)


async def test_a_hook_that_fails(releases: Releases, hooked: Chart, kubernetes: Kubernetes, namespace: str) -> None:
    values = {"hookImage": "registry.example/migrate:crash"}
    with pytest.raises(errors.HookFailed) as caught:
        await releases.upgrade("shop", hooked, values, namespace=namespace, change=ENOUGH)
    assert (await releases.get("shop", namespace=namespace)).status == "failed"
    cause = await diagnose_job(kubernetes, Ref("Job", namespace, "shop-migrate", "batch/v1"))
    assert cause is not None
    assert caught.value.as_failure(diagnosis=cause).hint
    values = {"hookImage": "registry.example/migrate:1"}
    assert (await releases.upgrade("shop", hooked, values, namespace=namespace, change=ENOUGH)).status == "deployed"


async def test_a_test_that_fails(releases: Releases, app: Chart, namespace: str) -> None:
    values = {"testImage": "registry.example/test:crash"}
    await releases.upgrade("shop", app, values, namespace=namespace, change=ENOUGH)
    tested = await releases.test("shop", namespace=namespace, timeout_seconds=120)
    assert tested.error is not None
    assert [(test.name, test.phase) for test in tested.tests] == [("shop-test", "Failed")]
    assert isinstance(tested.error, errors.TestFailed)
    with pytest.raises(errors.ReleaseNotFound):
        await releases.test("other", namespace=namespace)


async def test_a_cancelled_install_is_failed(releases: Releases, app: Chart, namespace: str) -> None:
    task = asyncio.create_task(releases.upgrade("shop", app, NEVER, namespace=namespace))
    await _pending(releases, namespace)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await releases.get("shop", namespace=namespace)).status == "failed"
    done = await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)
    assert done.revision == 2


@pytest.mark.parametrize("installed", [False, True])
async def test_a_killed_helm_is_repaired(
    releases: Releases, app: Chart, kubernetes: Kubernetes, namespace: str, tmp_path: Path, installed: bool
) -> None:
    if installed:
        await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)
    task = asyncio.create_task(releases.upgrade("shop", app, {**NEVER, "password": "x"}, namespace=namespace))
    await _pending(releases, namespace)
    _kill(tmp_path)
    with pytest.raises(errors.Killed):
        await task
    was = "pending-upgrade" if installed else "pending-install"
    assert (await releases.get("shop", namespace=namespace)).status == was
    with pytest.raises(errors.ReleaseInProgress):
        await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)

    revision = 2 if installed else 1
    assert await repair_pending(kubernetes, "shop", namespace=namespace) == [Repaired(revision, was)]
    assert await repair_pending(kubernetes, "shop", namespace=namespace) == []
    repaired = await releases.get("shop", namespace=namespace)
    assert (repaired.status, repaired.values["password"]) == ("failed", "x")
    done = await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)
    assert (done.revision, done.status) == (revision + 1, "deployed")


async def test_a_repaired_upgrade_rolls_back(
    releases: Releases, app: Chart, kubernetes: Kubernetes, namespace: str, tmp_path: Path
) -> None:
    await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)
    task = asyncio.create_task(releases.upgrade("shop", app, NEVER, namespace=namespace))
    await _pending(releases, namespace)
    _kill(tmp_path)
    with pytest.raises(errors.Killed):
        await task
    await repair_pending(kubernetes, "shop", namespace=namespace)
    assert (await releases.rollback("shop", 1, namespace=namespace, change=ENOUGH)).status == "deployed"
    assert await releases.uninstall("shop", namespace=namespace, change=ENOUGH)


async def test_preview_and_diff(releases: Releases, app: Chart, kubernetes: Kubernetes, namespace: str) -> None:
    preview = await releases.preview("shop", app, {}, namespace=namespace)
    assert await releases.find("shop", namespace=namespace) is None
    created = await diff(kubernetes, parse_manifest(preview.manifest), [], namespace=namespace, release="shop")
    assert {change.action for change in created} == {"create"}
    await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)
    present = parse_manifest((await releases.get("shop", namespace=namespace)).manifest)
    same = await releases.preview("shop", app, {}, namespace=namespace)
    assert {
        c.action
        for c in await diff(kubernetes, parse_manifest(same.manifest), present, namespace=namespace, release="shop")
    } == {"none"}
    wanted = await releases.preview("shop", app, {"replicas": 5, "password": "n"}, namespace=namespace)
    changes = await diff(kubernetes, parse_manifest(wanted.manifest), present, namespace=namespace, release="shop")
    fields = {str(change.ref): [field.pointer for field in change.fields] for change in changes if change.fields}
    assert fields == {"Deployment/shop": ["/spec/replicas"], "Secret/shop": ["/data/password"]}


async def test_what_the_cluster_refuses(
    releases: Releases, app: Chart, make_chart: Any, kubernetes: Kubernetes, namespace: str
) -> None:
    async def refused(chart: Chart, values: Any = None, name: str = "shop") -> errors.HelmError:
        with pytest.raises(errors.HelmError) as caught:
            await releases.upgrade(name, chart, values or {}, namespace=namespace, change=ENOUGH)
        return caught.value

    widget = make_chart(templates__w_yaml="apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n")
    assert type(await refused(widget)) is errors.KindNotAvailable
    assert type(await refused(app, {"replicas": -1}, "negative")) is errors.ObjectInvalid
    assert type(await refused(app, {"serviceType": "Nonsense"}, "service")) is errors.ObjectInvalid
    assert type(await refused(app, {"replicas": "many"}, "typed")) is errors.ObjectInvalid
    mine = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken", "namespace": namespace}}
    await kubernetes.apply({**mine, "spec": {"ports": [{"port": 80}]}})
    assert type(await refused(app, name="taken")) is errors.NotOwned
    await apply_namespace(kubernetes, namespace, quota={"services": "0"})
    assert type(await refused(app, name="quota")) is errors.QuotaExceeded
    with pytest.raises(errors.NamespaceNotFound):
        await releases.upgrade("shop", app, {}, namespace="nowhere", change=ENOUGH)


async def test_secrets_are_in_no_log_and_on_no_command_line(
    releases: Releases,
    app: Chart,
    kubernetes: Kubernetes,
    namespace: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    task = asyncio.create_task(releases.upgrade("shop", app, {**NEVER, "password": "s3cr3t"}, namespace=namespace))
    await _pending(releases, namespace)
    (helm,) = _helms(tmp_path)
    seen = (helm / "cmdline").read_text() + (helm / "environ").read_text()
    while (kept := await kubernetes.get(Ref("Secret", namespace, "shop"))) is None:  # made after helm's own record
        assert not task.done()
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    encoded = base64.b64encode(b"s3cr3t").decode()
    assert kept["data"] == {"password": encoded}
    assert "upgrade" in seen
    for secret in ("s3cr3t", encoded, "k8s-aws-v1."):
        assert secret not in seen + caplog.text


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("stringData: {password: 4711000}", ".stringData.password: expected string"),
        ("stringData: {password: [4711000]}", ".stringData.password: expected string"),
        ('data: {password: "4711000!"}', "illegal base64 data"),
    ],
)
async def test_secrets_that_the_cluster_refuses_are_not_told(
    releases: Releases, make_chart: Any, namespace: str, data: str, words: str
) -> None:
    """The API server quotes what it refuses: a chart that forgets `quote` must not show its password."""
    with pytest.raises(errors.ObjectInvalid) as caught:
        await releases.upgrade(
            "shop", make_chart(templates__s_yaml=SECRET + data), {}, namespace=namespace, change=ENOUGH
        )
    assert words in caught.value.message
    assert "4711000" not in repr(caught.value)


async def test_a_namespace_that_goes(releases: Releases, app: Chart, kubernetes: Kubernetes, namespace: str) -> None:
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": namespace}}
    held["metadata"]["finalizers"] = ["example.com/hold"]  # type: ignore[index]
    await kubernetes.apply(held)
    await kubernetes.delete(Ref("Namespace", "", namespace))
    with pytest.raises(errors.NamespaceTerminating):
        await releases.upgrade("shop", app, {}, namespace=namespace, change=ENOUGH)
    await kubernetes.apply({**held, "metadata": {"name": "held", "namespace": namespace}})


async def test_clusters_that_do_not_answer(helm: Helm, app: Chart, cluster: Any) -> None:
    strange = Releases(helm, cluster.connection(secret_key="wrong"))
    with pytest.raises(errors.Unauthorized):
        await strange.upgrade("shop", app, {}, namespace="default", change=ENOUGH)
    away = Releases(helm, cluster.connection(endpoint="https://127.0.0.1:1"))
    with pytest.raises(errors.ClusterUnreachable) as caught:
        await away.get("shop", namespace="default")
    assert caught.value.retryable
    own: Connection = cluster.connection()
    with pytest.raises(errors.ClusterUnreachable, match="certificate"):
        await Releases(helm, Connection(own.endpoint, "", own.token)).get("shop", namespace="default")


async def test_tokens_are_renewed_while_helm_waits(
    helm: Helm, app: Chart, connection: Connection, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    async def token() -> str:
        made.append(await connection.token())
        if len(made) == 3:
            raise RuntimeError("no credentials just now")
        return made[-1]

    monkeypatch.setattr(workspace, "TOKEN_SECONDS", 0.5)
    monkeypatch.setattr(workspace, "RETRY_SECONDS", 0.2)
    releases = Releases(helm, Connection(connection.endpoint, connection.certificate_authority, token))
    task = asyncio.create_task(releases.upgrade("shop", app, NEVER, namespace=namespace))
    while len(made) <= 5:
        assert not task.done()
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_bomb(
    helm_binary: Path, make_chart: Any, connection: Connection, namespace: str, tmp_path: Path
) -> None:
    bomb = make_chart(templates__b_yaml="{{ range $i, $e := until 2000000000 }}{{ $i }}{{ end }}")
    releases = Releases(Helm(helm_binary, root=tmp_path, limits=Limits(memory_bytes=256_000_000)), connection)
    with pytest.raises(errors.OutOfMemory):
        await releases.upgrade("shop", bomb, {}, namespace=namespace, change=ENOUGH)
    assert await releases.find("shop", namespace=namespace) is None


async def test_twenty_at_once(releases: Releases, app: Chart, namespace: str, tmp_path: Path) -> None:
    """None is lost, and helm's memory stays within what `Runner` says: 60 MB each."""
    change = Change(timeout_seconds=600)
    peak = 0.0
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(releases.upgrade(f"shop{index}", app, {}, namespace=namespace, change=change))
            for index in range(20)
        ]
        while not all(task.done() for task in tasks):
            peak = max(peak, await asyncio.to_thread(_helm_megabytes, tmp_path))
            await asyncio.sleep(0.1)
    assert {task.result().status for task in tasks} == {"deployed"}
    assert 0 < peak < 20 * 60


def _helm_megabytes(folder: Path) -> float:
    return sum(_pss(int(process.name)) for process in _helms(folder))


def _pss(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in rollup.splitlines() if line.startswith("Pss:")), 0.0)


def _helms(folder: Path) -> list[Path]:
    """Processes named helm that work in a folder, or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text() == "helm\n" and (process / "cwd").readlink().is_relative_to(folder):
                found.append(process)
        except OSError:
            continue
    return found


def _kill(folder: Path) -> None:
    """Kill the helm that works below a folder, as the OOM killer does."""
    (helm,) = _helms(folder)
    os.kill(int(helm.name), signal.SIGKILL)


async def _pending(releases: Releases, namespace: str) -> None:
    """Wait until the release is pending: helm waits for what never comes."""
    for _ in range(1200):
        found = await releases.find("shop", namespace=namespace)
        if found is not None and found.is_pending:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never began")
