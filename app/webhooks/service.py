"""The use cases of webhooks: register, change, rotate, ping, send again. Transactions are the caller's; no network."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.caller import Caller
from app.core.crypto import Place, Vault
from app.core.ids import new_id
from app.core.merge_patch import merge_patch
from app.core.outbound import Rules, destination
from app.core.validation import validate
from app.db.notify import DELIVERIES, Notifier
from app.db.sealed import place
from app.db.types import utcnow
from app.webhooks import health, repository, secrets
from app.webhooks.errors import DeliveryInProgressError, TooManyWebhooksError, WebhookDisabledError
from app.webhooks.models import CallbackSecret, Webhook, WebhookDelivery
from app.webhooks.outbox import Outbox
from app.webhooks.queue import callbacks_place
from app.webhooks.repository import CALLBACKS, Logged
from app.webhooks.schemas import ResendFailed, RotateSecret, SecretOut, WebhookCreate, WebhookSpec

MOST = 500
"""Webhooks of one project: every event is compared with each of them."""


def spec_of(webhook: Webhook) -> dict[str, Any]:
    """Return what a merge patch applies to."""
    return {name: getattr(webhook, name) for name in WebhookSpec.model_fields}


class WebhookService:
    """Registers endpoints, and sends again what did not arrive."""

    def __init__(self, vault: Vault, rules: Rules, outbox: Outbox, notifier: Notifier) -> None:
        self._vault = vault
        self._rules = rules
        self._outbox = outbox
        self._notifier = notifier

    async def create(self, session: AsyncSession, caller: Caller, spec: WebhookCreate) -> tuple[Webhook, str]:
        """Register an endpoint; return it with its secret.

        Raises:
            InvalidError: the URL may not be called (`app/core/outbound.py` has the codes).
            TooManyWebhooksError: the project has `MOST`.
        """
        destination(spec.url, self._rules, pointer="/url")
        if await repository.count(session, caller.project_id) >= MOST:
            raise TooManyWebhooksError(f"A project has at most {MOST} webhooks.")
        secret = spec.secret or secrets.make()
        values = spec.model_dump(exclude={"secret"})
        webhook_id = new_id("whk")
        sealed = secrets.first(self._vault, place(Webhook, "secrets", webhook_id), secret)
        webhook = Webhook(id=webhook_id, project_id=caller.project_id, secrets=sealed, **values)
        session.add(webhook)
        await session.flush()
        await session.refresh(webhook)  # the database fills in times
        return webhook, secret

    async def update(self, session: AsyncSession, webhook: Webhook, patch: dict[str, Any]) -> Webhook:
        """Apply a merge patch; what enables a webhook also forgets why it was disabled.

        Raises:
            InvalidError: the result is not valid, or its URL may not be called.
        """
        spec = validate(WebhookSpec, merge_patch(spec_of(webhook), patch))
        if spec.url != webhook.url:
            destination(spec.url, self._rules, pointer="/url")
        if spec.enabled and not webhook.enabled:
            webhook.disabled_reason = webhook.failing_since = webhook.held_until = None
        if not spec.enabled and webhook.enabled:
            await health.give_up(session, [webhook.id])
        for name, value in spec.model_dump().items():
            setattr(webhook, name, value)
        webhook.generation += 1
        webhook.updated_at = await _now(session)
        await session.flush()
        return webhook

    async def delete(self, session: AsyncSession, webhook: Webhook) -> None:
        """Forget an endpoint, with the log of its deliveries."""
        await session.delete(webhook)
        await session.flush()

    async def rotate(self, session: AsyncSession, webhook: Webhook, how: RotateSecret) -> SecretOut:
        """Give an endpoint a new secret; the present one signs beside it for a while."""
        now = await _now(session)
        webhook.secrets, answer = self._rotated(place(Webhook, "secrets", webhook.id), webhook.secrets, how, now)
        return answer

    async def rotate_callback_secret(self, session: AsyncSession, caller: Caller, how: RotateSecret) -> SecretOut:
        """Give the project's callbacks a new secret; the first time there may be none before it."""
        now = await _now(session)
        dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
        empty = {"project_id": caller.project_id, "secrets": []}
        await session.execute(dialect.insert(CallbackSecret).values(**empty).on_conflict_do_nothing())
        row = await repository.callback_secret(session, caller.project_id, lock=True)
        assert row is not None  # noqa: S101 - it was inserted or was there
        kept_at = callbacks_place(row.project_id)
        row.secrets, answer = self._rotated(kept_at, row.secrets, how, now)
        return answer

    async def ping(self, session: AsyncSession, webhook: Webhook) -> Logged:
        """Send an endpoint a `webhook.ping`.

        Raises:
            WebhookDisabledError: it is disabled.
        """
        _refuse_disabled(webhook)
        delivery_id = await self._outbox.ping(session, webhook)
        return await repository.get_delivery(session, webhook.project_id, webhook.id, delivery_id)

    async def resend(self, session: AsyncSession, caller: Caller, webhook_id: str, delivery_id: str) -> Logged:
        """Send a delivery again now, whether it had succeeded, failed, or waits for its next try.

        Raises:
            DeliveryInProgressError: it is being sent, or is about to be.
            WebhookDisabledError: the webhook is disabled.
        """
        await self._check_enabled(session, caller, webhook_id)
        found = await repository.get_delivery(session, caller.project_id, webhook_id, delivery_id, lock=True)
        delivery, now = found[0], await _now(session)
        if delivery.status == "pending" and delivery.next_attempt_at <= now:
            raise DeliveryInProgressError(f"Delivery {delivery.id} is under way.", delivery_id=delivery.id)
        await self._again(session, [delivery.id])
        await session.refresh(delivery)
        return found

    async def resend_failed(self, session: AsyncSession, caller: Caller, webhook_id: str, what: ResendFailed) -> int:
        """Send every delivery again that was given up; return how many.

        Raises:
            WebhookDisabledError: the webhook is disabled.
        """
        await self._check_enabled(session, caller, webhook_id)
        failed = await repository.failed_since(session, caller.project_id, webhook_id, what.since)
        await self._again(session, [delivery.id for delivery in failed])
        return len(failed)

    async def _again(self, session: AsyncSession, ids: list[str]) -> None:
        for start in range(0, len(ids), 500):  # databases limit the parameters of a statement
            await session.execute(
                update(WebhookDelivery)
                .where(col(WebhookDelivery.id).in_(ids[start : start + 500]))
                .values(status="pending", tries=0, next_attempt_at=utcnow(), finished_at=None)
                .execution_options(synchronize_session=False)
            )
        await self._notifier.notify(session, DELIVERIES)

    async def _check_enabled(self, session: AsyncSession, caller: Caller, webhook_id: str) -> None:
        if webhook_id != CALLBACKS:
            _refuse_disabled(await repository.get(session, caller.project_id, webhook_id))

    def _rotated(
        self, kept_at: Place, sealed: secrets.Sealed, how: RotateSecret, now: datetime
    ) -> tuple[secrets.Sealed, SecretOut]:
        secret = how.secret or secrets.make()
        new = secrets.rotated(self._vault, kept_at, sealed, secret, now=now, overlap_seconds=how.overlap_seconds)
        expires = now + timedelta(seconds=how.overlap_seconds) if len(new) > 1 else None
        return new, SecretOut(secret=secret, previous_expires_at=expires)


def _refuse_disabled(webhook: Webhook) -> None:
    if not webhook.enabled:
        raise WebhookDisabledError("The webhook is disabled; enable it first.", webhook_id=webhook.id)


async def _now(session: AsyncSession) -> datetime:
    now: datetime = (await session.execute(select(utcnow()))).scalar_one()
    return now
