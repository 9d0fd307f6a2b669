"""What is to be told, written in the very transaction in which it happens: if that commits, it will be told.

`Outbox.recorded` hears the engine's events, `Outbox.phases` the changed phases of resources.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.ids import new_id
from app.core.outbound import Rules, destination
from app.db.notify import DELIVERIES, Notifier
from app.db.phases import PhaseChange
from app.db.types import utcnow
from app.engine.contract import NewEvent
from app.engine.models import Operation
from app.operations import repository as operations
from app.operations.schemas import OperationOut, ResourceRef, operation_out
from app.webhooks import payloads, repository
from app.webhooks.models import Webhook, WebhookDelivery, WebhookEvent, WebhookSequence
from app.webhooks.payloads import ENDINGS, STEP
from app.webhooks.tags import tags_of

_ANYWHERE = Rules(allow_http=True, allow_private_addresses=True)
_CACHED = "webhooks of"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is told: a webhook, or the callback URL of a request; the former not before it wants to be."""

    lane: str
    webhook_id: str | None = None
    callback_url: str | None = None
    not_before: datetime | None = None

    @classmethod
    def of_webhook(cls, webhook: Webhook) -> "Recipient":
        """Return the recipient that a webhook is."""
        return cls(lane=webhook.id, webhook_id=webhook.id, not_before=webhook.held_until)

    @classmethod
    def of_callback(cls, project_id: str, url: str) -> "Recipient":
        """Return the recipient that a callback URL is; those of one server share a lane."""
        return cls(lane=f"{project_id} {destination(url, _ANYWHERE).origin}", callback_url=url)


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about."""

    project_id: str
    resource: ResourceRef
    operation_id: str | None = None


def wants(webhook: Webhook, event: str, resource_type: str, tags: dict[str, str]) -> bool:
    """Tell whether a webhook's filters let an event through."""
    return (
        event in webhook.events
        and (not webhook.resource_types or resource_type in webhook.resource_types)
        and webhook.tags.items() <= tags.items()
    )


