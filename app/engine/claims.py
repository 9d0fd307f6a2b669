"""The SQL of the queue: admit, claim, renew, persist, release, wake. Every statement runs on both databases.

`gen` is the fence: a claim adds one, and whatever the claimant writes says `WHERE id = :id AND gen = :gen`.
`wakes` counts wake-ups, so that one which comes while the operation is being worked on is not lost.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, text, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from app.db.notify import OPERATIONS, Notifier
from app.db.types import utcnow
from app.engine.models import LIVE, Operation, OperationDependency, OperationEvent

BLOCKED_RECHECK_SECONDS = 60.0
"""How often an operation whose dependencies have not ended is looked at without being woken."""

_ADMISSION_LOCK = 7201


@dataclass(frozen=True, slots=True)
class Due:
    """What the queue holds: whether anything is due, and when the next thing will be."""

    due: bool
    seconds_to_next: float | None


def _known(phases: Mapping[str, Collection[str]]) -> ColumnElement[bool]:
    return or_(*(and_(col(Operation.kind) == kind, col(Operation.phase).in_(known)) for kind, known in phases.items()))


def _unowned() -> ColumnElement[bool]:
    return or_(col(Operation.lease_expires_at).is_(None), col(Operation.lease_expires_at) < utcnow())


async def look(session: AsyncSession) -> Due:
    """Tell whether an operation is due, by the database's clock."""
    soonest = select(func.min(col(Operation.next_run_at))).where(
        col(Operation.status).in_(LIVE), or_(col(Operation.status) == "pending", _unowned())
    )
    row = (await session.execute(select(utcnow(), soonest.scalar_subquery()))).one()
    now: datetime = row[0]
    at: datetime | None = row[1]
    if at is None:
        return Due(due=False, seconds_to_next=None)
    return Due(due=at <= now, seconds_to_next=max(0.0, (at - now).total_seconds()))


def _has_unfinished_dependency() -> ColumnElement[bool]:
    needed = aliased(Operation)
    return (
        select(OperationDependency)
        .join(needed, needed.id == OperationDependency.depends_on_id)  # type: ignore[arg-type]
        .where(col(OperationDependency.operation_id) == Operation.id, needed.status.in_(LIVE))  # type: ignore[attr-defined]
        .exists()
    )


