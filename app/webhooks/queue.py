"""The SQL of the outbox as a queue: look, claim, write results, give back, tidy. It all runs on both databases.

A lane is what shares a limit of deliveries at once: a webhook, or the server of callbacks. Of one lane, the deliveries
about one resource are taken one at a time, in order; one that waits for its next try lets later ones pass.
`gen` is the fence: a claim adds one, and a result is written `WHERE gen = :gen`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import CursorResult, case, delete, func, insert, literal, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.crypto import Place
from app.db.sealed import place
from app.db.session import Database
from app.db.types import utcnow
from app.webhooks import health, schedule
from app.webhooks.claimed import Attempt, Claimed, unowned
from app.webhooks.models import (
    FAILED,
    PENDING,
    SUCCEEDED,
    CallbackSecret,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEvent,
)

_CLAIM_LOCK = 7203  # 7201 and 7202 are the engine's
_BATCH = 500
_LOST = "The process that sent it died, or stood still, before it could write the answer."


async def seconds_to_next(session: AsyncSession, full: Collection[str]) -> float | None:
    """Return when something is due that can be taken, in seconds (0: now), or None when nothing is pending."""
    soonest = select(func.min(col(WebhookDelivery.next_attempt_at))).where(
        col(WebhookDelivery.status) == PENDING, unowned(), col(WebhookDelivery.lane).not_in(full)
    )
    now, at = (await session.execute(select(utcnow(), soonest.scalar_subquery()))).one()
    return None if at is None else max(0.0, (at - now).total_seconds())


async def claim(
    session: AsyncSession, *, limit: int, room: Mapping[str, int], usual_room: int, lease_seconds: float
) -> list[Claimed]:
    """Take up to `limit` due deliveries, the first ones of every lane before the second ones of any.

    Args:
        session: The transaction.
        limit: How many at most.
        room: How many of each lane that is known; 0 takes none.
        usual_room: How many of any other lane.
        lease_seconds: How long the claim holds.
    """
    if session.get_bind().dialect.name == "postgresql":  # one claims at a time, else the order within a lane is lost
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CLAIM_LOCK})
    full = [lane for lane, places in room.items() if places <= 0]
    turn = func.row_number().over(
        partition_by=(WebhookDelivery.lane, WebhookDelivery.resource_id), order_by=col(WebhookDelivery.id)
    )
    due = (
        select(
            col(WebhookDelivery.id).label("id"),
            col(WebhookDelivery.lane).label("lane"),
            unowned().label("unowned"),
            turn.label("turn"),
        )
        .where(
            col(WebhookDelivery.status) == PENDING,
            col(WebhookDelivery.next_attempt_at) <= utcnow(),
            col(WebhookDelivery.lane).not_in(full),
        )
        .subquery()
    )
    place = func.row_number().over(partition_by=due.c.lane, order_by=due.c.id)
    free = (
        select(due.c.id, due.c.lane, place.label("place")).where(due.c.turn == 1, due.c.unowned).subquery()
    )  # fmt: skip
    limits = {lane: places for lane, places in room.items() if places > 0}
    most: Any = case(limits, value=free.c.lane, else_=usual_room) if limits else literal(usual_room)
    taken = select(free.c.id).where(free.c.place <= most).order_by(free.c.place, free.c.id).limit(limit)
    ids = select(col(WebhookDelivery.id)).where(col(WebhookDelivery.id).in_(taken)).with_for_update(skip_locked=True)
    statement = (
        update(WebhookDelivery)
        .where(col(WebhookDelivery.id).in_(ids))
        .values(gen=col(WebhookDelivery.gen) + 1, lease_expires_at=utcnow(lease_seconds))
        .returning(col(WebhookDelivery.id))
        .execution_options(synchronize_session=False)
    )
    claimed = list((await session.execute(statement)).scalars())
    return await read(session, claimed) if claimed else []


async def read(session: AsyncSession, ids: Sequence[str]) -> list[Claimed]:
    """Return claimed deliveries with all that sending them needs, oldest first."""
    query = (
        select(WebhookDelivery, col(WebhookEvent.payload), Webhook, col(CallbackSecret.secrets))
        .join(WebhookEvent, col(WebhookEvent.id) == col(WebhookDelivery.event_id))
        .outerjoin(Webhook, col(Webhook.id) == col(WebhookDelivery.webhook_id))
        .outerjoin(CallbackSecret, col(CallbackSecret.project_id) == col(WebhookDelivery.project_id))
        .where(col(WebhookDelivery.id).in_(ids))
        .order_by(col(WebhookDelivery.id))
        .execution_options(populate_existing=True)
    )
    return [
        Claimed(
            id=delivery.id,
            gen=delivery.gen,
            lane=delivery.lane,
            project_id=delivery.project_id,
            webhook_id=delivery.webhook_id,
            url=webhook.url if webhook else str(delivery.callback_url),
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            payload=payload,
            sealed=webhook.secrets if webhook else callback_secrets or [],
            sealed_at=place(Webhook, "secrets", webhook.id) if webhook else callbacks_place(delivery.project_id),
            tries=delivery.tries,
            failing_since=webhook.failing_since if webhook else None,
        )
        for delivery, payload, webhook, callback_secrets in await session.execute(query)
    ]


def callbacks_place(project_id: str) -> Place:
    """Return where the callback secret of a project is kept."""
    return place(CallbackSecret, "secrets", project_id)


async def make_callback_secret(session: AsyncSession, project_id: str, sealed: list[dict[str, Any]]) -> None:
    """Keep the first callback secret of a project, unless there is one."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    values = {"project_id": project_id, "secrets": sealed}
    await session.execute(dialect.insert(CallbackSecret).values(**values).on_conflict_do_nothing())


