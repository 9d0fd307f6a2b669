"""Tables: endpoints, the project's callback secret, events to be told (the outbox), their deliveries and attempts."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Text, text
from sqlmodel import Field

from app.db.base import Table
from app.db.sealed import SealedEntries
from app.db.types import JsonDocument, UtcDateTime, utcnow

PENDING, SUCCEEDED, FAILED = "pending", "succeeded", "failed"

_IS_PENDING = text("status = 'pending'")


class Webhook(Table, table=True):
    """An endpoint that is told of what happens in its project.

    `secrets` are encrypted, the newest first: `{"secret": …, "expires_at": null | time}`; those that have not expired
    all sign.
    """

    __tablename__ = "webhooks"

    id: str = Field(primary_key=True, max_length=40)
    project_id: str = Field(max_length=40, foreign_key="projects.id", index=True)
    url: str = Field(max_length=2048)
    events: list[str] = Field(sa_type=JsonDocument)
    resource_types: list[str] = Field(sa_type=JsonDocument, default_factory=list)
    tags: dict[str, str] = Field(sa_type=JsonDocument, default_factory=dict)
    enabled: bool = True
    disabled_reason: str | None = None
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    held_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    secrets: list[dict[str, Any]] = Field(sa_type=SealedEntries)
    generation: int = 1
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
    updated_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})


class CallbackSecret(Table, table=True):
    """What signs the callbacks of a project; `secrets` as those of a webhook."""

    __tablename__ = "callback_secrets"

    project_id: str = Field(primary_key=True, max_length=40, foreign_key="projects.id")
    secrets: list[dict[str, Any]] = Field(sa_type=SealedEntries)


class WebhookSequence(Table, table=True):
    """How many events of a resource have been told; its row lock puts them in the order of their commits."""

    __tablename__ = "webhook_sequences"

    resource_id: str = Field(primary_key=True, max_length=40)
    last: int = Field(sa_type=BigInteger)


class WebhookEvent(Table, table=True):
    """Something that is to be told, written in the transaction in which it happened; never changed."""

    __tablename__ = "webhook_events"

    id: str = Field(primary_key=True, max_length=40)
    project_id: str = Field(max_length=40, foreign_key="projects.id")
    type: str = Field(max_length=64)
    operation_id: str | None = Field(default=None, max_length=40)
    resource_type: str = Field(max_length=32)
    resource_id: str = Field(max_length=40)
    sequence: int = Field(sa_type=BigInteger)
    payload: str = Field(sa_type=Text)  # text, because it is signed: JSONB would not give back the same bytes
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()}, index=True)


class WebhookDelivery(Table, table=True):
    """One event on its way to one endpoint: `pending` until it has `succeeded` or `failed` for good.

    Attributes:
        lane: What shares a limit of deliveries at once: the webhook's id, or a callback's project and origin.
        tries: Attempts since it was last begun or resent; the schedule counts by them.
        gen: The fence: a claim adds one, and a result is written only under it.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "ix_webhook_deliveries_due", "lane", "next_attempt_at", sqlite_where=_IS_PENDING,
            postgresql_where=_IS_PENDING,
        ),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
    )  # fmt: skip

    id: str = Field(primary_key=True, max_length=40)
    event_id: str = Field(
        sa_column=Column(ForeignKey("webhook_events.id", ondelete="CASCADE"), nullable=False, index=True)
    )
    project_id: str = Field(max_length=40)
    webhook_id: str | None = Field(
        default=None, sa_column=Column(ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=True)
    )
    callback_url: str | None = Field(default=None, max_length=2048)
    event_type: str = Field(max_length=64)
    resource_id: str = Field(max_length=40)
    lane: str = Field(max_length=360)
    status: str = Field(default=PENDING, max_length=16)
    tries: int = 0
    next_attempt_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
    gen: int = 0
    lease_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class WebhookAttempt(Table, table=True):
    """One try of a delivery; `response` is the beginning of what the endpoint answered."""

    __tablename__ = "webhook_attempts"

    id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    )
    delivery_id: str = Field(
        sa_column=Column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), nullable=False, index=True)
    )
    at: datetime = Field(sa_type=UtcDateTime)
    status_code: int | None = None
    latency_ms: int
    error: str | None = None
    response: str | None = None
