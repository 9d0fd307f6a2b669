"""Routes of clusters."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response

from app.clusters import repository
from app.clusters.dependencies import ClusterDocument, FeatureDep, clusters_out
from app.clusters.kubeconfig import kubeconfig
from app.clusters.models import Cluster
from app.clusters.requests import read_patch, read_request
from app.clusters.schemas import ClusterOut
from app.core.errors import InvalidError
from app.db import resources
from app.http.caller import CallerDep
from app.http.change import ChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery, TagQuery
from app.http.route import JSON, StrictRoute, accepts
from app.operations.dependencies import DatabaseDep
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
        rows = await resources.list_page(
            session,
            Cluster,
            caller.project_id,
            limit=page.fetch,
            before=page.after_text,
            tags=tags,
            include_deleted=include_deleted,
        )
        kept, token = page.cut(rows, lambda row: row.id)
        return Page(items=await clusters_out(session, kept), next_page_token=token)


@router.post("/clusters", status_code=202, response_model=OperationOut, responses=problems(409, 422))
@accepts(JSON, "application/yaml", "application/x-yaml", "text/yaml")
async def create_cluster(
    document: Annotated[ClusterDocument, Body()], change: ChangeDep, database: DatabaseDep, feature: FeatureDep
) -> Response:
    """Create a cluster, and what its request holds beside it; an eksctl ClusterConfig is taken as it is."""
    request = read_request(document)
    try:
        groups = feature.nodegroups.parse(request.nodegroups, request.spec.name)
        registries = feature.registries.parse(
            request.registries, region=request.spec.region, account=request.spec.account
        )
        releases = feature.releases.parse(request.releases, request.spec.name)
        async with database.read() as session:
            account = await feature.accounts.account_id(session, change.caller.project_id, request.spec.account)
            existing = await repository.named(session, account, request.spec.region, request.spec.name)
        cloud = await feature.clouds.of(account, request.spec.region)
        spec = request.spec
        facts: dict[str, Any] = {}
        if existing is None:  # else the transaction says so
            spec, facts = await feature.live.creation(cloud, request.spec, request.expectations)
            await feature.nodegroups.check(cloud, groups, spec, facts)
            await feature.registries.check(cloud, registries)
            await feature.releases.check(change.caller.project_id, releases, spec)
        async with change.transaction() as session:
            operation = await feature.service.create(
                session,
                change.caller,
                spec,
                groups,
                registries,
                releases,
                facts=facts,
                warnings=request.warnings,
                whole=request.whole,
                callback_url=change.callback_url,
            )
            return await change.accepted(session, await feature.ledger.out(session, operation))
    except InvalidError as error:
        raise request.in_their_words(error) from error


@router.get("/clusters/{cluster}", response_model=ClusterOut, responses=problems(404, 409))
async def get_cluster(cluster: ClusterPath, caller: CallerDep, database: DatabaseDep, request: Request) -> Response:
    """Read a cluster."""
    async with database.read() as session:
        row = await repository.get(session, caller.project_id, cluster)
        return conditional(request, row.generation, (await clusters_out(session, [row]))[0])


@router.patch(
    "/clusters/{cluster}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412, 422)
)
async def update_cluster(
    cluster: ClusterPath,
    patch: Annotated[dict[str, Any], Body(examples=[{"version": "1.35"}])],
    change: ChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
) -> Response:
    """Change a cluster: a JSON merge patch (RFC 7396) of its spec."""
    async with database.read() as session:
        row = await repository.get(session, change.caller.project_id, cluster)
        change.check_match(row.generation)
        spec = read_patch(row.spec, patch)
        await feature.service.check_change(session, row, spec)
    spec, facts = await feature.live.change(await feature.clouds.of(row.account_id, row.region), row, spec)
    async with change.transaction() as session:
        locked = await repository.get(session, change.caller.project_id, row.id, lock=True)
        change.check_match(locked.generation)
        operation = await feature.service.update(
            session, change.caller, locked, spec, seen=row, facts=facts, callback_url=change.callback_url
        )
        return await change.accepted(session, await feature.ledger.out(session, operation))


@router.delete("/clusters/{cluster}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412))
async def delete_cluster(cluster: ClusterPath, change: ChangeDep, feature: FeatureDep) -> Response:
    """Delete a cluster with all that belongs to it, in order."""
    async with change.transaction() as session:
        row = await repository.get(session, change.caller.project_id, cluster, lock=True)
        change.check_match(row.generation)
        operation = await feature.service.delete(session, change.caller, row, callback_url=change.callback_url)
        return await change.accepted(session, await feature.ledger.out(session, operation))


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
