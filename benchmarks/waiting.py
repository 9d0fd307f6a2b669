"""CPU and memory of `slipway serve` while 500 operations wait for their stacks, beside an idle one at the same time.

500 clusters into a given VPC, whose control planes take an hour; room for all 500 at once (the default of 200 a region
would have 300 of them wait for admission, which costs nothing). Measured for 45 s from when every stack is in progress
and the processes have come to rest; CPU as a share of one core, from /proc, and PostgreSQL's with all its backends.
"""

import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import fleet, processes
from benchmarks.processes import LocalCloud, Slipway
from benchmarks.table import show

OPERATIONS = 500
SETTLE_SECONDS = 20.0
SECONDS = 45.0


def run(_options: argparse.Namespace) -> bool:
    """Measure and print."""
    rows: list[tuple[object, ...]] = []
    with processes.folder() as where, processes.local_cloud(where) as cloud:
        with (
            processes.serving(where, f"sqlite:///{where}/idle.db", cloud) as idle,
            _waiting(where, cloud, f"sqlite:///{where}/busy.db", "lite") as busy,
        ):
            rows += _measure(cloud, {"SQLite, idle": idle.pid, "SQLite, waiting": busy.pid})
        with (
            processes.postgres() as (idle_url, idle_server),
            processes.serving(where, idle_url, cloud) as idle,
            processes.postgres() as (url, server),
            _waiting(where, cloud, url, "post") as busy,
        ):
            found = {"PostgreSQL, idle": idle.pid, "PostgreSQL, waiting": busy.pid}
            found |= {"its server, idle": idle_server, "its server, waiting": server}
            rows += _measure(cloud, found)
    head = ("", "% of a core", "RSS MB", "PSS MB", "AWS calls/s")
    show(f"waiting: {OPERATIONS} operations wait for stacks, {SECONDS:.0f} s", head, rows)
    return True


@contextlib.contextmanager
def _waiting(where: Path, cloud: LocalCloud, url: str, prefix: str) -> Iterator[Slipway]:
    """Run a service whose operations all wait."""
    cloud.rules({"type": "AWS::EKS::Cluster", "op": "create", "delay": 3600})
    with processes.serving(where, url, cloud, max_running_per_region=OPERATIONS) as service, service.client() as client:
        place = fleet.network(cloud)
        before = _in_progress(cloud)
        fleet.begin(
            client, [fleet.spec(f"{prefix}-{number}", network=place, nodegroups=[]) for number in range(OPERATIONS)]
        )
        while _in_progress(cloud) - before < OPERATIONS:
            time.sleep(0.5)
        time.sleep(SETTLE_SECONDS)
        yield service


def _in_progress(cloud: LocalCloud) -> int:
    return sum(stack["StackStatus"] == "CREATE_IN_PROGRESS" for stack in cloud.stacks())


def _measure(cloud: LocalCloud, roots: dict[str, int]) -> list[tuple[object, ...]]:
    """Return a line for each name: what its process, with all that it has started, used."""
    trees = {name: [pid, *processes.children(pid)] for name, pid in roots.items()}
    cloud.forget_calls()
    before = {name: _cpu(pids) for name, pids in trees.items()}
    began = time.monotonic()
    time.sleep(SECONDS)
    passed = time.monotonic() - began
    calls = sum(cloud.calls().values()) / passed
    rows: list[tuple[object, ...]] = []
    for name, pids in trees.items():
        share = (_cpu(pids) - before[name]) / passed
        memory = [processes.memory(pid) for pid in pids]
        rows.append((name, 100 * share, sum(m.rss for m in memory), sum(m.pss for m in memory), calls))
    return rows


def _cpu(pids: list[int]) -> float:
    return sum(processes.cpu_seconds(pid) for pid in pids)
