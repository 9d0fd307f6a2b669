"""The engine's rules that need no database: waiting times, steps, and whose an event is."""

from datetime import UTC, datetime, timedelta

import pytest

from app.cloudformation.events import is_of, stack_event
from app.cloudformation.poller import interval
from app.core.ids import new_id
from app.engine.contract import Context
from app.engine.models import Operation
from app.engine.runner import MAX_BACKOFF_SECONDS, backoff
from app.gateways.aws.stack import StackEvent
from app.stacks.naming import client_token

BEGAN = datetime(2026, 11, 23, 8, 0, 0, 900_000, tzinfo=UTC)


async def _keep(_context: Context) -> None:
    return None


def context_of(*steps: str) -> Context:
    operation = Operation(id=new_id("op"), kind="thing.create", phase="begin", started_at=BEGAN)
    return Context(operation, {}, [{"name": step, "status": "pending"} for step in steps], [], _keep)


@pytest.mark.parametrize("attempts", [1, 2, 5, 8, 9, 30, 10_000])
def test_backoff_doubles_up_to_its_cap_and_is_jittered_by_half(attempts: int) -> None:
    waits = [backoff(attempts) for _ in range(200)]
    longest = min(MAX_BACKOFF_SECONDS, 2.0**attempts if attempts < 64 else MAX_BACKOFF_SECONDS)
    assert longest / 2 <= min(waits)
    assert max(waits) <= longest
    assert len(set(waits)) > 100


@pytest.mark.parametrize(
    ("youngest", "slowdown", "seconds"),
    [(0, 1, 2), (39, 1, 2), (100, 1, 5), (600, 1, 30), (10_000, 1, 30), (0, 8, 16), (10_000, 16, 480)],
)
def test_the_youngest_wait_sets_the_interval(youngest: float, slowdown: float, seconds: float) -> None:
    assert interval(youngest, shortest=2, longest=30, slowdown=slowdown) == pytest.approx(seconds)


def test_a_step_that_begins_ends_those_before_it() -> None:
    context = context_of("prepare", "check", "create", "tidy")
    context.step("prepare")
    context.step("create")
    assert [step["status"] for step in context.steps] == ["succeeded", "skipped", "running", "pending"]
    context.step("create")
    assert [step["status"] for step in context.steps] == ["succeeded", "skipped", "running", "pending"]


def test_a_step_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(KeyError, match="no step deploy"):
        context_of("prepare").step("deploy")


def event_at(at: datetime, token: str | None = None) -> StackEvent:
    return StackEvent("e1", at, "arn:stack", "Vpc", "vpc-1", "AWS::EC2::VPC", "CREATE_COMPLETE", token=token)


def test_an_event_is_the_operations_by_its_token_whatever_the_clocks_say() -> None:
    operation, other = context_of().operation, context_of().operation
    early, late = BEGAN - timedelta(hours=1), BEGAN + timedelta(hours=1)
    assert is_of(event_at(early, client_token(operation.id, "stack-create", 1)), operation)
    assert is_of(event_at(early, client_token(operation.id, "a step with spaces", 2)), operation)
    assert not is_of(event_at(late, client_token(other.id, "stack-create", 1)), operation)
    assert not is_of(event_at(late, "Console-CreateStack-1"), operation)


def test_an_event_without_a_token_is_the_operations_if_it_is_not_older() -> None:
    operation = context_of().operation
    assert is_of(event_at(BEGAN - timedelta(milliseconds=600)), operation)  # AWS's clock and ours are two
    assert not is_of(event_at(BEGAN - timedelta(seconds=2)), operation)


def test_an_event_keeps_the_words_of_aws() -> None:
    event = StackEvent("e1", BEGAN, "arn:stack", "Vpc", None, "AWS::EC2::VPC", "CREATE_FAILED", "limit reached", "t")
    new = stack_event(event)
    assert (new.source_id, new.at, new.type) == ("e1", BEGAN, "stack.event")
    assert new.message == "AWS::EC2::VPC Vpc CREATE_FAILED: limit reached"
    assert new.data["reason"] == "limit reached"
