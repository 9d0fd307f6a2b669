"""Our own delay: from the time of a stack's CREATE_COMPLETE event to the operation's `finished_at`.

60 clusters with a node group each, asked for over half a minute, at default settings; control planes and node groups
take 30 to 60 s. What the poller adds for other lengths follows from its interval: the second table plays it, for a
stack that is alone in its account and region (the slowest case, since the youngest wait sets the pace).
"""

import argparse
import random
import time
from datetime import datetime
from typing import Any

import httpx

from app.cloudformation.poller import interval
from app.core.settings import Settings
from benchmarks import fleet, processes
from benchmarks.processes import LocalCloud
from benchmarks.table import quantile, show

CLUSTERS = 60
BATCHES = 10
SHORTEST, LONGEST = 30, 60
LENGTHS = (45, 155, 600, 900)
_PLAYS = 20_000


def run(_options: argparse.Namespace) -> bool:
    """Measure, play, print."""
    names = [f"delay-{number:02}" for number in range(CLUSTERS)]
    lengths = random.Random(3)
    with (
        processes.folder() as where,
        processes.local_cloud(where) as cloud,
        processes.serving(where, f"sqlite:///{where}/slipway.db", cloud) as service,
        service.client() as client,
    ):
        cloud.rules(*(_rule(name, kind, lengths) for name in names for kind in ("Cluster", "Nodegroup")))
        begun: list[str] = []
        for batch in range(BATCHES):
            begun += fleet.begin(client, [fleet.spec(name, addons=[]) for name in names[batch::BATCHES]])
            time.sleep(3)
        fleet.wait(client, begun, seconds=600)
        delays = _delays(cloud, client)
    rows = [(kind, len(found), *(quantile(found, share) for share in (0.5, 0.99, 1))) for kind, found in delays.items()]
    show(
        f"delay: stack complete to operation succeeded, stacks of {SHORTEST} to {LONGEST} s (seconds)",
        ("operation", "number", "median", "p99", "slowest"),
        rows,
    )
    played = [(f"{length} s", *_played(length), f"{_played(length)[0] / length:.1%}") for length in LENGTHS]
    head = ("stack takes", "median", "p99", "median, of its time")
    show("delay by the poller's interval alone, one lonely stack (seconds)", head, played)
    return sum(map(len, delays.values())) >= 100


def _rule(name: str, kind: str, lengths: random.Random) -> dict[str, Any]:
    delay = lengths.uniform(SHORTEST, LONGEST)
    return {"stack": f"slipway-{name}-*", "type": f"AWS::EKS::{kind}", "op": "create", "delay": delay}


def _delays(cloud: LocalCloud, client: httpx.Client) -> dict[str, list[float]]:
    """Return the delays of all creates of stacks, by kind of operation."""
    operations = {item["id"]: item for item in fleet.everything(client, "/operations")}
    events = fleet.everything(client, "/events")
    makers = {event["data"]["stack_id"]: event["operation_id"] for event in events if event["type"] == "stack.event"}
    delays: dict[str, list[float]] = {}
    for stack_id, completed in _completions(cloud).items():
        operation = operations[makers[stack_id]]
        finished = datetime.fromisoformat(operation["finished_at"])
        delays.setdefault(operation["kind"], []).append((finished - completed).total_seconds())
    return delays


def _completions(cloud: LocalCloud) -> dict[str, datetime]:
    """Return when each stack became complete, in the local cloud's own words (ISO 8601 with milliseconds)."""
    client = cloud.aws("cloudformation")
    times: dict[str, datetime] = {}
    for stack in cloud.stacks():
        for event in client.describe_stack_events(StackName=stack["StackId"])["StackEvents"]:
            if event.get("PhysicalResourceId") == stack["StackId"] and event["ResourceStatus"] == "CREATE_COMPLETE":
                times[stack["StackId"]] = event["Timestamp"]
    return times


def _played(length: float) -> tuple[float, float]:
    """Return median and p99 of the wait for the poll that sees a stack of about this length complete."""
    settings, moments = Settings(), random.Random(length)
    waits = []
    for _ in range(_PLAYS):
        takes = length * moments.uniform(0.9, 1.1)
        now = 0.0
        while now < takes:
            now += interval(now, shortest=settings.poll_min_seconds, longest=settings.poll_max_seconds, slowdown=1)
        waits.append(now - takes)
    return quantile(waits, 0.5), quantile(waits, 0.99)
