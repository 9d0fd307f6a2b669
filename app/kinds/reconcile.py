"""How operations on every kind are carried out: the stack is brought to the spec, or taken away."""

from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.cloudformation.driver import StackDriver
from app.clusters import repository as clusters
from app.clusters.view import ClusterView
from app.db.base import APPLIED
from app.db.session import Database
from app.engine.contract import Cancelled, Context, Done, Ending, Fail, Outcome, Reconciler, Wait
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud, Clouds
from app.kinds import rows
from app.kinds.kind import Facts, Kind, Looking
from app.operations.transitions import settle


class KindReconciler(Reconciler):
    """Create, update and delete of one kind, whatever state the stack is in."""

    phases: ClassVar[tuple[str, ...]] = ("begin",)

    def __init__(self, kind: Kind[Any], database: Database, clouds: Clouds) -> None:
        self._kind = kind
        self._database = database
        self._clouds = clouds

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        async with self._database.read() as session:
            row = await rows.by_id(session, self._kind, context.operation.resource_id)
            cluster = ClusterView.of(await clusters.by_id(session, row.cluster_id))
        cloud = await self._clouds.of(row.account_id, row.region)
        context.step(context.operation.steps[0]["name"])
        driver = StackDriver(context, cloud.cloudformation)
        if context.operation.kind.endswith(".delete"):
            gone = await driver.remove(
                self._stack_name(row, cluster), force=context.operation.input.get("force", False)
            )
            return Done() if gone is None else gone
        if context.operation.cancel_requested:
            return await self._cancel(context, row, cluster, driver)
        return await self._ensure(context, row, cluster, cloud, driver)

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Write phase, conditions and outputs into the resource's row."""
        row = await rows.by_id(session, self._kind, operation.resource_id)
        usable = operation.input.get("usable", False)
        if operation.kind.endswith(".delete"):
            usable = usable and "stack" not in operation.data  # the driver has not touched it
        settle(row, operation, ending, usable=usable)

    async def _ensure(
        self, context: Context, row: Any, cluster: ClusterView, cloud: Cloud, driver: StackDriver
    ) -> Outcome:
        if "seen" not in context.data:
            seen = await self._look(context, row, cluster, cloud)
            if isinstance(seen, Fail):
                return seen
            context.data["seen"] = dict(seen)
        seen = context.data["seen"]
        template = self._kind.template(row.id, self._kind.spec.model_validate(row.spec), cluster, seen)
        result = await driver.ensure(template)
        if isinstance(result, Wait | Fail):
            return result
        kept = {name: seen[name] for name in self._kind.keeps if name in seen}
        context.data["outputs"] = self._kind.outputs_of(result.outputs)
        context.data["facts"] = {"stack_id": result.id, APPLIED: row.spec, **kept}
        return Done()

    async def _look(self, context: Context, row: Any, cluster: ClusterView, cloud: Cloud) -> Facts | Fail:
        """Return what the template needs beside the spec, once for each operation; or why it cannot go on."""
        spec = self._kind.spec.model_validate(row.spec)
        looking = Looking(row.name, bool(row.observed_generation), context.operation.input, row.facts)
        return await self._kind.observe(cloud, spec, cluster, looking)

    async def _cancel(self, context: Context, row: Any, cluster: ClusterView, driver: StackDriver) -> Outcome:
        if context.operation.superseded:
            return Cancelled()
        name = self._stack_name(row, cluster)
        if row.observed_generation:
            taken_back = await driver.cancel_update(name)
            if taken_back is not None or not context.data.get("stack"):
                return taken_back or Cancelled()
            return Done()  # the update was complete before it could be taken back
        gone = await driver.remove(name, force=True)
        return Cancelled() if gone is None else gone

    def _stack_name(self, row: Any, cluster: ClusterView) -> str:
        return self._kind.stack_name(row.id, cluster.name, row.name)
