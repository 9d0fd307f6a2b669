"""Control planes come when they are needed, go with their cluster, and never outlive the local cloud."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Cloud
from ..templates import cluster
from .client import DEPLOYMENTS, Kube, deployment
from .conftest import Running, alive, gone

pytestmark = pytest.mark.kubernetes
PROGRAMS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}


def version(kube: Kube) -> str:
    """The version that the API server emulates; `gitVersion` stays that of the program."""
    found = kube.get("/version")
    return f"{found['emulationMajor']}.{found['emulationMinor']}"


@pytest.fixture(scope="module")
def own(running: Running) -> Iterator[Kube]:
    """A cluster with one node, for tests that do something to its control plane."""
    kube = running.cluster("own", "1.34", workers=1)
    kube.nodes(1)
    yield kube
    running.delete("own")


def test_a_plane_starts_at_the_first_connection_and_ends_with_its_cluster(running: Running, kube: Kube) -> None:
    """It has its own version, CA and objects, knows nothing of others, and its folder is gone after."""
    brief = running.cluster("brief", "1.35", workers=1)
    assert running.pids("brief") == {}
    brief.nodes(1)
    pids = running.pids("brief")
    assert set(pids) == PROGRAMS
    assert len(alive(pids.values())) == len(PROGRAMS)
    assert (version(brief), version(kube)) == ("1.35", "1.34")
    brief.make(DEPLOYMENTS, deployment("only-here", "example/web:1"))
    assert kube.call("GET", f"{DEPLOYMENTS}/only-here")[0] == 404
    running.delete("brief")
    gone(pids.values())
    assert "brief" not in running.cloud.control("GET", "kubernetes")[1]


def test_an_upgrade_changes_the_version_and_keeps_everything_else(running: Running, own: Kube) -> None:
    """The endpoint, the objects and the nodes; there is always an API server that answers."""
    own.make(DEPLOYMENTS, deployment("kept", "example/web:1"))
    stack = running.cloud.update("own", cluster(running.base, "own", Version="1.35"))
    answers = []
    while running.cloud.stack(stack)["StackStatus"] != "UPDATE_COMPLETE":
        answers.append(own.call("GET", "/version")[0])
        time.sleep(0.05)
    assert set(answers) <= {200}
    assert version(own) == "1.35"
    own.until(f"{DEPLOYMENTS}/kept", lambda d: d["status"].get("availableReplicas") == 1)
    own.nodes(1)
    pids = running.pids("own")
    assert set(pids) == PROGRAMS
    assert len(alive(pids.values())) == len(PROGRAMS)


def test_programs_that_die_come_back(running: Running, own: Kube) -> None:
    """API server, etcd and kwok killed: nothing is lost, and new pods run again."""
    before = running.pids("own")
    for name in ("kube-apiserver", "etcd", "kwok"):
        os.kill(before[name], signal.SIGKILL)
    end = time.monotonic() + 30
    made = False
    while not made:
        assert time.monotonic() < end
        try:
            made = own.call("POST", DEPLOYMENTS, deployment("after", "example/web:1"))[0] in (201, 409)
        except OSError:
            time.sleep(0.2)
    own.until(f"{DEPLOYMENTS}/after", lambda d: d["status"].get("availableReplicas") == 1, 60)


def test_nothing_outlives_a_local_cloud_that_is_killed(programs: Path, tmp_path: Path) -> None:
    """Here the plane starts with its cluster. That nothing outlives one that is stopped, each `end` checks."""
    killed = Running(tmp_path, "eager")
    assert version(killed.cluster("short")) == "1.34"
    assert set(killed.pids("short")) == PROGRAMS
    killed.end(signal.SIGKILL)


def test_without_kubernetes_the_endpoint_is_that_of_aws(cloud: Cloud, base: dict[str, str]) -> None:
    """What `off` is for: nothing listens."""
    made = cloud.make(cluster(base, "plain"), "plain")
    endpoint = cloud.client("eks").describe_cluster(name="plain")["cluster"]["endpoint"]
    assert endpoint.endswith(".us-west-2.eks.amazonaws.com")
    assert cloud.control("GET", "kubernetes")[1] == {}
    cloud.delete(made["stack"])
