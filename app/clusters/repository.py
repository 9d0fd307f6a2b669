"""Every select of clusters and addons. Never commits."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.clusters.errors import ClusterNotFoundError
from app.clusters.models import Addon, Cluster
from app.db import resources
from app.operations.errors import AmbiguousNameError


async def get(session: AsyncSession, project_id: str, reference: str, *, lock: bool = False) -> Cluster:
    """Return the cluster that an id or name stands for.

    Raises:
        ClusterNotFoundError: there is none.
        AmbiguousNameError: the name is used in more than one account or region.
    """
    found = await resources.find(session, Cluster, project_id, reference, lock=lock)
    if not found:
        raise ClusterNotFoundError(f"There is no cluster {reference!r}.")
    if len(found) > 1:
        ids = sorted(cluster.id for cluster in found)
        raise AmbiguousNameError(f"{len(found)} clusters are named {reference!r}; use an id.", ids=ids)
    return found[0]


async def by_id(session: AsyncSession, cluster_id: str) -> Cluster:
    """Return a cluster by its id, also a deleted one: for the background, which works for every project."""
    return await session.get_one(Cluster, cluster_id)


async def named(session: AsyncSession, account_id: str, region: str, name: str) -> Cluster | None:
    """Return the live cluster of that name in an account and region."""
    query = select(Cluster).where(
        col(Cluster.account_id) == account_id,
        col(Cluster.region) == region,
        col(Cluster.name) == name,
        col(Cluster.deleted_at).is_(None),
    )
    return (await session.execute(query)).scalar_one_or_none()


async def addons_of(session: AsyncSession, cluster_ids: Collection[str]) -> Sequence[Addon]:
    """Return the addons of clusters that are their own stacks, oldest first."""
    query = (
        select(Addon)
        .where(col(Addon.cluster_id).in_(cluster_ids), col(Addon.deleted_at).is_(None))
        .order_by(col(Addon.id))
    )
    return (await session.execute(query)).scalars().all()
