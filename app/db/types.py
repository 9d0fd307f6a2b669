"""Column types and SQL functions that mean the same on SQLite and PostgreSQL.

Times are UTC and come from the database's clock, so that several replicas never compare their own.
SQLite keeps a time as text, `YYYY-MM-DD HH:MM:SS.ffffff`: sortable, and what SQLAlchemy's DateTime reads.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Float
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement, literal
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC time on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; SQLite stores them without an offset."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone was given to the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back what SQLite stored without an offset as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


JsonDocument = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""JSON on SQLite, JSONB on PostgreSQL; None is SQL's NULL."""


class utcnow(FunctionElement[datetime]):  # noqa: N801 - a SQL function is written as one
    """The database's clock, `offset_seconds` from now: `utcnow()`, `utcnow(15.0)`.

    Unlike `now()` of PostgreSQL it moves within a transaction (`clock_timestamp()`).
    """

    type = UtcDateTime()
    inherit_cache = True
    name = "utcnow"

    def __init__(self, offset_seconds: Any = 0.0) -> None:
        super().__init__(
            literal(offset_seconds, Float()) if isinstance(offset_seconds, int | float) else offset_seconds
        )


@compiles(utcnow, "sqlite")
def _utcnow_sqlite(element: utcnow, compiler: SQLCompiler, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', ({offset}) || ' seconds')"


@compiles(utcnow, "postgresql")
def _utcnow_postgresql(element: utcnow, compiler: SQLCompiler, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {offset}))"
