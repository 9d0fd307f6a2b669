"""The routes of a kind: list, create, read, change and delete, the same for every kind."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from app.clusters import repository as clusters
from app.core.caller import Caller
from app.db import resources
from app.db.session import Database
from app.http.caller import CallerDep
from app.http.change import ChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery, PageRequest, TagQuery
from app.http.route import StrictRoute
from app.kinds import rows
from app.kinds.changes import Changes
from app.kinds.kind import Kind, Options
from app.kinds.schemas import out_model, resource_out
from app.kinds.scope import ACCOUNT, CLUSTER
from app.operations.dependencies import DRY_RUN, DatabaseDep, DryRunQuery, begin_or_plan
from app.operations.schemas import OperationOut

NameQuery = Annotated[str | None, Query(description="Only those of this name, which may hold slashes.")]
DeletedQuery = Annotated[bool, Query(description="Also those that were deleted.")]


def get_changes(request: Request) -> Changes:
    """Return what the root wired."""
    changes: Changes = request.app.state.changes
    return changes


ChangesDep = Annotated[Changes, Depends(get_changes)]


async def within_cluster(
    caller: CallerDep,
    database: DatabaseDep,
    cluster: Annotated[str | None, Query(description="Id or name of the cluster.")] = None,
) -> Mapping[str, str]:
    """Return what the rows of the query's cluster have in common; of any cluster, nothing."""
    if not cluster:
        return {}
    async with database.read() as session:
        return {"cluster_id": (await clusters.get(session, caller.project_id, cluster)).id}


async def within_region(
    region: Annotated[str | None, Query(description="Only those in this region.")] = None,
) -> Mapping[str, str]:
    """Return what the rows of the query's region have in common; of any region, nothing."""
    return {"region": region} if region else {}


_WITHIN: Mapping[str, Callable[..., Awaitable[Mapping[str, str]]]] = {
    CLUSTER.query: within_cluster,
    ACCOUNT.query: within_region,
}


def routes(kind: Kind[Any]) -> APIRouter:
    """Return the routes of a kind; what a request's body and a path are is typed by the kind's own models."""
    router = APIRouter(route_class=StrictRoute, tags=[kind.plural])
    model: Any = out_model(kind)
    page_model: Any = Page[model]
    path = Annotated[
        str, Path(alias=kind.type, description=f"Id of the {kind.title}, or its name if that holds no slash.")
    ]
    patch_body = Annotated[dict[str, Any], Body(examples=[dict(kind.patch_example)])]
    owner = Annotated[Mapping[str, str], Depends(_WITHIN[kind.scope.query])]

    async def list_resources(
        caller: CallerDep,
        database: DatabaseDep,
        page: PageQuery,
        tags: TagQuery,
        within: Any,
        name: NameQuery = None,
        include_deleted: DeletedQuery = False,
    ) -> Any:
        values = {**within, "name": name} if name else within
        found = await _page(database, kind, caller, values, page, tags, include_deleted=include_deleted)
        kept, token = page.cut(found, lambda row: row.id)
        return page_model(items=[resource_out(model, row) for row in kept], next_page_token=token)

    async def create(spec: Any, change: ChangeDep, changes: ChangesDep, dry_run: DryRunQuery = False) -> Response:
        return await begin_or_plan(
            change, changes.ledger, await changes.create(kind, change.caller, spec), dry_run=dry_run
        )

    async def get(reference: Any, caller: CallerDep, database: DatabaseDep, request: Request, within: Any) -> Response:
        row = await _find(database, kind, caller, reference, within)
        return conditional(request, row.generation, resource_out(model, row))

    async def update(
        reference: Any,
        patch: Any,
        change: ChangeDep,
        database: DatabaseDep,
        changes: ChangesDep,
        within: Any,
        dry_run: DryRunQuery = False,
    ) -> Response:
        row = await _find(database, kind, change.caller, reference, within)
        change.check_match(row.generation)
        return await begin_or_plan(
            change, changes.ledger, await changes.update(kind, change.caller, row, patch), dry_run=dry_run
        )

    async def delete(
        reference: Any,
        change: ChangeDep,
        database: DatabaseDep,
        changes: ChangesDep,
        within: Any,
        options: Any,
        dry_run: DryRunQuery = False,
    ) -> Response:
        row = await _find(database, kind, change.caller, reference, within)
        change.check_match(row.generation)
        return await begin_or_plan(
            change, changes.ledger, await changes.delete(kind, change.caller, row, options), dry_run=dry_run
        )

    # The parameters whose types the kind gives; FastAPI reads them from here.
    create.__annotations__["spec"] = kind.spec
    update.__annotations__["patch"] = patch_body
    delete.__annotations__["options"] = Annotated[Options, Depends(_options(kind))]
    for endpoint in (get, update, delete):
        endpoint.__annotations__["reference"] = path
    for owned in (list_resources, get, update, delete):
        owned.__annotations__["within"] = owner

    one = f"{kind.path}/{{{kind.type}}}"
    _add(
        router,
        "GET",
        kind.path,
        list_resources,
        f"list_{kind.plural}",
        _says(kind, "list"),
        (404, 409, 422),
        page_model,
    )
    _add(router, "POST", kind.path, create, f"create_{kind.type}", _says(kind, "create"), (404, 409, 422))
    _add(router, "GET", one, get, f"get_{kind.type}", _says(kind, "get"), (404, 409), model)
    _add(router, "PATCH", one, update, f"update_{kind.type}", _says(kind, "update"), (404, 409, 412, 422))
    _add(router, "DELETE", one, delete, f"delete_{kind.type}", _says(kind, "delete"), (404, 409, 412, 422))
    return router


