"""The selects of every kind, and the table of what belongs to a cluster, for all kinds that have none of their own."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Index, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from app.db import resources
from app.db.base import ResourceColumns, live_unique_index
from app.kinds.errors import not_found
from app.operations.errors import AmbiguousNameError

if TYPE_CHECKING:
    from app.kinds.kind import Kind


class Resource(ResourceColumns, table=True):
    """Something that belongs to a cluster and is a stack of its own: its desired spec and what was observed of it."""

    __tablename__ = "resources"
    __table_args__ = (
        Index("ix_resources_project_id_type_id", "project_id", "type", "id"),
        live_unique_index("uq_resources_live_name", "cluster_id", "type", "name"),
    )

    type: str = Field(max_length=32)
    cluster_id: str = Field(max_length=40, foreign_key="clusters.id", index=True)

    @property
    def resource_type(self) -> str:
        """The row's kind."""
        return self.type


def of_kind(kind: "Kind[Any]") -> list[ColumnElement[bool]]:
    """Return the conditions that a row of a kind's table is of that kind."""
    return [col(Resource.type) == kind.type] if kind.table is Resource else []


def where(kind: "Kind[Any]", values: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """Return the conditions that a row is of a kind, and that its columns hold these values."""
    return [*of_kind(kind), *(col(getattr(kind.table, name)) == value for name, value in values.items())]


def new(kind: "Kind[Any]", **columns: Any) -> Any:
    """Return a new row of a kind's table."""
    if kind.table is Resource:
        columns["type"] = kind.type
    return kind.table(**columns)


async def get(
    session: AsyncSession,
    project_id: str,
    kind: "Kind[Any]",
    reference: str,
    *,
    within: Mapping[str, str] | None = None,
    lock: bool = False,
) -> Any:
    """Return the resource that an id or name stands for, among those whose columns hold what `within` says.

    Raises:
        NotFoundError: there is none, by the kind's own code: `fargate_profile_not_found`.
        AmbiguousNameError: several clusters have one of that name.
    """
    found = await resources.find(session, kind.table, project_id, reference, *where(kind, within or {}), lock=lock)
    if not found:
        raise not_found(kind, reference)
    if len(found) > 1:
        ids = sorted(row.id for row in found)
        told_apart = f"add ?{kind.scope.query}=, or use an id"
        raise AmbiguousNameError(f"{len(found)} {kind.titles} are named {reference!r}; {told_apart}.", ids=ids)
    return found[0]


async def by_id(session: AsyncSession, kind: "Kind[Any]", resource_id: str) -> Any:
    """Return a resource by its id, also a deleted one: for the background, which works for every project."""
    return await session.get_one(kind.table, resource_id)


async def of_cluster(session: AsyncSession, kind: "Kind[Any]", cluster_id: str) -> Sequence[Any]:
    """Return what a cluster has of a kind, oldest first; of what stands beside clusters, nothing."""
    if "cluster_id" not in kind.scope.columns:
        return ()
    table: Any = kind.table
    query = select(table).where(*where(kind, {"cluster_id": cluster_id}), col(table.deleted_at).is_(None))
    return (await session.execute(query.order_by(col(table.id)))).scalars().all()


async def named(session: AsyncSession, kind: "Kind[Any]", owner: Any, name: str) -> Any | None:
    """Return an owner's live resource of that name."""
    table: Any = kind.table
    conditions = where(kind, {**kind.scope.values(owner), "name": name})
    query = select(table).where(*conditions, col(table.deleted_at).is_(None))
    return (await session.execute(query)).scalar_one_or_none()
