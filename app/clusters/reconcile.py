"""How operations on clusters are carried out, one short look at a time."""

from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.cloudformation.driver import StackDriver, was_touched
from app.clusters import repository
from app.clusters.live import default_addon_version
from app.clusters.models import Cluster
from app.clusters.progress import AskedOfCluster, Progress
from app.clusters.schemas import ClusterSpec
from app.clusters.template import FIRST_ADDONS, cluster_outputs, cluster_stack, cluster_stack_name, network_facts
from app.clusters.update_groups import LAST, stages_of_create, stages_of_update
from app.db.base import APPLIED
from app.db.session import Database
from app.engine.contract import Advance, Cancelled, Context, Done, Ending, Fail, Outcome, Reconciler, Wait
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud, Clouds
from app.gateways.aws.logs import control_plane_log_group
from app.operations.records import Asked
from app.operations.transitions import settle


class ClusterReconciler(Reconciler):
    """What creates, updates and deletes of clusters share."""

    def __init__(self, database: Database, clouds: Clouds) -> None:
        self._database = database
        self._clouds = clouds

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Write phase, conditions and outputs into the cluster's row."""
        cluster = await repository.by_id(session, operation.resource_id)
        usable = Asked.of(operation.input).usable
        if operation.kind == "cluster.delete":  # it serves on as long as its stack was not touched
            usable = usable and not was_touched(operation.data)
        settle(cluster, operation, ending, usable=usable)

    async def _cluster(self, context: Context) -> Cluster:
        async with self._database.read() as session:
            return await repository.by_id(session, context.operation.resource_id)

    async def _cloud(self, context: Context) -> Cloud:
        return await self._clouds.of(context.operation.account_id, context.operation.region)

    async def _bring(
        self,
        context: Context,
        cloud: Cloud,
        cluster: Cluster,
        facts: dict[str, Any],
        stages: list[tuple[str, dict[str, Any]]],
    ) -> Outcome:
        """Bring the stack to the next stage; what has been reached is kept, also if a later stage fails."""
        progress = Progress.within(context.data)
        step, document = stages[progress.done]
        context.step(step)
        spec = ClusterSpec.model_validate(document)
        driver = StackDriver(context, cloud.cloudformation, key=step)
        result = await driver.ensure(cluster_stack(cluster.id, spec, facts))
        if isinstance(result, Wait | Fail):
            return result
        outputs = dict(result.outputs)
        progress.outputs = cluster_outputs(outputs)
        progress.facts = {**facts, **network_facts(outputs, facts), "stack_id": result.id, APPLIED: document}
        progress.done += 1
        return Done() if progress.done == len(stages) else Advance("stack")


class CreateCluster(ClusterReconciler):
    """Log group, then the stack. A create that is cancelled takes the stack away again."""

    phases: ClassVar[tuple[str, ...]] = ("begin", "stack")

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        cluster, cloud = await self._cluster(context), await self._cloud(context)
        progress = Progress.within(context.data)
        if context.operation.cancel_requested and not progress.done:
            return await self._cancel(context, cluster, cloud)
        if context.phase == "begin":
            context.step("prepare")
            spec = ClusterSpec.model_validate(cluster.spec)
            progress.facts = await self._prepare(cluster, spec, cloud)
            return Advance("stack")
        return await self._bring(context, cloud, cluster, progress.facts, stages_of_create(cluster.spec))

    async def _prepare(self, cluster: Cluster, spec: ClusterSpec, cloud: Cloud) -> dict[str, Any]:
        """Find out what the template needs, and make the log group, which is not in the stack: EKS writes it again."""
        if spec.logging.types:
            name = control_plane_log_group(cluster.name)
            await cloud.logs.ensure_log_group(name, spec.logging.retention_days, cluster.tags)
        if "slipway_role_arn" in cluster.facts:
            return dict(cluster.facts)
        identity = await cloud.identity()
        only_config_map = spec.access.mode == "CONFIG_MAP"
        return {**cluster.facts, "slipway_role_arn": identity.role_arn, "bootstrap_creator": only_config_map}

    async def _cancel(self, context: Context, cluster: Cluster, cloud: Cloud) -> Outcome:
        if context.operation.superseded:
            return Cancelled()
        driver = StackDriver(context, cloud.cloudformation, key="create_stack")
        result = await driver.remove(cluster_stack_name(cluster.id, cluster.name), force=True)
        if result is not None:
            return result
        await cloud.logs.delete_log_group(control_plane_log_group(cluster.name))
        return Cancelled()


