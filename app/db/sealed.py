"""Columns that hold encrypted secrets, so that `slipway keys rotate` finds every one of them.

A secret is encrypted for its `Place`, and a `Place` is made of such a column alone: what is not declared here cannot be
encrypted, and so cannot be forgotten. What a column of these types is given must be encrypted already.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import JSON, ColumnElement, Dialect, MetaData, String, Table, Text, type_coerce
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.core.crypto import Place, is_sealed
from app.db import base

T = TypeVar("T")

Change = Callable[[str], str]
"""Takes one encrypted secret and returns what is to stand in its place."""


class Sealed(TypeDecorator[T]):
    """A column of encrypted secrets."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok = True

    @abstractmethod
    def each(self, value: T, change: Change) -> T:
        """Return a value of the column with each secret in it changed."""

    def some(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the condition that a row may hold a secret here."""
        return column.is_not(None)

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:
        """Refuse clear text."""
        if value is not None:
            self.each(value, _checked)
        return value


class SealedText(Sealed[str]):
    """One secret."""

    cache_ok = True

    def each(self, value: str, change: Change) -> str:
        """Return the secret, changed."""
        return change(value)


class SealedEntries(Sealed[list[dict[str, Any]]]):
    """A JSON list of objects, each with a `secret`; what else they have is in clear."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return JSONB for PostgreSQL, as `JsonDocument` is."""
        return dialect.type_descriptor(
            JSONB(none_as_null=True) if dialect.name == "postgresql" else JSON(none_as_null=True)
        )

    def each(self, value: list[dict[str, Any]], change: Change) -> list[dict[str, Any]]:
        """Return the list with each `secret` changed."""
        return [{**entry, "secret": change(entry["secret"])} for entry in value]


class MarkedText(Sealed[str]):
    """Text that is a secret where it begins with `MARK`, and else is none."""

    impl = String
    cache_ok = True

    MARK = "sealed:"

    def each(self, value: str, change: Change) -> str:
        """Return the text with what follows the mark changed."""
        return self.MARK + change(value.removeprefix(self.MARK)) if value.startswith(self.MARK) else value

    def some(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the condition that the text is marked."""
        return type_coerce(column, String).startswith(self.MARK)


def place(table: type[base.Table], column: str, *row: object) -> Place:
    """Return the place of a secret.

    Args:
        table: The model.
        column: Its column, of a type of this module.
        row: The primary key, in the order of the model.

    Raises:
        TypeError: the column is not declared to hold secrets, or that is not its primary key.
    """
    return place_in(base.metadata.tables[str(table.__tablename__)], column, row)


def place_in(table: Table, column: str, row: tuple[object, ...]) -> Place:
    """As `place`, of a table of the metadata."""
    if not isinstance(table.columns[column].type, Sealed):
        raise TypeError(f"{table.name}.{column} is not declared to hold secrets (app/db/sealed.py)")
    if len(row) != len(table.primary_key.columns):
        raise TypeError(f"{table.name} has a primary key of {len(table.primary_key.columns)} columns, not {len(row)}")
    return Place(table.name, column, tuple(str(part) for part in row))


def sealed_columns(metadata: MetaData) -> list[tuple[Table, str, Sealed[Any]]]:
    """Return every column that holds secrets, in the order of the names."""
    return [
        (table, column.name, column.type)
        for _, table in sorted(metadata.tables.items())
        for column in table.columns
        if isinstance(column.type, Sealed)
    ]


def _checked(secret: str) -> str:
    if not is_sealed(secret):
        raise ValueError("clear text was given to a column of encrypted secrets")
    return secret
