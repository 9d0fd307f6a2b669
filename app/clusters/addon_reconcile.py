"""How operations on addons are carried out: each addon is a stack of its own."""

from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.cloudformation.driver import StackDriver
from app.clusters import repository
from app.clusters.live import default_addon_version
from app.clusters.models import WAITING, Addon
from app.clusters.ports import Nodes
from app.clusters.render import addon_stack
from app.core.failure import Failure
from app.db.session import Database
from app.engine.contract import Cancelled, Context, Done, Ending, Fail, Outcome, Reconciler, Wait
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud, Clouds
from app.operations.transitions import settle
from app.stacks.addon import addon_stack_name, needs_toleration
from app.stacks.taints import unavoidable


class AddonReconciler(Reconciler):
    """Creates, updates and deletes of addons."""

    phases: ClassVar[tuple[str, ...]] = ("begin",)

    def __init__(self, database: Database, clouds: Clouds, nodes: Nodes) -> None:
        self._database = database
        self._clouds = clouds
        self._nodes = nodes

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        operation = context.operation
        async with self._database.read() as session:
            addon = await session.get_one(Addon, operation.resource_id)
            cluster = await repository.by_id(session, addon.cluster_id)
            taints = await self._nodes.taints(session, cluster.id)
            has_nodes = await self._nodes.any_active(session, cluster.id)
        cloud = await self._clouds.of(operation.account_id, operation.region)
        driver = StackDriver(context, cloud.cloudformation)
        context.step(operation.steps[0]["name"])
        if operation.superseded:
            return Cancelled()
        if operation.kind == "addon.delete" or operation.cancel_requested:
            name = addon_stack_name(addon.id, cluster.name, addon.name)
            force = operation.input.get("force", False) or operation.cancel_requested
            gone = await driver.remove(name, force=force)
            ended: Outcome = Cancelled() if operation.cancel_requested else Done()
            return ended if gone is None else gone
        if not has_nodes and "stack" not in context.data:
            return Fail(
                Failure(
                    "no_nodes",
                    f"Addon {addon.name} needs a node group, and cluster {cluster.name!r} has none that serves.",
                    hint="Create a node group, or put a failed one right: the addon is then installed by itself.",
                    retryable=True,
                )
            )
        if unavoidable(taints):
            context.warn(_taint_warning(addon.name))
        if operation.kind == "addon.update" and not (addon.spec.get("version") or operation.input.get("keeps_version")):
            addon.facts = await self._default_version(context, cloud, addon, str(cluster.applied_spec["version"]))
        result = await driver.ensure(addon_stack(addon, cluster, taints))
        if isinstance(result, Wait | Fail):
            return result
        context.data["outputs"] = {"arn": result.outputs.get("Arn")}
        return Done()

    @staticmethod
    async def _default_version(context: Context, cloud: Cloud, addon: Addon, version: str) -> dict[str, str]:
        """Return EKS's default version for the cluster's: CloudFormation moves no addon whose template omits it."""
        if "facts" not in context.data:
            default = await default_addon_version(cloud, addon.name, version)
            context.data["facts"] = {"version": default} if default else {}
        facts: dict[str, str] = context.data["facts"]
        return facts

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Write phase, conditions and outputs into the addon's row; a cancelled create leaves it waiting."""
        addon = await session.get_one(Addon, operation.resource_id)
        settle(addon, operation, ending, usable=operation.input.get("usable", False))
        if operation.kind == "addon.create" and ending == "cancelled" and not operation.superseded:
            addon.deleted_at = None
            addon.phase = WAITING


def _taint_warning(name: str) -> str:
    if needs_toleration(name):
        return f"Every node group is tainted: addon {name} got tolerations for their taints."
    return f"Every node group is tainted, and Slipway does not know how addon {name} is told to tolerate that."
