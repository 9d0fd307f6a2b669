"""A cluster with one of every kind, made and deleted by a service that is killed again and again (kill -9)."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration.conftest import LocalCloud

from app.demo.processes import free_port
from app.kinds.all import KINDS

KEY = "a-key-of-the-tests-that-is-long-enough-0123456789"
WAIT_SECONDS = 300.0
SETTINGS = {
    "SLIPWAY_ADMIN_KEY": KEY,
    "SLIPWAY_LEASE_SECONDS": "3",
    "SLIPWAY_TICK_SECONDS": "0.2",
    "SLIPWAY_POLL_MIN_SECONDS": "0.1",
    "SLIPWAY_POLL_MAX_SECONDS": "0.3",
}


class Service:
    """`slipway serve`, which can be killed and started anew."""

    def __init__(self, url: str, cloud: LocalCloud) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLIPWAY_", "AWS_"))}
        self._environment = kept | cloud.env | SETTINGS | {"SLIPWAY_DATABASE_URL": url}
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        headers = {"Authorization": f"Bearer {KEY}"}
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{self._port}", headers=headers, timeout=30, verify=False
        )
        self.kills = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "app", "serve", "--port", str(self._port)]
        self._process = subprocess.Popen(command, env=self._environment, stderr=subprocess.DEVNULL)
        self.until("/readyz", lambda _answer: True)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.kills += 1

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        self._client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def change(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self._client.request(method, path, json=body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def until(self, path: str, holds: Any) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            assert time.monotonic() < deadline, path
            try:
                answer = self._client.get(path)
                if answer.status_code == 200 and holds(answer.json()):
                    return dict(answer.json())
            except httpx.TransportError:
                assert self._process is not None
                assert self._process.poll() is None
            time.sleep(0.2)


@pytest.fixture
def service(tmp_path: Path, aws_environment: LocalCloud) -> Iterator[Service]:
    made = Service(f"sqlite:///{tmp_path / 'slipway.db'}", aws_environment)
    made.start()
    yield made
    made.close()


def carry_on(service: Service, cloud: LocalCloud, operation: str, call: str, counts: Sequence[int]) -> dict[str, Any]:
    """Kill the service once a call was made so often, for each of `counts`; return the operation once it has ended."""
    path = f"/operations/{operation}"
    for count in counts:
        deadline = time.monotonic() + WAIT_SECONDS
        while cloud.calls().get(call, 0) < count:
            assert time.monotonic() < deadline, (call, count)
            time.sleep(0.05)
        service.restart()
    return service.until(path, lambda found: found["status"] in ("succeeded", "failed", "cancelled"))


def leftovers(cloud: LocalCloud) -> set[tuple[str, str]]:
    left = httpx.get(f"{cloud.endpoint}/_localcloud/leftovers", timeout=60, verify=False).json()
    return {(kind, one) for kind, found in left.items() for one in found}


def test_nothing_is_lost_and_nothing_made_twice(service: Service, localcloud: LocalCloud) -> None:
    before = leftovers(localcloud)  # other tests of this worker share the local cloud
    own = {
        kind.plural: [{k: v for k, v in kind.example.items() if k not in kind.scope.fields}] for kind in KINDS.values()
    }
    network = {"zones": 2, "nat": "none"}
    body = {"name": "killed", "region": "us-west-2", "network": network, **own}
    parent = service.change("POST", "/clusters", body)
    stacks = 1 + len(KINDS)
    made = carry_on(service, localcloud, parent["id"], "cloudformation:CreateStack", (1, 2, stacks))
    assert made["status"] == "succeeded", made
    assert localcloud.calls()["cloudformation:CreateStack"] == stacks
    for kind in (kind for kind in KINDS.values() if not kind.managed):
        [item] = service.until(kind.path, lambda _page: True)["items"]
        assert item["status"]["phase"] == "active"

    [addon] = service.until("/clusters/killed", lambda _cluster: True)["status"]["addons"]
    assert addon["phase"] == "active"

    theirs = [kind.type for kind in KINDS.values() if kind.stage is not None]
    deleted = service.change("DELETE", "/clusters/killed")
    gone = carry_on(service, localcloud, deleted["id"], "cloudformation:DeleteStack", (1, 3, 1 + len(theirs)))
    assert gone["status"] == "succeeded", gone
    assert {child["kind"] for child in gone["children"]} == {f"{type_}.delete" for type_ in theirs}
    for kind in (kind for kind in KINDS.values() if kind.stage is None):  # what outlives the cluster
        for item in service.until(kind.path, lambda _page: True)["items"]:
            count = localcloud.calls()["cloudformation:DeleteStack"] + 1
            last = service.change("DELETE", f"{kind.path}/{item['id']}")
            ended = carry_on(service, localcloud, last["id"], "cloudformation:DeleteStack", (count,))
            assert ended["status"] == "succeeded", ended
    assert leftovers(localcloud) <= before
    assert service.kills == 6 + len(KINDS) - len(theirs)
