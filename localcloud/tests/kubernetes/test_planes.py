"""Control planes come when they are needed, go with their cluster, and never outlive the local cloud."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ..templates import cluster
from .client import DEPLOYMENTS, Kube, deployment
from .conftest import Running, alive, gone

pytestmark = pytest.mark.kubernetes
PROGRAMS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}


def version(kube: Kube) -> str:
    """The version that the API server emulates; `gitVersion` stays that of the program."""
    found = kube.get("/version")
    return f"{found['emulationMajor']}.{found['emulationMinor']}"


def test_a_plane_starts_at_the_first_connection_and_ends_with_its_cluster(running: Running) -> None:
    """Its endpoint and CA are there before, and its folder is gone after."""
    kube = running.cluster("brief", workers=1)
    assert running.pids("brief") == {}
    kube.nodes(1)
    pids = running.pids("brief")
    assert set(pids) == PROGRAMS == set(alive(pids))
    running.delete("brief")
    gone(pids, 5)
    assert "brief" not in running.cloud.control("GET", "kubernetes")[1]


def test_two_planes_know_nothing_of_each_other(running: Running) -> None:
    """Other version, other CA, other tokens, other objects."""
    one, two = running.cluster("one", "1.34"), running.cluster("two", "1.35")
    assert (version(one), version(two)) == ("1.34", "1.35")
    one.make(DEPLOYMENTS, deployment("here", "example/web:1"))
    assert one.call("GET", f"{DEPLOYMENTS}/here")[0] == 200
    assert two.call("GET", f"{DEPLOYMENTS}/here")[0] == 404
    for name in ("one", "two"):
        running.delete(name)


def test_an_upgrade_changes_the_version_and_keeps_everything_else(running: Running) -> None:
    """The endpoint, the objects and the nodes; there is always an API server that answers."""
    kube = running.cluster("up", "1.34", workers=1)
    kube.nodes(1)
    kube.make(DEPLOYMENTS, deployment("kept", "example/web:1"))
    stack = running.cloud.update("up", cluster(running.base, "up", Version="1.35"))
    answers = []
    while running.cloud.stack(stack)["StackStatus"] != "UPDATE_COMPLETE":
        answers.append(kube.call("GET", "/version")[0])
        time.sleep(0.05)
    assert set(answers) <= {200}
    assert version(kube) == "1.35"
    kube.until(f"{DEPLOYMENTS}/kept", lambda d: d["status"].get("availableReplicas") == 1)
    kube.nodes(1)
    assert set(alive(running.pids("up"))) == PROGRAMS
    running.delete("up")


def test_a_program_that_dies_comes_back(running: Running) -> None:
    """API server and etcd killed: nothing is lost, and new pods run again."""
    kube = running.cluster("crashy", workers=1)
    kube.nodes(1)
    before = running.pids("crashy")
    for name in ("kube-apiserver", "etcd", "kwok"):
        os.kill(before[name], signal.SIGKILL)
    end = time.monotonic() + 30
    made = False
    while not made:
        assert time.monotonic() < end
        try:
            made = kube.call("POST", DEPLOYMENTS, deployment("after", "example/web:1"))[0] in (201, 409)
        except OSError:
            time.sleep(0.2)
    kube.until(f"{DEPLOYMENTS}/after", lambda d: d["status"].get("availableReplicas") == 1, 60)
    running.delete("crashy")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_local_cloud(programs: Path, tmp_path: Path, end: signal.Signals) -> None:
    """Killed or stopped; here the plane starts with its cluster."""
    own = Running(tmp_path, "eager")
    try:
        kube = own.cluster("short")
        assert version(kube) == "1.34"
        pids = own.pids("short")
        assert set(alive(pids)) == PROGRAMS
        started = time.monotonic()
        own.process.send_signal(end)
        assert own.process.wait(5) == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        gone(pids, 5)
        assert time.monotonic() - started < 4
    finally:
        own.process.kill()


def test_without_kubernetes_the_endpoint_is_that_of_aws(programs: Path, tmp_path: Path) -> None:
    """What `off` is for: nothing listens."""
    own = Running(tmp_path, "off")
    try:
        own.cloud.make(cluster(own.base, "plain"), "plain")
        endpoint = own.cloud.client("eks").describe_cluster(name="plain")["cluster"]["endpoint"]
        assert endpoint.endswith(".us-west-2.eks.amazonaws.com")
        assert own.cloud.control("GET", "kubernetes")[1] == {}
    finally:
        own.end()
