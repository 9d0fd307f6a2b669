"""The day that EKS's support of Kubernetes versions goes by."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .templates import cluster, nodegroup
from .test_stacks import refused

pytestmark = pytest.mark.calendar

STANDARD, EXTENDED = "STANDARD_SUPPORT", "EXTENDED_SUPPORT"


@pytest.fixture
def cloud(cloud: Cloud) -> Iterator[Cloud]:
    """The local cloud, on its usual day before and after."""
    yield cloud
    assert cloud.control("DELETE", "day")[0] == 204


def on(cloud: Cloud, day: str) -> None:
    """Makes it a day."""
    assert cloud.control("PUT", "day", {"day": day}) == (200, {"day": day})


def versions(cloud: Cloud, **query: Any) -> dict[str, str]:
    """The status of each version on offer; the default has a star."""
    found = cloud.client("eks").describe_cluster_versions(**query)["clusterVersions"]
    return {v["clusterVersion"] + "*" * v["defaultVersion"]: v["versionStatus"] for v in found}


@pytest.mark.parametrize(
    ("day", "offered"),
    [
        ("2025-10-02", {"1.34*": STANDARD, "1.33": STANDARD, "1.32": STANDARD, "1.31": STANDARD}),
        (
            "2026-11-26",
            {"1.35": STANDARD, "1.34*": STANDARD, "1.33": EXTENDED, "1.32": EXTENDED, "1.31": EXTENDED},
        ),
        ("2026-11-27", {"1.35": STANDARD, "1.34*": STANDARD, "1.33": EXTENDED, "1.32": EXTENDED}),
        ("2026-12-02", {"1.35*": STANDARD, "1.34": EXTENDED, "1.33": EXTENDED, "1.32": EXTENDED}),
        ("2028-03-27", {"1.35*": EXTENDED}),
    ],
)
def test_versions_come_and_go_with_the_day(cloud: Cloud, day: str, offered: dict[str, str]) -> None:
    """The last days of a support belong to it; the default moves on when its standard support ends."""
    on(cloud, day)
    assert versions(cloud) == offered
    known = versions(cloud, includeAll=True)
    assert len(known) == 5 - (day < "2026-01-27")  # 1.35 was not out before
    assert {v: s for v, s in known.items() if s != "UNSUPPORTED"} == offered
    assert versions(cloud, versionStatus="UNSUPPORTED") == {v: s for v, s in known.items() if s == "UNSUPPORTED"}
    assert set(versions(cloud, defaultOnly=True)) == {v for v in offered if v.endswith("*")}


def test_the_day_is_the_same_whatever_the_machine_says(cloud: Cloud) -> None:
    """Until somebody says another one, which a DELETE takes back."""
    assert cloud.control("GET", "day") == (200, {"day": "2026-11-15"})
    assert set(versions(cloud)) == {"1.35", "1.34*", "1.33", "1.32", "1.31"}
    on(cloud, "2027-12-03")
    assert cloud.control("GET", "day") == (200, {"day": "2027-12-03"})


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (None, "not JSON"), ([], "must be"), ({}, "must be"), ({"day": 5}, "must be"),
        ({"day": "2026-12-24", "a": 1}, "must be"),
        ({"day": "tomorrow"}, "'tomorrow' is no day"), ({"day": "2027-02-29"}, "is no day"),
        ({"day": "2025-10-01"}, "2025-10-01 is not from 2025-10-02 to 2028-03-27"),
        ({"day": "2028-03-28"}, "2028-03-28 is not from 2025-10-02 to 2028-03-27"),
    ],
)  # fmt: skip
def test_a_day_is_checked(cloud: Cloud, document: Any, says: str) -> None:
    """400 with a message that says why; the one in force stays."""
    on(cloud, "2026-12-24")
    status, answer = cloud.control("PUT", "day", document)
    assert status == 400 and says in answer["message"]
    assert cloud.control("GET", "day")[1] == {"day": "2026-12-24"}


def test_what_has_ended_is_refused_and_what_is_there_goes_on(cloud: Cloud, base: dict[str, str]) -> None:
    """No new cluster and no upgrade to it; a cluster that has it can still get nodes, and be brought away from it."""
    eks = cloud.client("eks")
    old = cloud.make(cluster(base, "old", Version="1.32"))["stack"]
    on(cloud, "2027-07-30")
    network = {"subnetIds": [base["Private1"], base["Private2"]]}
    for version in ("1.33", "1.32"):
        with pytest.raises(ClientError) as error:
            eks.create_cluster(name="new", version=version, roleArn=base["ClusterRole"], resourcesVpcConfig=network)
        assert refused(error) == ("InvalidParameterException", f"unsupported Kubernetes version {version}")
    with pytest.raises(ClientError) as error:
        eks.update_cluster_version(name="old", version="1.33")
    assert refused(error) == ("InvalidParameterException", "unsupported Kubernetes version 1.33")
    nodes = cloud.make(nodegroup(base, "old"))["stack"]
    assert eks.describe_nodegroup(clusterName="old", nodegroupName="workers")["nodegroup"]["version"] == "1.32"
    on(cloud, "2027-07-29")
    cloud.update(old, cluster(base, "old", Version="1.33"))
    cloud.wait(old, "UPDATE_COMPLETE")
    cloud.delete(nodes)
    cloud.delete(old)


def test_a_cluster_without_a_version_gets_the_default_of_the_day(cloud: Cloud, base: dict[str, str]) -> None:
    """Which another day doesn't change."""
    network = {"subnetIds": [base["Private1"], base["Private2"]]}
    eks = cloud.client("eks")
    for day, version in (("2026-12-01", "1.34"), ("2026-12-02", "1.35")):
        on(cloud, day)
        made = eks.create_cluster(name=f"of-{version[2:]}", roleArn=base["ClusterRole"], resourcesVpcConfig=network)
        assert made["cluster"]["version"] == version
    for name, version in (("of-34", "1.34"), ("of-35", "1.35")):
        assert eks.delete_cluster(name=name)["cluster"]["version"] == version


def test_times_are_the_machine_s(cloud: Cloud, base: dict[str, str]) -> None:
    """The calendar is for the support of versions alone: what is made on another day is as old as it is."""
    on(cloud, "2027-12-03")
    began = datetime.now(UTC)
    made = cloud.make(cluster(base, "young", Version="1.35"))["stack"]
    created = cloud.client("eks").describe_cluster(name="young")["cluster"]["createdAt"]
    assert abs((created - began).total_seconds()) < 60
    cloud.delete(made)


def test_the_command_line_says_the_day(tmp_path: Path) -> None:
    """It is the one that a DELETE goes back to; what is no day ends the start."""
    command = [sys.executable, "-m", "slipway_localcloud", "up", "--port", "0", "--kubernetes", "off", "--day"]
    refused = subprocess.run([*command, "2031-01-01"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and "2031-01-01 is not from 2025-10-02 to 2028-03-27" in refused.stderr
    running = subprocess.Popen([*command, "2027-01-01", "--dir", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    own = Cloud(json.loads(running.stdout.readline()))
    on(own, "2027-02-01")
    assert own.control("DELETE", "day") == (204, None)
    assert own.control("GET", "day") == (200, {"day": "2027-01-01"})
    running.terminate()
    assert running.wait(30) == 0
