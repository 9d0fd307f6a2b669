"""What came of a reconcile call, written in one fenced transaction: state, history, watches, and the ending."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.failure import Failure
from app.db.notify import EVENTS, OPERATIONS, Notifier
from app.db.types import utcnow
from app.engine.claims import (
    event_values,
    fenced_update,
    hand_back,
    is_leased,
    is_postgresql,
    order_events,
    wake_waiting_for,
)
from app.engine.contract import (
    Advance,
    Cancelled,
    Context,
    Done,
    Ending,
    Fail,
    NewEvent,
    Observer,
    Outcome,
    Reconciler,
    Wait,
    Watch,
)
from app.engine.models import Operation, OperationEvent, OperationWatch

log = logging.getLogger(__name__)

_SAID = {"succeeded": "succeeded", "failed": "failed", "cancelled": "been cancelled"}


@dataclass(slots=True)
class Result:
    """An outcome on its way into the database.

    Attributes:
        attempts: Calls in a row that could not do their work; 0 after one that could.
        dead_letter: The engine gave up on an error that nobody foresaw; an operator should look.
    """

    context: Context
    outcome: Outcome
    attempts: int = 0
    dead_letter: bool = False

    @property
    def operation(self) -> Operation:
        """Return the operation as it was claimed."""
        return self.context.operation


class ResultWriter:
    """Writes results, and tells of them whom they concern."""

    def __init__(
        self, notifier: Notifier, registry: Mapping[str, Reconciler], observers: Sequence[Observer] = ()
    ) -> None:
        self._notifier = notifier
        self._registry = registry
        self._observers = observers

    async def apply(self, session: AsyncSession, result: Result) -> bool:
        """Write one result; False means that it was thrown away, because the fence had moved on."""
        result.context.hide_secrets()
        now: datetime = (await session.execute(select(utcnow()))).scalar_one()
        if isinstance(result.outcome, Advance | Wait):
            return await self._carry_on(session, result, result.outcome, now)
        return await self._end(session, result, now)

    async def keep(self, session: AsyncSession, context: Context) -> list[dict[str, Any]] | None:
        """Write what a call knows before it ends: data, warnings, steps and events. Fenced, and only under the lease.

        Returns:
            The steps with their times, which count once the transaction is committed; None if the lease is lost.
        """
        context.hide_secrets()
        operation = context.operation
        steps, events = context.steps, list(context.events)
        values: dict[str, Any] = {"data": context.data, "warnings": context.warnings}
        if events or steps != operation.steps:
            now: datetime = (await session.execute(select(utcnow()))).scalar_one()
            values["steps"] = steps = _timed(steps, now)
            events += _moved(operation.steps, steps)
        if not await fenced_update(session, operation, is_leased(), **values):
            return None
        if events:
            await self._record(session, Operation(**{**operation.model_dump(), "steps": steps}), events, now)
        return steps

    async def apply_to_row(self, session: AsyncSession, result: Result) -> bool:
        """Write a result into the operation's row alone: settling its resource, or telling of it, is what fails."""
        operation, context, outcome = result.operation, result.context, result.outcome
        values: dict[str, Any] = {"data": context.data, "attempts": result.attempts}
        if isinstance(outcome, Wait):
            return await hand_back(session, operation, next_run_at=utcnow(outcome.seconds), **values)
        ending, failure = _ending(Cancelled() if operation.superseded else outcome)
        now: datetime = (await session.execute(select(utcnow()))).scalar_one()
        values |= {"status": ending, "finished_at": now, "steps": _timed(_ended(context.steps, ending), now)}
        values |= {"error": failure.as_json() if failure else None, "dead_letter": failure is not None}
        if not await hand_back(session, operation, **values):
            return False
        await _watch(session, operation, None)
        await wake_waiting_for(session, self._notifier, operation)
        return True

    async def _carry_on(self, session: AsyncSession, result: Result, outcome: Advance | Wait, now: datetime) -> bool:
        operation, context = result.operation, result.context
        wait = outcome.seconds if isinstance(outcome, Wait) else 0.0
        steps = _timed(context.steps, now)
        not_woken = col(Operation.wakes) == operation.wakes
        written = await hand_back(
            session,
            operation,
            phase=outcome.phase if isinstance(outcome, Advance) else operation.phase,
            data=context.data,
            steps=steps,
            warnings=context.warnings,
            attempts=result.attempts,
            lost_claims=0,
            next_run_at=case((not_woken, utcnow(wait)), else_=utcnow()),
        )
        if not written:
            return False
        await _watch(session, operation, outcome.on if isinstance(outcome, Wait) else None)
        events = [*context.events, *_moved(operation.steps, steps)]
        if events:
            await self._record(session, Operation(**{**operation.model_dump(), "steps": steps}), events, now)
        if wait == 0.0:
            await self._notifier.notify(session, OPERATIONS)
        return True

    async def _end(self, session: AsyncSession, result: Result, now: datetime) -> bool:
        context = result.context
        operation = await _locked(session, result.operation)
        if operation is None:
            return False
        # A create that a delete has taken the lock from ends cancelled, also if it was done at that very moment.
        ending, failure = _ending(Cancelled() if operation.superseded else result.outcome)
        failure = failure and failure.mapped(context.secrets.text)
        before, steps = operation.steps, _timed(_ended(context.steps, ending), now)
        operation.status, operation.finished_at = ending, now
        operation.data, operation.steps, operation.warnings = context.data, steps, context.warnings
        operation.error = failure.as_json() if failure else None
        operation.dead_letter = result.dead_letter and failure is not None
        operation.attempts = result.attempts
        operation.gen += 1  # as `hand_back` does
        operation.lease_owner = operation.lease_expires_at = None
        await session.flush()
        await _watch(session, operation, None)
        await self._settle(session, operation, ending)
        message = failure.message if failure else f"{operation.kind} has {_SAID[ending]}"
        ended = NewEvent(f"operation.{ending}", message, data=failure.as_json() if failure else {})
        await self._record(session, operation, [*context.events, *_moved(before, steps), ended], now)
        await wake_waiting_for(session, self._notifier, operation)
        return True

    async def _settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Settle the resource; if that is what fails, a dead letter ends all the same."""
        reconciler = self._registry[operation.kind]
        if not operation.dead_letter:
            await reconciler.settle(session, operation, ending)
            await session.flush()
            return
        try:
            async with session.begin_nested():
                await reconciler.settle(session, operation, ending)
        except Exception:
            log.exception("%s: the resource could not be settled", operation.id)

    async def _record(
        self, session: AsyncSession, operation: Operation, events: Sequence[NewEvent], now: datetime
    ) -> None:
        rows = [
            event_values(
                operation,
                type=event.type,
                message=event.message,
                data=event.data,
                source_id=event.source_id,
                at=event.at or now,
            )
            for event in events
        ]
        await order_events(session)
        await insert_new(session, OperationEvent, rows)
        for observer in self._observers:
            await observer.recorded(session, operation, events)
        await self._notifier.notify(session, EVENTS)


async def _locked(session: AsyncSession, claimed: Operation) -> Operation | None:
    """Return the row as it is now, if it is still the claimant's; whoever wants to change it meanwhile waits."""
    query = select(Operation).where(col(Operation.id) == claimed.id, col(Operation.gen) == claimed.gen)
    query = query.with_for_update().execution_options(populate_existing=True)
    return (await session.execute(query)).scalar_one_or_none()


