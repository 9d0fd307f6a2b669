"""Table of stored answers for `Idempotency-Key`."""

from datetime import datetime

from sqlmodel import Field

from app.db.base import Table
from app.db.sealed import MarkedText
from app.db.types import JsonDocument, UtcDateTime, utcnow


class IdempotencyKey(Table, table=True):
    """The first answer to a key; while `status` is empty the first request is still being answered."""

    __tablename__ = "idempotency_keys"

    project_id: str = Field(primary_key=True, max_length=40, foreign_key="projects.id")
    method: str = Field(primary_key=True, max_length=8)
    path: str = Field(primary_key=True, max_length=512)
    key: str = Field(primary_key=True, max_length=255)
    fingerprint: str = Field(max_length=64)
    owner: str = Field(max_length=40)
    status: int | None = None
    headers: dict[str, str] = Field(sa_type=JsonDocument, default_factory=dict)
    body: str | None = Field(default=None, sa_type=MarkedText)  # text: JSONB would not give back the same bytes
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()}, index=True)
