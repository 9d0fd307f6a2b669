"""Table of API keys."""

from datetime import datetime

from sqlmodel import Field

from app.db.base import Table
from app.db.types import UtcDateTime, utcnow


class ApiKey(Table, table=True):
    """A key that callers send as a bearer token; only its hash is kept."""

    __tablename__ = "api_keys"

    id: str = Field(primary_key=True, max_length=40)
    project_id: str = Field(max_length=40, foreign_key="projects.id", index=True)
    name: str = Field(max_length=64)
    key_hash: str = Field(max_length=64, unique=True)
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
