"""The SQL of the queue: admit, claim, renew, persist, release, wake. Every statement runs on both databases.

`gen` is the fence: a claim adds one, whatever the claimant writes says `WHERE id = :id AND gen = :gen`, and its result
adds one again, so that it is written once.
`wakes` counts wake-ups, so that one which comes while the operation is being worked on is not lost.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, insert, or_, select, text, tuple_, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from app.db.notify import OPERATIONS, Notifier
from app.db.types import utcnow
from app.engine import lost
from app.engine.metrics import CLAIMS_LOST
from app.engine.models import LIVE, Admission, FailedDependency, Operation, OperationDependency, OperationEvent

BLOCKED_RECHECK_SECONDS = 60.0
"""How often an operation whose dependencies have not ended is looked at without being woken."""

ADMISSION_BATCH = 2000
"""Pending operations looked at in one admission; the rest has its turn in the next one."""

Phases = tuple[tuple[str, tuple[str, ...]], ...]
"""The kinds of operations that a build knows, each with its phases."""

_ADMISSION_LOCK = 7201
_EVENTS_LOCK = 7202


@dataclass(frozen=True, slots=True)
class Due:
    """What the queue holds: whether anything is due, and when the next thing will be."""

    due: bool
    seconds_to_next: float | None


# Both are asked for several times a second: to build them again takes longer than the database does.
@functools.cache
def _known(phases: Phases) -> ColumnElement[bool]:
    return or_(*(and_(col(Operation.kind) == kind, col(Operation.phase).in_(known)) for kind, known in phases))


def _unowned() -> ColumnElement[bool]:
    return or_(col(Operation.lease_expires_at).is_(None), col(Operation.lease_expires_at) < utcnow())


@functools.cache
def _admissible(per_region: int) -> ColumnElement[bool]:
    """Hold of pending operations that no full account + region keeps back.

    Operations without a lock (parents) take no place, else parents alone could fill a region and wait for children;
    what is cancelled before it began needs none either.
    """
    running = aliased(Operation)
    full = (
        select(running.account_id, running.region)  # type: ignore[call-overload]
        .where(running.status == "running", running.lock_key.is_not(None))  # type: ignore[union-attr]
        .group_by(running.account_id, running.region)
        .having(func.count() >= per_region)
    )
    return or_(_needs_no_place(), tuple_(col(Operation.account_id), col(Operation.region)).not_in(full))


def _needs_no_place() -> ColumnElement[bool]:
    return or_(col(Operation.lock_key).is_(None), col(Operation.cancel_requested))


async def look(session: AsyncSession, *, per_region: int, phases: Phases) -> Due:
    """Tell by the database's clock whether there is something to admit or to claim.

    What waits for a place in a full region, and what only another build knows, is not due.
    """
    ours = or_(
        and_(col(Operation.status) == "pending", _admissible(per_region)),
        and_(col(Operation.status) == "running", _unowned(), _known(phases)),
    )
    soonest = select(func.min(col(Operation.next_run_at))).where(col(Operation.status).in_(LIVE), ours)
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

    Rows are locked before their dependencies are looked at: an end that commits later finds the row as it is left
    here and wakes it, one that committed before is seen. A row that somebody else holds has its turn next time.
    """
    if is_postgresql(session):
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADMISSION_LOCK})
    due = (
        select(col(Operation.id))
        .where(col(Operation.status) == "pending", col(Operation.next_run_at) <= utcnow(), _admissible(per_region))
        .order_by(col(Operation.id))
        .limit(ADMISSION_BATCH)
        .with_for_update(skip_locked=True)
    )
    locked = (await session.execute(due)).scalars().all()
    if not locked:
        return 0
    blocked = await session.execute(
        update(Operation)
        .where(col(Operation.id).in_(locked), _has_unfinished_dependency(), ~col(Operation.cancel_requested))
        .values(next_run_at=utcnow(BLOCKED_RECHECK_SECONDS))
        .returning(col(Operation.id))
        .execution_options(synchronize_session=False)
    )
    ready = set(locked).difference(blocked.scalars())
    rows = await _set_running(session, ready, per_region) if ready else ()
    if rows:
        await _note_failed_dependencies(session, rows)
        await order_events(session)
        await session.execute(
            insert(OperationEvent),
            [event_values(row, type="operation.running", message=f"{row.kind} has begun") for row in rows],
        )
    return len(rows)


