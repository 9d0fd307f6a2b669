from datetime import UTC, datetime

import pytest

from app.gateways.aws import stack
from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.cloudformation import TEMPLATE_BODY_LIMIT, CloudFormation
from app.gateways.aws.errors import TemplateTooLarge

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_every_state_of_aws_is_in_exactly_one_set() -> None:
    import botocore.session

    model = botocore.session.get_session().get_service_model("cloudformation")
    states = set(model.shape_for("StackStatus").enum)
    parts = [stack.IN_PROGRESS, stack.EMPTY, stack.STABLE, stack.FAILED, stack.DELETED]

    assert set().union(*parts) == states
    assert sum(len(part) for part in parts) == len(states)


def test_what_can_only_be_deleted_has_failed() -> None:
    assert stack.ONLY_DELETABLE < stack.FAILED


def test_a_stack_is_read_from_the_answer() -> None:
    read = stack.stack_of(
        {
            "StackId": "arn",
            "StackName": "a",
            "StackStatus": "CREATE_COMPLETE",
            "CreationTime": NOW,
            "Outputs": [{"OutputKey": "Arn", "OutputValue": "x"}],
            "Tags": [{"Key": "k", "Value": "v"}],
            "Parameters": [{"ParameterKey": "p", "ParameterValue": "q"}],
        }
    )

    assert (read.outputs, read.tags, read.parameters) == ({"Arn": "x"}, {"k": "v"}, {"p": "q"})
    assert read.created_at == NOW
    assert not read.protected


def test_a_change_says_what_it_replaces_and_why() -> None:
    change = stack.change_of(
        {
            "Type": "Resource",
            "ResourceChange": {
                "Action": "Modify",
                "LogicalResourceId": "Nodegroup",
                "PhysicalResourceId": "demo/ng",
                "ResourceType": "AWS::EKS::Nodegroup",
                "Replacement": "True",
                "Scope": ["Properties"],
                "Details": [
                    {
                        "Target": {"Attribute": "Properties", "Name": "AmiType", "RequiresRecreation": "Always"},
                        "Evaluation": "Static",
                    },
                    {
                        "Target": {"Attribute": "Properties", "Name": "AmiType", "RequiresRecreation": "Always"},
                        "Evaluation": "Dynamic",
                    },
                    {"Target": {"Attribute": "Tags", "RequiresRecreation": "Never"}},
                ],
            },
        }
    )

    assert change.replaces
    assert change.causes == (("AmiType", "Always"), ("Tags", "Never"))


@pytest.mark.parametrize(("replacement", "replaces"), [("True", True), ("Conditional", True), ("False", False)])
def test_a_replacement_that_may_be_counts(replacement: str, replaces: bool) -> None:
    assert stack.Change("Modify", "a", "b", replacement=replacement).replaces is replaces


@pytest.mark.parametrize(
    ("reason", "empty"),
    [
        (
            "The submitted information didn't contain changes. Submit different information to create a change set.",
            True,
        ),
        ("No updates are to be performed.", True),
        ("Template error: instance of Fn::GetAtt references undefined resource Vpc", False),
        (None, False),
    ],
)
def test_an_empty_change_set_is_told_from_a_broken_one(reason: str | None, empty: bool) -> None:
    assert stack.ChangeSet("id", "name", "arn", "FAILED", reason, "UNAVAILABLE").is_empty is empty


async def test_a_template_that_is_too_large_is_refused_before_any_call() -> None:
    cloudformation = CloudFormation(AwsClients(), PROCESS, "us-east-1")
    body = "ä" * (TEMPLATE_BODY_LIMIT // 2 + 1)

    with pytest.raises(TemplateTooLarge, match="51,202 bytes"):
        await cloudformation.create("a", body, "t")
    with pytest.raises(TemplateTooLarge, match="51,202 bytes"):
        await cloudformation.create_change_set("a", "c", body, "t")
