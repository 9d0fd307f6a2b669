"""The life of stacks: creation, rollback, deletion, and what callers read of it."""

from __future__ import annotations

import json
import time

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .templates import get, groups, outputs, ref, resource


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    """The code and message of a refusal."""
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_events_tell_the_story_as_aws_tells_it(cloud: Cloud) -> None:
    """User Initiated, in progress, initiated with a physical id, complete; newest first, with the caller's token."""
    made = cloud.make(groups(), ClientRequestToken="tell-1")
    events = cloud.events(made["stack"])
    told = [(e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason", "")) for e in events]
    name = made["stack"].split("/")[1]
    assert told == [
        (name, "CREATE_IN_PROGRESS", "User Initiated"),
        ("Log1", "CREATE_IN_PROGRESS", ""),
        ("Log1", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
        ("Log1", "CREATE_COMPLETE", ""),
        (name, "CREATE_COMPLETE", ""),
    ]
    assert [bool(e.get("PhysicalResourceId")) for e in events] == [True, False, True, True, True]
    assert {e["ClientRequestToken"] for e in events} == {"tell-1"}
    assert len({e["EventId"] for e in events}) == 5
    assert "ResourceProperties" in events[3]
    newest = cloud.client("cloudformation").describe_stack_events(StackName=made["stack"])["StackEvents"][0]
    assert newest["EventId"] == events[-1]["EventId"]
    cloud.delete(made["stack"])


def test_resources_without_dependencies_are_made_at_once(cloud: Cloud) -> None:
    """AWS works in parallel: all five begin before the first is there."""
    cloud.rules({"op": "create", "delay": 0.2})
    made = cloud.make(groups(5))
    told = [e["ResourceStatus"] for e in cloud.events(made["stack"]) if e["LogicalResourceId"].startswith("Log")]
    assert told == ["CREATE_IN_PROGRESS"] * 10 + ["CREATE_COMPLETE"] * 5
    cloud.rules()
    cloud.delete(made["stack"])


def test_dependencies_are_waited_for(cloud: Cloud) -> None:
    """DependsOn, Ref and GetAtt set the order, and the reverse one for deletion."""
    made = cloud.make(groups(3, chain=True))
    done = [e["LogicalResourceId"] for e in cloud.events(made["stack"]) if e["ResourceStatus"] == "CREATE_COMPLETE"]
    assert done[:3] == ["Log1", "Log2", "Log3"]
    cloud.delete(made["stack"])
    gone = [e["LogicalResourceId"] for e in cloud.events(made["stack"]) if e["ResourceStatus"] == "DELETE_COMPLETE"]
    assert gone[:3] == ["Log3", "Log2", "Log1"]


def test_the_first_failure_cancels_its_siblings_and_rolls_back(cloud: Cloud) -> None:
    """Siblings in progress fail with 'Resource creation cancelled'; the stack names all that failed."""
    cloud.rules(
        {"logical": "Log1", "op": "create", "fail": "Out of luck"}, {"logical": "Log2", "op": "create", "delay": 9}
    )
    stack = cloud.create(groups(2))
    cloud.wait(stack, "ROLLBACK_COMPLETE")
    assert cloud.reasons(stack) == ["Log1: Out of luck", "Log2: Resource creation cancelled"]
    begun = next(e for e in cloud.events(stack) if e["ResourceStatus"] == "ROLLBACK_IN_PROGRESS")
    assert begun["ResourceStatusReason"] == (
        "The following resource(s) failed to create: [Log1, Log2]. Rollback requested by user."
    )
    assert cloud.control("GET", "leftovers")[1].get("AWS::Logs::LogGroup") is None
    with pytest.raises(ClientError) as error:
        cloud.create(groups(), stack.split("/")[1])
    assert refused(error) == ("AlreadyExistsException", f"Stack [{stack.split('/')[1]}] already exists")
    cloud.delete(stack)


@pytest.mark.parametrize(
    ("given", "end"),
    [({"OnFailure": "DO_NOTHING"}, "CREATE_FAILED"), ({"DisableRollback": True}, "CREATE_FAILED"),
     ({"OnFailure": "DELETE"}, "DELETE_COMPLETE")],
)  # fmt: skip
def test_on_failure_is_heeded(cloud: Cloud, given: dict[str, object], end: str) -> None:
    """DO_NOTHING and DisableRollback leave the stack, DELETE takes it away."""
    cloud.rules({"logical": "Log2", "op": "create", "fail": "no"})
    stack = cloud.create(groups(2, chain=True), **given)
    cloud.wait(stack, end)
    if end == "CREATE_FAILED":
        cloud.delete(stack)


def test_a_create_repeated_with_its_token_is_the_same_stack(cloud: Cloud) -> None:
    """ClientRequestToken makes CreateStack idempotent; another token meets the name."""
    first = cloud.create(groups(), "twice", ClientRequestToken="a")
    assert cloud.create(groups(), "twice", ClientRequestToken="a") == first
    with pytest.raises(ClientError) as error:
        cloud.create(groups(), "twice", ClientRequestToken="b")
    assert refused(error) == ("AlreadyExistsException", "Stack [twice] already exists")
    cloud.wait(first)
    assert cloud.create(groups(), "twice", ClientRequestToken="a") == first
    with pytest.raises(ClientError) as error:
        cloud.client("cloudformation").delete_stack(StackName="twice", ClientRequestToken="a")
    assert refused(error)[0] == "TokenAlreadyExistsException"
    cloud.delete("arn:" + first[4:])
    again = cloud.create(groups(), "twice", ClientRequestToken="a")
    assert again != first
    cloud.delete(again)


def test_a_delete_wins_over_a_running_create(cloud: Cloud) -> None:
    """The creation stops, nothing comes back, the name is free, and the id still answers."""
    cloud.rules({"op": "create", "logical": "Log2", "delay": 3})
    stack = cloud.create(groups(2), "shortlived")
    cloud.client("cloudformation").delete_stack(StackName="shortlived")
    cloud.wait(stack, "DELETE_COMPLETE")
    time.sleep(3.2)  # the creation would have ended by now
    assert cloud.stack(stack)["StackStatus"] == "DELETE_COMPLETE"
    assert "CREATE_COMPLETE" not in cloud.statuses(stack)
    assert cloud.control("GET", "leftovers")[1].get("AWS::Logs::LogGroup") is None
    with pytest.raises(ClientError) as error:
        cloud.stack("shortlived")
    assert refused(error) == ("ValidationError", "Stack with id shortlived does not exist")
    cloud.rules()
    second = cloud.create(groups(), "shortlived")
    assert second != stack
    cloud.wait(second, "CREATE_COMPLETE")
    cloud.delete(second)


def test_delete_failed_is_tried_again_or_left_behind(cloud: Cloud) -> None:
    """DELETE_FAILED stacks can be deleted again, with RetainResources, or by force."""
    client = cloud.client("cloudformation")
    cloud.rules({"op": "delete", "logical": "Log1", "fail": "in use", "times": 1})
    stack = cloud.make(groups(2))["stack"]
    with pytest.raises(ClientError):
        client.delete_stack(StackName=stack, RetainResources=["Log1"])
    client.delete_stack(StackName=stack)
    failed = cloud.wait(stack, "DELETE_FAILED")
    assert failed["StackStatusReason"] == "The following resource(s) failed to delete: [Log1]. "
    cloud.delete(stack)
    for more in ({"RetainResources": ["Log1"]}, {"DeletionMode": "FORCE_DELETE_STACK"}):
        cloud.rules({"op": "delete", "logical": "Log1", "fail": "in use", "times": 2})
        stack = cloud.make(groups(2))["stack"]
        client.delete_stack(StackName=stack)
        cloud.wait(stack, "DELETE_FAILED")
        cloud.delete(stack, **more)
        assert cloud.statuses(stack, "Log1")[-1] == "DELETE_SKIPPED"
    for group in client_log_groups(cloud):
        cloud.client("logs").delete_log_group(logGroupName=group)


def client_log_groups(cloud: Cloud) -> list[str]:
    """The names of all log groups."""
    return [group["logGroupName"] for group in cloud.client("logs").describe_log_groups()["logGroups"]]


def test_termination_protection_refuses_the_delete(cloud: Cloud) -> None:
    """As AWS words it, until UpdateTerminationProtection takes it off."""
    stack = cloud.make(groups(), EnableTerminationProtection=True)["stack"]
    name = stack.split("/")[1]
    with pytest.raises(ClientError) as error:
        cloud.delete(stack)
    assert refused(error)[1] == f"Stack [{name}] cannot be deleted while TerminationProtection is enabled"
    cloud.client("cloudformation").update_termination_protection(StackName=name, EnableTerminationProtection=False)
    cloud.delete(stack)


def test_deletion_policy_retain_leaves_the_resource(cloud: Cloud) -> None:
    """DELETE_SKIPPED, and the log group is still there."""
    template = groups()
    template["Resources"]["Log1"]["DeletionPolicy"] = "Retain"
    template["Resources"]["Log1"]["Properties"]["LogGroupName"] = "kept"
    stack = cloud.make(template)["stack"]
    cloud.delete(stack)
    assert "kept" in client_log_groups(cloud)
    cloud.client("logs").delete_log_group(logGroupName="kept")


def test_list_stacks_pages_by_a_hundred_and_knows_deleted_ones(cloud: Cloud) -> None:
    """Pages of 100, newest first, filtered by status."""
    client = cloud.client("cloudformation")
    stacks = [cloud.create(groups(), f"page-{number}") for number in range(101)]
    first = client.list_stacks()
    assert len(first["StackSummaries"]) == 100
    assert client.list_stacks(NextToken=first["NextToken"])["StackSummaries"]
    for stack in stacks:
        cloud.wait(stack, "CREATE_COMPLETE")
        client.delete_stack(StackName=stack)
    for stack in stacks:
        cloud.wait(stack, "DELETE_COMPLETE")
    pages = client.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    listed = [summary["StackId"] for page in pages for summary in page["StackSummaries"]]
    assert set(stacks) <= set(listed)


def test_reading_a_stack(cloud: Cloud) -> None:
    """GetTemplate, resources, outputs and exports."""
    client = cloud.client("cloudformation")
    template = {**groups(2), "Outputs": outputs(Name=ref("Log1"), Arn=get("Log1", "Arn"))}
    template["Outputs"]["Name"]["Export"] = {"Name": "exported"}
    made = cloud.make(template)
    assert json.dumps(client.get_template(StackName=made["stack"])["TemplateBody"]) == json.dumps(template)
    listed = client.list_stack_resources(StackName=made["stack"])["StackResourceSummaries"]
    described = client.describe_stack_resources(StackName=made["stack"])["StackResources"]
    assert {r["LogicalResourceId"] for r in listed} == {r["LogicalResourceId"] for r in described} == {"Log1", "Log2"}
    assert made["Arn"].endswith(f":log-group:{made['Name']}:*")
    assert client.list_exports()["Exports"][0]["Name"] == "exported"
    cloud.delete(made["stack"])


def test_references_to_nothing_are_refused_before_there_is_a_stack(cloud: Cloud) -> None:
    """Template format errors are ValidationErrors, and no stack is made."""
    template = {"Resources": {"Log": resource("AWS::Logs::LogGroup", LogGroupName=ref("Nothing"))}}
    with pytest.raises(ClientError) as error:
        cloud.create(template, "unborn")
    assert refused(error) == (
        "ValidationError",
        "Template format error: Unresolved resource dependencies [Nothing] in the Resources block of the template",
    )
    with pytest.raises(ClientError):
        cloud.stack("unborn")


def test_a_custom_name_needs_the_capability(cloud: Cloud, base: dict[str, str]) -> None:
    """InsufficientCapabilitiesException, as with AWS."""
    template = {"Resources": {"Role": resource("AWS::IAM::Role", RoleName="x", AssumeRolePolicyDocument={})}}
    with pytest.raises(ClientError) as error:
        cloud.client("cloudformation").create_stack(
            StackName="caps", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
        )
    assert refused(error) == (
        "InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_NAMED_IAM]",
    )  # fmt: skip


def test_stack_tags_reach_the_resources(cloud: Cloud) -> None:
    """With the three tags that CloudFormation adds itself."""
    template = {
        "Resources": {"Vpc": resource("AWS::EC2::VPC", CidrBlock="10.9.0.0/16")},
        "Outputs": outputs(Id=ref("Vpc")),
    }
    made = cloud.make(template, Tags=[{"Key": "team", "Value": "a"}])
    vpc = cloud.client("ec2").describe_vpcs(VpcIds=[made["Id"]])["Vpcs"][0]
    tags = {tag["Key"]: tag["Value"] for tag in vpc["Tags"]}
    assert tags["team"] == "a"
    assert tags["aws:cloudformation:stack-id"] == made["stack"]
    assert tags["aws:cloudformation:logical-id"] == "Vpc"
    cloud.update(made["stack"], template, Tags=[{"Key": "team", "Value": "b"}])
    cloud.wait(made["stack"], "UPDATE_COMPLETE")
    vpc = cloud.client("ec2").describe_vpcs(VpcIds=[made["Id"]])["Vpcs"][0]
    assert {tag["Key"]: tag["Value"] for tag in vpc["Tags"]}["team"] == "b"
    cloud.delete(made["stack"])
