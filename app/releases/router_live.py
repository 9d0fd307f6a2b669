"""Routes that look at a release in its cluster."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import ConfigDict, RootModel

from app.gateways.kubernetes.diff import ObjectChange
from app.gateways.kubernetes.resources import Resource
from app.http.change import DirectChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page
from app.http.route import StrictRoute
from app.operations.dependencies import DatabaseDep
from app.releases.charts import pinned
from app.releases.dependencies import FeatureDep, FoundDep
from app.releases.manifest import without_secrets
from app.releases.router import patched
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
    SecretDriftOut,
)
from app.releases.values import of_helm

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
async def list_release_revisions(found: FoundDep, feature: FeatureDep) -> Page[RevisionOut]:
    """List the revisions that Helm keeps, newest first, on one page."""
    revisions = await feature.reader.history(found.row, found.cluster)
    items = [
        RevisionOut(
            revision=each.revision,
            status=each.status,
            chart=each.chart,
            app_version=each.app_version,
            description=each.description,
            updated_at=each.updated_at,
        )
        for each in revisions
    ]
    return Page(items=items, next_page_token=None)


@router.get("/releases/{release}/values", response_model=ReleaseValues, responses=problems(404, 409, 422))
async def get_release_values(
    found: FoundDep,
    feature: FeatureDep,
    request: Request,
    revision: RevisionQuery = None,
    with_defaults: Annotated[bool, Query(alias="all", description="With the chart's own under them.")] = False,
) -> Response:
    """Get the values of the spec; those of a revision, or with the chart's own, are read from the cluster."""
    if with_defaults:
        values = await feature.reader.all_values(found.row, found.cluster, revision)
    elif revision is not None:
        seen = await feature.reader.get(found.row, found.cluster, revision)
        row = found.row
        values = await asyncio.to_thread(of_helm, dict(seen.values), row.spec, row.facts, seen.revision)
    else:
        values = found.values
    return conditional(request, found.row.generation, ReleaseValues(await asyncio.to_thread(values.shown)))


@router.get("/releases/{release}/manifest", responses=problems(404, 409, 422))
async def get_release_manifest(
    found: FoundDep,
    feature: FeatureDep,
    revision: RevisionQuery = None,
) -> ManifestOut:
    """Get what a revision installed; the data of Secrets, and secret values wherever they stand, are hidden."""
    seen = await feature.reader.rendered(found.row, found.cluster, revision)
    manifest = await asyncio.to_thread(without_secrets, seen.manifest)
    hooks = await asyncio.to_thread(without_secrets, "\n---\n".join(hook.manifest for hook in seen.hooks))
    return ManifestOut(
        revision=seen.revision,
        manifest=manifest,
        hooks=hooks,
    )


@router.get("/releases/{release}/notes", responses=problems(404, 409, 422))
async def get_release_notes(
    found: FoundDep,
    feature: FeatureDep,
    revision: RevisionQuery = None,
) -> NotesOut:
    """Get what the chart tells its users; secret values in it are hidden."""
    seen = await feature.reader.rendered(found.row, found.cluster, revision)
    return NotesOut(revision=seen.revision, notes=seen.notes)


@router.get("/releases/{release}/resources", responses=problems(404, 409))
async def list_release_resources(found: FoundDep, feature: FeatureDep) -> Page[ResourceOut]:
    """List the objects of the manifest as they are now, each with its readiness and its pods, on one page."""
    resources = await feature.reader.resources(found.row, found.cluster)
    return Page(items=[_resource(each) for each in resources], next_page_token=None)


@router.get("/releases/{release}/drift", responses=problems(404, 409))
async def get_release_drift(found: FoundDep, feature: FeatureDep) -> DriftOut:
    """Compare the live objects with what is installed, by a server-side dry run: what somebody changed beside Helm.

    Secrets that the values refer to are read, and compared with what they were when the release was installed.
    """
    drift = await feature.reader.drift(found.row, found.cluster)
    stale = await feature.secrets.stale(found.row, found.cluster)
    expected = found.row.outputs.get("revision")
    secrets = [
        SecretDriftOut(
            pointer=each.reference.pointer,
            reference=each.reference.as_json(),
            status=each.status,
            message=each.message,
        )
        for each in stale
    ]
    return DriftOut(
        drifted=bool(drift.changes) or drift.revision != expected or any(each.status != "unknown" for each in stale),
        revision=drift.revision,
        expected_revision=expected,
        changes=[_change(each) for each in drift.changes],
        secrets=secrets,
    )


@router.post("/releases/{release}/diff", response_model=DiffOut, responses=problems(404, 409, 412, 422))
async def diff_release(
    found: FoundDep,
    patch: Annotated[dict[str, Any], Body(examples=[{"values": {"replicas": 2}}])],
    change: DirectChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
) -> Response:
    """Show what a PATCH with this body would change in the cluster; nothing is changed."""
    row, cluster = found.row, found.cluster
    change.check_match(row.generation)
    spec, values = await patched(feature, row, patch)
    async with database.read() as session:
        registry = await feature.service.registry(session, row.project_id, spec)
    pin = pinned(row.facts.get("chart"), spec.chart)
    secrets = await feature.secrets.needed(values, cluster, spec.namespace)
    await feature.live.check(
        spec,
        values,
        project_id=row.project_id,
        kubernetes_version=cluster.version,
        registry=registry,
        pin=pin,
        secrets=secrets,
    )
    preview = await feature.reader.preview(
        row, cluster, spec, secrets.values, registry_id=registry.id if registry else None, pin=pin
    )
    changes = [_change(each) for each in preview.changes if each.action != "none"]
    answer = DiffOut(revision=preview.revision, changes=changes, unchanged=len(preview.changes) - len(changes))
    async with change.transaction() as session:
        return await change.answer(session, 200, answer)


def _resource(found: Resource) -> ResourceOut:
    return ResourceOut(
        api_version=found.ref.api_version,
        kind=found.ref.kind,
        namespace=found.ref.namespace,
        name=found.ref.name,
        ready=found.readiness.ready,
        reason=found.readiness.reason,
        message=found.readiness.message,
        pods=[
            PodOut(
                name=pod.name,
                ready=pod.ready,
                phase=pod.phase,
                reason=pod.reason,
                message=pod.message,
                node=pod.node,
                restarts=pod.restarts,
            )
            for pod in found.pod_states
        ],
    )


def _change(found: ObjectChange) -> ObjectChangeOut:
    return ObjectChangeOut(
        api_version=found.ref.api_version,
        kind=found.ref.kind,
        namespace=found.ref.namespace,
        name=found.ref.name,
        action=found.action,
        fields=[FieldChangeOut(pointer=each.pointer, before=each.before, after=each.after) for each in found.fields],
        message=found.message,
    )
