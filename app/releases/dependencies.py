"""What the routes of releases need: the services that a root wired, and a release's full answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository as clusters
from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.core.secrets.scope import current, entered
from app.http.caller import CallerDep
from app.http.change import ChangeDep
from app.operations.dependencies import DatabaseDep
from app.operations.schemas import Condition
from app.operations.service import Ledger
from app.releases import repository
from app.releases.changes import ReleaseChanges
from app.releases.credentials import CredentialService
from app.releases.models import ChartCredential, Release
from app.releases.reader import ReleaseReader
from app.releases.request_secrets import RequestSecrets
from app.releases.schemas import AccessOut, ReleaseOut, ReleaseOutputs, ReleaseSpec, ReleaseStatus, TestOut
from app.releases.schemas_credentials import ChartCredentialOut
from app.releases.sealed import SealedValues
from app.releases.secrets.opened import Opened


@dataclass(frozen=True, slots=True)
class ReleaseFeature:
    """All that the routes use."""

    changes: ReleaseChanges
    ledger: Ledger
    sealed: SealedValues
    reader: ReleaseReader
    credentials: CredentialService
    secrets: RequestSecrets


def get_feature(request: Request) -> ReleaseFeature:
    """Return what the root wired."""
    feature: ReleaseFeature = request.app.state.releases
    return feature


FeatureDep = Annotated[ReleaseFeature, Depends(get_feature)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a release is looked for; None is everywhere."""

    cluster: str | None
    namespace: str | None


async def place_of(
    cluster: Annotated[str | None, Query(description="Id or name of the cluster.")] = None,
    namespace: Annotated[str | None, Query(description="Name of the namespace.")] = None,
) -> Place:
    """Return what the query says."""
    return Place(cluster, namespace)


PlaceDep = Annotated[Place, Depends(place_of)]
ReleasePath = Annotated[str, Path(description="Id or name of the release.")]


async def find(
    session: AsyncSession,
    caller: Caller,
    reference: str,
    place: Place,
) -> Release:
    """Return the release that a path and its query name.

    Raises:
        SlipwayError: there is none, or more than one.
    """
    cluster = await clusters.get(session, caller.project_id, place.cluster) if place.cluster else None
    return await repository.get(
        session,
        caller.project_id,
        reference,
        cluster_id=cluster.id if cluster else None,
        namespace=place.namespace,
    )


async def matched_release(release: ReleasePath, change: ChangeDep, database: DatabaseDep, place: PlaceDep) -> Release:
    """Return the release that a change is about, of the generation that the caller knows.

    Raises:
        PreconditionFailedError: it has another generation.
        SlipwayError: there is none, or more than one.
    """
    async with database.read() as session:
        row = await find(session, change.caller, release, place)
    change.check_match(row.generation)
    return row


MatchedDep = Annotated[Release, Depends(matched_release)]


@dataclass(frozen=True, slots=True)
class Found:
    """The release that a path and its query name, its cluster, and its values: what is said from then on hides them."""

    row: Release
    cluster: ClusterView
    values: Opened


async def found_release(
    release: ReleasePath, caller: CallerDep, database: DatabaseDep, feature: FeatureDep, place: PlaceDep
) -> Found:
    """Return the release that a path and its query name, and its cluster.

    Raises:
        SlipwayError: there is none, or more than one.
    """
    async with database.read() as session:
        row = await find(session, caller, release, place)
        cluster = ClusterView.of(await clusters.by_id(session, row.cluster_id))
    values = await asyncio.to_thread(feature.sealed.opened, row)
    await current().prepare()
    return Found(row, cluster, values)


FoundDep = Annotated[Found, Depends(found_release)]


def releases_out(feature: ReleaseFeature, releases: Sequence[Release]) -> list[ReleaseOut]:
    """Return what callers see of releases, as they were seen last."""
    shown: list[ReleaseOut] = []
    for release in releases:
        with entered():  # a secret of one may be an ordinary word of another
            shown.append(release_out(release, feature.sealed.opened(release), release.facts.get("access")))
    return shown


def release_out(release: Release, values: Opened, access: dict[str, Any] | None) -> ReleaseOut:
    """Return what callers see of a release, which hides its secrets by itself."""
    hidden = current().value
    return ReleaseOut(
        id=release.id,
        name=release.name,
        namespace=release.namespace,
        cluster_id=release.cluster_id,
        spec=ReleaseSpec.model_validate({**release.spec, "values": values.shown()}),
        status=ReleaseStatus(
            phase=release.phase,
            conditions=[Condition.model_validate(condition) for condition in hidden(release.conditions)],
            outputs=ReleaseOutputs.model_validate(release.outputs),
            observed_generation=release.observed_generation,
            access=AccessOut.model_validate(hidden(access)) if access else None,
            tests=[TestOut.model_validate(test) for test in release.facts.get("tests", ())],
        ),
        generation=release.generation,
        created_at=release.created_at,
        updated_at=release.updated_at,
        deleted_at=release.deleted_at,
    )


def credential_out(row: ChartCredential) -> ChartCredentialOut:
    """Return what callers see of a credential; never its password."""
    return ChartCredentialOut.model_validate(row, from_attributes=True)