async def admit(session: AsyncSession, *, per_region: int) -> int:
    """Set pending operations running, oldest first, up to `per_region` for each account + region; return how many.

    Operations without a lock (parents) take no place, else parents alone could fill a region and wait for children.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADMISSION_LOCK})
    due = and_(col(Operation.status) == "pending", col(Operation.next_run_at) <= utcnow())
    await session.execute(
        update(Operation)
        .where(due, _has_unfinished_dependency(), ~col(Operation.cancel_requested))
        .values(next_run_at=utcnow(BLOCKED_RECHECK_SECONDS))
        .execution_options(synchronize_session=False)
    )
    place = func.row_number().over(
        partition_by=(Operation.account_id, Operation.region, col(Operation.lock_key).is_(None)),
        order_by=col(Operation.id),
    )
    ready = (
        select(
            col(Operation.id).label("id"),
            col(Operation.lock_key).label("lock_key"),
            col(Operation.account_id).label("account_id"),
            col(Operation.region).label("region"),
            place.label("place"),
        )
        .where(due)
        .subquery()
    )
    running = aliased(Operation)
    taken = (
        select(func.count())
        .select_from(running)
        .where(
            running.status == "running",  # type: ignore[arg-type]
            running.lock_key.is_not(None),  # type: ignore[union-attr]
            running.account_id == ready.c.account_id,  # type: ignore[arg-type]
            running.region == ready.c.region,  # type: ignore[arg-type]
        )
        .scalar_subquery()
    )
    admitted = select(ready.c.id).where(or_(ready.c.lock_key.is_(None), ready.c.place <= per_region - taken))
    statement = (
        update(Operation)
        .where(col(Operation.id).in_(admitted))
        .values(status="running", started_at=utcnow(), next_run_at=utcnow())
        .returning(Operation)
        .execution_options(synchronize_session=False)
    )
    rows = (await session.execute(statement)).scalars().all()
    if rows:
        await _note_failed_dependencies(session, rows)
        await session.execute(
            insert(OperationEvent),
            [event_values(row, type="operation.running", message=f"{row.kind} has begun") for row in rows],
        )
    return len(rows)


async def _note_failed_dependencies(session: AsyncSession, admitted: Sequence[Operation]) -> None:
    """Write into `data` of each operation which of the successes that it needs did not come."""
    query = (
        select(col(OperationDependency.operation_id), Operation)
        .join(Operation, col(Operation.id) == col(OperationDependency.depends_on_id))
        .where(
            col(OperationDependency.operation_id).in_([row.id for row in admitted]),
            col(OperationDependency.needs) == "success",
            col(Operation.status) != "succeeded",
            col(Operation.finished_at).is_not(None),
        )
    )
    for operation_id, needed in (await session.execute(query)).all():
        why = f": {needed.error['message']}" if needed.error else ""
        note = {"operation_id": needed.id, "message": f"{needed.kind} of {needed.resource_name!r} {needed.status}{why}"}
        await session.execute(
            update(Operation).where(col(Operation.id) == operation_id).values(data={"failed_dependency": note})
        )


def event_values(operation: Operation, *, type: str, message: str, **values: Any) -> dict[str, Any]:  # noqa: A002
    """Return the columns of an event of this operation."""
    return {
        "project_id": operation.project_id,
        "operation_id": operation.id,
        "resource_type": operation.resource_type,
        "resource_id": operation.resource_id,
        "type": type,
        "message": message,
        "data": {},
        **values,
    }


async def claim(
    session: AsyncSession,
    *,
    owner: str,
    lease_seconds: float,
    limit: int,
    phases: Mapping[str, Collection[str]],
    skip: Collection[str] = (),
) -> Sequence[Operation]:
    """Take up to `limit` due operations whose kind and phase this build knows; each gets a new `gen`.

    `skip` names what this process still works on: its lease may have run out, its result has not been written.
    """
    due = (
        select(col(Operation.id))
        .where(
            col(Operation.status) == "running",
            col(Operation.next_run_at) <= utcnow(),
            _unowned(),
            _known(phases),
            col(Operation.id).not_in(skip),
        )
        .order_by(col(Operation.next_run_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(Operation)
        .where(col(Operation.id).in_(due))
        .values(lease_owner=owner, lease_expires_at=utcnow(lease_seconds), gen=col(Operation.gen) + 1)
        .returning(Operation)
        .execution_options(synchronize_session=False)
    )
    return (await session.execute(statement)).scalars().all()


async def fenced_update(session: AsyncSession, operation: Operation, **values: Any) -> bool:
    """Write under the fence; False means that the operation belongs to somebody else now."""
    result = await session.execute(
        update(Operation)
        .where(col(Operation.id) == operation.id, col(Operation.gen) == operation.gen)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)  # noqa: S101 - tells mypy what an UPDATE returns
    return result.rowcount == 1


async def release(session: AsyncSession, operation: Operation) -> bool:
    """Give a claim back unused, so that another process takes it at once."""
    return await fenced_update(session, operation, lease_owner=None, lease_expires_at=None, next_run_at=utcnow())


async def wake(session: AsyncSession, notifier: Notifier, operation_ids: Collection[str]) -> None:
    """Make live operations due now, also those that are being worked on at this moment."""
    if not operation_ids:
        return
    await session.execute(
        update(Operation)
        .where(col(Operation.id).in_(operation_ids), col(Operation.status).in_(LIVE))
        .values(next_run_at=utcnow(), wakes=col(Operation.wakes) + 1)
        .execution_options(synchronize_session=False)
    )
    await notifier.notify(session, OPERATIONS)


async def wake_waiting_for(session: AsyncSession, notifier: Notifier, ended: Operation) -> None:
    """Wake the parent of an operation that has ended, and what waited for it.

    The rows are locked before they are looked at: of two dependencies that end at the same moment, one sees both.
    """
    dependents = select(col(OperationDependency.operation_id)).where(col(OperationDependency.depends_on_id) == ended.id)
    waiting = (
        select(col(Operation.id))
        .where(
            or_(col(Operation.id).in_(dependents), col(Operation.id) == ended.parent_id),
            col(Operation.status).in_(LIVE),
        )
        .order_by(col(Operation.id))
        .with_for_update()
    )
    locked = (await session.execute(waiting)).scalars().all()
    free = select(col(Operation.id)).where(
        col(Operation.id).in_(locked), or_(col(Operation.status) == "running", ~_has_unfinished_dependency())
    )
    await wake(session, notifier, (await session.execute(free)).scalars().all())
