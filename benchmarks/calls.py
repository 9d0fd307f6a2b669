"""AWS calls: by operation, for one cluster with a node group, and for 50 asked for at once.

The control plane takes 60 s, the node group 30 s, all else next to nothing. The two usual addons (coredns and
metrics-server) are stacks of their own and belong to it, as they do to eksctl's figure; nobody follows the operations'
events. eksctl 0.231 needed 44 calls for the same on the same local cloud, with longer stacks (600 s and 155 s).
"""

import argparse
from collections import Counter

from benchmarks import fleet, processes
from benchmarks.processes import LocalCloud, Slipway
from benchmarks.table import show

MANY = 50
EKSCTL = 44
RULES = (
    {"type": "AWS::EKS::Cluster", "op": "create", "delay": 60},
    {"type": "AWS::EKS::Nodegroup", "op": "create", "delay": 30},
)


def run(_options: argparse.Namespace) -> bool:
    """Count and print."""
    with (
        processes.folder() as where,
        processes.local_cloud(where) as cloud,
        processes.serving(where, f"sqlite:///{where}/slipway.db", cloud) as service,
    ):
        cloud.rules(*RULES)
        one, many = _count(cloud, service, 1), _count(cloud, service, MANY)
    names = sorted(one | many, key=lambda name: -(one[name] * MANY + many[name]))
    rows = [(name, one[name], many[name], many[name] / MANY) for name in names]
    total = ("in all", one.total(), many.total(), many.total() / MANY)
    eksctl = ("eksctl", EKSCTL, EKSCTL * MANY, float(EKSCTL))
    head = ("AWS calls", "1 cluster", f"{MANY} at once", "per cluster")
    show("calls: a cluster (60 s) with a node group (30 s) and two addons", head, [*rows, total, eksctl])
    return many.total() < EKSCTL * MANY


def _count(cloud: LocalCloud, service: Slipway, number: int) -> Counter[str]:
    cloud.forget_calls()
    with service.client() as client:
        operations = fleet.begin(client, [fleet.spec(f"calls-{number}-{each}") for each in range(number)])
        fleet.wait(client, operations, seconds=600)
    return Counter(cloud.calls())
