"""What the routes of webhooks need: the service that a root wired, and the full answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.http.pagination import Page, PageRequest
from app.webhooks import repository
from app.webhooks.models import Webhook, WebhookAttempt
from app.webhooks.repository import Logged
from app.webhooks.schemas import AttemptOut, DeliveryOut, DeliveryStatus, WebhookOut, WebhookWithSecret
from app.webhooks.service import WebhookService


def get_service(request: Request) -> WebhookService:
    """Return what the root wired."""
    service: WebhookService = request.app.state.webhooks
    return service


ServiceDep = Annotated[WebhookService, Depends(get_service)]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are asked for; None is all."""

    status: DeliveryStatus | None
    event: str | None
    operation: str | None
    resource: str | None


async def delivery_filter(
    status: Annotated[DeliveryStatus | None, Query()] = None,
    event: Annotated[str | None, Query(description="Type of event.", examples=["operation.failed"])] = None,
    operation: Annotated[str | None, Query(description="Id of an operation.")] = None,
    resource: Annotated[str | None, Query(description="Id of a resource.")] = None,
) -> DeliveryFilter:
    """Return the filter of the query."""
    return DeliveryFilter(status, event, operation, resource)


def webhook_out(webhook: Webhook) -> WebhookOut:
    """Return what callers see of a webhook."""
    return WebhookOut.model_validate({name: getattr(webhook, name) for name in WebhookOut.model_fields})


def with_secret(webhook: Webhook, secret: str) -> WebhookWithSecret:
    """Return what the caller who made it sees of a webhook, once."""
    return WebhookWithSecret(**webhook_out(webhook).model_dump(), secret=secret)


async def deliveries_out(session: AsyncSession, logged: Sequence[Logged]) -> list[DeliveryOut]:
    """Return what callers see of deliveries, with their attempts."""
    attempts = await repository.attempts_of(session, [delivery.id for delivery, _ in logged])
    return [_delivery_out(found, attempts[found[0].id]) for found in logged]


async def page_of_deliveries(
    session: AsyncSession, caller: Caller, webhook_id: str, wanted: DeliveryFilter, page: PageRequest
) -> Page[DeliveryOut]:
    """Return a page of a webhook's deliveries, newest first."""
    if webhook_id != repository.CALLBACKS:
        await repository.get(session, caller.project_id, webhook_id)
    rows = await repository.list_deliveries(
        session,
        caller.project_id,
        webhook_id,
        limit=page.fetch,
        before=page.after_text,
        status=wanted.status,
        event=wanted.event,
        operation=wanted.operation,
        resource=wanted.resource,
    )
    kept, token = page.cut(rows, lambda row: row[0].id)
    return Page(items=await deliveries_out(session, kept), next_page_token=token)


def _delivery_out(logged: Logged, attempts: Sequence[WebhookAttempt]) -> DeliveryOut:
    delivery, event = logged
    return DeliveryOut(
        id=delivery.id,
        event=delivery.event_type,
        event_id=delivery.event_id,
        status=delivery.status,
        webhook_id=delivery.webhook_id,
        callback_url=delivery.callback_url,
        operation_id=event.operation_id,
        resource_id=delivery.resource_id,
        sequence=event.sequence,
        next_attempt_at=delivery.next_attempt_at if delivery.status == "pending" else None,
        created_at=delivery.created_at,
        finished_at=delivery.finished_at,
        attempts=[
            AttemptOut.model_validate({name: getattr(attempt, name) for name in AttemptOut.model_fields})
            for attempt in attempts
        ],
    )
