"""A local cloud with Kubernetes. Its programs are built first, if they aren't yet, or their build is waited for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway_localcloud.kubernetes import build

from .. import templates
from ..conftest import Cloud
from .client import Kube


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Path:
    """The folder with the Kubernetes programs."""
    # What pytest holds back would not be seen while everybody waits.
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        return build.build(lambda line: print(line, file=sys.stderr, flush=True)).folder


class Running:
    """A local cloud of a test's own."""

    def __init__(self, folder: Path, kubernetes: str) -> None:
        command = [sys.executable, "-m", "slipway_localcloud", "up", "--port", "0", "--die-with-parent"]
        self.process = subprocess.Popen(
            [*command, "--dir", str(folder), "--kubernetes", kubernetes], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.cloud = Cloud(json.loads(self.process.stdout.readline()))
        self._stacks: dict[str, list[str]] = {}
        self.base = self.cloud.make(templates.network(), "base")

    def cluster(self, name: str, version: str = "1.34", **groups: int) -> Kube:
        """A cluster with node groups of these sizes."""
        made = self.cloud.make(templates.cluster(self.base, name, Version=version), name)
        self._stacks[name] = [made["stack"]]
        for group, size in groups.items():
            scaling = {"MinSize": 0, "MaxSize": 9, "DesiredSize": size}
            template = templates.nodegroup(self.base, name, group, ScalingConfig=scaling, Labels={"team": "blue"})
            self._stacks[name].append(self.cloud.make(template, f"{name}-{group}")["stack"])
        return Kube(self.cloud, name)

    def delete(self, name: str) -> None:
        """Deletes a cluster with its node groups."""
        for stack in reversed(self._stacks.pop(name)):
            self.cloud.delete(stack)

    def pids(self, cluster: str) -> dict[str, int]:
        """The process ids of a cluster's control plane."""
        return self.cloud.control("GET", "kubernetes")[1].get(cluster, {})

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it, and waits until none of its control planes is left."""
        pids = [pid for plane in self.cloud.control("GET", "kubernetes")[1].values() for pid in plane.values()]
        self.process.send_signal(how)
        assert self.process.wait(60) == (0 if how == signal.SIGTERM else -how)
        gone(pids)


def alive(pids: Iterable[int]) -> list[int]:
    """Those that still run."""
    found = []
    for pid in pids:
        # The kernel says ESRCH of one that ends between the opening of its file and the reading.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # A zombie that nobody waits for any more does not run.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
    return found


def gone(pids: Iterable[int]) -> None:
    """Waits until none of them runs."""
    end = time.monotonic() + 90
    while left := alive(pids):
        assert time.monotonic() < end, f"still there: {left}"
        time.sleep(0.05)


def is_untainted(node: dict[str, Any]) -> bool:
    """Whether pods may come to a node: the controller manager takes `not-ready` away after it is Ready."""
    return "taints" not in node["spec"]


@pytest.fixture(scope="session")
def running(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The local cloud that most tests share."""
    assert os.access(programs, os.R_OK)
    found = Running(tmp_path_factory.mktemp("kubernetes"), "lazy")
    yield found
    found.end()


@pytest.fixture(scope="session")
def kube(running: Running) -> Kube:
    """A cluster with two nodes, which tests share: they keep to names of their own."""
    made = running.cluster("shared", "1.35", workers=2)
    made.nodes(2, is_untainted)
    return made
