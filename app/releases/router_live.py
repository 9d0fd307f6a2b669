"""Routes that look at a release in its cluster."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import ConfigDict, RootModel

from app.gateways.kubernetes.diff import ObjectChange
from app.gateways.kubernetes.resources import Resource
from app.http.caller import CallerDep
from app.http.change import DirectChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page
from app.http.route import StrictRoute
from app.operations.dependencies import DatabaseDep
from app.releases.charts import pinned
from app.releases.dependencies import FeatureDep, PlaceDep, find_with_cluster
from app.releases.manifest import without_secrets
from app.releases.router import ReleasePath, patched
from app.releases.schemas_live import (
    DiffOut,
    DriftOut,
    FieldChangeOut,
    ManifestOut,
    NotesOut,
    ObjectChangeOut,
    PodOut,
    ResourceOut,
    RevisionOut,
)
from app.releases.values import Mask, redacted

router = APIRouter(route_class=StrictRoute, tags=["releases"])

RevisionQuery = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="Of `/history`; the newest one if it is left out.")
]


class ReleaseValues(RootModel[dict[str, Any]]):
    """Values of a release, secret ones hidden."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ingress": {"enabled": True}, "password": "(redacted)"}]}
    )


@router.get("/releases/{release}/history", responses=problems(404, 409))
async def list_release_revisions(
    release: ReleasePath, caller: CallerDep, database: DatabaseDep, feature: FeatureDep, place: PlaceDep
) -> Page[RevisionOut]:
    """List the revisions that Helm keeps, newest first, on one page."""
    async with database.read() as session:
        row, cluster = await find_with_cluster(session, feature, caller, release, place)
    mask = Mask(feature.service.values(row))
    found = await feature.reader.history(row, cluster)
    items = [
        RevisionOut(
            revision=each.revision,
            status=each.status,
            chart=each.chart,
            app_version=each.app_version,
            description=mask.text(each.description),
            updated_at=each.updated_at,
        )
        for each in found
    ]
    return Page(items=items, next_page_token=None)


@router.get("/releases/{release}/values", response_model=ReleaseValues, responses=problems(404, 409, 422))
async def get_release_values(
    release: ReleasePath,
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    place: PlaceDep,
    request: Request,
    revision: RevisionQuery = None,
    with_defaults: Annotated[bool, Query(alias="all", description="With the chart's own under them.")] = False,
) -> Response:
    """Get the values of the spec; those of a revision, or with the chart's own, are read from the cluster."""
    async with database.read() as session:
        row, cluster = await find_with_cluster(session, feature, caller, release, place)
    if with_defaults:
        values = await feature.reader.all_values(row, cluster, revision)
    elif revision is not None:
        values = dict((await feature.reader.get(row, cluster, revision)).values)
    else:
        values = feature.service.values(row)
    return conditional(request, row.generation, ReleaseValues(redacted(values)))


@router.get("/releases/{release}/manifest", responses=problems(404, 409, 422))
async def get_release_manifest(
    release: ReleasePath,
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    place: PlaceDep,
    revision: RevisionQuery = None,
) -> ManifestOut:
    """Get what a revision installed; the data of Secrets, and secret values wherever they stand, are hidden."""
    async with database.read() as session:
        row, cluster = await find_with_cluster(session, feature, caller, release, place)
    found = await feature.reader.get(row, cluster, revision)
    mask = Mask([feature.service.values(row), found.values])
    hooks = "\n---\n".join(hook.manifest for hook in found.hooks)
    return ManifestOut(
        revision=found.revision,
        manifest=mask.text(without_secrets(found.manifest)),
        hooks=mask.text(without_secrets(hooks)),
    )


@router.get("/releases/{release}/notes", responses=problems(404, 409, 422))
async def get_release_notes(
    release: ReleasePath,
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    place: PlaceDep,
    revision: RevisionQuery = None,
) -> NotesOut:
    """Get what the chart tells its users; secret values in it are hidden."""
    async with database.read() as session:
        row, cluster = await find_with_cluster(session, feature, caller, release, place)
    found = await feature.reader.get(row, cluster, revision)
    mask = Mask([feature.service.values(row), found.values])
    return NotesOut(revision=found.revision, notes=mask.text(found.notes))


