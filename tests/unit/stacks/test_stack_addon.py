import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack_samples import HARD, ROLE, ULID, AddonInput, addon_template, document, examples, taints

from app.clusters.schemas import AddonSpec
from app.stacks.addon import PodIdentity, add_addon, tolerating
from app.stacks.taints import Taint, merge_tolerations, tolerations_for, unavoidable
from app.stacks.template import new_template

GPU = {"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}
SPOT = {"key": "spot", "operator": "Exists", "effect": "NoExecute"}
CRITICAL = {"key": "CriticalAddonsOnly", "operator": "Exists"}


def rendered(addon, **changes):
    return addon_template(AddonInput(f"add_{ULID}", "prod", addon, **changes))


def test_an_addon_is_one_resource_without_rights_to_make_roles():
    made = rendered(AddonSpec(name="coredns", version="v1.12.1-eksbuild.2", configuration={"replicaCount": 3}))
    assert made.name == "slipway-prod-coredns-7v5x3wtr6hbn-addon"
    assert made.capabilities == ()
    (addon,) = document(made)["Resources"].values()
    assert addon["Properties"] == {
        "ClusterName": "prod",
        "AddonName": "coredns",
        "AddonVersion": "v1.12.1-eksbuild.2",
        "ConfigurationValues": '{"replicaCount":3}',
        "ResolveConflicts": "OVERWRITE",
    }


def test_the_csi_driver_brings_its_own_role():
    made = rendered(AddonSpec(name="aws-ebs-csi-driver"))
    doc = document(made)
    role = doc["Resources"]["AddonRoleEbsCsiControllerSa"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": ["pods.eks.amazonaws.com"]}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert role["ManagedPolicyArns"][0]["Fn::Sub"].endswith(":policy/service-role/AmazonEBSCSIDriverPolicy")
    (association,) = doc["Resources"]["Addon"]["Properties"]["PodIdentityAssociations"]
    assert association["ServiceAccount"] == "ebs-csi-controller-sa"
    assert made.capabilities == ("CAPABILITY_IAM",)
    assert "RoleArn" in doc["Outputs"]


def test_a_role_that_exists_is_taken():
    template = new_template("")
    identity = PodIdentity("ebs-csi-controller-sa", ROLE)
    add_addon(template, "aws-ebs-csi-driver", "prod", {}, pod_identities=[identity])
    (addon,) = template.to_dict()["Resources"].values()
    assert addon["Properties"]["PodIdentityAssociations"] == [
        {"ServiceAccount": "ebs-csi-controller-sa", "RoleArn": ROLE}
    ]


def test_tolerations_keep_the_addons_own():
    made = tolerating("coredns", {"replicaCount": 3}, HARD)
    assert made["replicaCount"] == 3
    assert made["tolerations"][0] == CRITICAL
    assert made["tolerations"][-2:] == [GPU, SPOT]


def test_each_addon_keeps_tolerations_in_its_own_place():
    assert GPU in tolerating("metrics-server", None, HARD)["tolerations"]
    driver = tolerating("aws-ebs-csi-driver", {"controller": {"replicaCount": 1}}, HARD)
    assert GPU in driver["controller"]["tolerations"]
    assert driver["controller"]["replicaCount"] == 1
    assert "tolerations" not in driver
    assert tolerating("eks-pod-identity-agent", None, HARD)["tolerations"] == [{"operator": "Exists"}]


def test_a_callers_tolerations_come_first_and_are_not_doubled():
    given_ = {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}
    assert tolerating("coredns", given_, HARD)["tolerations"] == [given_["tolerations"][0], SPOT]
    assert given_ == {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}


@pytest.mark.parametrize("name", ["vpc-cni", "kube-proxy", "adot"])
def test_other_addons_are_left_alone(name):
    assert tolerating(name, {"a": 1}, HARD) == {"a": 1}
    assert tolerating(name, None, HARD) is None


def test_without_taints_nothing_changes():
    assert tolerating("coredns", None, ()) is None


def test_a_toleration_for_a_while_does_not_count():
    present = [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]
    assert merge_tolerations(present, [SPOT]) == [*present, SPOT]


def test_taints_count_only_if_no_group_is_free_of_them():
    soft = Taint("soft", "PREFER_NO_SCHEDULE")
    assert unavoidable([]) == ()
    assert unavoidable([HARD, ()]) == ()
    assert unavoidable([HARD, (soft,)]) == ()
    assert unavoidable([HARD, (HARD[0], soft)]) == HARD


def tolerated(taint, toleration):
    """Kubernetes's own rule, written a second time (ToleratesTaint in k8s.io/api/core/v1)."""
    effect = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute"}[taint.effect]
    if toleration.get("effect") not in (None, effect) or toleration.get("key") not in (None, taint.key):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return toleration.get("key") == taint.key and toleration.get("value", "") == (taint.value or "")


@examples
@given(st.lists(st.lists(taints, max_size=3).map(tuple), max_size=4), st.sampled_from(["coredns", "metrics-server"]))
def test_every_group_takes_an_addon_with_these_tolerations_or_one_group_takes_any(groups, name):
    found = unavoidable(groups)
    if not found:
        assert not groups or any(not any(taint.is_hard for taint in group) for group in groups)
        return
    made = tolerating(name, None, found)["tolerations"]
    for taint in (taint for group in groups for taint in group if taint.is_hard):
        assert any(tolerated(taint, toleration) for toleration in made)


@examples
@given(st.lists(taints, max_size=4))
def test_merging_twice_adds_nothing(found):
    wanted = tolerations_for(found)
    once = merge_tolerations([], wanted)
    assert merge_tolerations(once, wanted) == once


def test_configuration_is_json_whatever_it_holds():
    made = rendered(AddonSpec(name="coredns", configuration={"corefile": '.:53 {\n  errors "x" ü\n}'}))
    text = document(made)["Resources"]["Addon"]["Properties"]["ConfigurationValues"]
    assert json.loads(text) == {"corefile": '.:53 {\n  errors "x" ü\n}'}
