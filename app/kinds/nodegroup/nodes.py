"""What addons and releases ask of a cluster's node groups: whether pods have somewhere to run."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.kinds import rows
from app.kinds.nodegroup.kind import NODEGROUPS
from app.kinds.nodegroup.spec import NodegroupSpec
from app.kinds.nodegroup.template import taints_of
from app.stacks.taints import Taint


async def taints(session: AsyncSession, cluster_id: str) -> list[list[Taint]]:
    """Return the taints of each group of a cluster that is there or to be."""
    groups = await rows.of_cluster(session, NODEGROUPS, cluster_id)
    return [
        list(taints_of(NodegroupSpec.model_validate(group.spec)))
        for group in groups
        if group.phase in ("active", "updating", "creating")
    ]


async def any_active(session: AsyncSession, cluster_id: str) -> bool:
    """Tell whether a cluster has a group that serves."""
    groups = await rows.of_cluster(session, NODEGROUPS, cluster_id)
    return any(group.observed_generation and group.phase in ("active", "updating") for group in groups)
