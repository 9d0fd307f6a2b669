"""How operations on node groups are carried out: each node group is a stack of its own."""

from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.cloudformation.driver import StackDriver
from app.db.base import APPLIED
from app.db.session import Database
from app.engine.contract import Cancelled, Context, Done, Ending, Fail, Outcome, Reconciler, Wait
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud, Clouds
from app.nodegroups import repository
from app.nodegroups.models import Nodegroup
from app.nodegroups.ports import Clusters, ClusterView
from app.nodegroups.render import nodegroup_stack
from app.nodegroups.schemas import NodegroupSpec
from app.operations.transitions import settle
from app.stacks.nodegroup import nodegroup_stack_name


class NodegroupReconciler(Reconciler):
    """What all operations of node groups share."""

    phases: ClassVar[tuple[str, ...]] = ("begin",)

    def __init__(self, database: Database, clouds: Clouds, clusters: Clusters) -> None:
        self._database = database
        self._clouds = clouds
        self._clusters = clusters

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Write phase, conditions and outputs into the node group's row."""
        group = await repository.by_id(session, operation.resource_id)
        usable = operation.input.get("usable", False)
        if operation.kind == "nodegroup.delete":
            usable = usable and "stack" not in operation.data
        settle(group, operation, ending, usable=usable)

    async def _load(self, context: Context) -> tuple[Nodegroup, ClusterView, Cloud]:
        async with self._database.read() as session:
            group = await repository.by_id(session, context.operation.resource_id)
            cluster = await self._clusters.by_id(session, group.cluster_id)
        return group, cluster, await self._clouds.of(group.account_id, group.region)


class EnsureNodegroup(NodegroupReconciler):
    """Create and update: the stack is brought to the spec, whatever state it is in."""

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        group, cluster, cloud = await self._load(context)
        context.step(context.operation.steps[0]["name"])
        driver = StackDriver(context, cloud.cloudformation)
        if context.operation.cancel_requested:
            return await self._cancel(context, group, cluster, driver)
        spec = NodegroupSpec.model_validate(group.spec)
        template = nodegroup_stack(
            group.id, spec, cluster, desired=await self._desired(context, group, spec, cluster, cloud)
        )
        result = await driver.ensure(template)
        if isinstance(result, Wait | Fail):
            return result
        context.data["outputs"] = {
            "arn": result.outputs.get("Arn"),
            "role_arn": result.outputs.get("RoleArn"),
            "ssh_private_key_parameter": result.outputs.get("SshPrivateKeyParameter"),
        }
        context.data["facts"] = {"stack_id": result.id, APPLIED: group.spec}
        return Done()

    async def _desired(
        self, context: Context, group: Nodegroup, spec: NodegroupSpec, cluster: ClusterView, cloud: Cloud
    ) -> int:
        """Return how many nodes there should be: as sent, or as many as live (an autoscaler may have changed it).

        The number is kept for the whole operation: a template that changes between two looks would be another update.
        """
        if "desired" not in context.data:
            asked = spec.scaling.desired
            keep = context.operation.input.get("keep_desired") or asked is None
            live = None
            if keep and group.observed_generation:
                live = await cloud.eks.describe_nodegroup(cluster.name, group.name)
            number = live.desired if live else asked if asked is not None else max(1, spec.scaling.min)
            context.data["desired"] = min(spec.scaling.max, max(spec.scaling.min, number))
        desired: int = context.data["desired"]
        return desired

    async def _cancel(self, context: Context, group: Nodegroup, cluster: ClusterView, driver: StackDriver) -> Outcome:
        if context.operation.superseded:
            return Cancelled()
        name = nodegroup_stack_name(group.id, cluster.name, group.name)
        if group.observed_generation:
            taken_back = await driver.cancel_update(name)
            if taken_back is not None or not context.data.get("stack"):
                return taken_back or Cancelled()
            return Done()  # the update was complete before it could be taken back
        gone = await driver.remove(name, force=True)
        return Cancelled() if gone is None else gone


class DeleteNodegroup(NodegroupReconciler):
    """The stack is taken away, whatever state it is in."""

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        group, cluster, cloud = await self._load(context)
        context.step("delete_stack")
        driver = StackDriver(context, cloud.cloudformation)
        name = nodegroup_stack_name(group.id, cluster.name, group.name)
        gone = await driver.remove(name, force=context.operation.input.get("force", False))
        return Done() if gone is None else gone
