"""Which subnets a node group's nodes go to."""

from typing import Any

import pytest

from app.clusters.view import ClusterView
from app.kinds.nodegroup.spec import NodegroupSpec
from app.kinds.nodegroup.template import subnets_of

OWN = {
    "zones": ["us-west-2a"],
    "control_plane_zone": "us-west-2b",
    "public_subnet_ids": ["pub-a", "pub-b"],
    "private_subnet_ids": ["prv-a", "prv-b"],
    "node_subnet_ids": ["prv-a"],
    "subnet_zones": {"pub-a": "us-west-2a", "pub-b": "us-west-2b", "prv-a": "us-west-2a", "prv-b": "us-west-2b"},
}
GIVEN = {
    "public_subnet_ids": ["pub-b"],
    "private_subnet_ids": ["prv-a", "prv-c"],
    "node_subnet_ids": ["prv-a", "prv-c"],
    "subnet_zones": {"pub-b": "us-west-2b", "prv-a": "us-west-2a", "prv-c": "us-west-2c"},
}


@pytest.mark.parametrize(
    ("facts", "wish", "expected"),
    [
        (OWN, {}, ("prv-a",)),
        (OWN, {"subnet_type": "public"}, ("pub-a",)),  # the second zone is the control plane's
        (OWN, {"subnet_type": "public", "zones": ["us-west-2b"]}, ("pub-b",)),
        (GIVEN, {}, ("prv-a", "prv-c")),
        (GIVEN, {"zones": ["us-west-2c"]}, ("prv-c",)),
        (GIVEN, {"subnet_type": "public"}, ("pub-b",)),
        (GIVEN, {"subnet_type": "public", "zones": ["us-west-2a"]}, ()),
        (GIVEN, {"subnets": ["subnet-0a1b2c3d"]}, ("subnet-0a1b2c3d",)),
    ],
)
def test_subnets(facts: dict[str, Any], wish: dict[str, Any], expected: tuple[str, ...]) -> None:
    view = ClusterView("clu_1", "shop", "prj", "acc", "us-west-2", "active", "1.34", "ipv4", {}, facts)
    spec = NodegroupSpec(cluster="shop", name="workers", **wish)
    assert subnets_of(spec, view) == expected
