"""Every select of operations, their events and dependencies. Never commits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db.types import utcnow
from app.engine.models import LIVE, Operation, OperationDependency, OperationEvent, OperationWatch
from app.operations.errors import OperationNotFoundError
from app.operations.group_kinds import GROUP_KINDS
from app.operations.schemas import ResourceRef, event_out


async def get(session: AsyncSession, project_id: str, operation_id: str) -> Operation:
    """Return an operation of the project.

    Raises:
        OperationNotFoundError: there is none of that id in the project.
    """
    operation = await session.get(Operation, operation_id)
    if operation is None or operation.project_id != project_id:
        raise OperationNotFoundError(f"There is no operation {operation_id!r}.")
    return operation


async def live_of(session: AsyncSession, lock_key: str) -> Operation | None:
    """Return the pending or running operation that holds a resource's lock."""
    query = select(Operation).where(col(Operation.lock_key) == lock_key, col(Operation.status).in_(LIVE))
    return (await session.execute(query)).scalar_one_or_none()


async def live_of_many(session: AsyncSession, lock_keys: Collection[str]) -> Sequence[Operation]:
    """Return the pending and running operations that hold any of these locks."""
    query = select(Operation).where(col(Operation.lock_key).in_(lock_keys), col(Operation.status).in_(LIVE))
    return (await session.execute(query.order_by(col(Operation.id)))).scalars().all()