class Outbox:
    """Writes events and their deliveries."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def recorded(self, session: AsyncSession, operation: Operation, events: Sequence[NewEvent]) -> None:
        """Hear of events of an operation, in the engine's own transaction."""
        told = [event for event in events if event.type in ENDINGS or event.type == STEP]
        if not told:
            return
        resource = ResourceRef(type=operation.resource_type, id=operation.resource_id, name=operation.resource_name)
        subject = Subject(operation.project_id, resource, operation.id)
        shown: OperationOut | None = None
        for event in told:
            recipients = await self._recipients(session, subject, event.type)
            if event.type in ENDINGS and (url := await _callback_url(session, operation.id)):
                recipients.append(Recipient.of_callback(operation.project_id, url))
            if recipients:
                shown = shown or await _shown(session, operation)
                await self._write_operation_event(session, subject, event, shown, recipients)

    async def phases(self, session: AsyncSession, changes: Sequence[PhaseChange]) -> None:
        """Hear of changed phases, before the transaction that changes them commits."""
        for change in changes:
            row, resource_type = change.row, change.row.resource_type
            if resource_type not in payloads.PATHS:
                continue
            subject = Subject(row.project_id, ResourceRef(type=resource_type, id=row.id, name=row.name))
            event_type = f"{resource_type}.phase_changed"
            recipients = await self._recipients(session, subject, event_type)
            if recipients:
                sequence, now = await _next(session, row.id), await _now(session)
                data = payloads.PhaseData(
                    resource=subject.resource,
                    phase=change.after,
                    previous_phase=change.before,
                    sequence=sequence,
                    links=payloads.Links(resource=payloads.resource_path(subject.resource)),
                )
                text = payloads.PhaseChanged(type=event_type, timestamp=now, data=data).model_dump_json()
                await self._write(session, subject, event_type, sequence, text, recipients)

    async def ping(self, session: AsyncSession, webhook: Webhook) -> str:
        """Write a ping of one webhook; return the delivery's id."""
        subject = Subject(webhook.project_id, ResourceRef(type="webhook", id=webhook.id, name=""))
        sequence, now = await _next(session, webhook.id), await _now(session)
        data = payloads.PingData(webhook_id=webhook.id, sequence=sequence)
        text = payloads.Pinged(type="webhook.ping", timestamp=now, data=data).model_dump_json()
        recipients = [Recipient.of_webhook(webhook)]
        return (await self._write(session, subject, payloads.PING, sequence, text, recipients))[0]

    async def _write_operation_event(
        self,
        session: AsyncSession,
        subject: Subject,
        event: NewEvent,
        shown: OperationOut,
        recipients: Sequence[Recipient],
    ) -> None:
        sequence = await _next(session, subject.resource.id)
        at = event.at or (shown.finished_at if event.type in ENDINGS else None) or await _now(session)
        step = event.data if event.type == STEP else None
        text = payloads.operation_payload(event.type, at, shown, sequence, step)
        await self._write(session, subject, event.type, sequence, text, recipients)

    async def _recipients(self, session: AsyncSession, subject: Subject, event: str) -> list[Recipient]:
        wanting: list[Recipient] = []
        tags: dict[str, str] | None = None
        for webhook in await _webhooks_of(session, subject.project_id):
            if webhook.tags and tags is None:
                tags = await tags_of(session, subject.resource.type, subject.resource.id)
            if wants(webhook, event, subject.resource.type, tags or {}):
                wanting.append(Recipient.of_webhook(webhook))
        return wanting

    async def _write(
        self,
        session: AsyncSession,
        subject: Subject,
        event_type: str,
        sequence: int,
        payload: str,
        recipients: Sequence[Recipient],
    ) -> list[str]:
        event = {
            "id": new_id("evt"),
            "project_id": subject.project_id,
            "type": event_type,
            "operation_id": subject.operation_id,
            "resource_type": subject.resource.type,
            "resource_id": subject.resource.id,
            "sequence": sequence,
            "payload": payload,
        }
        await session.execute(insert(WebhookEvent), event)
        rows: list[dict[str, Any]] = [
            {
                "id": new_id("dlv"),
                "event_id": event["id"],
                "project_id": subject.project_id,
                "webhook_id": recipient.webhook_id,
                "callback_url": recipient.callback_url,
                "event_type": event_type,
                "resource_id": subject.resource.id,
                "lane": recipient.lane,
            }
            for recipient in recipients
        ]
        if any(recipient.not_before for recipient in recipients):
            now = await _now(session)
            for row, recipient in zip(rows, recipients, strict=True):
                row["next_attempt_at"] = max(now, recipient.not_before or now)
        await session.execute(insert(WebhookDelivery), rows)
        await self._notifier.notify(session, DELIVERIES)
        return [row["id"] for row in rows]


async def _webhooks_of(session: AsyncSession, project_id: str) -> Sequence[Webhook]:
    """Return the enabled webhooks, read once for all results that the engine writes in one transaction."""
    cache: dict[str, Sequence[Webhook]] = session.info.setdefault(_CACHED, {})
    if project_id not in cache:
        cache[project_id] = await repository.enabled_of(session, project_id)
    return cache[project_id]


async def _callback_url(session: AsyncSession, operation_id: str) -> str | None:
    """Return the URL as it is now: a cancellation may have brought one since the engine read the operation."""
    return await session.scalar(select(col(Operation.callback_url)).where(col(Operation.id) == operation_id))


async def _shown(session: AsyncSession, operation: Operation) -> OperationOut:
    children = (await operations.children_of(session, [operation.id]))[operation.id]
    depends_on = (await operations.dependencies_of(session, [operation.id]))[operation.id]
    return operation_out(operation, children, depends_on)


async def _next(session: AsyncSession, resource_id: str) -> int:
    """Return the next sequence number of a resource; held by a row lock until this transaction ends."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = (
        dialect.insert(WebhookSequence)
        .values(resource_id=resource_id, last=1)
        .on_conflict_do_update(index_elements=["resource_id"], set_={"last": col(WebhookSequence.last) + 1})
        .returning(col(WebhookSequence.last))
    )
    last: int = (await session.execute(statement, execution_options={"synchronize_session": False})).scalar_one()
    return last


async def _now(session: AsyncSession) -> datetime:
    now: datetime = (await session.execute(select(utcnow()))).scalar_one()
    return now