@router.get("/releases/{release}/resources", responses=problems(404, 409))
async def list_release_resources(
    release: ReleasePath, caller: CallerDep, database: DatabaseDep, feature: FeatureDep, place: PlaceDep
) -> Page[ResourceOut]:
    """List the objects of the manifest as they are now, each with its readiness and its pods, on one page."""
    async with database.read() as session:
        row, cluster = await find_with_cluster(session, feature, caller, release, place)
    mask = Mask(feature.service.values(row))
    found = await feature.reader.resources(row, cluster)
    return Page(items=[_resource(each, mask) for each in found], next_page_token=None)


@router.get("/releases/{release}/drift", responses=problems(404, 409))
async def get_release_drift(
    release: ReleasePath, caller: CallerDep, database: DatabaseDep, feature: FeatureDep, place: PlaceDep
) -> DriftOut:
    """Compare the live objects with what is installed, by a server-side dry run: what somebody changed beside Helm."""
    async with database.read() as session:
        row, cluster = await find_with_cluster(session, feature, caller, release, place)
    mask = Mask(feature.service.values(row))
    found = await feature.reader.drift(row, cluster)
    expected = row.outputs.get("revision")
    return DriftOut(
        drifted=bool(found.changes) or found.revision != expected,
        revision=found.revision,
        expected_revision=expected,
        changes=[_change(each, mask) for each in found.changes],
    )


@router.post("/releases/{release}/diff", response_model=DiffOut, responses=problems(404, 409, 412, 422))
async def diff_release(
    release: ReleasePath,
    patch: Annotated[dict[str, Any], Body(examples=[{"values": {"replicas": 2}}])],
    change: DirectChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
    place: PlaceDep,
) -> Response:
    """Show what a PATCH with this body would change in the cluster; nothing is changed."""
    async with database.read() as session:
        row, cluster = await find_with_cluster(session, feature, change.caller, release, place)
        change.check_match(row.generation)
        spec, values = patched(feature, row, patch)
        registry = await feature.service.registry(session, row.project_id, spec)
    pin = pinned(row.facts.get("chart"), spec.chart)
    await feature.live.check(
        spec,
        values,
        project_id=row.project_id,
        kubernetes_version=cluster.version,
        registry=registry,
        pin=pin,
    )
    found = await feature.reader.preview(
        row, cluster, spec, values, registry_id=registry.id if registry else None, pin=pin
    )
    mask = Mask([feature.service.values(row), values])
    changes = [_change(each, mask) for each in found.changes if each.action != "none"]
    answer = DiffOut(revision=found.revision, changes=changes, unchanged=len(found.changes) - len(changes))
    async with change.transaction() as session:
        return await change.answer(session, 200, answer)


def _resource(found: Resource, mask: Mask) -> ResourceOut:
    return ResourceOut(
        api_version=found.ref.api_version,
        kind=found.ref.kind,
        namespace=found.ref.namespace,
        name=found.ref.name,
        ready=found.readiness.ready,
        reason=found.readiness.reason,
        message=mask.text(found.readiness.message),
        pods=[
            PodOut(
                name=pod.name,
                ready=pod.ready,
                phase=pod.phase,
                reason=pod.reason,
                message=mask.text(pod.message),
                node=pod.node,
                restarts=pod.restarts,
            )
            for pod in found.pod_states
        ],
    )


def _change(found: ObjectChange, mask: Mask) -> ObjectChangeOut:
    return ObjectChangeOut(
        api_version=found.ref.api_version,
        kind=found.ref.kind,
        namespace=found.ref.namespace,
        name=found.ref.name,
        action=found.action,
        fields=[
            FieldChangeOut(pointer=each.pointer, before=mask.value(each.before), after=mask.value(each.after))
            for each in found.fields
        ],
        message=mask.text(found.message),
    )