def _options(kind: Kind[Any]) -> Callable[..., Awaitable[Options]]:
    """Return the dependency that reads the options of a kind's delete from the query."""

    async def asked(**options: bool) -> Options:
        return options

    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False,
            annotation=Annotated[bool, Query(description=says)],
        )
        for name, says in kind.deletion.options.items()
    ]
    asked.__dict__["__signature__"] = inspect.Signature(parameters)
    return asked


_SAYS = {
    "list": "List {titles}, newest first.",
    "create": "Create {a_title}; one of a cluster that is still being created waits for it.",
    "get": "Read {a_title}.",
    "update": "Change {a_title}: a JSON merge patch (RFC 7396) of its spec.",
    "delete": "Delete {a_title}.",
}


def _says(kind: Kind[Any], verb: str) -> str:
    said = kind.says.get(verb) or _SAYS[verb]
    return said.format(titles=kind.titles, a_title=kind.a_title)


def _add(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    operation: str,
    says: str,
    statuses: Sequence[int],
    answer: Any = None,
) -> None:
    """Add a route; one that changes something answers with its operation."""
    endpoint.__name__, endpoint.__doc__ = operation, says
    responses = problems(*statuses)
    if answer is None:
        responses |= DRY_RUN
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        status_code=200 if answer is not None else 202,
        response_model=answer if answer is not None else OperationOut,
        responses=responses,
    )


async def _find(database: Database, kind: Kind[Any], caller: Caller, reference: str, within: Mapping[str, str]) -> Any:
    async with database.read() as session:
        return await rows.get(session, caller.project_id, kind, reference, within=within)


async def _page(
    database: Database,
    kind: Kind[Any],
    caller: Caller,
    values: Mapping[str, str],
    page: PageRequest,
    tags: Mapping[str, str],
    *,
    include_deleted: bool,
) -> Sequence[Any]:
    async with database.read() as session:
        return await resources.list_page(
            session,
            kind.table,
            caller.project_id,
            *rows.where(kind, values),
            limit=page.fetch,
            before=page.after_text,
            tags=tags,
            include_deleted=include_deleted,
        )
