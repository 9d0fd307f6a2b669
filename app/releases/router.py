"""Routes that list, create, change and delete releases."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from sqlmodel import col

from app.core.errors import FieldError
from app.core.merge_patch import merge_patch
from app.core.secrets.scope import current
from app.core.validation import validate
from app.db import resources
from app.db.session import Database
from app.http.caller import CallerDep
from app.http.change import Change, ChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery, TagQuery
from app.http.route import StrictRoute
from app.operations.dependencies import DatabaseDep
from app.operations.schemas import OperationOut
from app.releases import repository
from app.releases.charts import pinned
from app.releases.dependencies import (
    FeatureDep,
    FoundDep,
    Place,
    PlaceDep,
    ReleaseFeature,
    ReleasePath,
    find,
    release_out,
    releases_out,
)
from app.releases.errors import SecretError
from app.releases.models import Release
from app.releases.references import references_in
from app.releases.resolutions import secrets_of, with_references
from app.releases.schemas import ReleaseOut, ReleaseSpec
from app.releases.schemas_live import RollbackRequest
from app.releases.secrets.opened import Opened
from app.releases.values import of_row

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
    where = [] if place.namespace is None else [col(Release.namespace) == place.namespace]
    async with database.read() as session:
        if place.cluster:
            view = await feature.clusters.get(session, caller.project_id, place.cluster)
            where.append(col(Release.cluster_id) == view.id)
        rows = await resources.list_page(
            session,
            Release,
            caller.project_id,
            *where,
            limit=page.fetch,
            before=page.after_text,
            tags=tags,
            include_deleted=include_deleted,
        )
    kept, token = page.cut(rows, lambda row: row.id)
    return Page(items=await asyncio.to_thread(releases_out, feature, kept), next_page_token=token)


@router.post("/releases", status_code=202, response_model=OperationOut, responses=problems(404, 409, 422))
async def create_release(spec: ReleaseSpec, change: ChangeDep, database: DatabaseDep, feature: FeatureDep) -> Response:
    """Install a chart; a release of a cluster that is still being created waits for it."""
    values = await asyncio.to_thread(feature.service.wanted, spec)
    project = change.caller.project_id
    async with database.read() as session:
        cluster = await feature.clusters.get(session, project, spec.cluster)
        existing = await repository.named(session, cluster.id, spec.namespace, spec.name)
        registry = await feature.service.registry(session, project, spec)
    chart = None
    if existing is None and cluster.phase not in ("deleting", "failed"):  # else the transaction says so
        secrets = await feature.secrets.check(values, cluster, spec.namespace, may_come=bool(spec.depends_on))
        chart = await feature.live.check(
            spec, values, project_id=project, kubernetes_version=cluster.version, registry=registry, secrets=secrets
        )
    async with change.transaction() as session:
        operation = await feature.service.create(
            session, change.caller, spec, values, chart=chart, callback_url=change.callback_url
        )
        return await change.accepted(session, await feature.ledger.out(session, operation))


@router.get("/releases/{release}", response_model=ReleaseOut, responses=problems(404, 409))
async def get_release(found: FoundDep, feature: FeatureDep, request: Request) -> Response:
    """Read a release; `status.access` is read from the cluster, or is as it was seen last if that does not answer."""
    access = await feature.reader.glance(found.row, found.cluster)
    shown = await asyncio.to_thread(release_out, found.row, found.values, access)
    return conditional(request, found.row.generation, shown)


@router.patch(
    "/releases/{release}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412, 422)
)
async def update_release(
    release: ReleasePath,
    patch: Annotated[dict[str, Any], Body(examples=[{"values": {"replicas": 2}, "set": ["image.tag=1.1"]}])],
    change: ChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
    place: PlaceDep,
) -> Response:
    """Upgrade a release: a JSON merge patch (RFC 7396) of its spec; `set` is read into the values after it.

    One that changes nothing, such as `{}`, upgrades it all the same, with the secrets that its values refer to as they
    are now.
    """
    return await _update(release, patch, change, database, feature, place, replace_values=False)


@router.put(
    "/releases/{release}/values", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412, 422)
)
async def replace_release_values(
    release: ReleasePath,
    values: Annotated[dict[str, Any], Body(examples=[{"replicas": 2}])],
    change: ChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
    place: PlaceDep,
) -> Response:
    """Upgrade a release with these values in place of all it had; `(redacted)` keeps what stands in its place."""
    return await _update(release, {"values": values}, change, database, feature, place, replace_values=True)


@router.delete("/releases/{release}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412))
async def delete_release(release: ReleasePath, change: ChangeDep, feature: FeatureDep, place: PlaceDep) -> Response:
    """Uninstall a release; its namespace stays. One that is being installed is stopped first."""
    async with change.transaction() as session:
        row = await find(session, feature, change.caller, release, place, lock=True)
        change.check_match(row.generation)
        operation = await feature.service.delete(session, change.caller, row, callback_url=change.callback_url)
        return await change.accepted(session, await feature.ledger.out(session, operation))


@router.post(
    "/releases/{release}/rollback",
    status_code=202,
    response_model=OperationOut,
    responses=problems(404, 409, 412, 422),
)
async def roll_back_release(
    found: FoundDep, body: RollbackRequest, change: ChangeDep, database: DatabaseDep, feature: FeatureDep
) -> Response:
    """Bring back an older revision, as a new one; the spec is that revision's from then on, one generation on."""
    row = found.row
    change.check_match(row.generation)
    async with database.read() as session:
        await feature.service.check_installed(session, row)
        kept = await repository.revision(session, row.id, body.revision)
    present = await feature.reader.get(row, found.cluster, body.revision)
    if kept is not None:
        spec, values, chart = kept.spec, await asyncio.to_thread(feature.service.values, row, kept), kept.chart
    else:  # somebody made it with helm itself
        spec, chart = row.spec, row.facts.get("chart") or {}
        current().add(secrets_of(present.values, row.facts))
        by_hand = with_references(dict(present.values), row.facts, feature.secrets.same_for(row.id))
        values = await asyncio.to_thread(of_row, by_hand, spec, row.facts)
    anew = kept is not None and bool(references_in(values.values))
    if anew:
        try:
            await feature.secrets.check(values, found.cluster, row.namespace, may_come=False)
        except SecretError as error:
            error.errors = [FieldError("/revision", each.detail) for each in error.errors]
            raise
    async with change.transaction() as session:
        locked = await repository.get(session, change.caller.project_id, row.id, lock=True)
        change.check_match(locked.generation)
        operation = await feature.service.rollback(
            session,
            change.caller,
            locked,
            body.revision,
            spec,
            values,
            chart,
            anew=anew,
            callback_url=change.callback_url,
        )
        return await change.accepted(session, await feature.ledger.out(session, operation))


