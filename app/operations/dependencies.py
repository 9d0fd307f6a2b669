"""What the routes of operations need from the app: the database and the ledger, and the pages of their lists."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.core.errors import FieldError, InvalidError
from app.db import resources
from app.db.base import ResourceColumns
from app.db.session import Database
from app.engine.models import LIVE, Operation
from app.http import sse
from app.http.caller import CallerDep
from app.http.change import Change
from app.http.concurrency import Streams
from app.http.pagination import Page, PageRequest
from app.operations import repository
from app.operations.feed import FOLLOW_SECONDS, Feed
from app.operations.plans import PlanOut, plan_out
from app.operations.prepared import Begin, Prepared
from app.operations.schemas import EventOut, OperationOut, OperationStatus, ResourceRef, event_out, operation_out
from app.operations.service import Ledger

_INT64 = 2**63

R = TypeVar("R", bound=ResourceColumns)


def get_database(request: Request) -> Database:
    """Return the app's database."""
    database: Database = request.app.state.database
    return database


def get_ledger(request: Request) -> Ledger:
    """Return the app's ledger."""
    ledger: Ledger = request.app.state.ledger
    return ledger


DryRunQuery = Annotated[bool, Query(description="Only tell what would be done: 200 with a plan, and nothing begun.")]
DRY_RUN: dict[int | str, dict[str, Any]] = {
    200: {"model": PlanOut, "description": "With `dry_run`: what would be done."}
}
"""What a route that takes `dry_run` may answer, too."""

DatabaseDep = Annotated[Database, Depends(get_database)]
LedgerDep = Annotated[Ledger, Depends(get_ledger)]


async def begin_or_plan(change: Change, ledger: Ledger, prepared: Prepared, *, dry_run: bool) -> Response:
    """Begin a prepared change in the request's one transaction, or only tell what it would do.

    What would be done is begun, too, in a transaction that is rolled back: so all that would refuse it does.
    """
    how = Begin(callback_url=change.callback_url, check_match=change.check_match)
    if dry_run:
        async with change.rehearsal() as session:
            await prepared.begin(session, how)
            begun = ledger.begun(session)
        plan = await asyncio.to_thread(plan_out, prepared, begun)
        async with change.transaction() as session:
            return await change.answer(session, 200, plan)
    async with change.transaction() as session:
        operation = await prepared.begin(session, how)
        return await change.accepted(session, await ledger.out(session, operation))


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations are asked for; None is all."""

    resource: str | None
    status: OperationStatus | None
    kind: str | None
    parent: str | None


async def operation_filter(
    resource: Annotated[str | None, Query(description="Id or name of a resource.")] = None,
    status: Annotated[OperationStatus | None, Query()] = None,
    kind: Annotated[str | None, Query(examples=["cluster.create"])] = None,
    parent: Annotated[str | None, Query(description="Id of the operation that holds them together.")] = None,
) -> OperationFilter:
    """Return the filter of the query."""
    return OperationFilter(resource, status, kind, parent)


async def after_event(
    after: Annotated[str | None, Query(description="Id of an event: only later ones.", examples=["42"])] = None,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="Of a stream: where it was cut. Counts before `after`.")
    ] = None,
) -> int | None:
    """Return the sequence number that the list or stream begins after, or None.

    Raises:
        InvalidError: it is no event's id.
    """
    for pointer, value in (("/header/Last-Event-ID", last_event_id), ("/query/after", after)):
        if value is not None:
            if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) < _INT64):
                detail = "must be the id of an event"
                raise InvalidError(f"{pointer.rpartition('/')[2]} {detail}.", [FieldError(pointer, detail)])
            return int(value)
    return None


async def wants_stream(request: Request) -> bool:
    """Tell whether the caller asks for server-sent events."""
    return sse.MEDIA_TYPE in request.headers.get("accept", "").lower()


@dataclass(frozen=True, slots=True)
class Following:
    """Where a reader begins, what it wants, and what streams are made of.

    Attributes:
        after: Only events after this number; None when the caller did not say.
        streaming: It wants server-sent events rather than a list.
        resumes: It comes back after a cut.
    """

    database: Database
    feed: Feed
    streams: Streams
    caller: Caller
    heartbeat_seconds: float
    after: int | None
    streaming: bool
    resumes: bool

    def stream(self, source: sse.Source) -> sse.EventStream:
        """Return the answer that streams a source."""
        counted = self.streams.one(self.caller.key_id)
        return sse.EventStream(source, counted, heartbeat_seconds=self.heartbeat_seconds)

    async def note(self, operation_ids: Sequence[str]) -> None:
        """Note that somebody reads these operations: what AWS reports of them is fetched as it happens for a while."""
        async with self.database.write() as session:
            await repository.follow(session, operation_ids, FOLLOW_SECONDS)


async def following(
    request: Request,
    caller: CallerDep,
    after: Annotated[int | None, Depends(after_event)],
    streaming: Annotated[bool, Depends(wants_stream)],
) -> Following:
    """Return how the caller wants to follow events."""
    state = request.app.state
    return Following(
        database=state.database,
        feed=state.feed,
        streams=state.streams,
        caller=caller,
        heartbeat_seconds=state.settings.heartbeat_seconds,
        after=after,
        streaming=streaming,
        resumes="last-event-id" in request.headers,
    )


FollowingDep = Annotated[Following, Depends(following)]


async def page_of_resources(
    session: AsyncSession,
    table: type[R],
    caller: Caller,
    page: PageRequest,
    *where: ColumnElement[bool],
    tags: Mapping[str, str] | None,
    include_deleted: bool,
) -> tuple[Sequence[R], str | None]:
    """Return a page of the caller's resources, newest first, and the token of the next page if there is one."""
    rows = await resources.list_page(
        session,
        table,
        caller.project_id,
        *where,
        limit=page.fetch,
        before=page.after_text,
        tags=tags,
        include_deleted=include_deleted,
    )
    return page.cut(rows, lambda row: row.id)


