"""CPU and memory of `slipway serve` while 500 operations wait for their stacks, beside an idle one at the same time.

500 clusters into a given VPC, whose control planes take an hour; room for all 500 at once (the default of 200 a region
would have 300 of them wait for admission, which costs nothing). Measured for two minutes from when every stack is in
progress and the processes have come to rest, since every two each operation looks at its own stack, poller or not. CPU
is a share of one core, from /proc, PostgreSQL's with all its backends; memory is that of the end.
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
SECONDS = 120.0


def run(_options: argparse.Namespace) -> bool:
    """Measure and print."""
    with processes.folder() as where:
        with (
            processes.local_cloud(where) as cloud,
            processes.serving(where, f"sqlite:///{where}/idle.db", cloud) as idle,
            _waiting(where, cloud, f"sqlite:///{where}/busy.db") as busy,
        ):
            _measure("SQLite", cloud, {"idle": idle.pid, "waiting": busy.pid})
        with (
            processes.local_cloud(where) as cloud,
            processes.postgres() as (idle_url, idle_server),
            processes.serving(where, idle_url, cloud) as idle,
            processes.postgres() as (url, server),
            _waiting(where, cloud, url) as busy,
        ):
            found = {"idle": idle.pid, "waiting": busy.pid}
            found |= {"server of the idle one": idle_server, "server of the waiting one": server}
            _measure("PostgreSQL", cloud, found)
    return True


@contextlib.contextmanager
def _waiting(where: Path, cloud: LocalCloud, url: str) -> Iterator[Slipway]:
    """Run a service whose operations all wait."""
    cloud.rules({"type": "AWS::EKS::Cluster", "op": "create", "delay": 3600})
    with processes.serving(where, url, cloud, max_running_per_region=OPERATIONS) as service, service.client() as client:
        place = fleet.network(cloud)
        fleet.begin(
            client, [fleet.spec(f"waiting-{number}", network=place, nodegroups=[]) for number in range(OPERATIONS)]
        )
        while _in_progress(cloud) < OPERATIONS:
            time.sleep(0.5)
        time.sleep(SETTLE_SECONDS)
        yield service


def _in_progress(cloud: LocalCloud) -> int:
    return sum(stack["StackStatus"] == "CREATE_IN_PROGRESS" for stack in cloud.stacks())


def _measure(database: str, cloud: LocalCloud, roots: dict[str, int]) -> None:
    """Print what each process used, with all that it has started, and what AWS was asked meanwhile."""
    cloud.forget_calls()
    before = {name: processes.cpu_seconds(pid) for name, pid in roots.items()}
    began = time.monotonic()
    time.sleep(SECONDS)
    passed = time.monotonic() - began
    calls = cloud.calls()
    rows = []
    for name, pid in roots.items():
        share = (processes.cpu_seconds(pid) - before[name]) / passed
        memory = processes.memory(pid)
        rows.append((name, 100 * share, memory.rss, memory.pss))
    title = f"waiting: {OPERATIONS} operations wait for their stacks, {SECONDS:.0f} s, {database}"
    show(title, ("", "% of a core", "RSS MB", "PSS MB"), rows)
    show("what AWS was asked meanwhile", ("AWS calls", "a second"), [(name, n / passed) for name, n in calls.items()])
