"""The engine's tables: operations (the queue), what they depend on, what they wait for, and what happened."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlmodel import Field

from app.core.record import Record
from app.db.base import Table
from app.db.types import JsonDocument, UtcDateTime, utcnow

LIVE = ("pending", "running")
TERMINAL = ("succeeded", "failed", "cancelled")

_IS_LIVE = text("status IN ('pending', 'running')")
_HAS_LOST_CLAIMS = text("lost_claims > 0")


class Operation(Table, table=True):
    """One change that was asked for, from its acceptance to its end."""

    __tablename__ = "operations"
    __table_args__ = (
        # One live operation for each resource; a parent (`cluster.apply`) holds no lock, its children do.
        Index("uq_operations_live_lock", "lock_key", unique=True, sqlite_where=_IS_LIVE, postgresql_where=_IS_LIVE),
        Index("ix_operations_due", "next_run_at", sqlite_where=_IS_LIVE, postgresql_where=_IS_LIVE),
        Index(
            "ix_operations_lost_claims", "lost_claims", sqlite_where=_HAS_LOST_CLAIMS,
            postgresql_where=_HAS_LOST_CLAIMS,
        ),
        Index("ix_operations_project_id_id", "project_id", "id"),
        Index("ix_operations_resource_id", "resource_id"),
        Index("ix_operations_finished_at", "finished_at"),
    )  # fmt: skip

    id: str = Field(primary_key=True, max_length=40)
    project_id: str = Field(max_length=40, foreign_key="projects.id")
    account_id: str = Field(max_length=40, foreign_key="accounts.id")
    region: str = Field(max_length=32)
    kind: str = Field(max_length=64)
    resource_type: str = Field(max_length=32)
    resource_id: str = Field(max_length=40)
    resource_name: str = Field(max_length=256)
    parent_id: str | None = Field(default=None, max_length=40, foreign_key="operations.id", index=True)
    retry_of: str | None = Field(default=None, max_length=40)
    lock_key: str | None = Field(default=None, max_length=80)

    status: str = Field(default="pending", max_length=16)
    phase: str = Field(max_length=64)
    input: dict[str, Any] = Field(sa_type=JsonDocument, default_factory=dict)
    data: dict[str, Any] = Field(sa_type=JsonDocument, default_factory=dict)
    steps: list[dict[str, Any]] = Field(sa_type=JsonDocument, default_factory=list)
    warnings: list[str] = Field(sa_type=JsonDocument, default_factory=list)
    error: dict[str, Any] | None = Field(default=None, sa_type=JsonDocument)
    dead_letter: bool = False
    cancel_requested: bool = False
    superseded: bool = False
    callback_url: str | None = Field(default=None, max_length=2048)
    request_id: str | None = Field(default=None, max_length=128)

    gen: int = Field(default=0, sa_type=BigInteger)
    wakes: int = 0
    attempts: int = 0
    lost_claims: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    lease_owner: str | None = Field(default=None, max_length=80)
    lease_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    next_run_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})

    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class FailedDependency(BaseModel):
    """A success that an operation needed and that did not come."""

    operation_id: str
    message: str


class Admission(Record):
    """What admission leaves in an operation's `data`."""

    failed_dependency: FailedDependency | None = None


class OperationDependency(Table, table=True):
    """`operation_id` is not begun before `depends_on_id` has ended; `needs` says whether it must have succeeded."""

    __tablename__ = "operation_dependencies"

    operation_id: str = Field(
        max_length=40, sa_column=Column(ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True)
    )
    depends_on_id: str = Field(
        sa_column=Column(ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True, index=True)
    )
    needs: str = Field(default="success", max_length=16)  # success | end


class OperationEvent(Table, table=True):
    """One thing that happened: a status, a step, an event that AWS reported. Never changed once written."""

    __tablename__ = "operation_events"
    __table_args__ = (
        UniqueConstraint("operation_id", "source_id"),  # an AWS event read twice is kept once; NULLs are distinct
        Index("ix_operation_events_project_id_seq", "project_id", "seq"),
        Index("ix_operation_events_resource_id_seq", "resource_id", "seq"),
    )

    seq: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    )
    project_id: str = Field(max_length=40)
    operation_id: str = Field(sa_column=Column(ForeignKey("operations.id", ondelete="CASCADE"), nullable=False))
    resource_type: str = Field(max_length=32)
    resource_id: str = Field(max_length=40)
    at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
    type: str = Field(max_length=64)
    source_id: str | None = Field(default=None, max_length=256)
    message: str
    data: dict[str, Any] = Field(sa_type=JsonDocument, default_factory=dict)


class OperationWatch(Table, table=True):
    """Something outside that an operation waits for; whoever watches it wakes the operation once it has come to rest.

    Its table and the id's column are called as they were when only stacks were watched: a version that runs beside
    this one writes them, too.
    """

    __tablename__ = "stack_watches"
    __table_args__ = (Index("ix_stack_watches_account_id_region", "account_id", "region"),)

    operation_id: str = Field(sa_column=Column(ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True))
    target_id: str = Field(sa_column=Column("stack_id", String(512), primary_key=True))
    watcher: str = Field(max_length=32, sa_column_kwargs={"server_default": "cloudformation"})
    account_id: str = Field(max_length=40)
    region: str = Field(max_length=32)
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
    followed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_event_id: str | None = Field(default=None, max_length=256)
