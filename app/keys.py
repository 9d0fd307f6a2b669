"""The keys of secrets at rest: which are in use, and everything encrypted anew with the first one (`slipway keys`).

Every column that is declared to hold secrets is looked through (`app/db/sealed.py`), a page of rows at a time. What is
to be rewritten is read again under its rows' locks and written in the same transaction, so that whatever a running
replica writes meanwhile counts; a kill leaves some rows under the new key and the others under the old one.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Table, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import Opened, UndecryptableError, Vault
from app.db.sealed import Sealed, place_in, sealed_columns
from app.db.session import Database
from app.models import metadata

PAGE = 20
"""Rows of a transaction; the values of a release may have a megabyte."""

Key = tuple[Any, ...]
"""The primary key of a row."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of secrets."""

    table: Table
    name: str
    type: Sealed[Any]

    def __str__(self) -> str:
        """Return it as `releases.sealed_values`."""
        return f"{self.table.name}.{self.name}"

    @property
    def key(self) -> list[ColumnElement[Any]]:
        """The columns of the primary key."""
        return list(self.table.primary_key.columns)

    @property
    def value(self) -> ColumnElement[Any]:
        """The column in SQL."""
        return self.table.columns[self.name]


@dataclass(slots=True)
class Count:
    """What stands in a column.

    Attributes:
        column: `releases.sealed_values`.
        newest: Secrets as they would be written now: under the first key, and bound to their rows.
        older: Others, by the id of their key.
        lost: Why secrets cannot be decrypted; each names its row.
        rewritten: Rows that were encrypted anew.
    """

    column: str
    newest: int = 0
    older: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    rewritten: int = 0


async def status(database: Database, vault: Vault) -> list[Count]:
    """Return what stands in each column; every secret is decrypted.

    Raises:
        EncryptionKeyError: there is no usable key.
    """
    vault.check()
    return [await _count(database, vault, Column(*found)) for found in sealed_columns(metadata)]


async def rotate(database: Database, vault: Vault) -> list[Count]:
    """Encrypt anew what is not under the first key, or not bound to its row; return what stands there afterwards.

    What cannot be decrypted stays as it is.

    Raises:
        EncryptionKeyError: there is no usable key.
    """
    vault.check()
    counts = []
    for found in sealed_columns(metadata):
        column = Column(*found)
        rewritten = await _rotate(database, vault, column)
        counts.append(await _count(database, vault, column))
        counts[-1].rewritten = rewritten
    return counts


def report(counts: Sequence[Count], key_ids: Sequence[str]) -> list[str]:
    """Return what an operator is told: a line for each column, and for each key whether it is needed."""
    lines = []
    for count in counts:
        facts = [f"{count.newest + count.older.total()} secrets", f"{count.newest} under the first key"]
        if count.rewritten:
            facts.append(f"{count.rewritten} rows rewritten")
        if count.lost:
            facts.append(f"{len(count.lost)} rows cannot be decrypted")
        lines.append(f"{count.column}: {', '.join(facts)}")
    older = sum((count.older for count in counts), Counter[str]())
    first, *others = key_ids
    unbound = f", and {older[first]} in the form of before" if older[first] else ""
    lines.append(f"key {first}, the first: {sum(count.newest for count in counts)} secrets{unbound}")
    free = "" if any(count.lost for count in counts) else ", so it can be taken out of SLIPWAY_ENCRYPTION_KEY"
    lines += [f"key {key_id}: {older[key_id]} secrets{'' if older[key_id] else free}" for key_id in others]
    return lines


async def _count(database: Database, vault: Vault, column: Column) -> Count:
    count = Count(str(column))
    async for page in _pages(database, column):
        for key, value in page:
            try:
                opened = _opened(vault, column, key, value)
            except UndecryptableError as error:
                count.lost.append(str(error))
                continue
            for one in opened:
                if vault.is_newest(one):
                    count.newest += 1
                else:
                    count.older[one.key_id] += 1
    return count


async def _rotate(database: Database, vault: Vault, column: Column) -> int:
    rewritten = 0
    async for page in _pages(database, column):
        keys = [key for key, value in page if _is_old(vault, column, key, value)]
        if not keys:
            continue
        async with database.write() as session:
            held = [key for key in keys if await _rewrite(session, vault, column, key, skip_locked=True)]
        rewritten += len(held)
        # Whoever holds a lock may wait for one of ours, so a row that is locked is waited for without holding another.
        for key in [key for key in keys if key not in held]:
            async with database.write() as session:
                rewritten += await _rewrite(session, vault, column, key, skip_locked=False)
    return rewritten


async def _rewrite(session: AsyncSession, vault: Vault, column: Column, key: Key, *, skip_locked: bool) -> bool:
    """Encrypt a row's secrets anew, unless it is gone, locked, or done already; tell whether that was done."""
    this = [part == value for part, value in zip(column.key, key, strict=True)]
    query = select(column.value).where(*this).with_for_update(skip_locked=skip_locked)
    value = (await session.execute(query)).scalar_one_or_none()
    if value is None or not _is_old(vault, column, key, value):
        return False
    place = place_in(column.table, column.name, key)
    sealed = column.type.each(value, lambda secret: vault.encrypt(vault.decrypt(secret, place), place))
    # Nothing that callers see has changed.
    kept = {name: other for name, other in column.table.columns.items() if other.onupdate is not None}
    await session.execute(update(column.table).where(*this).values({**kept, column.name: sealed}))
    return True


async def _pages(database: Database, column: Column) -> AsyncIterator[Sequence[tuple[Key, Any]]]:
    """Return the rows that may hold a secret, in the order of their keys."""
    after: Key | None = None
    while True:
        query = (
            select(*column.key, column.value).where(column.type.some(column.value)).order_by(*column.key).limit(PAGE)
        )
        if after is not None:
            bounds = [literal(value, part.type) for part, value in zip(column.key, after, strict=True)]
            query = query.where(tuple_(*column.key) > tuple_(*bounds))
        async with database.read() as session:
            rows = [(tuple(row[:-1]), row[-1]) for row in await session.execute(query)]
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def _is_old(vault: Vault, column: Column, key: Key, value: Any) -> bool:
    """Tell whether a row is to be rewritten; one that cannot be decrypted is not."""
    try:
        return not all(vault.is_newest(one) for one in _opened(vault, column, key, value))
    except UndecryptableError:
        return False


def _opened(vault: Vault, column: Column, key: Key, value: Any) -> list[Opened]:
    """Return every secret of a row.

    Raises:
        UndecryptableError: one of them cannot be decrypted.
    """
    found: list[Opened] = []
    place = place_in(column.table, column.name, key)

    def look(secret: str) -> str:
        found.append(vault.open(secret, place))
        return secret

    column.type.each(value, look)
    return found
