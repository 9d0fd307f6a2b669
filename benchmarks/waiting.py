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
    head = ("", "% of a core", "RSS MB", "PSS MB", "AWS calls/s")
    title = f"waiting: {OPERATIONS} operations wait for their stacks, {SECONDS:.0f} s"
    with processes.folder() as where, processes.local_cloud(where) as cloud:
        with (
            processes.serving(where, f"sqlite:///{where}/idle.db", cloud) as idle,
            _waiting(where, cloud, f"sqlite:///{where}/busy.db", "lite") as busy,
        ):
            show(f"{title}, SQLite", head, _measure(cloud, {"idle": idle.pid, "waiting": busy.pid}))
        with (
            processes.postgres() as (idle_url, idle_server),
            processes.serving(where, idle_url, cloud) as idle,
            processes.postgres() as (url, server),
            _waiting(where, cloud, url, "post") as busy,
        ):
            found = {"idle": idle.pid, "waiting": busy.pid}
            found |= {"server of the idle one": idle_server, "server of the waiting one": server}
            show(f"{title}, PostgreSQL", head, _measure(cloud, found))
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
    """Return a line for each name: what its process used, with all that it has started."""
    cloud.forget_calls()
    before = {name: processes.cpu_seconds(pid) for name, pid in roots.items()}
    began = time.monotonic()
    time.sleep(SECONDS)
    passed = time.monotonic() - began
    calls = sum(cloud.calls().values()) / passed
    rows: list[tuple[object, ...]] = []
    for name, pid in roots.items():
        share = (processes.cpu_seconds(pid) - before[name]) / passed
        memory = processes.memory(pid)
        rows.append((name, 100 * share, memory.rss, memory.pss, calls if "waiting" in name else 0.0))
    return rows
