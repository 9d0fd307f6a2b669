from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.cloudformation.root_cause import failure_of, present_attempt, root_cause
from app.gateways.aws.stack import StackEvent

STACK = "arn:aws:cloudformation:us-east-1:111122223333:stack/slipway-demo/0a"
EIP = (
    'Resource handler returned message: "The maximum number of addresses has been reached. (Service: Ec2, Status Code: '
    '400, Request ID: 6b8cf3d3)" (RequestToken: 5f2495db, HandlerErrorCode: GeneralServiceException)'
)
CANCELLED = "Resource creation cancelled"


def happened(*lines: tuple[str, str, str | None], token: str | None = None, first: int = 0) -> list[StackEvent]:
    """Events one second apart; a logical id `*` stands for the stack itself."""
    return [
        StackEvent(
            id=str(first + number),
            at=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=first + number),
            stack_id=STACK,
            logical_id="slipway-demo" if logical_id == "*" else logical_id,
            physical_id=STACK if logical_id == "*" else "x",
            type="AWS::CloudFormation::Stack" if logical_id == "*" else _type(logical_id),
            status=status,
            reason=reason,
            token=token,
        )
        for number, (logical_id, status, reason) in enumerate(lines)
    ]


def _type(logical_id: str) -> str:
    types = {"NatAddress": "AWS::EC2::EIP", "Nodegroup": "AWS::EKS::Nodegroup", "Vpc": "AWS::EC2::VPC"}
    return types.get(logical_id, "AWS::CloudFormation::Stack" if logical_id == "Nested" else "AWS::IAM::Role")


