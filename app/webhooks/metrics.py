"""What the delivery of webhooks counts, and what `/metrics` reads from the database."""

from dataclasses import dataclass
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.metrics import REGISTRY
from app.db.types import utcnow
from app.webhooks.models import PENDING, Webhook, WebhookDelivery

ATTEMPTS = Counter(
    "slipway_webhook_attempts",
    "Tries of deliveries: succeeded, retried (it will be tried again), failed (given up), lost (with their process), "
    "fenced (somebody else's).",
    ["outcome"],
    registry=REGISTRY,
)
DISABLED = Counter("slipway_webhook_disabled", "Endpoints that Slipway disabled.", registry=REGISTRY)
SECONDS = Histogram("slipway_webhook_attempt_seconds", "How long endpoints took to answer.", registry=REGISTRY)
IN_FLIGHT = Gauge("slipway_webhook_in_flight", "Deliveries being sent by this process.", registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class Figures:
    """The queue at one moment.

    Attributes:
        pending: Deliveries that have neither succeeded nor been given up.
        oldest_due_seconds: How long the most overdue one has waited.
        disabled: Endpoints that Slipway disabled.
    """

    pending: int
    oldest_due_seconds: float
    disabled: int


async def read(session: AsyncSession) -> Figures:
    """Return the present figures, the same in every replica."""
    pending = select(func.count(), func.min(col(WebhookDelivery.next_attempt_at)), utcnow()).where(
        col(WebhookDelivery.status) == PENDING
    )
    count, oldest, now = (await session.execute(pending)).one()
    disabled = select(func.count()).select_from(Webhook).where(col(Webhook.disabled_reason).is_not(None))
    due: datetime | None = oldest
    age = 0.0 if due is None else max(0.0, (now - due).total_seconds())
    return Figures(count, age, (await session.execute(disabled)).scalar_one())
