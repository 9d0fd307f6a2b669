"""The addons of a cluster that are stacks of their own: they wait for the first node group, then install themselves."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository
from app.clusters.models import Addon, Cluster
from app.core.caller import Caller
from app.core.ids import new_id
from app.engine.models import Operation
from app.operations import repository as operations
from app.operations.service import Ledger, Needs, Plan, Target


def target_of(addon: Addon) -> Target:
    """Return the target of an operation on an addon."""
    return Target("addon", addon.id, addon.name, addon.project_id, addon.account_id, addon.region)


class AddonService:
    """Begins what happens to addons."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def add(self, session: AsyncSession, cluster: Cluster, specs: Sequence[dict[str, Any]]) -> list[Addon]:
        """Write the rows of addons that are to be installed once there is a node for them."""
        addons = [
            Addon(
                id=new_id("add"),
                project_id=cluster.project_id,
                account_id=cluster.account_id,
                region=cluster.region,
                name=spec["name"],
                cluster_id=cluster.id,
                spec=spec,
                phase="creating",
            )
            for spec in specs
        ]
        session.add_all(addons)
        await session.flush()
        return addons

    async def begin_waiting(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: Cluster,
        *,
        needs: Sequence[Needs],
        parent_id: str | None = None,
    ) -> list[Operation]:
        """Begin to install every addon that is not installed and that nothing installs yet, after `needs`."""
        addons = await repository.addons_of(session, [cluster.id])
        missing = [addon for addon in addons if addon.phase in ("creating", "failed")]
        live = {row.resource_id for row in await operations.live_of_many(session, [addon.id for addon in missing])}
        begun = []
        for addon in missing:
            if addon.id not in live:
                addon.phase = "creating"
                plan = Plan(
                    "addon.create",
                    ("create_stack",),
                    {"generation": addon.generation, "usable": False},
                    needs=needs,
                    parent_id=parent_id,
                )
                begun.append(await self._ledger.begin(session, caller, target_of(addon), plan))
        return begun

    async def change(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: Cluster,
        specs: Sequence[dict[str, Any]],
        *,
        after: Operation,
        parent: Operation | None,
    ) -> None:
        """Begin what leads from the addons there are to those that a spec asks for, after the cluster's own update."""
        present = {addon.name: addon for addon in await repository.addons_of(session, [cluster.id])}
        wanted = {spec["name"]: spec for spec in specs}
        needs, parent_id = [Needs(after.id)], parent.id if parent else None
        await self.add(session, cluster, [spec for name, spec in wanted.items() if name not in present])
        for name, addon in present.items():
            if name not in wanted:
                await self._remove(session, caller, addon, needs=needs, parent_id=parent_id)
            elif wanted[name] != addon.spec:
                await self._update(session, caller, addon, wanted[name], needs=needs, parent_id=parent_id)
        await self.begin_waiting(session, caller, cluster, needs=needs, parent_id=parent_id)

    async def begin_delete(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, *, needs: Sequence[Needs], parent_id: str
    ) -> list[Operation]:
        """Begin to delete every addon, after `needs`; creates that run are superseded."""
        addons = await repository.addons_of(session, [cluster.id])
        return [await self._remove(session, caller, addon, needs=needs, parent_id=parent_id) for addon in addons]

    def is_cancellable(self, operation: Operation) -> bool:
        """Tell whether what runs can be stopped."""
        return operation.kind == "addon.create"

    async def retry(self, session: AsyncSession, caller: Caller, operation: Operation) -> Operation:
        """Begin a failed operation again."""
        addon = await session.get_one(Addon, operation.resource_id, with_for_update=True)
        addon.phase = {"addon.create": "creating", "addon.update": "updating"}.get(operation.kind, "deleting")
        plan = Plan(
            operation.kind,
            [step["name"] for step in operation.steps],
            {**operation.input, "force": operation.kind == "addon.delete"},
            retry_of=operation.id,
        )
        return await self._ledger.begin(session, caller, target_of(addon), plan)

    async def _update(
        self,
        session: AsyncSession,
        caller: Caller,
        addon: Addon,
        spec: dict[str, Any],
        *,
        needs: Sequence[Needs],
        parent_id: str | None,
    ) -> None:
        addon.spec = spec
        addon.generation += 1
        if addon.phase != "active":
            return  # not installed yet: `begin_waiting` installs it with the new spec
        addon.phase = "updating"
        data = {"generation": addon.generation, "usable": True}
        plan = Plan("addon.update", ("update_stack",), data, needs=needs, parent_id=parent_id)
        await self._ledger.begin(session, caller, target_of(addon), plan)

    async def _remove(
        self, session: AsyncSession, caller: Caller, addon: Addon, *, needs: Sequence[Needs], parent_id: str | None
    ) -> Operation:
        live = await operations.live_of(session, addon.id)
        if live is not None and live.kind == "addon.create":
            await self._ledger.supersede(session, live)
            needs = [*needs, Needs(live.id, "end")]
        addon.phase = "deleting"
        data = {"usable": False, "force": False}
        plan = Plan("addon.delete", ("delete_stack",), data, needs=needs, parent_id=parent_id)
        return await self._ledger.begin(session, caller, target_of(addon), plan)
