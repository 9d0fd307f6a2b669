"""What the engine promises of one operation: it ends once, with its history, whatever its reconciler does."""

import asyncio
from typing import Any

import pytest
from integration.engine.conftest import KIND, Bench, Scripted, running, settings_of
from sqlalchemy import text

from app.core.errors import FieldError, InvalidError
from app.core.failure import Failure
from app.db.session import Database
from app.engine import runner
from app.engine.contract import Advance, Cancelled, Context, Done, Ending, Fail, NewEvent, Outcome, TransientError, Wait
from app.engine.failures import UNWRITTEN_RESULTS
from app.engine.metrics import UNWRITTEN
from app.engine.models import Operation
from app.engine.runner import Engine
from app.gateways.aws.errors import AccessDenied, CredentialsExpired, Throttled
from app.operations.service import Needs

NOT_NOW = Failure("not_now", "Not now.", retryable=True)


async def done(_context: Context) -> Outcome:
    return Done()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries that follow each other at once, and few of them."""
    monkeypatch.setattr(runner, "MAX_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(runner, "TRANSIENT_ATTEMPTS", 4)
    monkeypatch.setattr(runner, "BUG_ATTEMPTS", 3)


async def test_phases_steps_events_and_the_resource_are_written_together(bench: Bench) -> None:
    async def act(context: Context) -> Outcome:
        if context.phase == "begin":
            context.step("prepare")
            return Advance("second")
        context.step("create")
        context.warn("Mind the gap.")
        context.warn("Mind the gap.")
        context.events.append(NewEvent("stack.event", "Vpc CREATE_COMPLETE", source_id="e1"))
        return Done()

    reconciler = Scripted(act)
    operation_id = await bench.begin(steps=["prepare", "create", "tidy"])
    async with bench.running({KIND: reconciler}):
        [operation] = await bench.ended(operation_id)
    assert (operation.status, operation.phase, operation.warnings) == ("succeeded", "second", ["Mind the gap."])
    assert [step["status"] for step in operation.steps] == ["succeeded", "succeeded", "skipped"]
    first, second, third = operation.steps
    assert first["started_at"] <= first["finished_at"] <= second["finished_at"]
    assert "started_at" not in third
    assert operation.created_at <= operation.started_at <= operation.finished_at  # type: ignore[operator]
    assert (operation.lease_owner, operation.lease_expires_at, operation.error) == (None, None, None)
    assert reconciler.settled == [(operation_id, "succeeded")]
    assert [event.message for event in await bench.events(operation_id)] == [
        "thing.create has begun",
        "prepare running",
        "Vpc CREATE_COMPLETE",
        "prepare succeeded",
        "create succeeded",
        "thing.create has succeeded",
    ]


async def test_a_failure_is_kept_and_ends_the_step_that_ran(bench: Bench) -> None:
    async def act(context: Context) -> Outcome:
        context.step("create")
        return Fail(Failure("quota_exceeded", "Too many.", hint="Ask for more."))

    operation_id = await bench.begin(steps=["create", "tidy"])
    async with bench.running(act):
        [operation] = await bench.ended(operation_id)
    assert (operation.status, operation.dead_letter) == ("failed", False)
    assert operation.error is not None
    assert (operation.error["code"], operation.error["hint"]) == ("quota_exceeded", "Ask for more.")
    assert [step["status"] for step in operation.steps] == ["failed", "pending"]


async def test_an_event_that_aws_reports_twice_is_kept_once(bench: Bench) -> None:
    calls = 0

    async def act(context: Context) -> Outcome:
        nonlocal calls
        calls += 1
        context.events.append(NewEvent("stack.event", "Vpc CREATE_COMPLETE", source_id="e1"))
        return Done() if calls == 3 else Wait(0)

    operation_id = await bench.begin()
    async with bench.running(act):
        await bench.ended(operation_id)
    assert [event.type for event in await bench.events(operation_id)] == [
        "operation.running",
        "stack.event",
        "operation.succeeded",
    ]


async def test_a_wake_up_while_it_is_worked_on_is_not_lost(bench: Bench) -> None:
    at_it, go_on = asyncio.Event(), asyncio.Event()

    async def act(context: Context) -> Outcome:
        if context.operation.cancel_requested:
            return Cancelled()
        at_it.set()
        await go_on.wait()
        return Wait(3600)

    operation_id = await bench.begin()
    async with bench.running(act):
        await at_it.wait()
        async with bench.database.write() as session:
            operation = await session.get_one(Operation, operation_id)
            await bench.ledger.supersede(session, operation)
        go_on.set()
        [operation] = await bench.ended(operation_id)
    assert operation.status == "cancelled"


async def test_a_create_that_is_done_as_it_is_superseded_ends_cancelled(bench: Bench) -> None:
    async def act(context: Context) -> Outcome:
        async with bench.database.write() as session:
            await bench.ledger.supersede(session, await session.get_one(Operation, context.operation.id))
        return Done()

    reconciler = Scripted(act)
    operation_id = await bench.begin()
    async with bench.running({KIND: reconciler}):
        [operation] = await bench.ended(operation_id)
    assert (operation.status, operation.superseded) == ("cancelled", True)
    assert reconciler.settled == [(operation_id, "cancelled")]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransientError(NOT_NOW, retry_after=0.01), "not_now"),
        (Throttled("Rate exceeded", code="Throttling", operation="cloudformation:ListStacks"), "throttled"),
        (CredentialsExpired("expired", code="ExpiredToken", operation="eks:DescribeCluster"), "credentials_expired"),
        (TimeoutError(), "timed_out"),
    ],
)
async def test_what_is_away_is_tried_again_until_the_limit(bench: Bench, error: Exception, code: str) -> None:
    calls = 0

    async def act(_context: Context) -> Outcome:
        nonlocal calls
        calls += 1
        raise error

    operation_id = await bench.begin()
    async with bench.running(act):
        [operation] = await bench.ended(operation_id)
    assert (calls, operation.status, operation.dead_letter) == (4, "failed", False)
    assert operation.error is not None
    assert code in operation.error["code"]
    assert operation.error["retryable"] is True
    told = [event for event in await bench.events(operation_id) if event.type == "operation.waiting"]
    assert [event.message.partition(" met: ")[0] for event in told] == ["Attempt 1 of 4", "Attempt 2 of 4"]
    assert {event.data["code"] for event in told} == {operation.error["code"]}


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_works_makes_the_count_of_tries_new(bench: Bench) -> None:
    calls = 0

    async def act(_context: Context) -> Outcome:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            return Done() if calls == 9 else Wait(0)
        raise TransientError(NOT_NOW, retry_after=0.01)

    operation_id = await bench.begin()
    async with bench.running(act):
        [operation] = await bench.ended(operation_id)
    assert (calls, operation.status, operation.attempts) == (9, "succeeded", 0)


async def test_a_refusal_by_aws_ends_it_at_once(bench: Bench) -> None:
    async def act(_context: Context) -> Outcome:
        raise AccessDenied(
            "not authorized to perform: eks:CreateCluster",
            code="AccessDenied",
            operation="eks:CreateCluster",
            status=403,
        )

    operation_id = await bench.begin()
    async with bench.running(act):
        [operation] = await bench.ended(operation_id)
    assert operation.status == "failed"
    assert operation.error is not None
    assert operation.error["cause"]["aws_code"] == "AccessDenied"


async def test_what_turns_out_invalid_ends_it_with_its_places(bench: Bench) -> None:
    async def act(_context: Context) -> Outcome:
        places = [FieldError("/network/cidr", "overlaps /16 of the peer"), FieldError("", "is too large")]
        raise InvalidError("The spec cannot be carried out.", places)

    operation_id = await bench.begin()
    async with bench.running(act):
        [operation] = await bench.ended(operation_id)
    assert (operation.status, operation.dead_letter, operation.attempts) == ("failed", False, 0)
    assert operation.error is not None
    assert operation.error["code"] == "invalid"
    assert operation.error["message"] == (
        "The spec cannot be carried out. /network/cidr: overlaps /16 of the peer; the whole: is too large"
    )


async def _cancelled_elsewhere(_context: Context) -> Outcome:
    raise asyncio.CancelledError


async def _bug(_context: Context) -> Outcome:
    raise KeyError("facts\0")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("act", "words"), [(_bug, "KeyError: 'facts"), (_cancelled_elsewhere, "CancelledError")])
async def test_an_error_that_nobody_foresaw_ends_as_a_dead_letter(bench: Bench, act: object, words: str) -> None:
    reconciler = Scripted(act)  # type: ignore[arg-type]
    operation_id = await bench.begin()
    async with bench.running({KIND: reconciler}):
        [operation] = await bench.ended(operation_id)
    assert (operation.status, operation.dead_letter, operation.attempts) == ("failed", True, 3)
    assert operation.error is not None
    assert operation.error["code"] == "internal_error"
    assert words in operation.error["message"]
    assert reconciler.settled == [(operation_id, "failed")]


@pytest.mark.usefixtures("impatient")
async def test_a_result_that_cannot_be_written_holds_no_other_up(bench: Bench) -> None:
    together = asyncio.Barrier(3)

    async def act(context: Context) -> Outcome:
        if context.operation.attempts == 0:
            await together.wait()
        if context.operation.resource_name == "poison":
            context.warn("Something is left behind.")
            await context.intend(safe=True)
            context.data["words"] = object()
        return Done()

    poison = await bench.begin("poison")
    good = [await bench.begin(), await bench.begin()]
    async with bench.running(act):
        first, second, poisoned = await bench.ended(*good, poison)
    assert (first.status, second.status) == ("succeeded", "succeeded")
    assert (poisoned.status, poisoned.dead_letter) == ("failed", True)
    assert poisoned.error is not None
    assert poisoned.error["code"] == "outcome_not_written"
    assert (poisoned.data, poisoned.warnings) == ({"safe": True}, ["Something is left behind."])


@pytest.mark.usefixtures("impatient")
async def test_a_resource_that_cannot_be_settled_does_not_keep_the_operation_alive(bench: Bench) -> None:
    reconciler = Scripted(done, settle_error=LookupError("no such row"))
    operation_id = await bench.begin()
    async with bench.running({KIND: reconciler}):
        [operation] = await bench.ended(operation_id)
    assert (operation.status, operation.dead_letter) == ("failed", True)
    assert operation.error is not None
    assert "LookupError" in operation.error["message"]


@pytest.mark.usefixtures("impatient")
async def test_a_resource_that_cannot_be_settled_ends_it_though_calls_in_between_succeed(bench: Bench) -> None:
    """A call that works makes the count of tries new, so that count never gets anywhere here."""
    calls = 0

    async def act(_context: Context) -> Outcome:
        nonlocal calls
        calls += 1
        return Done() if calls % 2 == 0 else Wait(0.0)

    operation_id = await bench.begin()
    before = UNWRITTEN._value.get()
    async with bench.running({KIND: Scripted(act, settle_error=LookupError("no such row"))}):
        [operation] = await bench.ended(operation_id)
    assert (operation.status, operation.dead_letter, calls) == ("failed", True, 2 * UNWRITTEN_RESULTS)
    assert operation.error is not None
    assert (operation.error["code"], operation.error["retryable"]) == ("outcome_not_written", True)
    assert "LookupError: no such row" in operation.error["message"]
    assert operation.error["hint"]
    assert UNWRITTEN._value.get() - before >= UNWRITTEN_RESULTS


@pytest.mark.usefixtures("impatient")
async def test_a_fault_in_the_statements_of_settling_is_no_database_that_is_away(bench: Bench) -> None:
    """SQLite calls both by one name, and what waits for a database holds up everything."""

    class Faulty(Scripted):
        async def settle(self, session: Any, operation: Operation, ending: Ending) -> None:
            if operation.resource_name == "poison":
                await session.execute(text("SELECT nothing FROM nowhere"))
            await super().settle(session, operation, ending)

    poison, good = await bench.begin("poison"), await bench.begin()
    async with bench.running({KIND: Faulty(done)}):
        poisoned, other = await bench.ended(poison, good)
    assert (poisoned.status, poisoned.dead_letter, other.status) == ("failed", True, "succeeded")
    assert poisoned.error is not None
    assert "nowhere" not in poisoned.error["message"]


@pytest.mark.usefixtures("impatient")
async def test_an_operation_ends_though_nothing_but_its_row_can_be_written(bench: Bench) -> None:
    """Whoever hears of what happens fails each time, also at the end: a dependent goes on all the same."""

    class Deaf:
        async def recorded(self, _session: Any, operation: Operation, _events: Any) -> None:
            if operation.resource_name == "poison":
                raise LookupError("no outbox")

    poison = await bench.begin("poison")
    after = await bench.begin(needs=[Needs(poison, "end")])
    settings = settings_of(lease_seconds=0.5)
    async with running(Engine(bench.database, {KIND: Scripted(done)}, settings, [Deaf()])):
        poisoned, other = await bench.ended(poison, after)
    assert (poisoned.status, poisoned.dead_letter, other.status) == ("failed", True, "succeeded")
    assert poisoned.error is not None
    assert (poisoned.error["code"], poisoned.lease_owner) == ("outcome_not_written", None)


async def test_kinds_and_phases_of_another_build_are_left_alone(bench: Bench) -> None:
    newer, unknown, known = await bench.begin(), await bench.begin(kind="gadget.create"), await bench.begin()
    await bench.execute("UPDATE operations SET phase = 'third' WHERE id = :id", id=newer)
    async with bench.running(done):
        await bench.ended(known)
        [left, other] = [await bench.get(newer), await bench.get(unknown)]
    assert (left.status, left.gen, other.status, other.gen) == ("running", 0, "running", 0)
    async with bench.running({"gadget.create": Scripted(done)}):
        await bench.ended(unknown)


async def test_no_lease_is_held_while_an_operation_waits(bench: Bench) -> None:
    async def act(_context: Context) -> Outcome:
        return Wait(3600)

    operation_id = await bench.begin()
    async with bench.running(act):

        async def waits() -> bool:
            operation = await bench.get(operation_id)
            return operation.gen == 2 and operation.lease_owner is None

        await bench.until(waits)
        assert (await bench.get(operation_id)).lease_expires_at is None


async def test_an_operation_of_a_row_that_is_gone_stops_nobody(bench: Bench, database: Database) -> None:
    async def act(context: Context) -> Outcome:
        if context.operation.resource_name == "gone":
            async with database.write() as session:
                await session.execute(text("DELETE FROM operations WHERE id = :id"), {"id": context.operation.id})
        return Done()

    await bench.begin("gone")
    async with bench.running(act):
        operation_id = await bench.begin()
        [operation] = await bench.ended(operation_id)
    assert operation.status == "succeeded"
