"""Operations: list, read, follow, cancel, retry; and the events of everything."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from app.core.caller import Caller
from app.http.caller import CallerDep
from app.http.change import ChangeDep
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery
from app.http.route import StrictRoute
from app.operations import repository
from app.operations.dependencies import (
    DatabaseDep,
    Following,
    FollowingDep,
    LedgerDep,
    OperationFilter,
    operation_filter,
    page_of_events,
    page_of_operations,
    with_children,
)
from app.operations.schemas import EventOut, OperationOut
from app.operations.service import Ledger
from app.operations.streams import OperationStream, ProjectStream, has_news

router = APIRouter(route_class=StrictRoute)

STREAM: dict[str, Any] = {
    "description": "A page of events, or a stream of them (`Accept: text/event-stream`).",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
ENDED: dict[str, Any] = {"description": "To a stream that is resumed: all has ended and was told."}


def json(body: BaseModel) -> Response:
    """Return a model as JSON, where a route has more than one form of answer."""
    return Response(body.model_dump_json(by_alias=True), media_type="application/json")


@router.get("/operations", tags=["operations"])
async def list_operations(
    caller: CallerDep,
    database: DatabaseDep,
    page: PageQuery,
    wanted: Annotated[OperationFilter, Depends(operation_filter)],
) -> Page[OperationOut]:
    """List operations, newest first."""
    async with database.read() as session:
        return await page_of_operations(session, caller, wanted, page)


@router.get("/operations/{operation}", tags=["operations"], responses=problems(404))
async def get_operation(operation: str, caller: CallerDep, database: DatabaseDep, ledger: LedgerDep) -> OperationOut:
    """Read one operation; 200 also when its work has failed, which its `error` then tells."""
    async with database.read() as session:
        return await ledger.read(session, caller, operation)


@router.get(
    "/operations/{operation}/events",
    tags=["operations"],
    response_model=Page[EventOut],
    responses={200: STREAM, 204: ENDED, **problems(404, 429)},
)
async def list_operation_events(
    operation: str, caller: CallerDep, ledger: LedgerDep, page: PageQuery, follow: FollowingDep
) -> Response:
    """List the events of an operation and its children, oldest first, or follow them as server-sent events.

    While it is being read, the events that AWS reports are fetched as they happen; otherwise when a step ends.
    A stream begins with the first event (or after `Last-Event-ID`) and ends, once all have ended, with the message
    `end`, whose data is the operation.
    """
    async with follow.database.read() as session:
        row = await repository.get(session, caller.project_id, operation)
        family, live = await with_children(session, row)
    if follow.streaming:
        return await _stream(caller, ledger, operation, follow, live=bool(live))
    if live:
        await follow.note(live)
    async with follow.database.read() as session:
        return json(await page_of_events(session, caller, page, after=follow.after or 0, operation_ids=family))


async def _stream(caller: Caller, ledger: Ledger, operation: str, follow: Following, *, live: bool) -> Response:
    """Return the events of an operation as a stream, or what tells an EventSource not to come back: all was told."""
    after = follow.after or 0
    if follow.resumes and not live and not await has_news(follow.database, operation, after):
        return Response(status_code=204)
    return follow.stream(OperationStream(follow.database, follow.feed, ledger, caller, operation, after=after))


@router.get("/events", tags=["operations"], response_model=Page[EventOut], responses={200: STREAM, **problems(429)})
async def list_events(
    caller: CallerDep,
    page: PageQuery,
    follow: FollowingDep,
    resource: Annotated[str | None, Query(description="Id or name of a resource.")] = None,
) -> Response:
    """List the events of everything that the caller may see, oldest first, or follow them as server-sent events.

    A stream begins with what comes next, or after `after` or `Last-Event-ID`.
    """
    if follow.streaming:
        source = ProjectStream(follow.database, follow.feed, caller, after=follow.after, resource=resource)
        return follow.stream(source)
    async with follow.database.read() as session:
        return json(await page_of_events(session, caller, page, after=follow.after or 0, resource=resource))


@router.post(
    "/operations/{operation}/cancel",
    tags=["operations"],
    status_code=202,
    response_model=OperationOut,
    responses=problems(404, 409),
)
async def cancel_operation(operation: str, change: ChangeDep, ledger: LedgerDep) -> Response:
    """Ask an operation to stop; it ends `cancelled` once what it had begun is cleared."""
    async with change.transaction() as session:
        stopped = await ledger.cancel(session, change.caller, operation, callback_url=change.callback_url)
        return await change.accepted(session, stopped)


@router.post(
    "/operations/{operation}/retry",
    tags=["operations"],
    status_code=202,
    response_model=OperationOut,
    responses=problems(404, 409),
)
async def retry_operation(operation: str, change: ChangeDep, ledger: LedgerDep) -> Response:
    """Begin a new operation that takes up a failed one's work where it stopped."""
    async with change.transaction() as session:
        new = await ledger.retry(session, change.caller, operation, callback_url=change.callback_url)
        return await change.accepted(session, new)