async def _set_running(session: AsyncSession, ready: Collection[str], per_region: int) -> Sequence[Operation]:
    place = func.row_number().over(
        partition_by=(Operation.account_id, Operation.region, _needs_no_place()), order_by=col(Operation.id)
    )
    numbered = (
        select(
            col(Operation.id).label("id"),
            col(Operation.account_id).label("account_id"),
            col(Operation.region).label("region"),
            _needs_no_place().label("free"),
            place.label("place"),
        )
        .where(col(Operation.id).in_(ready))
        .subquery()
    )
    running = aliased(Operation)
    taken = (
        select(func.count())
        .select_from(running)
        .where(
            running.status == "running",  # type: ignore[arg-type]
            running.lock_key.is_not(None),  # type: ignore[union-attr]
            running.account_id == numbered.c.account_id,  # type: ignore[arg-type]
            running.region == numbered.c.region,  # type: ignore[arg-type]
        )
        .scalar_subquery()
    )
    admitted = select(numbered.c.id).where(or_(numbered.c.free, numbered.c.place <= per_region - taken))
    statement = (
        update(Operation)
        .where(col(Operation.id).in_(admitted))
        .values(status="running", started_at=utcnow(), next_run_at=utcnow())
        .returning(Operation)
        .execution_options(synchronize_session=False)
    )
    rows = (await session.execute(statement)).scalars().all()
    return sorted(rows, key=lambda row: row.id)


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
    data = {row.id: row.data for row in admitted}
    for operation_id, needed in (await session.execute(query)).all():
        why = f": {needed.error['message']}" if needed.error else ""
        message = f"{needed.kind} of {needed.resource_name!r} {needed.status}{why}"
        noted = Admission(failed_dependency=FailedDependency(operation_id=needed.id, message=message)).as_json()
        await session.execute(
            update(Operation).where(col(Operation.id) == operation_id).values(data={**data[operation_id], **noted})
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


def _claimable(phases: Phases, skip: Collection[str]) -> ColumnElement[bool]:
    return and_(
        col(Operation.status) == "running",
        col(Operation.next_run_at) <= utcnow(),
        _unowned(),
        _known(phases),
        col(Operation.id).not_in(skip),
    )


async def has_suspect(session: AsyncSession, *, owner: str, phases: Phases, skip: Collection[str] = ()) -> bool:
    """Tell whether `claim` would find a suspect."""
    found = select(col(Operation.id)).where(_claimable(phases, skip), lost.suspects(owner)).limit(1)
    return (await session.execute(found)).first() is not None


async def claim(
    session: AsyncSession,
    *,
    owner: str,
    lease_seconds: float,
    limit: int,
    phases: Phases,
    skip: Collection[str] = (),
    suspects: bool = False,
) -> Sequence[Operation]:
    """Take up to `limit` due operations whose kind and phase this build knows; each gets a new `gen`.

    One whose last claim was never handed back has lost it: that is counted, and written as an event.

    Args:
        session: The transaction.
        owner: This process.
        lease_seconds: How long the claim holds.
        limit: How many at most.
        phases: What this build knows.
        skip: What this process still works on: its lease may have run out, its result has not been written.
        suspects: Take only what has lost several claims (see `lost`); else only what has not.
    """
    suspected = lost.suspects(owner)
    due = (
        select(col(Operation.id), col(Operation.lease_owner))
        .where(_claimable(phases, skip), suspected if suspects else ~suspected)
        .order_by(col(Operation.next_run_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    owners: dict[str, str | None] = {row[0]: row[1] for row in await session.execute(due)}
    if not owners:
        return ()
    statement = (
        update(Operation)
        .where(col(Operation.id).in_(owners))
        .values(
            lost_claims=col(Operation.lost_claims) + case((lost.lost_to(owner), 1), else_=0),
            lease_owner=owner,
            lease_expires_at=utcnow(lease_seconds),
            gen=col(Operation.gen) + 1,
        )
        .returning(Operation)
        .execution_options(synchronize_session=False)
    )
    rows = (await session.execute(statement)).scalars().all()
    if losers := {id_: by for id_, by in owners.items() if by not in (None, owner)}:
        await _note_lost(session, {row.id: row for row in rows}, losers)
    return rows


async def _note_lost(session: AsyncSession, rows: Mapping[str, Operation], losers: Mapping[str, str | None]) -> None:
    """Write an event for each lost claim; `losers` are the processes that had them, by operation."""
    events = [
        event_values(
            rows[operation_id],
            type=lost.EVENT,
            message=lost.message(str(owner), rows[operation_id].lost_claims),
            data={"owner": owner, "lost_claims": rows[operation_id].lost_claims, "limit": lost.LOST_CLAIMS},
        )
        for operation_id, owner in losers.items()
    ]
    await order_events(session)
    await session.execute(insert(OperationEvent), events)
    CLAIMS_LOST.inc(len(events))


async def fenced_update(
    session: AsyncSession, operation: Operation, *where: ColumnElement[bool], **values: Any
) -> bool:
    """Write under the fence, if `where` holds too; False means that the operation belongs to somebody else now."""
    result = await session.execute(
        update(Operation)
        .where(col(Operation.id) == operation.id, col(Operation.gen) == operation.gen, *where)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)  # noqa: S101 - tells mypy what an UPDATE returns
    return result.rowcount == 1


async def hand_back(session: AsyncSession, operation: Operation, **values: Any) -> bool:
    """Write what came of a claim and end it, once: the fence moves on.

    So a result that is written again, because nobody heard that its first commit had succeeded, is thrown away.
    """
    return await fenced_update(
        session, operation, gen=col(Operation.gen) + 1, lease_owner=None, lease_expires_at=None, **values
    )


async def release(session: AsyncSession, operation: Operation) -> bool:
    """Give a claim back unused, so that another process takes it at once."""
    return await hand_back(session, operation, next_run_at=utcnow())


def is_leased() -> ColumnElement[bool]:
    """Hold as long as the claim's lease has not run out."""
    return col(Operation.lease_expires_at) > utcnow()


async def lock_results(session: AsyncSession, operation_ids: Collection[str]) -> None:
    """Lock operations, their parents and what waits for them, in the order of ids: batches never lock crosswise."""
    if not is_postgresql(session):
        return
    parents = select(col(Operation.parent_id)).where(col(Operation.id).in_(operation_ids))
    dependents = select(col(OperationDependency.operation_id)).where(
        col(OperationDependency.depends_on_id).in_(operation_ids)
    )
    own = col(Operation.id)
    await lock(session, or_(own.in_(operation_ids), own.in_(parents), own.in_(dependents)))


async def lock(session: AsyncSession, *which: ColumnElement[bool]) -> Sequence[str]:
    """Lock operations in the order of ids, as everybody does who changes several in one transaction; return the ids."""
    own = col(Operation.id)
    return (await session.execute(select(own).where(*which).order_by(own).with_for_update())).scalars().all()


async def order_events(session: AsyncSession) -> None:
    """Have events committed in the order of their numbers: who has read up to one never misses a smaller one.

    To be called before events are inserted. SQLite has one writer at a time anyway.
    """
    if is_postgresql(session):
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _EVENTS_LOCK})


def is_postgresql(session: AsyncSession) -> bool:
    """Tell whether several processes may write at once."""
    return session.get_bind().dialect.name == "postgresql"


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
    waiting = or_(col(Operation.id).in_(dependents), col(Operation.id) == ended.parent_id)
    locked = await lock(session, waiting, col(Operation.status).in_(LIVE))
    free = select(col(Operation.id)).where(
        col(Operation.id).in_(locked), or_(col(Operation.status) == "running", ~_has_unfinished_dependency())
    )
    await wake(session, notifier, (await session.execute(free)).scalars().all())
