"""Control planes come when they are needed, go with their cluster, and never outlive the local cloud."""

from __future__ import annotations

import os
import signal
import time
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


def test_a_plane_over_its_life(running: Running, kube: Kube) -> None:
    """It starts at the first connection, is upgraded, outlives the death of its programs, and ends with its cluster."""
    own = running.cluster("own", "1.34", workers=1)
    assert running.pids("own") == {}
    own.nodes(1)
    until_all_run(running, "own")
    assert (version(own), version(kube)) == ("1.34", "1.35")
    own.make(DEPLOYMENTS, deployment("kept", "example/web:1"))
    assert kube.call("GET", f"{DEPLOYMENTS}/kept")[0] == 404

    upgrade(running, own)
    assert version(own) == "1.35"
    own.until(f"{DEPLOYMENTS}/kept", lambda d: d["status"].get("availableReplicas") == 1)
    own.nodes(1)
    until_all_run(running, "own")

    kill_programs(running, own)
    own.until(f"{DEPLOYMENTS}/after", lambda d: d["status"].get("availableReplicas") == 1)
    assert own.call("GET", f"{DEPLOYMENTS}/kept")[0] == 200

    pids = running.pids("own")
    running.delete("own")
    gone(pids.values())
    assert "own" not in running.cloud.control("GET", "kubernetes")[1]


def until_all_run(running: Running, name: str) -> None:
    """Waits until a control plane is whole; a program that is just being started has no process id."""
    end = time.monotonic() + 120
    while set(pids := running.pids(name)) != PROGRAMS or len(alive(pids.values())) != len(PROGRAMS):
        assert time.monotonic() < end, pids
        time.sleep(0.1)


def upgrade(running: Running, own: Kube) -> None:
    """To 1.35; there is always an API server that answers."""
    stack = running.cloud.update("own", cluster(running.base, "own", Version="1.35"))
    answers = []
    while (status := running.cloud.stack(stack)["StackStatus"]).endswith("IN_PROGRESS"):
        answers.append(own.call("GET", "/version")[0])
        time.sleep(0.05)
    assert (status, set(answers) - {200}) == ("UPDATE_COMPLETE", set())


def kill_programs(running: Running, own: Kube) -> None:
    """Kills API server, etcd and kwok, and makes the Deployment `after` once that is possible again."""
    before = running.pids("own")
    for name in ("kube-apiserver", "etcd", "kwok"):
        os.kill(before[name], signal.SIGKILL)
    end = time.monotonic() + 240
    made = False
    while not made:
        assert time.monotonic() < end
        try:
            made = own.call("POST", DEPLOYMENTS, deployment("after", "example/web:1"))[0] in (201, 409)
        except OSError:
            time.sleep(0.2)


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