# eksctl-io/eksctl#1967: what eksctl printed newest first
FAILED_CREATE = happened(
    ("*", "CREATE_IN_PROGRESS", "User Initiated"),
    ("Vpc", "CREATE_IN_PROGRESS", None),
    ("NatAddress", "CREATE_IN_PROGRESS", None),
    ("NatAddress", "CREATE_FAILED", EIP),
    ("Vpc", "CREATE_FAILED", CANCELLED),
    ("ServiceRole", "CREATE_FAILED", CANCELLED),
    ("*", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [NatAddress, Vpc, ServiceRole]. "),
    ("Vpc", "DELETE_COMPLETE", None),
    ("*", "ROLLBACK_COMPLETE", None),
    token="create-1",
)


def test_the_first_real_failure_is_the_cause() -> None:
    cause = root_cause(FAILED_CREATE)

    assert cause is not None
    assert (cause.resource, cause.type) == ("NatAddress", "AWS::EC2::EIP")
    assert cause.message == "The maximum number of addresses has been reached."
    assert cause.aws_code == "GeneralServiceException"


def test_the_failure_has_a_code_a_sentence_and_a_hint() -> None:
    failure = failure_of("ROLLBACK_COMPLETE", FAILED_CREATE)

    assert failure.code == "eip_quota_exceeded"
    assert failure.message == (
        "The stack could not be created: NatAddress (AWS::EC2::EIP): The maximum number of addresses has been reached."
    )
    assert failure.hint is not None
    assert "network.nat" in failure.hint
    assert not failure.retryable
    assert failure.cause == root_cause(FAILED_CREATE)


def test_cancellations_that_are_listed_before_the_failure_are_not_the_cause() -> None:
    """AWS lists events of the same millisecond in any order."""
    events = happened(
        ("*", "CREATE_IN_PROGRESS", "User Initiated"),
        ("Vpc", "CREATE_FAILED", CANCELLED),
        ("NatAddress", "CREATE_FAILED", EIP),
    )

    cause = root_cause(events)

    assert cause is not None
    assert cause.resource == "NatAddress"


def test_an_update_is_not_blamed_for_an_earlier_failure() -> None:
    events = FAILED_CREATE + happened(
        ("*", "UPDATE_IN_PROGRESS", "User Initiated"),
        ("Nodegroup", "UPDATE_FAILED", "Nodegroup cannot be updated as it is currently not in Active State"),
        ("Vpc", "UPDATE_FAILED", "Resource update cancelled"),
        ("*", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [Nodegroup, Vpc]. "),
        ("*", "UPDATE_ROLLBACK_COMPLETE", None),
        first=100,
    )

    failure = failure_of("UPDATE_ROLLBACK_COMPLETE", events)

    assert failure.cause is not None
    assert failure.cause.resource == "Nodegroup"
    assert (failure.code, failure.retryable) == ("resource_busy", True)
    assert "it was rolled back" in failure.message


def test_a_token_names_the_attempt() -> None:
    later = happened(
        ("*", "DELETE_IN_PROGRESS", "User Initiated"), ("*", "DELETE_COMPLETE", None), token="delete-1", first=100
    )

    assert present_attempt(FAILED_CREATE + later, token="create-1") == FAILED_CREATE
    assert root_cause(FAILED_CREATE + later) is None


def test_an_unknown_token_falls_back_to_the_last_beginning() -> None:
    assert list(present_attempt(FAILED_CREATE, token="other")) == FAILED_CREATE


def test_a_rollback_does_not_begin_an_attempt() -> None:
    events = happened(
        ("*", "UPDATE_IN_PROGRESS", None),
        ("Vpc", "UPDATE_FAILED", "no"),
        ("*", "UPDATE_ROLLBACK_IN_PROGRESS", None),
        ("*", "UPDATE_ROLLBACK_COMPLETE", None),
    )

    assert list(present_attempt(events)) == events


def test_a_rollback_that_fails_says_what_blocks_it_and_keeps_the_first_cause() -> None:
    events = happened(
        ("*", "UPDATE_IN_PROGRESS", "User Initiated"),
        ("Nodegroup", "UPDATE_FAILED", "unsupported Kubernetes version"),
        ("*", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [Nodegroup]. "),
        ("ServiceRole", "UPDATE_FAILED", "API: iam:PutRolePolicy You are not authorized to perform this operation."),
        ("*", "UPDATE_ROLLBACK_FAILED", "The following resource(s) failed to update: [ServiceRole]. "),
    )

    failure = failure_of("UPDATE_ROLLBACK_FAILED", events)

    assert failure.code == "version_not_supported"
    assert failure.cause is not None
    assert failure.cause.resource == "Nodegroup"
    assert "The rollback stopped at ServiceRole" in failure.message
    assert failure.hint is not None
    assert "skipping ServiceRole" in failure.hint


def test_a_delete_that_fails_names_what_is_left() -> None:
    events = FAILED_CREATE + happened(  # eksctl-io/eksctl#616
        ("*", "DELETE_IN_PROGRESS", "User Initiated"),
        (
            "Vpc",
            "DELETE_FAILED",
            "The vpc 'vpc-0a285bb13425fa14f' has dependencies and cannot be deleted. (Service: AmazonEC2; Status Code: "
            "400; Error Code: DependencyViolation; Request ID: 9554fa04-a267-4e7c-99cc-2c9663f7c00f)",
        ),
        ("*", "DELETE_FAILED", "The following resource(s) failed to delete: [Vpc]. "),
        first=100,
    )

    failure = failure_of("DELETE_FAILED", events)

    assert failure.code == "dependents_left"
    assert failure.cause is not None
    assert failure.cause.aws_code == "DependencyViolation"


def test_a_nested_stack_is_blamed_only_for_want_of_a_resource() -> None:
    embedded = (  # awslabs/stable-diffusion-aws-extension#214
        "Embedded stack arn:aws:cloudformation:us-east-1:647926887385:stack/a/0b was not successfully created: The "
        "following resource(s) failed to create: [upload]."
    )
    begun = ("*", "CREATE_IN_PROGRESS", "User Initiated")

    alone = root_cause(happened(begun, ("Nested", "CREATE_FAILED", embedded)))
    beside = root_cause(happened(begun, ("Nested", "CREATE_FAILED", embedded), ("NatAddress", "CREATE_FAILED", EIP)))

    assert alone is not None
    assert alone.resource == "Nested"
    assert beside is not None
    assert beside.resource == "NatAddress"


def test_the_stacks_own_reason_counts_when_no_resource_failed() -> None:
    events = happened(
        ("*", "CREATE_IN_PROGRESS", "User Initiated"),
        ("Vpc", "CREATE_FAILED", CANCELLED),
        (
            "*",
            "ROLLBACK_IN_PROGRESS",
            "Stack creation time exceeded the specified timeout. Rollback requested by user.",
        ),
    )

    failure = failure_of("ROLLBACK_COMPLETE", events)

    assert failure.cause is not None
    assert failure.cause.resource == "slipway-demo"
    assert failure.code == "aws_timed_out"


def test_without_events_the_state_and_its_reason_have_to_do() -> None:
    failure = failure_of("ROLLBACK_COMPLETE", [], reason="Template error")

    assert (failure.code, failure.message) == ("stack_create_failed", "The stack could not be created: Template error")
    assert failure.cause is None


def test_a_cause_that_nobody_knows_gets_the_code_of_what_was_tried() -> None:
    begun = ("*", "UPDATE_IN_PROGRESS", "User Initiated")

    failure = failure_of("UPDATE_ROLLBACK_COMPLETE", happened(begun, ("Vpc", "UPDATE_FAILED", "The moon is wrong")))

    assert failure.code == "stack_update_failed"
    assert failure.hint is None


reasons = st.sampled_from([None, EIP, CANCELLED, "Resource update cancelled", "boom", "User Initiated", ""])
lines = st.tuples(
    st.sampled_from(["*", "Vpc", "NatAddress", "Nested"]),
    st.sampled_from(["CREATE_IN_PROGRESS", "CREATE_FAILED", "UPDATE_FAILED", "ROLLBACK_IN_PROGRESS", "DELETE_FAILED"]),
    reasons,
)


@given(st.lists(lines, max_size=12))
def test_any_history_gives_a_failure_and_never_a_cancellation_for_a_cause(history: list[tuple[str, str, str]]) -> None:
    events = happened(*history)

    failure = failure_of("ROLLBACK_COMPLETE", events)

    real = [e for e in present_attempt(events) if e.status.endswith("_FAILED") and e.reason in {EIP, "boom"}]
    if any(not e.is_stack for e in real):
        assert failure.cause is not None
        assert "cancelled" not in failure.cause.message
