"""What is killed at the worst moment is taken up again, and ends right: Slipway, its helm, a whole machine's worth."""

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from integration.conftest import LocalCloud
from integration.releases.conftest import APP, CLUSTER, MISSING, Helmed, app_chart
from integration.releases.processes import Service, helms, until
from integration.running import KEY, TERMINAL
from unit.helm.conftest import Source

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.objects import Ref

PLACED = APP.replace(
    "    spec:\n      containers", "    spec:\n      nodeSelector: {{ toJson .Values.place }}\n      containers"
)
"""The chart's Deployment waits for a node with a label, so that a test decides when it becomes ready."""


@pytest.fixture
def place(source: Source) -> dict[str, str]:
    """Publish a chart whose pods wait for a node that is labelled with this."""
    source.publish(("demo", "0.1.0", app_chart(templates__app_yaml=PLACED)))
    return {f"slipway.test/{uuid.uuid4().hex[:8]}": "yes"}


async def label(kubernetes: Kubernetes, labels: dict[str, str]) -> None:
    node = (await kubernetes.list("v1", "Node", limit=1))[0]
    metadata = {"name": node["metadata"]["name"], "labels": labels}
    await kubernetes.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata}, manager=uuid.uuid4().hex)


async def waits(slipway: Helmed, operation: dict[str, Any]) -> None:
    """Wait until helm has installed everything, and waits for it."""

    def is_waiting(found: dict[str, Any]) -> bool:
        told = [event["data"] for event in found["items"] if event["data"].get("action") == "waiting"]
        return any(not str(one.get("status")).startswith("NotFound") for one in told)

    await slipway.until(f"/operations/{operation['id']}/events?limit=200", is_waiting)


async def gone(namespace: str) -> None:
    await asyncio.to_thread(until, lambda: not helms(namespace))


async def record(kubernetes: Kubernetes, namespace: str) -> list[str]:
    found = await kubernetes.list("v1", "Secret", namespace=namespace, labels="owner=helm")
    return [item["metadata"]["labels"]["status"] for item in found]


async def test_a_helm_that_is_killed_is_begun_again(
    slipway: Helmed, place: dict[str, str], kubernetes: Kubernetes
) -> None:
    begun = await slipway.change("POST", "/releases", slipway.body(values={"place": place}))
    await waits(slipway, begun)
    first = helms(slipway.namespace)
    os.kill(first[0], signal.SIGKILL)
    await asyncio.to_thread(until, lambda: set(helms(slipway.namespace)) - set(first))
    await label(kubernetes, place)
    ended = await slipway.wait(begun)
    assert ended["status"] == "succeeded", ended
    assert any("begun again" in warning for warning in ended["warnings"]), ended["warnings"]
    events = (await slipway.get(f"/operations/{begun['id']}/events", limit=200))["items"]
    told = [event["message"] for event in events if event["data"].get("kind") == "Deployment"]
    assert any(message.startswith("Deployment/web waiting: ") for message in told)
    assert told[-1] == "Deployment/web ready"
    assert await record(kubernetes, slipway.namespace) == ["superseded", "deployed"]
    assert (await slipway.release())["status"]["outputs"]["revision"] == 2


async def test_cancelled_installs(slipway: Helmed, place: dict[str, str], kubernetes: Kubernetes) -> None:
    kept = await slipway.change("POST", "/releases", slipway.body("kept", values={"place": place}))
    taken = await slipway.change(
        "POST", "/releases", slipway.body("taken", values={"place": place}, on_failure="uninstall")
    )
    await waits(slipway, kept)
    await waits(slipway, taken)
    for operation in (kept, taken):
        await slipway.change("POST", f"/operations/{operation['id']}/cancel")
        assert (await slipway.wait(operation))["status"] == "cancelled"
    assert helms(slipway.namespace) == []
    # What was kept is there to be looked at, and can be brought on or deleted; the other one is gone.
    assert (await slipway.release("kept"))["status"]["phase"] == "failed"
    assert await kubernetes.get(Ref("Deployment", slipway.namespace, "kept", "apps/v1")) is not None
    assert (await slipway.client.get("/releases/taken")).status_code == 404
    assert await kubernetes.get(Ref("Deployment", slipway.namespace, "taken", "apps/v1")) is None
    await label(kubernetes, place)
    again = await slipway.wait(await slipway.change("POST", f"/operations/{kept['id']}/retry"))
    assert again["status"] == "succeeded", again
    assert (await slipway.release("kept"))["status"]["phase"] == "active"


async def test_a_cancelled_upgrade_goes_back(slipway: Helmed, kubernetes: Kubernetes) -> None:
    release = await slipway.install(on_failure="rollback")
    begun = await slipway.change("PATCH", f"/releases/{release['id']}", {"values": {"image": MISSING}})
    await waits(slipway, begun)
    await slipway.change("POST", f"/operations/{begun['id']}/cancel")
    ended = await slipway.wait(begun)
    assert ended["status"] == "cancelled"
    assert {s["name"]: s["status"] for s in ended["steps"]}["recover"] == "succeeded"
    release = await slipway.release()
    assert release["status"]["phase"] == "active"
    live = await kubernetes.get(Ref("Deployment", slipway.namespace, "web", "apps/v1"))
    assert live is not None
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/web:1.0"
    assert (await record(kubernetes, slipway.namespace))[-1] == "deployed"


