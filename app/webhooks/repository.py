"""Every select of webhooks and the log of their deliveries. Never commits."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.webhooks.errors import DeliveryNotFoundError, WebhookNotFoundError
from app.webhooks.models import CallbackSecret, Webhook, WebhookAttempt, WebhookDelivery, WebhookEvent

CALLBACKS = "callbacks"
"""Stands for a webhook's id: the deliveries to the callback URLs of the project's requests."""

Logged = tuple[WebhookDelivery, WebhookEvent]


async def get(session: AsyncSession, project_id: str, webhook_id: str, *, lock: bool = False) -> Webhook:
    """Return a webhook of the project.

    Raises:
        WebhookNotFoundError: there is none of that id.
    """
    query = select(Webhook).where(col(Webhook.id) == webhook_id, col(Webhook.project_id) == project_id)
    found = (await session.execute(query.with_for_update() if lock else query)).scalar_one_or_none()
    if found is None:
        raise WebhookNotFoundError(f"There is no webhook {webhook_id!r}.")
    return found


async def list_page(
    session: AsyncSession, project_id: str, *, limit: int, before: str | None = None
) -> Sequence[Webhook]:
    """Return up to `limit` webhooks, newest first, older than the id `before`."""
    query = select(Webhook).where(col(Webhook.project_id) == project_id)
    if before is not None:
        query = query.where(col(Webhook.id) < before)
    return (await session.execute(query.order_by(col(Webhook.id).desc()).limit(limit))).scalars().all()


async def count(session: AsyncSession, project_id: str) -> int:
    """Return how many webhooks a project has."""
    query = select(func.count()).select_from(Webhook).where(col(Webhook.project_id) == project_id)
    return (await session.execute(query)).scalar_one()


async def enabled_of(session: AsyncSession, project_id: str) -> Sequence[Webhook]:
    """Return the webhooks of a project that are to be told of things."""
    query = select(Webhook).where(col(Webhook.project_id) == project_id, col(Webhook.enabled).is_(True))
    return (await session.execute(query.order_by(col(Webhook.id)))).scalars().all()


async def callback_secret(session: AsyncSession, project_id: str, *, lock: bool = False) -> CallbackSecret | None:
    """Return what signs a project's callbacks, if it has been made."""
    query = select(CallbackSecret).where(col(CallbackSecret.project_id) == project_id)
    return (await session.execute(query.with_for_update() if lock else query)).scalar_one_or_none()


def _of(project_id: str, webhook_id: str) -> list[ColumnElement[bool]]:
    of_project = col(WebhookDelivery.project_id) == project_id
    if webhook_id == CALLBACKS:
        return [of_project, col(WebhookDelivery.webhook_id).is_(None)]
    return [of_project, col(WebhookDelivery.webhook_id) == webhook_id]


async def list_deliveries(
    session: AsyncSession,
    project_id: str,
    webhook_id: str,
    *,
    limit: int,
    before: str | None = None,
    status: str | None = None,
    event: str | None = None,
    operation: str | None = None,
    resource: str | None = None,
) -> Sequence[Logged]:
    """Return up to `limit` deliveries of a webhook (or `CALLBACKS`), newest first, older than the id `before`."""
    where = _of(project_id, webhook_id)
    if before is not None:
        where.append(col(WebhookDelivery.id) < before)
    filters = {
        WebhookDelivery.status: status,
        WebhookDelivery.event_type: event,
        WebhookEvent.operation_id: operation,
        WebhookDelivery.resource_id: resource,
    }
    where += [col(column) == value for column, value in filters.items() if value is not None]
    query = (
        select(WebhookDelivery, WebhookEvent)
        .join(WebhookEvent, col(WebhookEvent.id) == col(WebhookDelivery.event_id))
        .where(*where)
        .order_by(col(WebhookDelivery.id).desc())
        .limit(limit)
    )
    return [(delivery, event) for delivery, event in await session.execute(query)]


async def get_delivery(
    session: AsyncSession, project_id: str, webhook_id: str, delivery_id: str, *, lock: bool = False
) -> Logged:
    """Return a delivery of a webhook (or `CALLBACKS`).

    Raises:
        DeliveryNotFoundError: there is none of that id.
    """
    query = (
        select(WebhookDelivery, WebhookEvent)
        .join(WebhookEvent, col(WebhookEvent.id) == col(WebhookDelivery.event_id))
        .where(*_of(project_id, webhook_id), col(WebhookDelivery.id) == delivery_id)
    )
    if lock:
        query = query.with_for_update(of=WebhookDelivery)
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise DeliveryNotFoundError(f"There is no delivery {delivery_id!r}.")
    return found[0], found[1]


async def failed_since(
    session: AsyncSession, project_id: str, webhook_id: str, since: datetime
) -> Sequence[WebhookDelivery]:
    """Return the deliveries that were given up, of events at or after `since`, oldest first."""
    query = (
        select(WebhookDelivery)
        .where(
            *_of(project_id, webhook_id),
            col(WebhookDelivery.status) == "failed",
            col(WebhookDelivery.created_at) >= since,
        )
        .order_by(col(WebhookDelivery.id))
        .with_for_update()
    )
    return (await session.execute(query)).scalars().all()


async def attempts_of(session: AsyncSession, delivery_ids: Collection[str]) -> dict[str, list[WebhookAttempt]]:
    """Return the attempts of deliveries, oldest first."""
    found: dict[str, list[WebhookAttempt]] = {delivery: [] for delivery in delivery_ids}
    if found:
        query = select(WebhookAttempt).where(col(WebhookAttempt.delivery_id).in_(list(found)))
        for attempt in (await session.execute(query.order_by(col(WebhookAttempt.id)))).scalars():
            found[attempt.delivery_id].append(attempt)
    return found
