"""Which endpoints work and which do not: noted with the results of tries, until one is disabled for it."""

import logging
from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db.types import utcnow
from app.webhooks.claimed import Attempt, unowned
from app.webhooks.metrics import DISABLED
from app.webhooks.models import FAILED, PENDING, Webhook, WebhookDelivery
from app.webhooks.schedule import DISABLE_SECONDS

log = logging.getLogger(__name__)


async def note(session: AsyncSession, attempts: Sequence[Attempt]) -> None:
    """Note what tries say of their endpoints; disable, and hold back, what is to be."""
    worked = {attempt.claimed.webhook_id for attempt in attempts if attempt.error is None}
    failed = {attempt.claimed.webhook_id for attempt in attempts if attempt.error is not None}
    await _set_failing(session, sorted(one for one in worked if one), failing=False)
    await _set_failing(session, sorted(one for one in failed - worked if one), failing=True)
    for attempt in attempts:
        if attempt.disable and attempt.claimed.webhook_id:
            await disable(session, attempt.claimed.webhook_id, attempt.disable)
        if attempt.hold_lane:
            await _hold(session, attempt.claimed.lane, attempt.hold_lane)
    await _disable_hopeless(session, sorted(one for one in failed if one))


async def disable(session: AsyncSession, webhook_id: str, reason: str) -> None:
    """Disable a webhook and say why; what waits for it is given up, to be sent again when it is enabled."""
    await session.execute(
        update(Webhook)
        .where(col(Webhook.id) == webhook_id, col(Webhook.enabled).is_(True))
        .values(enabled=False, disabled_reason=reason, generation=col(Webhook.generation) + 1, updated_at=utcnow())
        .execution_options(synchronize_session=False)
    )
    DISABLED.inc()
    log.warning("webhook %s is disabled: %s", webhook_id, reason)
    await give_up(session, [webhook_id])


async def give_up(session: AsyncSession, webhook_ids: Sequence[str]) -> None:
    """Let the pending deliveries of disabled webhooks fail; those being sent keep what comes of it."""
    await session.execute(
        update(WebhookDelivery)
        .where(col(WebhookDelivery.webhook_id).in_(webhook_ids), col(WebhookDelivery.status) == PENDING, unowned())
        .values(status=FAILED, finished_at=utcnow())
        .execution_options(synchronize_session=False)
    )


async def _set_failing(session: AsyncSession, ids: Sequence[str], *, failing: bool) -> None:
    if ids:
        since = col(Webhook.failing_since)
        await session.execute(
            update(Webhook)
            .where(col(Webhook.id).in_(ids), since.is_(None) if failing else since.is_not(None))
            .values({"failing_since": utcnow()} if failing else {"failing_since": None, "held_until": None})
            .execution_options(synchronize_session=False)
        )


async def _disable_hopeless(session: AsyncSession, failed: Sequence[str]) -> None:
    """Disable those to which nothing has got through for days; nothing waits for those that are disabled."""
    if not failed:
        return
    query = select(Webhook).where(col(Webhook.id).in_(failed)).execution_options(populate_existing=True)
    hopeless = col(Webhook.failing_since) <= utcnow(-DISABLE_SECONDS)
    for webhook in (await session.execute(query.where(col(Webhook.enabled).is_(True), hopeless))).scalars().all():
        reason = f"Nothing got through since {webhook.failing_since:%Y-%m-%dT%H:%M:%SZ}."
        await disable(session, webhook.id, reason)
    off = select(col(Webhook.id)).where(col(Webhook.id).in_(failed), col(Webhook.enabled).is_(False))
    await give_up(session, (await session.execute(off)).scalars().all())


async def _hold(session: AsyncSession, lane: str, seconds: float) -> None:
    """Leave an endpoint alone that asked for it: what waits, and of a webhook (its lane is its id) what is to come."""
    await session.execute(
        update(Webhook)
        .where(col(Webhook.id) == lane)
        .values(held_until=utcnow(seconds))
        .execution_options(synchronize_session=False)
    )
    await session.execute(
        update(WebhookDelivery)
        .where(
            col(WebhookDelivery.lane) == lane,
            col(WebhookDelivery.status) == PENDING,
            col(WebhookDelivery.next_attempt_at) < utcnow(seconds),
            unowned(),
        )
        .values(next_attempt_at=utcnow(seconds))
        .execution_options(synchronize_session=False)
    )
