"""Tables of projects and AWS accounts."""

from datetime import datetime

from sqlmodel import Field

from app.db.base import Table
from app.db.types import UtcDateTime, utcnow


class Project(Table, table=True):
    """What callers belong to; nobody sees another project's rows."""

    __tablename__ = "projects"

    id: str = Field(primary_key=True, max_length=40)
    name: str = Field(max_length=64, unique=True)
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})


class Account(Table, table=True):
    """An AWS account; without a role it is the one of the process's own credentials."""

    __tablename__ = "accounts"

    id: str = Field(primary_key=True, max_length=40)
    project_id: str = Field(max_length=40, foreign_key="projects.id", index=True)
    name: str = Field(max_length=64)
    role_arn: str | None = Field(default=None, max_length=2048)
    external_id: str | None = Field(default=None, max_length=1224)
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
