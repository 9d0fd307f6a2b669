"""Routes that list, create, change and delete releases."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from app.http.caller import CallerDep
from app.http.change import ChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery, TagQuery
from app.http.route import StrictRoute
from app.operations.dependencies import DRY_RUN, DatabaseDep, DryRunQuery, begin_or_plan, page_of_resources
from app.operations.schemas import OperationOut
from app.releases import repository
from app.releases.dependencies import FeatureDep, FoundDep, MatchedDep, PlaceDep, release_out, releases_out
from app.releases.models import Release
from app.releases.schemas import ReleaseOut, ReleaseSpec
from app.releases.schemas_live import RollbackRequest

router = APIRouter(route_class=StrictRoute, tags=["releases"])


@router.get("/releases", responses=problems(404, 409, 422))
async def list_releases(
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    page: PageQuery,
    tags: TagQuery,
    place: PlaceDep,
    include_deleted: Annotated[bool, Query(description="Also those that were deleted.")] = False,
) -> Page[ReleaseOut]:
    """List releases, newest first."""
    async with database.read() as session:
        where = await repository.within(session, caller.project_id, place.cluster, place.namespace)
        kept, token = await page_of_resources(
            session, Release, caller, page, *where, tags=tags, include_deleted=include_deleted
        )
    return Page(items=await asyncio.to_thread(releases_out, feature, kept), next_page_token=token)


@router.post("/releases", status_code=202, response_model=OperationOut, responses=problems(404, 409, 422) | DRY_RUN)
async def create_release(
    spec: ReleaseSpec, change: ChangeDep, feature: FeatureDep, dry_run: DryRunQuery = False
) -> Response:
    """Install a chart; a release of a cluster that is still being created waits for it."""
    prepared = await feature.changes.create(change.caller, spec)
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)


@router.get("/releases/{release}", response_model=ReleaseOut, responses=problems(404, 409))
async def get_release(found: FoundDep, feature: FeatureDep, request: Request) -> Response:
    """Read a release; `status.access` is read from the cluster, or is as it was seen last if that does not answer."""
    access = await feature.reader.glance(found.row, found.cluster)
    shown = await asyncio.to_thread(release_out, found.row, found.values, access)
    return conditional(request, found.row.generation, shown)


@router.patch(
    "/releases/{release}",
    status_code=202,
    response_model=OperationOut,
    responses=problems(404, 409, 412, 422) | DRY_RUN,
)
async def update_release(
    row: MatchedDep,
    patch: Annotated[dict[str, Any], Body(examples=[{"values": {"replicas": 2}, "set": ["image.tag=1.1"]}])],
    change: ChangeDep,
    feature: FeatureDep,
    dry_run: DryRunQuery = False,
) -> Response:
    """Upgrade a release: a JSON merge patch (RFC 7396) of its spec; `set` is read into the values after it.

    One that changes nothing, such as `{}`, upgrades it all the same, with the secrets that its values refer to as they
    are now.
    """
    prepared = await feature.changes.update(change.caller, row, patch)
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)


@router.put(
    "/releases/{release}/values",
    status_code=202,
    response_model=OperationOut,
    responses=problems(404, 409, 412, 422) | DRY_RUN,
)
async def replace_release_values(
    row: MatchedDep,
    values: Annotated[dict[str, Any], Body(examples=[{"replicas": 2}])],
    change: ChangeDep,
    feature: FeatureDep,
    dry_run: DryRunQuery = False,
) -> Response:
    """Upgrade a release with these values in place of all it had; `(redacted)` keeps what stands in its place."""
    prepared = await feature.changes.update(change.caller, row, {"values": values}, replace_values=True)
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)


@router.delete(
    "/releases/{release}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412) | DRY_RUN
)
async def delete_release(
    row: MatchedDep, change: ChangeDep, feature: FeatureDep, dry_run: DryRunQuery = False
) -> Response:
    """Uninstall a release; its namespace stays. One that is being installed is stopped first."""
    prepared = await feature.changes.delete(change.caller, row)
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)


@router.post(
    "/releases/{release}/rollback",
    status_code=202,
    response_model=OperationOut,
    responses=problems(404, 409, 412, 422) | DRY_RUN,
)
async def roll_back_release(
    found: FoundDep, body: RollbackRequest, change: ChangeDep, feature: FeatureDep, dry_run: DryRunQuery = False
) -> Response:
    """Bring back an older revision, as a new one; the spec is that revision's from then on, one generation on."""
    change.check_match(found.row.generation)
    prepared = await feature.changes.rollback(change.caller, found.row, found.cluster, body.revision)
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)


@router.post(
    "/releases/{release}/test",
    status_code=202,
    response_model=OperationOut,
    responses=problems(404, 409, 412) | DRY_RUN,
)
async def test_release(
    row: MatchedDep,
    change: ChangeDep,
    feature: FeatureDep,
    dry_run: DryRunQuery = False,  # noqa: PT028 - a route, not a test
) -> Response:
    """Run the chart's tests; how each went stands in `status.tests`."""
    prepared = await feature.changes.test(change.caller, row)
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)
