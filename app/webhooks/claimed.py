"""A delivery that a process is to send, and what came of trying it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlmodel import col

from app.core.crypto import Place
from app.db.types import utcnow
from app.webhooks.models import WebhookDelivery


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process is to send.

    Attributes:
        sealed: The secrets that sign it, encrypted; empty when the project's callback secret has yet to be made.
        sealed_at: Where these are kept.
        tries: Failed tries before this one.
        failing_since: Since when nothing has got through to the webhook.
    """

    id: str
    gen: int
    lane: str
    project_id: str
    webhook_id: str | None
    url: str
    event_id: str
    event_type: str
    payload: str
    sealed: list[dict[str, Any]]
    sealed_at: Place
    tries: int
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one try.

    Attributes:
        error: None if it was delivered.
        retry_in: Seconds until the next try; None gives up.
        hold_lane: Seconds for which the endpoint wants nothing else either (429, 503).
        disable: Why the webhook is to be disabled now.
    """

    claimed: Claimed
    at: datetime
    status_code: int | None
    latency_ms: int
    error: str | None
    response: str | None
    retry_in: float | None = None
    hold_lane: float | None = None
    disable: str | None = None


def unowned() -> ColumnElement[bool]:
    """Return the condition that nobody is sending a delivery."""
    return or_(col(WebhookDelivery.lease_expires_at).is_(None), col(WebhookDelivery.lease_expires_at) < utcnow())
