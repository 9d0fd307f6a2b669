"""Node groups are nodes: there, Ready, of the right size, and gone with their group."""

from __future__ import annotations

import ipaddress

import pytest

from ..templates import nodegroup
from .client import DEPLOYMENTS, Kube, deployment, ready, unschedulable
from .conftest import Running, is_untainted

pytestmark = pytest.mark.kubernetes
_SIZES = {"MinSize": 0, "MaxSize": 9}


def test_nodes_look_like_those_of_eks(kube: Kube) -> None:
    """Names, labels, sizes, addresses in the group's subnets."""
    nodes = kube.nodes(2, is_untainted)
    zones = {node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes}
    assert zones == {"us-west-2a", "us-west-2b"}
    for node in nodes:
        address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
        name = node["metadata"]["name"]
        assert name == f"ip-{address.replace('.', '-')}.us-west-2.compute.internal"
        assert ipaddress.ip_address(address) in ipaddress.ip_network("10.0.0.0/16")
        labels = node["metadata"]["labels"]
        assert labels.items() >= {
            "team": "blue", "eks.amazonaws.com/nodegroup": "workers", "eks.amazonaws.com/capacityType": "ON_DEMAND",
            "node.kubernetes.io/instance-type": "m5.large", "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
            "kubernetes.io/hostname": name, "topology.kubernetes.io/region": "us-west-2",
        }.items()  # fmt: skip
        assert (node["status"]["capacity"]["cpu"], node["status"]["capacity"]["pods"]) == ("2", "29")
        assert node["status"]["allocatable"]["cpu"] == "1930m"
        assert node["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.35.2-eks-")
        assert node["spec"]["providerID"].startswith("aws:///us-west-2")


def test_a_group_over_its_life(running: Running, kube: Kube) -> None:
    """Scaled, labelled, tainted, given another version, deleted; pods leave the nodes that go."""
    cloud, base = running.cloud, running.base

    def change(size: int, **properties: object) -> dict:
        scaling = {"ScalingConfig": {**_SIZES, "DesiredSize": size}, "Version": "1.34"}
        return nodegroup(base, "shared", "g", **{**scaling, **properties})

    stack = cloud.make(change(1))["stack"]
    first = kube.nodes(1, group="g")[0]["metadata"]["name"]
    cloud.update(stack, change(3))
    assert first in [node["metadata"]["name"] for node in kube.nodes(3, group="g")]
    taint = {"Key": "dedicated", "Value": "x", "Effect": "NO_SCHEDULE"}
    labels = {"Labels": {"tier": "gold"}}
    cloud.wait(stack, "UPDATE_COMPLETE")
    cloud.update(stack, change(3, Taints=[taint], **labels))
    wanted = {"key": "dedicated", "value": "x", "effect": "NoSchedule"}
    kube.nodes(
        3, lambda n: wanted in n["spec"].get("taints", []) and n["metadata"]["labels"].get("tier") == "gold", group="g"
    )
    cloud.wait(stack, "UPDATE_COMPLETE")
    cloud.update(stack, change(1, **labels))
    kube.nodes(1, lambda n: "taints" not in n["spec"] and n["metadata"]["name"] == first, group="g")
    kube.make(DEPLOYMENTS, deployment("moves", "example/web:1", nodeSelector={"eks.amazonaws.com/nodegroup": "g"}))
    kube.pods("default", "moves", lambda pods: [ready(p) for p in pods] == [True])
    cloud.wait(stack, "UPDATE_COMPLETE")
    cloud.update(stack, change(1, Version="1.35", **labels))
    other = kube.nodes(1, lambda n: n["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.35."), group="g")[0]
    assert other["metadata"]["name"] != first
    pods = kube.pods("default", "moves", lambda pods: [ready(p) for p in pods] == [True])
    assert pods[0]["spec"]["nodeName"] == other["metadata"]["name"]
    cloud.wait(stack, "UPDATE_COMPLETE")
    cloud.delete(stack)
    kube.nodes(0, group="g")
    kube.pods("default", "moves", lambda pods: [unschedulable(pod) != "" for pod in pods] == [True])


def test_a_group_that_could_not_launch_has_no_nodes(running: Running, kube: Kube) -> None:
    """GPUs are beyond a fresh account's quota."""
    stack = running.cloud.create(nodegroup(running.base, "shared", "gpus", InstanceTypes=["p3.2xlarge"]))
    running.cloud.wait(stack, "ROLLBACK_COMPLETE")
    assert len(kube.nodes(2)) == 2
