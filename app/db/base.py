"""The base of every table, with the names of constraints fixed so that migrations can name them."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from app.db.types import JsonDocument, UtcDateTime, utcnow

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = SQLModel.metadata

DEFAULT_PROJECT = "prj_00000000000000000000000000"
DEFAULT_ACCOUNT = "acc_00000000000000000000000000"


APPLIED = "applied_spec"
"""The fact that keeps the spec as far as AWS has it."""


class Table(SQLModel):
    """Base of all tables. Rows are never request schemas: SQLModel skips validation for tables."""


class ResourceColumns(Table):
    """What every resource keeps: the desired `spec`, the observed status, and its place in project and account."""

    id: str = Field(primary_key=True, max_length=40)
    project_id: str = Field(max_length=40, foreign_key="projects.id")
    account_id: str = Field(max_length=40, foreign_key="accounts.id")
    region: str = Field(max_length=32)
    name: str = Field(max_length=256)
    spec: dict[str, Any] = Field(sa_type=JsonDocument)
    tags: dict[str, str] = Field(sa_type=JsonDocument, default_factory=dict)
    generation: int = 1
    observed_generation: int = 0
    phase: str = Field(max_length=16)
    conditions: list[dict[str, Any]] = Field(sa_type=JsonDocument, default_factory=list)
    outputs: dict[str, Any] = Field(sa_type=JsonDocument, default_factory=dict)
    facts: dict[str, Any] = Field(sa_type=JsonDocument, default_factory=dict)
    """What Slipway found out or decided once and every later template needs (zones, its own role, stack ids)."""
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
    updated_at: datetime = Field(
        default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow(), "onupdate": utcnow()}
    )
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    TYPE: ClassVar[str]
    """What operations, events and webhooks call such a resource: `cluster`."""

    @property
    def resource_type(self) -> str:
        """The word of operations and webhooks for this resource."""
        return self.TYPE

    @property
    def applied_spec(self) -> dict[str, Any]:
        """The spec that AWS has; after an update that failed or was cancelled it is not the desired one."""
        applied: dict[str, Any] = self.facts.get(APPLIED) or self.spec
        return applied


def page_index(table: str) -> Index:
    """Return the index that lists are read by: a project's rows, in the order of their ids."""
    return Index(f"ix_{table}_project_id_id", "project_id", "id")


def live_unique_index(name: str, *columns: str) -> Index:
    """Return a unique index over the rows that are not deleted; a deleted one's name is free again."""
    live = text("deleted_at IS NULL")
    return Index(name, *columns, unique=True, sqlite_where=live, postgresql_where=live)
