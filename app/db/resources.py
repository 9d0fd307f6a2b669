"""Selects that every kind of resource needs, always within a project. Never commits."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.errors import SlipwayError
from app.core.ids import looks_like_id
from app.db.base import ResourceColumns, Table

R = TypeVar("R", bound=ResourceColumns)


async def find(
    session: AsyncSession,
    table: type[R],
    project_id: str,
    reference: str,
    *where: ColumnElement[bool],
    lock: bool = False,
) -> Sequence[R]:
    """Return what an id or a name stands for: nothing, one, or (a name) several; deleted ones are not found.

    Args:
        session: Where to look.
        table: Which kind of resource.
        project_id: The caller's.
        reference: Id or name.
        where: What else must hold.
        lock: Hold the rows until the transaction ends, so that changes come one after another.
    """
    named = col(table.id) if looks_like_id(reference) else col(table.name)
    query = select(table).where(
        named == reference, col(table.project_id) == project_id, col(table.deleted_at).is_(None), *where
    )
    if lock:
        query = query.with_for_update()
    return (await session.execute(query.limit(20))).scalars().all()


async def insert(session: AsyncSession, row: Table, exists: SlipwayError) -> None:
    """Write a new row; raise `exists` if another request has just written one of that name."""
    session.add(row)
    try:
        await session.flush()
    except IntegrityError as error:
        raise exists from error


async def list_page(
    session: AsyncSession,
    table: type[R],
    project_id: str,
    *where: ColumnElement[bool],
    limit: int,
    before: str | None = None,
    tags: Mapping[str, str] | None = None,
    include_deleted: bool = False,
) -> Sequence[R]:
    """Return up to `limit` resources, newest first, older than the id `before`."""
    conditions = [col(table.project_id) == project_id, *where]
    if before is not None:
        conditions.append(col(table.id) < before)
    conditions += [col(table.tags)[key].as_string() == value for key, value in (tags or {}).items()]
    if not include_deleted:
        conditions.append(col(table.deleted_at).is_(None))
    query = select(table).where(*conditions).order_by(col(table.id).desc()).limit(limit)
    return (await session.execute(query)).scalars().all()