def _ending(outcome: Outcome) -> tuple[Ending, Failure | None]:
    match outcome:
        case Done():
            return "succeeded", None
        case Cancelled():
            return "cancelled", None
        case Fail(failure):
            return "failed", failure
        case _:
            raise TypeError(f"{outcome!r} ends nothing")


def _ended(steps: list[dict[str, Any]], ending: Ending) -> list[dict[str, Any]]:
    """Return the steps at the end of an operation: one that ran ends as it does."""
    ended = {"running": str(ending)} | ({"pending": "skipped"} if ending == "succeeded" else {})
    return [{**step, "status": ended.get(step["status"], step["status"])} for step in steps]


def _timed(steps: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    timed = []
    for step in steps:
        new = dict(step)
        if new["status"] not in ("pending", "skipped") and not new.get("started_at"):
            new["started_at"] = now.isoformat()
        if new["status"] not in ("pending", "running") and not new.get("finished_at"):
            new["finished_at"] = now.isoformat()
        timed.append(new)
    return timed


def _moved(before: list[dict[str, Any]], steps: list[dict[str, Any]]) -> list[NewEvent]:
    """Return an event for each step that has begun or ended."""
    known = {step["name"]: step["status"] for step in before}
    return [
        NewEvent("operation.step", f"{step['name']} {step['status']}", data=step)
        for step in steps
        if step["status"] not in ("skipped", known.get(step["name"]))
    ]


async def _watch(session: AsyncSession, operation: Operation, on: Watch | None) -> None:
    """Let an operation watch one thing, or nothing; what it watches already keeps what is known of it."""
    gone = delete(OperationWatch).where(col(OperationWatch.operation_id) == operation.id)
    if on is None:
        await session.execute(gone)
        return
    await session.execute(gone.where(col(OperationWatch.target_id) != on.id))
    row = {
        "operation_id": operation.id,
        "target_id": on.id,
        "watcher": on.watcher,
        "account_id": operation.account_id,
        "region": operation.region,
    }
    await insert_new(session, OperationWatch, [row])


async def insert_new(
    session: AsyncSession, table: type[OperationWatch | OperationEvent], rows: list[dict[str, Any]]
) -> None:
    """Insert the rows that are not there yet (by any unique constraint)."""
    dialect = postgresql if is_postgresql(session) else sqlite
    await session.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