async def page_of_operations(
    session: AsyncSession, caller: Caller, wanted: OperationFilter, page: PageRequest
) -> Page[OperationOut]:
    """Return a page of the caller's operations, newest first."""
    rows = await repository.list_operations(
        session,
        caller.project_id,
        limit=page.fetch,
        before=page.after_text,
        resource=wanted.resource,
        status=wanted.status,
        kind=wanted.kind,
        parent=wanted.parent,
    )
    kept, token = page.cut(rows, lambda row: row.id)
    ids = [row.id for row in kept]
    children = await repository.children_of(session, ids)
    dependencies = await repository.dependencies_of(session, ids)
    items = [operation_out(row, children[row.id], dependencies[row.id]) for row in kept]
    return Page(items=items, next_page_token=token)


async def page_of_events(
    session: AsyncSession,
    caller: Caller,
    page: PageRequest,
    *,
    after: int,
    operation_ids: Sequence[str] | None = None,
    resource: str | None = None,
) -> Page[EventOut]:
    """Return a page of the caller's events, oldest first."""
    rows = await repository.list_events(
        session,
        caller.project_id,
        limit=page.fetch,
        after=max(after, page.after_number or 0),
        operation_ids=operation_ids,
        resource=resource,
    )
    kept, token = page.cut(rows, lambda row: row[0].seq or 0)
    items = [
        event_out(event, ResourceRef(type=event.resource_type, id=event.resource_id, name=name)) for event, name in kept
    ]
    return Page(items=items, next_page_token=token)


async def with_children(session: AsyncSession, operation: Operation) -> tuple[list[str], list[str]]:
    """Return the ids of an operation and its children, and those of them that are still live."""
    family = [operation, *(await repository.children_of(session, [operation.id]))[operation.id]]
    return [member.id for member in family], [member.id for member in family if member.status in LIVE]
