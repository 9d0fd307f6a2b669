"""Every select of node groups. Never commits."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import resources
from app.nodegroups.errors import NodegroupNotFoundError
from app.nodegroups.models import Nodegroup
from app.operations.errors import AmbiguousNameError


async def get(
    session: AsyncSession, project_id: str, reference: str, *, cluster_id: str | None = None, lock: bool = False
) -> Nodegroup:
    """Return the node group that an id or name stands for, of one cluster if it is given.

    Raises:
        NodegroupNotFoundError: there is none.
        AmbiguousNameError: node groups of several clusters have the name.
    """
    where = [] if cluster_id is None else [col(Nodegroup.cluster_id) == cluster_id]
    found = await resources.find(session, Nodegroup, project_id, reference, *where, lock=lock)
    if not found:
        raise NodegroupNotFoundError(f"There is no node group {reference!r}.")
    if len(found) > 1:
        ids = sorted(group.id for group in found)
        raise AmbiguousNameError(f"{len(found)} node groups are named {reference!r}; add ?cluster=.", ids=ids)
    return found[0]


async def by_id(session: AsyncSession, nodegroup_id: str) -> Nodegroup:
    """Return a node group by its id, also a deleted one: for the background, which works for every project."""
    return await session.get_one(Nodegroup, nodegroup_id)


async def of_cluster(session: AsyncSession, cluster_id: str) -> Sequence[Nodegroup]:
    """Return the node groups of a cluster, oldest first."""
    query = (
        select(Nodegroup)
        .where(col(Nodegroup.cluster_id) == cluster_id, col(Nodegroup.deleted_at).is_(None))
        .order_by(col(Nodegroup.id))
    )
    return (await session.execute(query)).scalars().all()


async def named(session: AsyncSession, cluster_id: str, name: str) -> Nodegroup | None:
    """Return the live node group of that name."""
    query = select(Nodegroup).where(
        col(Nodegroup.cluster_id) == cluster_id, col(Nodegroup.name) == name, col(Nodegroup.deleted_at).is_(None)
    )
    return (await session.execute(query)).scalar_one_or_none()
