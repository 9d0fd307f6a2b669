"""How operations on every kind are carried out: the stack is brought to the spec, or taken away."""

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.cloudformation.driver import StackDriver
from app.db.base import APPLIED
from app.db.session import Database
from app.engine.contract import Cancelled, Context, Done, Ending, Fail, Outcome, Reconciler, Wait
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud, Clouds
from app.kinds import rows
from app.kinds.kind import Facts, Kind, Looking
from app.kinds.scope import Owner
from app.operations.transitions import settle


@dataclass(frozen=True, slots=True)
class Work:
    """One call of the engine: the operation, what it is about, and where that is."""

    context: Context
    row: Any
    owner: Owner
    cloud: Cloud
    driver: StackDriver


class KindReconciler(Reconciler):
    """Create, update and delete of one kind, whatever state the stack is in.

    A kind whose stacks want more than that names a class of its own, which does more in `ensure` or `delete`.
    """

    phases: ClassVar[tuple[str, ...]] = ("begin",)

    def __init__(self, kind: Kind[Any], database: Database, clouds: Clouds) -> None:
        self._kind = kind
        self._database = database
        self._clouds = clouds

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        async with self._database.read() as session:
            row = await rows.by_id(session, self._kind, context.operation.resource_id)
            owner = await self._kind.scope.of_row(session, row)
        cloud = await self._clouds.of(row.account_id, row.region)
        work = Work(context, row, owner, cloud, StackDriver(context, cloud.cloudformation))
        if context.operation.kind.endswith(".delete"):
            return await self.delete(work)
        context.step(context.operation.steps[0]["name"])
        if context.operation.cancel_requested:
            return await self._cancel(work)
        return await self.ensure(work)

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Write phase, conditions and outputs into the resource's row."""
        row = await rows.by_id(session, self._kind, operation.resource_id)
        usable = operation.input.get("usable", False)
        if operation.kind.endswith(".delete"):
            usable = usable and "stack" not in operation.data  # the driver has not touched it
        settle(row, operation, ending, usable=usable)

    async def ensure(self, work: Work) -> Outcome:
        """Bring the stack to the spec, in whatever state it is."""
        context, row = work.context, work.row
        if "seen" not in context.data:
            seen = await self.look(work)
            if isinstance(seen, Fail):
                return seen
            context.data["seen"] = dict(seen)
        seen = context.data["seen"]
        template = self._kind.template(row.id, self._kind.spec.model_validate(row.spec), work.owner, seen)
        result = await work.driver.ensure(template)
        if isinstance(result, Wait | Fail):
            return result
        kept = {name: seen[name] for name in self._kind.keeps if name in seen}
        context.data["outputs"] = self._kind.outputs_of(result.outputs)
        context.data["facts"] = {"stack_id": result.id, APPLIED: row.spec, **kept}
        return Done()

    async def look(self, work: Work) -> Facts | Fail:
        """Return what the template needs beside the spec, once for each operation; or why it cannot go on."""
        row = work.row
        spec = self._kind.spec.model_validate(row.spec)
        looking = Looking(row.name, bool(row.observed_generation), work.context.operation.input, row.facts)
        return await self._kind.observe(work.cloud, spec, work.owner, looking)

    async def delete(self, work: Work) -> Outcome:
        """Take the stack away."""
        operation = work.context.operation
        work.context.step(operation.steps[0]["name"])
        gone = await work.driver.remove(self.stack_name(work), force=operation.input.get("force", False))
        return Done() if gone is None else gone

    def stack_name(self, work: Work) -> str:
        """Return the name of the resource's stack."""
        return self._kind.stack_name(work.row.id, work.owner, work.row.name)

    async def _cancel(self, work: Work) -> Outcome:
        if work.context.operation.superseded:
            return Cancelled()
        name = self.stack_name(work)
        if work.row.observed_generation:
            taken_back = await work.driver.cancel_update(name)
            if taken_back is not None or not work.context.data.get("stack"):
                return taken_back or Cancelled()
            return Done()  # the update was complete before it could be taken back
        gone = await work.driver.remove(name, force=True)
        return Cancelled() if gone is None else gone
