"""What came of a reconcile call, written in one fenced transaction: state, history, watches, and the ending."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.failure import Failure
from app.db.notify import EVENTS, OPERATIONS, Notifier
from app.db.types import utcnow
from app.engine.claims import event_values, fenced_update, wake_waiting_for
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
)
from app.engine.models import Operation, OperationEvent, StackWatch

log = logging.getLogger(__name__)


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


async def apply(
    session: AsyncSession,
    notifier: Notifier,
    registry: Mapping[str, Reconciler],
    result: Result,
    observers: Sequence[Observer] = (),
) -> bool:
    """Write one result; False means that it was thrown away, because the fence had moved on."""
    now: datetime = (await session.execute(select(utcnow()))).scalar_one()
    if isinstance(result.outcome, Advance | Wait):
        return await _carry_on(session, notifier, result, result.outcome, now, observers)
    return await _end(session, notifier, registry[result.operation.kind], result, now, observers)


async def _carry_on(
    session: AsyncSession,
    notifier: Notifier,
    result: Result,
    outcome: Advance | Wait,
    now: datetime,
    observers: Sequence[Observer],
) -> bool:
    operation, context = result.operation, result.context
    wait = outcome.seconds if isinstance(outcome, Wait) else 0.0
    steps = _timed(context.steps, now)
    not_woken = col(Operation.wakes) == operation.wakes
    written = await fenced_update(
        session,
        operation,
        phase=outcome.phase if isinstance(outcome, Advance) else operation.phase,
        data=context.data,
        steps=steps,
        warnings=context.warnings,
        attempts=result.attempts,
        next_run_at=case((not_woken, utcnow(wait)), else_=utcnow()),
        lease_owner=None,
        lease_expires_at=None,
    )
    if not written:
        return False
    await _watch(session, operation, outcome.stack_ids if isinstance(outcome, Wait) else ())
    events = await _write_events(session, operation, steps, context)
    for observer in observers if events else ():
        await observer.recorded(session, Operation(**{**operation.model_dump(), "steps": steps}), events)
    if events:
        await notifier.notify(session, EVENTS)
    if wait == 0.0:
        await notifier.notify(session, OPERATIONS)
    return True


async def _end(
    session: AsyncSession,
    notifier: Notifier,
    reconciler: Reconciler,
    result: Result,
    now: datetime,
    observers: Sequence[Observer],
) -> bool:
    operation, context = result.operation, result.context
    ending, failure = _ending(result.outcome)
    for step in context.steps:
        if step["status"] == "running":
            step["status"] = ending
        elif step["status"] == "pending" and ending == "succeeded":
            step["status"] = "skipped"
    steps = _timed(context.steps, now)
    final: dict[str, Any] = {
        "status": ending,
        "data": context.data,
        "steps": steps,
        "warnings": context.warnings,
        "error": failure.as_json() if failure else None,
        "dead_letter": result.dead_letter,
        "attempts": result.attempts,
        "finished_at": now,
        "lease_owner": None,
        "lease_expires_at": None,
    }
    if not await fenced_update(session, operation, **final):
        return False
    await _watch(session, operation, ())
    message = failure.message if failure else f"{operation.kind} has {ending}"
    ended = NewEvent(f"operation.{ending}", message, data=failure.as_json() if failure else {})
    events = await _write_events(session, operation, steps, context, ended)
    settled = Operation(**{**operation.model_dump(), **final})
    if result.dead_letter:
        await _settle_if_possible(session, reconciler, settled)
    else:
        await reconciler.settle(session, settled, ending)
    for observer in observers:
        await observer.recorded(session, settled, events)
    await wake_waiting_for(session, notifier, operation)
    await notifier.notify(session, EVENTS)
    return True


async def _settle_if_possible(session: AsyncSession, reconciler: Reconciler, operation: Operation) -> None:
    """Settle a dead letter; if that is what fails, the operation ends all the same."""
    try:
        async with session.begin_nested():
            await reconciler.settle(session, operation, "failed")
    except Exception:
        log.exception("%s: the resource could not be settled", operation.id)


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


async def _watch(session: AsyncSession, operation: Operation, stack_ids: tuple[str, ...] | Any) -> None:
    gone = delete(StackWatch).where(col(StackWatch.operation_id) == operation.id)
    await session.execute(gone.where(col(StackWatch.stack_id).not_in(list(stack_ids))))
    if not stack_ids:
        return
    rows = [
        {
            "operation_id": operation.id,
            "stack_id": stack_id,
            "account_id": operation.account_id,
            "region": operation.region,
        }
        for stack_id in stack_ids
    ]
    await insert_new(session, StackWatch, rows)


async def insert_new(
    session: AsyncSession, table: type[StackWatch | OperationEvent], rows: list[dict[str, Any]]
) -> None:
    """Insert the rows that are not there yet (by any unique constraint)."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    await session.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


async def _write_events(
    session: AsyncSession, operation: Operation, steps: list[dict[str, Any]], context: Context, *more: NewEvent
) -> list[NewEvent]:
    before = {step["name"]: step["status"] for step in operation.steps}
    moved = [step for step in steps if step["status"] != before.get(step["name"])]
    news = [
        NewEvent("operation.step", f"{step['name']} {step['status']}", data=step)
        for step in moved
        if step["status"] != "skipped"
    ]
    news = [*context.events, *news, *more]
    known: list[dict[str, Any]] = []
    unnamed: list[dict[str, Any]] = []
    for event in news:
        values = event_values(
            operation, type=event.type, message=event.message, data=event.data, source_id=event.source_id
        )
        values["at"] = event.at
        (unnamed if event.source_id is None else known).append(values)
    for values in known:
        values["at"] = values["at"] or (await session.execute(select(utcnow()))).scalar_one()
    if known:
        await insert_new(session, OperationEvent, known)
    for values in unnamed:
        if values["at"] is None:
            del values["at"]
        await session.execute(insert(OperationEvent), values)
    return news