async def test_a_delete_takes_over_an_install(slipway: Helmed, place: dict[str, str], kubernetes: Kubernetes) -> None:
    begun = await slipway.change("POST", "/releases", slipway.body(values={"place": place}))
    await waits(slipway, begun)
    refused = await slipway.refused("PATCH", "/releases/web", {"values": {}})
    assert (refused["code"], refused["operation_id"]) == ("operation_in_progress", begun["id"])
    deleting = await slipway.change("DELETE", "/releases/web")
    assert begun["id"] in deleting["depends_on"]
    assert (await slipway.wait(deleting))["status"] == "succeeded"
    assert (await slipway.wait(begun))["status"] == "cancelled"
    assert helms(slipway.namespace) == []
    assert await record(kubernetes, slipway.namespace) == []
    assert await kubernetes.get(Ref("Deployment", slipway.namespace, "web", "apps/v1")) is None


@pytest.fixture
def postgres_with_cluster(postgres_url: str, cluster_database: Path) -> str:
    """The URL of a PostgreSQL database of this test alone, with the cluster."""
    metadata = sa.MetaData()
    source = sa.create_engine(f"sqlite:///{cluster_database}", poolclass=sa.NullPool)
    target = sa.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with source.connect() as reading, target.begin() as writing:
        metadata.reflect(target, only=["clusters", "nodegroups"])
        known = sa.MetaData()
        known.reflect(source, only=["clusters", "nodegroups"])
        for name in ("clusters", "nodegroups"):
            rows = [dict(row) for row in reading.execute(sa.select(known.tables[name])).mappings()]
            writing.execute(sa.insert(metadata.tables[name]), rows)
    source.dispose()
    target.dispose()
    return postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def start(
    request: pytest.FixtureRequest, localcloud: LocalCloud, cluster_database: Path, tmp_path: Path
) -> Iterator[Callable[[], Service]]:
    """Starts services on one database; what a test leaves running is stopped."""
    if request.param == "sqlite":
        shutil.copyfile(cluster_database, tmp_path / "killed.db")
        url = f"sqlite:///{tmp_path / 'killed.db'}"
    else:
        url = str(request.getfixturevalue("postgres_with_cluster"))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLIPWAY_"))}
    environment = inherited | localcloud.env
    environment |= {
        "SLIPWAY_DATABASE_URL": url,
        "SLIPWAY_ADMIN_KEY": KEY,
        "SLIPWAY_ENCRYPTION_KEY": "an-encryption-key-of-32-characters-or-more",
    }
    environment |= {"SLIPWAY_LEASE_SECONDS": "8", "SLIPWAY_TICK_SECONDS": "0.1"}
    started: list[Service] = []

    def make() -> Service:
        started.append(Service(environment, tmp_path / "service.log"))
        return started[-1]

    yield make
    for service in started:
        service.stop()


async def test_slipway_is_killed_in_an_install_and_in_an_upgrade(
    start: Callable[[], Service], slipway: Helmed, place: dict[str, str], kubernetes: Kubernetes
) -> None:
    # `slipway` only gives the chart's source and the namespace here: the work is done by processes that can be killed.
    namespace = slipway.namespace

    def wait(service: Service, operation: str, status: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.update(service.send("GET", f"/operations/{operation}").json())
            return found["status"] in status

        until(reached)
        return found

    def kill_while_it_waits(method: str, path: str, body: dict[str, Any]) -> str:
        service = start()
        answer = service.send(method, path, json=body)
        assert answer.status_code == 202, answer.text
        operation = str(answer.json()["id"])

        def is_waiting() -> bool:
            events = service.send("GET", f"/operations/{operation}/events?limit=200").json()["items"]
            return any(event["data"].get("action") == "waiting" for event in events)

        until(is_waiting)
        assert helms(namespace)
        service.kill()
        until(lambda: not helms(namespace))  # it dies with whom it worked for
        return operation

    operation = await asyncio.to_thread(kill_while_it_waits, "POST", "/releases", slipway.body(values={"place": place}))
    assert await record(kubernetes, namespace) == ["pending-install"]
    await label(kubernetes, place)
    service = await asyncio.to_thread(start)
    ended = await asyncio.to_thread(wait, service, operation, TERMINAL)
    assert ended["status"] == "succeeded", ended
    assert await record(kubernetes, namespace) == ["superseded", "deployed"]
    events = service.send("GET", f"/operations/{operation}/events?limit=200").json()["items"]
    assert [event["data"] for event in events if event["type"] == "release.repaired"] == [{"revision": 1}]
    await asyncio.to_thread(service.stop)

    other = {f"slipway.test/{uuid.uuid4().hex[:8]}": "yes"}
    patch = {"values": {"place": {**other, **dict.fromkeys(place)}, "replicas": 2}}
    operation = await asyncio.to_thread(kill_while_it_waits, "PATCH", "/releases/web", patch)
    assert (await record(kubernetes, namespace))[-1] == "pending-upgrade"
    await label(kubernetes, other)
    service = await asyncio.to_thread(start)
    ended = await asyncio.to_thread(wait, service, operation, TERMINAL)
    assert ended["status"] == "succeeded", ended
    assert (await record(kubernetes, namespace)).count("deployed") == 1
    release = service.send("GET", "/releases/web", params={"cluster": CLUSTER}).json()
    assert (release["status"]["phase"], release["status"]["outputs"]["revision"]) == ("active", 4)
