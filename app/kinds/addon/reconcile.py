"""How operations on addons are carried out: as on every kind, once there is a node for their pods."""

from dataclasses import asdict

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters.models import WAITING
from app.core.failure import Failure
from app.engine.contract import Ending, Fail
from app.engine.models import Operation
from app.kinds import rows
from app.kinds.kind import Facts
from app.kinds.nodegroup import nodes
from app.kinds.reconcile import KindReconciler, Work
from app.stacks.addon import needs_toleration
from app.stacks.taints import unavoidable

TAINTS = "taints"
"""The fact that holds the taints which no node of the cluster is free of, as a `Taint` is made of them."""


class AddonReconciler(KindReconciler):
    """Create, update and delete of addons."""

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """As of every kind; a cancelled create leaves the addon waiting, since the cluster's spec still has it."""
        await super().settle(session, operation, ending)
        if operation.kind.endswith(".create") and ending == "cancelled" and not operation.superseded:
            row = await rows.by_id(session, self._kind, operation.resource_id)
            row.deleted_at, row.phase = None, WAITING

    async def look(self, work: Work) -> Facts | Fail:
        """As of every kind, once there is a node; and which taints no node is free of."""
        context, row, cluster = work.context, work.row, work.owner
        async with self._database.read() as session:
            taints = unavoidable(await nodes.taints(session, row.cluster_id))
            serves = await nodes.any_active(session, row.cluster_id)
        if not serves and "stack" not in context.data:
            return _no_nodes(row.name, str(cluster.cluster_name))
        if taints:
            context.warn(_taint_warning(row.name))
        seen = await super().look(work)
        return seen if isinstance(seen, Fail) else {**seen, TAINTS: [asdict(taint) for taint in taints]}


def _no_nodes(addon: str, cluster: str) -> Fail:
    return Fail(
        Failure(
            "no_nodes",
            f"Addon {addon} needs a node group, and cluster {cluster!r} has none that serves.",
            hint="Create a node group, or put a failed one right: the addon is then installed by itself.",
            retryable=True,
        )
    )


def _taint_warning(name: str) -> str:
    if needs_toleration(name):
        return f"Every node group is tainted: addon {name} got tolerations for their taints."
    return f"Every node group is tainted, and Slipway does not know how addon {name} is told to tolerate that."