@router.post(
    "/releases/{release}/test", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412)
)
async def test_release(release: ReleasePath, change: ChangeDep, feature: FeatureDep, place: PlaceDep) -> Response:
    """Run the chart's tests; how each went stands in `status.tests`."""
    async with change.transaction() as session:
        row = await find(session, feature, change.caller, release, place, lock=True)
        change.check_match(row.generation)
        operation = await feature.service.test(session, change.caller, row, callback_url=change.callback_url)
        return await change.accepted(session, await feature.ledger.out(session, operation))


async def patched(
    feature: ReleaseFeature, row: Release, patch: dict[str, Any], *, replace_values: bool = False
) -> tuple[ReleaseSpec, Opened]:
    """Return the spec and the values of a release with a patch applied.

    Raises:
        InvalidError: with pointers into the spec.
    """
    before = await asyncio.to_thread(feature.service.values, row)
    document = merge_patch({**row.spec, "values": {} if replace_values else before.values}, patch)
    if replace_values:
        document["values"] = patch["values"]  # a null in there is Helm's: it takes a default of the chart away
    spec = validate(ReleaseSpec, document)
    place = "" if replace_values else "/values"
    return spec, await asyncio.to_thread(feature.service.wanted, spec, before, values_pointer=place)


async def _update(
    release: str,
    patch: dict[str, Any],
    change: Change,
    database: Database,
    feature: ReleaseFeature,
    place: Place,
    *,
    replace_values: bool,
) -> Response:
    async with database.read() as session:
        row = await find(session, feature, change.caller, release, place)
        change.check_match(row.generation)
        spec, values = await patched(feature, row, patch, replace_values=replace_values)
        cluster = await feature.service.check_change(session, row, spec)
        registry = await feature.service.registry(session, row.project_id, spec)
    pin = pinned(row.facts.get("chart"), spec.chart)
    pointer = "" if replace_values else "/values"
    may_come = bool(spec.depends_on)
    secrets = await feature.secrets.check(values, cluster, spec.namespace, may_come=may_come, pointer=pointer)
    chart = await feature.live.check(
        spec,
        values,
        project_id=row.project_id,
        kubernetes_version=cluster.version,
        registry=registry,
        pin=pin,
        secrets=secrets,
    )
    async with change.transaction() as session:
        locked = await repository.get(session, change.caller.project_id, row.id, lock=True)
        change.check_match(locked.generation)
        operation = await feature.service.update(
            session,
            change.caller,
            locked,
            spec,
            values,
            seen=row,
            chart=chart,
            callback_url=change.callback_url,
        )
        return await change.accepted(session, await feature.ledger.out(session, operation))
