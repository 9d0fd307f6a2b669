"""`GET /clusters?limit=100` of 10,000 clusters, beside a bare handler that gives the same document.

The rows (each with two addons) are written through SQLAlchemy into one SQLite file, which both read; see `bare.py` for
what the other one leaves out. Requests go to both in turn over one connection each, so that the ratio of the medians
doesn't hang on what else the machine does.
"""

import argparse
import asyncio
import http.client
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from app import models  # noqa: F401 - SQLAlchemy must know every table
from app.clusters.models import Addon, Cluster
from app.clusters.schemas import CLUSTER_EXAMPLE, ClusterSpec
from app.core.ids import new_id
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.db.session import Database
from benchmarks import processes
from benchmarks.processes import LOGIN, Process
from benchmarks.table import quantile, show

ROWS = 10_000
PATH = "/clusters?limit=100"
WARM_UP, REQUESTS = 50, 500
_BATCH = 1000


def run(_options: argparse.Namespace) -> bool:
    """Fill a database, measure, print."""
    with processes.folder() as where:
        path = where / "slipway.db"
        url = f"sqlite:///{path}"
        processes.migrate(url)
        asyncio.run(fill(url))
        port = processes.free_port()
        command = [sys.executable, "-m", "benchmarks.bare", str(port), str(path)]
        bare = Process(command, processes.environment(), where / "bare.log")
        bare.start()
        try:
            processes.wait_for(f"http://127.0.0.1:{port}/readyz", bare)
            with processes.serving(where, url) as service:
                return _compare(service.port, port)
        finally:
            bare.stop()


async def fill(url: str) -> None:
    """Write the clusters and their addons."""
    database = Database(url)
    for _ in range(ROWS // _BATCH):
        async with database.write() as session:
            clusters = [_cluster(new_id("clu")) for _ in range(_BATCH)]
            session.add_all(clusters)
            await session.flush()
            session.add_all(_addon(cluster, name) for cluster in clusters for name in ("coredns", "metrics-server"))
    await database.close()


def _compare(slipway_port: int, bare_port: int) -> bool:
    ours, bare = _Caller(slipway_port, LOGIN), _Caller(bare_port, {})
    for _ in range(WARM_UP):
        ours.get(), bare.get()
    documents = json.loads(ours.body)["items"], json.loads(bare.body)["items"]
    if documents[0] != documents[1]:
        print(f"  the documents differ: {documents[0][0]} {documents[1][0]}")
        return False
    times = [(ours.get(), bare.get()) for _ in range(REQUESTS)]
    found = {"slipway": [each[0] for each in times], "bare": [each[1] for each in times]}
    least = quantile(found["bare"], 0.5)
    rows = [
        (name, 1000 * quantile(of, 0.5), 1000 * quantile(of, 0.99), f"{quantile(of, 0.5) / least:.2f}x")
        for name, of in found.items()
    ]
    title = f"listing: GET {PATH} of {ROWS:,}, {len(ours.body) // 1024} KiB, {REQUESTS} requests each in turn"
    show(title, ("", "median ms", "p99 ms", "to bare"), rows)
    return True


class _Caller:
    """One connection that is kept; the client's own work is next to nothing, since nothing is parsed."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = headers
        self.body = b""

    def get(self) -> float:
        """Return the seconds that one answer took."""
        began = time.perf_counter()
        self._connection.request("GET", PATH, headers=self._headers)
        answer = self._connection.getresponse()
        self.body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{answer.status} {self.body[:500]!r}")
        return time.perf_counter() - began


def _cluster(cluster_id: str) -> Cluster:
    spec: dict[str, Any] = {**CLUSTER_EXAMPLE, "name": f"c-{cluster_id[-16:]}"}
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Available",
        "message": "",
        "last_transition_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    arn = f"arn:aws:eks:us-west-2:111122223333:cluster/{spec['name']}"
    return Cluster(
        id=cluster_id,
        project_id=DEFAULT_PROJECT,
        account_id=DEFAULT_ACCOUNT,
        region="us-west-2",
        name=spec["name"],
        spec=ClusterSpec.model_validate(spec).model_dump(mode="json"),
        tags=spec["tags"],
        observed_generation=1,
        phase="active",
        conditions=[condition, {**condition, "type": "Synced"}],
        outputs={
            "arn": arn,
            "endpoint": "https://0123456789ABCDEF0123456789ABCDEF.gr7.us-west-2.eks.amazonaws.com",
            "certificate_authority": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t" * 40,
            "oidc_issuer": "https://oidc.eks.us-west-2.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF",
            "vpc_id": "vpc-0123456789abcdef0",
            "subnet_ids": [f"subnet-0123456789abcde{number:02}" for number in range(6)],
            "security_group_id": "sg-0123456789abcdef0",
            "role_arn": "arn:aws:iam::111122223333:role/slipway-cluster",
        },
        facts={"zones": ["us-west-2a", "us-west-2b", "us-west-2c"]},
    )


def _addon(cluster: Cluster, name: str) -> Addon:
    return Addon(
        id=new_id("add"),
        project_id=cluster.project_id,
        account_id=cluster.account_id,
        region=cluster.region,
        name=name,
        cluster_id=cluster.id,
        spec={"name": name, "version": None, "configuration": None},
        observed_generation=1,
        phase="active",
    )
