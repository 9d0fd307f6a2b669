"""Operations: list, read, follow, cancel, retry; and the events of everything."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.http.caller import CallerDep
from app.http.change import ChangeDep
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery
from app.http.route import StrictRoute
from app.operations import repository
from app.operations.dependencies import (
    FOLLOW_SECONDS,
    DatabaseDep,
    LedgerDep,
    OperationFilter,
    after_event,
    not_a_stream,
    operation_filter,
    page_of_events,
    page_of_operations,
    with_children,
)
from app.operations.schemas import EventOut, OperationOut

router = APIRouter(route_class=StrictRoute)

AfterQuery = Annotated[int, Depends(after_event)]


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
    responses=problems(404, 406),
    dependencies=[Depends(not_a_stream)],
)
async def list_operation_events(
    operation: str, caller: CallerDep, database: DatabaseDep, page: PageQuery, after: AfterQuery
) -> Page[EventOut]:
    """List the events of an operation and its children, oldest first.

    While it is being read, the events that AWS reports are fetched as they happen; otherwise when a step ends.
    """
    async with database.read() as session:
        row = await repository.get(session, caller.project_id, operation)
        family, live = await with_children(session, row)
    if live:
        async with database.write() as session:
            await repository.follow(session, live, FOLLOW_SECONDS)
    async with database.read() as session:
        return await page_of_events(session, caller, page, after=after, operation_ids=family)


@router.get("/events", tags=["operations"], responses=problems(406), dependencies=[Depends(not_a_stream)])
async def list_events(
    caller: CallerDep,
    database: DatabaseDep,
    page: PageQuery,
    after: AfterQuery,
    resource: Annotated[str | None, Query(description="Id or name of a resource.")] = None,
) -> Page[EventOut]:
    """List the events of everything that the caller may see, oldest first."""
    async with database.read() as session:
        return await page_of_events(session, caller, page, after=after, resource=resource)


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
        return await change.accepted(session, await ledger.cancel(session, change.caller, operation))


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
        return await change.accepted(session, await ledger.retry(session, change.caller, operation))
