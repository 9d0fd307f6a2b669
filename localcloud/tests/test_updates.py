"""Updates of stacks and change sets."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .templates import cluster, get, groups, network, nodegroup, outputs, resource
from .test_stacks import refused


def change_set(cloud: Cloud, stack: str, template: dict[str, Any], name: str = "change", **more: Any) -> dict[str, Any]:
    """Creates a change set and waits until AWS has worked it out."""
    client = cloud.client("cloudformation")
    made = client.create_change_set(
        StackName=stack, ChangeSetName=name, TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_NAMED_IAM"], **more,
    )  # fmt: skip
    while True:
        found = client.describe_change_set(ChangeSetName=made["Id"])
        if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            return dict(found)
        time.sleep(0.01)


def test_an_update_cleans_up_before_it_is_complete(cloud: Cloud) -> None:
    """UPDATE_COMPLETE_CLEANUP_IN_PROGRESS, in which what the template dropped goes away."""
    stack = cloud.make(groups(2))["stack"]
    cloud.update(stack, groups(1, RetentionInDays=7))
    cloud.wait(stack, "UPDATE_COMPLETE")
    assert cloud.statuses(stack)[2:] == ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]
    assert cloud.statuses(stack, "Log2")[-2:] == ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
    with pytest.raises(ClientError) as error:
        cloud.update(stack, groups(1, RetentionInDays=7))
    assert refused(error) == ("ValidationError", "No updates are to be performed.")
    cloud.delete(stack)


def test_a_replacement_makes_the_new_one_first(cloud: Cloud) -> None:
    """The old physical resource goes in the cleanup."""
    stack = cloud.make(groups(1, LogGroupName="one"))["stack"]
    cloud.update(stack, groups(1, LogGroupName="two"))
    cloud.wait(stack, "UPDATE_COMPLETE")
    mine = [e for e in cloud.events(stack) if e["LogicalResourceId"] == "Log1"]
    said = [(e["ResourceStatus"], e.get("PhysicalResourceId", "")) for e in mine]
    assert said[-4:] == [
        ("UPDATE_IN_PROGRESS", "two"), ("UPDATE_COMPLETE", "two"),
        ("DELETE_IN_PROGRESS", "one"), ("DELETE_COMPLETE", "one"),
    ]  # fmt: skip
    cloud.delete(stack)


def test_a_failed_update_rolls_back(cloud: Cloud) -> None:
    """Everything the update touched goes back, siblings in progress are cancelled, what it made goes away."""
    stack = cloud.make(groups(2))["stack"]
    cloud.rules(
        {"op": "update", "logical": "Log1", "fail": "no", "times": 1}, {"op": "create", "logical": "Log3", "delay": 9}
    )
    cloud.update(stack, groups(3, RetentionInDays=7))
    cloud.wait(stack, "UPDATE_ROLLBACK_COMPLETE")
    assert cloud.statuses(stack)[2:] == [
        "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
    ]  # fmt: skip
    assert "Log3: Resource creation cancelled" in cloud.reasons(stack)
    assert cloud.statuses(stack, "Log3")[-1] == "DELETE_COMPLETE"
    described = cloud.client("logs").describe_log_groups()["logGroups"]
    assert not any("retentionInDays" in group for group in described)
    cloud.delete(stack)


def test_a_rollback_that_fails_can_be_continued(cloud: Cloud) -> None:
    """UPDATE_ROLLBACK_FAILED, then ContinueUpdateRollback, with or without ResourcesToSkip."""
    client = cloud.client("cloudformation")
    for skip in ([], ["Log1"]):
        stack = cloud.make(groups(1))["stack"]
        cloud.rules({"op": "update", "fail": "no", "times": 2})
        cloud.update(stack, groups(1, RetentionInDays=7))
        cloud.wait(stack, "UPDATE_ROLLBACK_FAILED")
        with pytest.raises(ClientError):
            cloud.update(stack, groups(1, RetentionInDays=7))
        client.continue_update_rollback(StackName=stack, ResourcesToSkip=skip)
        cloud.wait(stack, "UPDATE_ROLLBACK_COMPLETE")
        cloud.update(stack, groups(1, RetentionInDays=5))
        cloud.wait(stack, "UPDATE_COMPLETE")
        cloud.delete(stack)


def test_an_update_can_be_cancelled_only_while_it_is_under_way(cloud: Cloud) -> None:
    """CancelUpdateStack rolls back; in other states it is a ValidationError."""
    client = cloud.client("cloudformation")
    stack = cloud.make(groups(1))["stack"]
    with pytest.raises(ClientError) as error:
        client.cancel_update_stack(StackName=stack)
    assert refused(error) == ("ValidationError", "CancelUpdateStack cannot be called from current stack status")
    cloud.rules({"op": "update", "delay": 9, "times": 1})
    cloud.update(stack, groups(1, RetentionInDays=7))
    time.sleep(0.05)
    with pytest.raises(ClientError) as error:
        client.delete_stack(StackName=stack)
    assert "cannot be deleted while in status UPDATE_IN_PROGRESS" in refused(error)[1]
    client.cancel_update_stack(StackName=stack)
    cloud.wait(stack, "UPDATE_ROLLBACK_COMPLETE")
    assert cloud.reasons(stack) == ["Log1: Resource update cancelled"]
    cloud.delete(stack)


def test_an_update_repeated_with_its_token_is_one_update(cloud: Cloud) -> None:
    """Also after it has ended, where another call would have no updates to perform."""
    stack = cloud.make(groups(1))["stack"]
    for _ in range(2):
        assert cloud.update(stack, groups(1, RetentionInDays=7), ClientRequestToken="u") == stack
        cloud.wait(stack, "UPDATE_COMPLETE")
    assert cloud.statuses(stack).count("UPDATE_IN_PROGRESS") == 1
    cloud.delete(stack)


def test_a_change_set_makes_a_stack(cloud: Cloud) -> None:
    """REVIEW_IN_PROGRESS first; the executed change set stays describable, others are obsolete."""
    client = cloud.client("cloudformation")
    found = change_set(cloud, "reviewed", groups(1), ChangeSetType="CREATE", ClientToken="t")
    assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert [c["ResourceChange"]["Action"] for c in found["Changes"]] == ["Add"]
    again = change_set(cloud, "reviewed", groups(1), ChangeSetType="CREATE", ClientToken="t")
    assert again["ChangeSetId"] == found["ChangeSetId"]
    other = change_set(cloud, "reviewed", groups(2), "other", ChangeSetType="CREATE")
    for _ in range(2):
        client.execute_change_set(ChangeSetName=found["ChangeSetId"], ClientRequestToken="x")
    cloud.wait("reviewed", "CREATE_COMPLETE")
    assert cloud.statuses(found["StackId"])[0] == "REVIEW_IN_PROGRESS"
    assert client.describe_change_set(ChangeSetName=found["ChangeSetId"])["ExecutionStatus"] == "EXECUTE_COMPLETE"
    assert client.describe_change_set(ChangeSetName=other["ChangeSetId"])["ExecutionStatus"] == "OBSOLETE"
    with pytest.raises(ClientError) as error:
        client.execute_change_set(ChangeSetName=found["ChangeSetId"], ClientRequestToken="y")
    assert refused(error)[0] == "InvalidChangeSetStatus"
    cloud.delete(found["StackId"])


def test_an_empty_change_set_fails(cloud: Cloud) -> None:
    """With the sentence that callers look for."""
    stack = cloud.make(groups(1))["stack"]
    found = change_set(cloud, stack, groups(1))
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert found["StatusReason"] == (
        "The submitted information didn't contain changes. Submit different information to create a change set."
    )
    cloud.delete(stack)


def test_a_change_set_that_fails_says_so(cloud: Cloud) -> None:
    """EXECUTE_FAILED, and the stack is back where it was."""
    client = cloud.client("cloudformation")
    stack = cloud.make(groups(1))["stack"]
    found = change_set(cloud, stack, groups(1, RetentionInDays=7))
    assert found["Changes"][0]["ResourceChange"]["Replacement"] == "False"
    cloud.rules({"op": "update", "fail": "no", "times": 1})
    client.execute_change_set(ChangeSetName=found["ChangeSetId"])
    cloud.wait(stack, "UPDATE_ROLLBACK_COMPLETE")
    assert client.describe_change_set(ChangeSetName=found["ChangeSetId"])["ExecutionStatus"] == "EXECUTE_FAILED"
    cloud.delete(stack)


def replacements(found: dict[str, Any]) -> dict[str, str]:
    """What a change set says about each resource."""
    changes = [change["ResourceChange"] for change in found["Changes"]]
    return {change["LogicalResourceId"]: change.get("Replacement", change["Action"]) for change in changes}


@pytest.mark.parametrize(
    ("change", "replaced"),
    [
        ({"ScalingConfig": {"MinSize": 2, "MaxSize": 3, "DesiredSize": 2}}, "False"),
        ({"Labels": {"a": "b"}}, "False"), ({"Taints": [{"Key": "a", "Effect": "NO_SCHEDULE"}]}, "False"),
        ({"Tags": {"a": "b"}}, "False"), ({"Version": "1.33"}, "False"),
        ({"UpdateConfig": {"MaxUnavailable": 2}}, "False"),
        ({"LaunchTemplate": {"Id": "lt-1", "Version": "2"}}, "False"), ({"InstanceTypes": ["m5.xlarge"]}, "True"),
        ({"DiskSize": 50}, "True"), ({"AmiType": "AL2023_ARM_64_STANDARD"}, "True"), ({"CapacityType": "SPOT"}, "True"),
        ({"NodegroupName": "renamed"}, "True"), ({"RemoteAccess": {"Ec2SshKey": "k"}}, "True"),
        ({"Subnets": ["s"]}, "True"),
    ],
)  # fmt: skip
def test_what_replaces_a_node_group(
    cloud: Cloud, base: dict[str, str], steady: dict[str, str], change: dict[str, Any], replaced: str
) -> None:
    """The 'Update requires' lines of AWS::EKS::Nodegroup."""
    found = change_set(cloud, steady["group"], nodegroup(base, "steady", **change), f"c{time.monotonic_ns()}")
    assert replacements(found) == {"Group": replaced}


@pytest.mark.parametrize(
    ("change", "replaced"),
    [
        ({"Version": "1.34"}, "False"), ({"DeletionProtection": True}, "False"),
        ({"UpgradePolicy": {"SupportType": "STANDARD"}}, "False"),
        ({"Logging": {"ClusterLogging": {"EnabledTypes": [{"Type": "api"}]}}}, "False"), ({"Name": "other"}, "True"),
        ({"AccessConfig": {"AuthenticationMode": "API"}}, "False"),
        ({"KubernetesNetworkConfig": {"IpFamily": "ipv6"}}, "True"),
        ({"RoleArn": "arn:aws:iam::123456789012:role/x"}, "True"), ({"ZonalShiftConfig": {"Enabled": True}}, "False"),
        ({"EncryptionConfig": [{"Resources": ["secrets"], "Provider": {"KeyArn": "k"}}]}, "True"),
    ],
)  # fmt: skip
def test_what_replaces_a_cluster(
    cloud: Cloud, base: dict[str, str], steady: dict[str, str], change: dict[str, Any], replaced: str
) -> None:
    """The 'Update requires' lines of AWS::EKS::Cluster."""
    found = change_set(cloud, steady["cluster"], cluster(base, "steady", **change), f"c{time.monotonic_ns()}")
    assert replacements(found)["Cluster"] == replaced


@pytest.fixture(scope="module")
def steady(process: Cloud, base: dict[str, str]) -> dict[str, str]:
    """A cluster with a node group, for change sets that nobody executes."""
    made = process.make(cluster(base, "steady"))["stack"]
    return {"cluster": made, "group": process.make(nodegroup(base, "steady"))["stack"]}


def test_what_a_replaced_resource_does_to_others(cloud: Cloud) -> None:
    """A resource that names a replaced one may be replaced as well: Conditional."""
    stack = cloud.make(network())["stack"]
    changed = network()
    changed["Resources"]["Vpc"]["Properties"]["CidrBlock"] = "10.0.0.0/15"
    found = replacements(change_set(cloud, stack, changed))
    assert (found["Vpc"], found["Public1"], found["Attachment"]) == ("True", "Conditional", "Conditional")
    del changed["Resources"]["PrivateWay"]
    assert replacements(change_set(cloud, stack, changed, "less"))["PrivateWay"] == "Remove"
    cloud.delete(stack)


def test_a_custom_named_resource_is_not_replaced(cloud: Cloud, base: dict[str, str], steady: dict[str, str]) -> None:
    """Two of one name can't exist: the update fails before anything is made."""
    cloud.update(steady["group"], nodegroup(base, "steady", InstanceTypes=["m5.xlarge"]))
    cloud.wait(steady["group"], "UPDATE_ROLLBACK_COMPLETE")
    assert cloud.reasons(steady["group"])[-1] == (
        "Group: CloudFormation cannot update a stack when a custom-named resource requires replacing. "
        "Rename workers and update the stack again."
    )


def test_names_of_replacements_are_new(cloud: Cloud) -> None:
    """A generated name has another suffix, so that both can exist for a while."""
    template = {"Resources": {"Log": resource("AWS::Logs::LogGroup")}, "Outputs": outputs(Arn=get("Log", "Arn"))}
    first = cloud.make(template, "named")
    cloud.delete(first["stack"])
    second = cloud.make(template, "named")
    assert first["Arn"] != second["Arn"]
    cloud.delete(second["stack"])