class UpdateCluster(CreateCluster):
    """One stack update for each kind of change; a cluster that never came to be is created with the new spec."""

    phases: ClassVar[tuple[str, ...]] = ("begin", "stack")

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        cluster, cloud = await self._cluster(context), await self._cloud(context)
        if not cluster.observed_generation:
            return await super().reconcile(context)
        asked, progress = AskedOfCluster.of(context.operation.input), Progress.within(context.data)
        stages = stages_of_update(asked.before, cluster.spec)
        step, document = stages[progress.done]
        context.step(step)
        if context.operation.cancel_requested:
            driver = StackDriver(context, cloud.cloudformation, key=step)
            taken_back = await driver.cancel_update(cluster_stack_name(cluster.id, cluster.name))
            if taken_back is not None:
                return taken_back
            if not driver.has_worked:
                return Cancelled()
        if step == "update_logging" and not was_touched(context.data, step):
            await self._prepare_logs(cluster, ClusterSpec.model_validate(document), cloud)
        facts = {**cluster.facts, **progress.facts}
        if step == LAST and asked.version_change and not was_touched(context.data, step):
            facts["addon_versions"] = await self._addon_versions(cloud, document["version"])
            progress.facts = facts
        return await self._bring(context, cloud, cluster, facts, stages)

    @staticmethod
    async def _addon_versions(cloud: Cloud, version: str) -> dict[str, str]:
        """Return EKS's default versions of the stack's addons: CloudFormation moves none that the template omits."""
        found = {name: await default_addon_version(cloud, name, version) for name in FIRST_ADDONS}
        return {name: default for name, default in found.items() if default}

    async def _prepare_logs(self, cluster: Cluster, spec: ClusterSpec, cloud: Cloud) -> None:
        name = control_plane_log_group(cluster.name)
        if spec.logging.types:
            await cloud.logs.ensure_log_group(name, spec.logging.retention_days, cluster.tags)
        elif await cloud.logs.exists(name):
            await cloud.logs.set_retention(name, spec.logging.retention_days)


class DeleteCluster(ClusterReconciler):
    """The stack, then the log group; then a look at what the account still has of the cluster."""

    phases: ClassVar[tuple[str, ...]] = ("begin", "leftovers")

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing; node groups and addons are gone by then, since the operation needed their deletes."""
        cluster, cloud = await self._cluster(context), await self._cloud(context)
        if context.phase == "begin":
            context.step("delete_stack")
            driver = StackDriver(context, cloud.cloudformation)
            name = cluster_stack_name(cluster.id, cluster.name)
            result = await driver.remove(name, force=Asked.of(context.operation.input).force)
            return Advance("leftovers") if result is None else result
        context.step("delete_log_group")
        await cloud.logs.delete_log_group(control_plane_log_group(cluster.name))
        context.step("check_leftovers")
        await self._report_leftovers(context, cluster, cloud)
        return Done()

    async def _report_leftovers(self, context: Context, cluster: Cluster, cloud: Cloud) -> None:
        vpc_id = cluster.outputs.get("vpc_id")
        for balancer in await cloud.elb.leftovers(cluster.name, vpc_id=vpc_id):
            context.warn(f"Load balancer {balancer.name} of the cluster is left: {balancer.arn}")
        for interface in await cloud.ec2.leftover_interfaces(cluster.name):
            context.warn(f"Network interface {interface.id} of the cluster is left.")
        for group in await cloud.ec2.leftover_security_groups(cluster.name):
            context.warn(f"Security group {group.id} of the cluster is left.")
        for volume in await cloud.ec2.leftover_volumes(cluster.name):
            context.warn(f"Volume {volume.id} ({volume.size_gib} GiB) of the cluster is left, with its data.")
