"""Routes of clusters."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response

from app.clusters import repository
from app.clusters.dependencies import ClusterDocument, FeatureDep, clusters_out
from app.clusters.kubeconfig import kubeconfig
from app.clusters.models import Cluster
from app.clusters.schemas import ClusterOut
from app.db.session import Database
from app.http.caller import CallerDep
from app.http.change import Change, ChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery, TagQuery
from app.http.route import JSON, StrictRoute, accepts
from app.operations.dependencies import DRY_RUN, DatabaseDep, DryRunQuery, begin_or_plan, page_of_resources
from app.operations.schemas import OperationOut

router = APIRouter(route_class=StrictRoute, tags=["clusters"])

ClusterPath = Annotated[str, Path(description="Id or name of the cluster.")]


@router.get("/clusters", responses=problems(422))
async def list_clusters(
    caller: CallerDep,
    database: DatabaseDep,
    page: PageQuery,
    tags: TagQuery,
    include_deleted: Annotated[bool, Query(description="Also those that were deleted.")] = False,
) -> Page[ClusterOut]:
    """List clusters, newest first."""
    async with database.read() as session:
        kept, token = await page_of_resources(
            session, Cluster, caller, page, tags=tags, include_deleted=include_deleted
        )
        return Page(items=await clusters_out(session, kept), next_page_token=token)


@router.post("/clusters", status_code=202, response_model=OperationOut, responses=problems(409, 422) | DRY_RUN)
@accepts(JSON, "application/yaml", "application/x-yaml", "text/yaml")
async def create_cluster(
    document: Annotated[ClusterDocument, Body()], change: ChangeDep, feature: FeatureDep, dry_run: DryRunQuery = False
) -> Response:
    """Create a cluster, and what its request holds beside it; an eksctl ClusterConfig is taken as it is."""
    prepared = await feature.changes.create(change.caller, document)
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)


@router.get("/clusters/{cluster}", response_model=ClusterOut, responses=problems(404, 409))
async def get_cluster(cluster: ClusterPath, caller: CallerDep, database: DatabaseDep, request: Request) -> Response:
    """Read a cluster."""
    async with database.read() as session:
        row = await repository.get(session, caller.project_id, cluster)
        return conditional(request, row.generation, (await clusters_out(session, [row]))[0])


@router.patch(
    "/clusters/{cluster}",
    status_code=202,
    response_model=OperationOut,
    responses=problems(404, 409, 412, 422) | DRY_RUN,
)
async def update_cluster(
    cluster: ClusterPath,
    patch: Annotated[dict[str, Any], Body(examples=[{"version": "1.35"}])],
    change: ChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
    dry_run: DryRunQuery = False,
) -> Response:
    """Change a cluster: a JSON merge patch (RFC 7396) of its spec."""
    row = await _matched(database, change, cluster)
    prepared = await feature.changes.update(change.caller, row, patch)
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)


@router.delete(
    "/clusters/{cluster}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412) | DRY_RUN
)
async def delete_cluster(
    cluster: ClusterPath, change: ChangeDep, database: DatabaseDep, feature: FeatureDep, dry_run: DryRunQuery = False
) -> Response:
    """Delete a cluster with all that belongs to it, in order."""
    prepared = await feature.changes.delete(change.caller, await _matched(database, change, cluster))
    return await begin_or_plan(change, feature.ledger, prepared, dry_run=dry_run)


async def _matched(database: Database, change: Change, reference: str) -> Cluster:
    """Return the cluster that a change is about, of the generation that the caller knows."""
    async with database.read() as session:
        row = await repository.get(session, change.caller.project_id, reference)
    change.check_match(row.generation)
    return row


@router.get(
    "/clusters/{cluster}/kubeconfig",
    response_class=Response,
    responses={
        200: {"content": {"application/yaml": {"schema": {"type": "string"}}}, "description": "A kubeconfig."},
        **problems(404, 409),
    },
)
async def get_cluster_kubeconfig(cluster: ClusterPath, caller: CallerDep, database: DatabaseDep) -> Response:
    """Get a kubeconfig that logs in by `aws eks get-token`; it holds no secret."""
    async with database.read() as session:
        row = await repository.get(session, caller.project_id, cluster)
    return Response(kubeconfig(row), media_type="application/yaml")
