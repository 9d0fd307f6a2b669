"""Whatever fails or is stopped, and whenever: nothing stays behind."""

from __future__ import annotations

import random
import time

import pytest

from .conftest import Cloud
from .templates import Template, cluster, network, outputs, ref, resource


def whole() -> Template:
    """A network with a cluster and a key pair in one stack."""
    template = network()
    names = {name: ref(name) for name in ("Private1", "Private2")}
    base = {**names, "ClusterRole": {"Fn::GetAtt": ["ClusterRole", "Arn"]}}
    template["Resources"]["Cluster"] = cluster(base, "whole")["Resources"]["Cluster"]  # type: ignore[arg-type]
    template["Resources"]["Key"] = resource("AWS::EC2::KeyPair", KeyName="whole")
    template["Outputs"] = outputs(Name=ref("Cluster"))
    return template


@pytest.mark.parametrize("logical", sorted(whole()["Resources"]))
def test_a_failure_anywhere_rolls_everything_back(cloud: Cloud, logical: str) -> None:
    """Each resource of the stack fails once."""
    before = cloud.control("GET", "leftovers")[1]
    cloud.rules({"op": "create", "logical": logical, "fail": "no"}, {"op": "create", "delay": 0.01})
    stack = cloud.create(whole())
    cloud.wait(stack, "ROLLBACK_COMPLETE")
    assert f"{logical}: no" in cloud.reasons(stack)
    cloud.delete(stack)
    assert cloud.control("GET", "leftovers")[1] == before


@pytest.mark.parametrize("seed", range(5))
def test_a_delete_at_any_moment_takes_everything_away(cloud: Cloud, seed: int) -> None:
    """While the stack is created, at a moment that differs from run to run."""
    before = cloud.control("GET", "leftovers")[1]
    cloud.rules({"op": "create", "delay": 0.05})
    stack = cloud.create(whole())
    time.sleep(random.random() * 0.4)
    cloud.rules()
    cloud.delete(stack)
    assert cloud.control("GET", "leftovers")[1] == before


def test_a_failed_update_leaves_what_was(cloud: Cloud) -> None:
    """Resources that the update added are gone, those that it dropped are still there."""
    stack = cloud.make(whole())["stack"]
    before = cloud.control("GET", "leftovers")[1]
    changed = whole()
    del changed["Resources"]["PrivateWay"], changed["Resources"]["Key"]
    changed["Resources"]["Other"] = resource("AWS::EC2::KeyPair", KeyName="other")
    changed["Resources"]["Cluster"]["Properties"]["Version"] = "1.34"
    cloud.rules({"op": "update", "logical": "Cluster", "fail": "no", "times": 1})
    cloud.update(stack, changed)
    cloud.wait(stack, "UPDATE_ROLLBACK_COMPLETE")
    assert cloud.control("GET", "leftovers")[1] == before
    cloud.delete(stack)
