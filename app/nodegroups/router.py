"""Routes of node groups."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.caller import Caller
from app.core.merge_patch import merge_patch
from app.core.validation import validate
from app.db import resources
from app.http.caller import CallerDep
from app.http.change import ChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery, TagQuery
from app.http.route import StrictRoute
from app.nodegroups import live, repository
from app.nodegroups.dependencies import FeatureDep, NodegroupFeature, nodegroup_out
from app.nodegroups.models import Nodegroup
from app.nodegroups.schemas import NodegroupOut, NodegroupSpec
from app.operations.dependencies import DatabaseDep
from app.operations.schemas import OperationOut

router = APIRouter(route_class=StrictRoute, tags=["nodegroups"])

NodegroupPath = Annotated[str, Path(description="Id or name of the node group.")]
ClusterQuery = Annotated[str | None, Query(description="Id or name of the cluster.")]


async def _find(
    session: AsyncSession,
    feature: NodegroupFeature,
    caller: Caller,
    reference: str,
    cluster: str | None,
    *,
    lock: bool = False,
) -> Nodegroup:
    cluster_id = (await feature.clusters.get(session, caller.project_id, cluster)).id if cluster else None
    return await repository.get(session, caller.project_id, reference, cluster_id=cluster_id, lock=lock)


@router.get("/nodegroups", responses=problems(404, 409, 422))
async def list_nodegroups(
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    page: PageQuery,
    tags: TagQuery,
    cluster: ClusterQuery = None,
    include_deleted: Annotated[bool, Query(description="Also those that were deleted.")] = False,
) -> Page[NodegroupOut]:
    """List node groups, newest first."""
    async with database.read() as session:
        where = []
        if cluster:
            view = await feature.clusters.get(session, caller.project_id, cluster)
            where = [col(Nodegroup.cluster_id) == view.id]
        rows = await resources.list_page(
            session,
            Nodegroup,
            caller.project_id,
            *where,
            limit=page.fetch,
            before=page.after_text,
            tags=tags,
            include_deleted=include_deleted,
        )
    kept, token = page.cut(rows, lambda row: row.id)
    return Page(items=[nodegroup_out(row) for row in kept], next_page_token=token)


@router.post("/nodegroups", status_code=202, response_model=OperationOut, responses=problems(404, 409, 422))
async def create_nodegroup(
    spec: NodegroupSpec, change: ChangeDep, database: DatabaseDep, feature: FeatureDep
) -> Response:
    """Create a node group; one of a cluster that is still being created waits for it."""
    async with database.read() as session:
        cluster = await feature.clusters.get(session, change.caller.project_id, spec.cluster)
        existing = await repository.named(session, cluster.id, spec.name)
    if existing is None and cluster.phase not in ("deleting", "failed"):  # else the transaction says so
        cloud = await feature.clouds.of(cluster.account_id, cluster.region)
        await live.check(cloud, spec, vpc_id=cluster.outputs.get("vpc_id"), zones=cluster.zones)
    async with change.transaction() as session:
        operation = await feature.service.create(session, change.caller, spec, callback_url=change.callback_url)
        return await change.accepted(session, await feature.ledger.out(session, operation))


@router.get("/nodegroups/{nodegroup}", response_model=NodegroupOut, responses=problems(404, 409))
async def get_nodegroup(
    nodegroup: NodegroupPath,
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    request: Request,
    cluster: ClusterQuery = None,
) -> Response:
    """Read a node group."""
    async with database.read() as session:
        row = await _find(session, feature, caller, nodegroup, cluster)
    return conditional(request, row.generation, nodegroup_out(row))


@router.patch(
    "/nodegroups/{nodegroup}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412, 422)
)
async def update_nodegroup(
    nodegroup: NodegroupPath,
    patch: Annotated[dict[str, Any], Body(examples=[{"scaling": {"max": 6, "desired": 3}}])],
    change: ChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
    cluster: ClusterQuery = None,
) -> Response:
    """Change a node group: a JSON merge patch (RFC 7396) of its spec; a `desired` not sent keeps the live one."""
    async with database.read() as session:
        row = await _find(session, feature, change.caller, nodegroup, cluster)
        change.check_match(row.generation)
        spec, keep_desired = _patched(row, patch)
        view = await feature.service.check_change(session, row, spec)
    before = NodegroupSpec.model_validate(row.applied_spec) if row.observed_generation else None
    cloud = await feature.clouds.of(row.account_id, row.region)
    await live.check(cloud, spec, vpc_id=view.outputs.get("vpc_id"), zones=view.zones, before=before)
    async with change.transaction() as session:
        locked = await repository.get(session, change.caller.project_id, row.id, lock=True)
        change.check_match(locked.generation)
        operation = await feature.service.update(
            session,
            change.caller,
            locked,
            spec,
            seen=row,
            keep_desired=keep_desired,
            callback_url=change.callback_url,
        )
        return await change.accepted(session, await feature.ledger.out(session, operation))


@router.delete(
    "/nodegroups/{nodegroup}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412)
)
async def delete_nodegroup(
    nodegroup: NodegroupPath, change: ChangeDep, feature: FeatureDep, cluster: ClusterQuery = None
) -> Response:
    """Delete a node group."""
    async with change.transaction() as session:
        row = await _find(session, feature, change.caller, nodegroup, cluster, lock=True)
        change.check_match(row.generation)
        operation = await feature.service.delete(session, change.caller, row, callback_url=change.callback_url)
        return await change.accepted(session, await feature.ledger.out(session, operation))


def _patched(row: Nodegroup, patch: dict[str, Any]) -> tuple[NodegroupSpec, bool]:
    """Return the spec after the patch, and whether the live number of nodes stays: the patch names none."""
    document = merge_patch(row.spec, patch)
    scaling = patch.get("scaling")
    keep = not (isinstance(scaling, dict) and scaling.get("desired") is not None)
    merged = document.get("scaling")
    if keep and isinstance(merged, dict) and isinstance(merged.get("desired"), int):
        low, high, number = merged.get("min"), merged.get("max"), merged["desired"]
        if isinstance(low, int) and isinstance(high, int):
            document = {**document, "scaling": {**merged, "desired": min(high, max(low, number))}}
    return validate(NodegroupSpec, document), keep
