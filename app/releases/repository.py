"""Every select of releases, their revisions and chart credentials. Never commits."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.clusters import repository as clusters
from app.core.ids import looks_like_id
from app.db import resources
from app.db.types import utcnow
from app.operations.errors import AmbiguousNameError
from app.releases.errors import CredentialNotFoundError, ReleaseNotFoundError
from app.releases.models import ChartCredential, Release, ReleaseRevision


async def get(
    session: AsyncSession,
    project_id: str,
    reference: str,
    *,
    cluster_id: str | None = None,
    namespace: str | None = None,
    lock: bool = False,
) -> Release:
    """Return the release that an id or name stands for, of one cluster and namespace if they are given.

    Raises:
        ReleaseNotFoundError: there is none.
        AmbiguousNameError: several releases have the name.
    """
    where = [] if cluster_id is None else [col(Release.cluster_id) == cluster_id]
    where += [] if namespace is None else [col(Release.namespace) == namespace]
    found = await resources.find(session, Release, project_id, reference, *where, lock=lock)
    if not found:
        raise ReleaseNotFoundError(f"There is no release {reference!r}.")
    if len(found) > 1:
        ids = sorted(release.id for release in found)
        raise AmbiguousNameError(
            f"{len(found)} releases are named {reference!r}; add ?cluster= and ?namespace=.", ids=ids
        )
    return found[0]


async def within(
    session: AsyncSession, project_id: str, cluster: str | None, namespace: str | None
) -> list[ColumnElement[bool]]:
    """Return what holds of the releases of a cluster (by id or name) and a namespace; None is any.

    Raises:
        ClusterNotFoundError: there is no such cluster.
        AmbiguousNameError: several clusters have the name.
    """
    where = [] if namespace is None else [col(Release.namespace) == namespace]
    if cluster is not None:
        where.append(col(Release.cluster_id) == (await clusters.get(session, project_id, cluster)).id)
    return where


async def by_id(session: AsyncSession, release_id: str) -> Release:
    """Return a release by its id, also a deleted one: for the background, which works for every project."""
    return await session.get_one(Release, release_id)


async def of_cluster(session: AsyncSession, cluster_id: str) -> Sequence[Release]:
    """Return the releases of a cluster, oldest first."""
    query = (
        select(Release)
        .where(col(Release.cluster_id) == cluster_id, col(Release.deleted_at).is_(None))
        .order_by(col(Release.id))
    )
    return (await session.execute(query)).scalars().all()


async def named(session: AsyncSession, cluster_id: str, namespace: str, name: str) -> Release | None:
    """Return the live release of that name in a namespace."""
    query = select(Release).where(
        col(Release.cluster_id) == cluster_id,
        col(Release.namespace) == namespace,
        col(Release.name) == name,
        col(Release.deleted_at).is_(None),
    )
    return (await session.execute(query)).scalar_one_or_none()


async def revision(session: AsyncSession, release_id: str, number: int) -> ReleaseRevision | None:
    """Return what Slipway made a revision of, None if it did not make it."""
    return await session.get(ReleaseRevision, (release_id, number))


async def now(session: AsyncSession) -> datetime:
    """Return the time by the database's clock."""
    found: datetime = (await session.execute(select(utcnow()))).scalar_one()
    return found


async def credential(session: AsyncSession, project_id: str, reference: str, *, lock: bool = False) -> ChartCredential:
    """Return the credential that an id or a host stands for.

    Raises:
        CredentialNotFoundError: there is none.
    """
    found = await credential_for(session, project_id, reference, lock=lock)
    if found is None:
        raise CredentialNotFoundError(f"There is no chart credential {reference!r}.")
    return found


async def credential_for(
    session: AsyncSession, project_id: str, reference: str, *, lock: bool = False
) -> ChartCredential | None:
    """Return the project's credential for a host, or by its id; None if there is none."""
    column = ChartCredential.id if looks_like_id(reference) else ChartCredential.host
    query = select(ChartCredential).where(col(ChartCredential.project_id) == project_id, col(column) == reference)
    if lock:
        query = query.with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def list_credentials(
    session: AsyncSession, project_id: str, *, limit: int, before: str | None
) -> Sequence[ChartCredential]:
    """Return up to `limit` credentials, newest first, older than the id `before`."""
    query = select(ChartCredential).where(col(ChartCredential.project_id) == project_id)
    if before is not None:
        query = query.where(col(ChartCredential.id) < before)
    return (await session.execute(query.order_by(col(ChartCredential.id).desc()).limit(limit))).scalars().all()