async def write(session: AsyncSession, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Write what came of tries; return those that were written, not those whose claim is somebody else's by now."""
    in_order = sorted(attempts, key=lambda attempt: attempt.claimed.id)
    arrived = await _write_arrived(session, [attempt for attempt in in_order if not attempt.error])
    failed = {attempt.claimed.id for attempt in in_order if attempt.error and await _write_failed(session, attempt)}
    written = [attempt for attempt in in_order if attempt.claimed.id in arrived | failed]
    await _record(session, written)
    await health.note(session, written)
    return written


async def write_lost(session: AsyncSession, *, waits: Sequence[float], skip: Collection[str] = ()) -> int:
    """Write claims that were never handed back as failed tries, of which the endpoint is innocent; return how many.

    So a delivery that kills each process that sends it comes back as seldom as any that fails, and is given up at last.
    What was under way beside it fails, too, and comes back at times of its own, since waits are jittered.

    Args:
        session: The transaction.
        waits: The schedule, in seconds.
        skip: What this process still sends: its lease may have run out, its result has not been written.
    """
    lost = (
        select(col(WebhookDelivery.id))
        .where(
            col(WebhookDelivery.status) == PENDING,
            col(WebhookDelivery.next_attempt_at) <= utcnow(),
            col(WebhookDelivery.lease_expires_at) < utcnow(),
            col(WebhookDelivery.id).not_in(skip),
        )
        .order_by(col(WebhookDelivery.id))
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    ids = (await session.execute(lost)).scalars().all()
    if not ids:
        return 0
    now = (await session.execute(select(utcnow()))).scalar_one()
    attempts = [
        Attempt(claimed, now, None, 0, _LOST, None, retry_in=schedule.delay(claimed.tries + 1, None, waits))
        for claimed in await read(session, ids)
    ]
    await _record(session, [attempt for attempt in attempts if await _write_failed(session, attempt)])
    return len(ids)


async def _record(session: AsyncSession, attempts: Sequence[Attempt]) -> None:
    rows = [
        {
            "delivery_id": attempt.claimed.id,
            "at": attempt.at,
            "status_code": attempt.status_code,
            "latency_ms": attempt.latency_ms,
            "error": attempt.error,
            "response": attempt.response,
        }
        for attempt in attempts
    ]
    if rows:
        await session.execute(insert(WebhookAttempt), rows)


async def _write_arrived(session: AsyncSession, attempts: Sequence[Attempt]) -> set[str]:
    """Write those that arrived, hundreds in one statement; return the ids of those that were written."""
    written: set[str] = set()
    for start in range(0, len(attempts), _BATCH):
        claims = [(attempt.claimed.id, attempt.claimed.gen) for attempt in attempts[start : start + _BATCH]]
        statement = (
            update(WebhookDelivery)
            .where(
                tuple_(col(WebhookDelivery.id), col(WebhookDelivery.gen)).in_(claims),
                col(WebhookDelivery.lease_expires_at).is_not(None),  # else it has been written
            )
            .values(status=SUCCEEDED, finished_at=utcnow(), lease_expires_at=None, tries=col(WebhookDelivery.tries) + 1)
            .returning(col(WebhookDelivery.id))
            .execution_options(synchronize_session=False)
        )
        written.update((await session.execute(statement)).scalars())
    return written


async def _write_failed(session: AsyncSession, attempt: Attempt) -> bool:
    values: dict[str, Any] = {"lease_expires_at": None, "tries": attempt.claimed.tries + 1}
    if attempt.retry_in is None:
        values |= {"status": FAILED, "finished_at": utcnow()}
    else:
        values["next_attempt_at"] = utcnow(attempt.retry_in)
    result = await session.execute(
        update(WebhookDelivery)
        .where(
            col(WebhookDelivery.id) == attempt.claimed.id,
            col(WebhookDelivery.gen) == attempt.claimed.gen,
            col(WebhookDelivery.lease_expires_at).is_not(None),
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)  # noqa: S101 - tells mypy what an UPDATE returns
    return result.rowcount == 1


async def release(session: AsyncSession, claimed: Sequence[Claimed]) -> None:
    """Give claims back that were not tried, so that another process takes them at once."""
    for delivery in claimed:
        await session.execute(
            update(WebhookDelivery)
            .where(col(WebhookDelivery.id) == delivery.id, col(WebhookDelivery.gen) == delivery.gen)
            .values(lease_expires_at=None)
            .execution_options(synchronize_session=False)
        )


async def delete_old(database: Database, days: int) -> int:
    """Delete events older than `days`, with deliveries and attempts, in small transactions; return how many."""
    deleted = 0
    old = select(col(WebhookEvent.id)).where(col(WebhookEvent.created_at) < utcnow(-days * 86_400.0))
    while True:
        async with database.write() as session:
            ids = (await session.execute(old.order_by(col(WebhookEvent.created_at)).limit(_BATCH))).scalars().all()
            if not ids:
                return deleted
            await session.execute(delete(WebhookEvent).where(col(WebhookEvent.id).in_(ids)))
            deleted += len(ids)