async def latest_of(session: AsyncSession, resource_id: str) -> Operation | None:
    """Return the resource's newest operation that holds (or held) its lock."""
    query = (
        select(Operation)
        .where(col(Operation.resource_id) == resource_id, col(Operation.kind).not_in(GROUP_KINDS))
        .order_by(col(Operation.id).desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def children_of(session: AsyncSession, parent_ids: Collection[str]) -> dict[str, list[Operation]]:
    """Return the children of each parent, oldest first."""
    children: dict[str, list[Operation]] = {parent: [] for parent in parent_ids}
    if parent_ids:
        query = select(Operation).where(col(Operation.parent_id).in_(parent_ids)).order_by(col(Operation.id))
        for child in (await session.execute(query)).scalars():
            children[str(child.parent_id)].append(child)
    return children


async def dependencies_of(session: AsyncSession, operation_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids that each operation depends on, oldest first."""
    found: dict[str, list[str]] = {operation: [] for operation in operation_ids}
    if operation_ids:
        query = (
            select(col(OperationDependency.operation_id), col(OperationDependency.depends_on_id))
            .where(col(OperationDependency.operation_id).in_(operation_ids))
            .order_by(col(OperationDependency.depends_on_id))
        )
        for operation_id, depends_on_id in await session.execute(query):
            found[operation_id].append(depends_on_id)
    return found


async def list_operations(
    session: AsyncSession,
    project_id: str,
    *,
    limit: int,
    before: str | None = None,
    resource: str | None = None,
    status: str | None = None,
    kind: str | None = None,
    parent: str | None = None,
) -> Sequence[Operation]:
    """Return up to `limit` operations, newest first, older than the id `before`; `resource` is an id or a name."""
    where: list[ColumnElement[bool]] = [col(Operation.project_id) == project_id]
    if before is not None:
        where.append(col(Operation.id) < before)
    if resource is not None:
        where.append((col(Operation.resource_id) == resource) | (col(Operation.resource_name) == resource))
    filters: dict[Any, str | None] = {Operation.status: status, Operation.kind: kind, Operation.parent_id: parent}
    where += [col(column) == value for column, value in filters.items() if value is not None]
    query = select(Operation).where(*where).order_by(col(Operation.id).desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def list_events(
    session: AsyncSession,
    project_id: str,
    *,
    limit: int,
    after: int = 0,
    operation_ids: Collection[str] | None = None,
    resource: str | None = None,
) -> Sequence[tuple[OperationEvent, str]]:
    """Return up to `limit` events, oldest first, after the sequence number `after`, each with its resource's name."""
    where = [col(OperationEvent.project_id) == project_id, col(OperationEvent.seq) > after]
    if operation_ids is not None:
        where.append(col(OperationEvent.operation_id).in_(operation_ids))
    if resource is not None:
        where.append((col(OperationEvent.resource_id) == resource) | (col(Operation.resource_name) == resource))
    query = (
        select(OperationEvent, col(Operation.resource_name))
        .join(Operation, col(Operation.id) == col(OperationEvent.operation_id))
        .where(*where)
        .order_by(col(OperationEvent.seq))
        .limit(limit)
    )
    return [(event, name) for event, name in await session.execute(query)]


async def follow(session: AsyncSession, operation_ids: Collection[str], seconds: float) -> None:
    """Note that somebody follows these operations: their stacks' events are read for the next `seconds`."""
    await session.execute(
        update(OperationWatch)
        .where(col(OperationWatch.operation_id).in_(operation_ids))
        .values(followed_until=utcnow(seconds))
    )


@dataclass(frozen=True)
class FeedRow:
    """An event with what readers filter by; many readers share one."""

    event: OperationEvent
    resource_name: str
    parent_id: str | None

    @property
    def seq(self) -> int:
        """Return the event's number."""
        return self.event.seq or 0

    @cached_property
    def text(self) -> str:
        """Return the event's JSON."""
        event = self.event
        resource = ResourceRef(type=event.resource_type, id=event.resource_id, name=self.resource_name)
        return event_out(event, resource).model_dump_json()


async def events_after(
    session: AsyncSession, after: int, limit: int, *, where: Sequence[ColumnElement[bool]] = ()
) -> list[FeedRow]:
    """Return up to `limit` events of all projects, oldest first, after a number."""
    query = (
        select(OperationEvent, col(Operation.resource_name), col(Operation.parent_id))
        .join(Operation, col(Operation.id) == col(OperationEvent.operation_id))
        .where(col(OperationEvent.seq) > after, *where)
        .order_by(col(OperationEvent.seq))
        .limit(limit)
    )
    return [FeedRow(event, name, parent) for event, name, parent in await session.execute(query)]


async def family_events_after(
    session: AsyncSession, operation_id: str, after: int, limit: int, upto: int | None = None
) -> list[FeedRow]:
    """Return events of an operation and its children after a number, up to another one."""
    family = select(col(Operation.id)).where(
        (col(Operation.id) == operation_id) | (col(Operation.parent_id) == operation_id)
    )
    where: list[ColumnElement[bool]] = [col(OperationEvent.operation_id).in_(family)]
    if upto is not None:
        where.append(col(OperationEvent.seq) <= upto)
    return await events_after(session, after, limit, where=where)


async def project_events_after(
    session: AsyncSession, project_id: str, after: int, limit: int, *, upto: int, resource: str | None
) -> list[FeedRow]:
    """Return events of a project (of one resource, by id or name) after a number, up to another one."""
    where: list[ColumnElement[bool]] = [
        col(OperationEvent.project_id) == project_id,
        col(OperationEvent.seq) <= upto,
    ]
    if resource is not None:
        where.append((col(OperationEvent.resource_id) == resource) | (col(Operation.resource_name) == resource))
    return await events_after(session, after, limit, where=where)


async def newest_event(session: AsyncSession) -> int:
    """Return the highest number of an event, 0 when there is none."""
    return (await session.execute(select(func.max(col(OperationEvent.seq))))).scalar_one() or 0


async def is_family_live(session: AsyncSession, operation_id: str) -> bool:
    """Tell whether an operation or one of its children has yet to end."""
    query = select(col(Operation.id)).where(
        (col(Operation.id) == operation_id) | (col(Operation.parent_id) == operation_id),
        col(Operation.status).in_(LIVE),
    )
    return (await session.execute(query.limit(1))).first() is not None


async def follow_families(session: AsyncSession, operation_ids: Collection[str], seconds: float) -> None:
    """Note that somebody follows these operations and their children."""
    family = select(col(Operation.id)).where(
        col(Operation.id).in_(operation_ids) | col(Operation.parent_id).in_(operation_ids)
    )
    await session.execute(
        update(OperationWatch)
        .where(col(OperationWatch.operation_id).in_(family))
        .values(followed_until=utcnow(seconds))
        .execution_options(synchronize_session=False)
    )
