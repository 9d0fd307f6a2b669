"""The addons of a cluster that are stacks of their own: they wait for the first node group, then install themselves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository
from app.clusters.models import WAITING, Addon, Cluster
from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.core.ids import new_id
from app.engine.models import Operation
from app.operations import repository as operations
from app.operations.errors import NotRetryableError, OperationInProgressError
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
                phase=WAITING,
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
        missing = [addon for addon in addons if addon.phase in (WAITING, "failed")]
        live = {row.resource_id for row in await operations.live_of_many(session, [addon.id for addon in missing])}
        begun = []
        for addon in missing:
            if addon.id not in live:
                addon.phase = "creating"
                data = {"usable": False}
                plan = Plan("addon.create", ("create_stack",), data, needs=needs, parent_id=parent_id)
                begun.append(await self._ledger.begin(session, caller, target_of(addon), plan))
        return begun

    async def begin_waiting_for(
        self, session: AsyncSession, caller: Caller, cluster: ClusterView, needs: Sequence[Needs]
    ) -> None:
        """Begin to install the addons that waited for a node group, once it is there."""
        await self.begin_waiting(session, caller, await repository.by_id(session, cluster.id), needs=needs)

    async def differ(
        self, session: AsyncSession, cluster: Cluster, specs: Sequence[dict[str, Any]], *, retagged: bool
    ) -> bool:
        """Tell whether the addons there are, are not those that a spec asks for (or not brought to it yet).

        `retagged`: the cluster's tags change, which every addon that is installed carries.

        Raises:
            OperationInProgressError: one that would have to change is being changed.
        """
        present = {addon.name: addon for addon in await repository.addons_of(session, [cluster.id])}
        wanted = {spec["name"]: spec for spec in specs}
        changed = [
            addon
            for addon in present.values()
            if _must_change(addon, wanted.get(addon.name), retagged=retagged)
            and (addon.phase != "deleting" or addon.name in wanted)
        ]
        for live in await operations.live_of_many(session, [addon.id for addon in changed]):
            # A create that waits takes the new spec up, and one that runs can only be taken away.
            if live.kind != "addon.create" or (live.status != "pending" and live.resource_name in wanted):
                raise OperationInProgressError(
                    f"{live.kind} {live.id} is {live.status} on addon {live.resource_name!r}.", operation_id=live.id
                )
        return bool(changed) or not wanted.keys() <= present.keys()

    async def change(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: Cluster,
        specs: Sequence[dict[str, Any]],
        *,
        retagged: bool,
        upgrades: bool,
        needs: Sequence[Needs],
        parent_id: str | None,
    ) -> None:
        """Begin what leads from the addons there are to those that a spec asks for; new ones are left waiting.

        `retagged` as for `differ`; `upgrades`: the cluster gets another version.
        """
        present = {addon.name: addon for addon in await repository.addons_of(session, [cluster.id])}
        wanted = {spec["name"]: spec for spec in specs}
        await self.add(session, cluster, [spec for name, spec in wanted.items() if name not in present])
        for name, addon in present.items():
            if name not in wanted:
                await self._remove(session, caller, addon, needs=needs, parent_id=parent_id)
            elif _must_change(addon, wanted[name], retagged=retagged):
                await self._update(
                    session, caller, addon, wanted[name], upgrades=upgrades, needs=needs, parent_id=parent_id
                )

    async def follow_upgrade(self, session: AsyncSession, caller: Caller, cluster: Cluster, upgrade: Operation) -> None:
        """After an upgrade of the cluster, bring addons without a version of their own to EKS's default for it."""
        addons = await repository.addons_of(session, [cluster.id])
        live = {row.resource_id for row in await operations.live_of_many(session, [addon.id for addon in addons])}
        for addon in addons:
            if addon.phase == "active" and addon.id not in live and not addon.spec.get("version"):
                addon.phase = "updating"
                plan = Plan("addon.update", ("update_stack",), {"usable": True}, needs=[Needs(upgrade.id)])
                await self._ledger.begin(session, caller, target_of(addon), plan)

    async def begin_delete(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, *, needs: Sequence[Needs], parent_id: str
    ) -> list[Operation]:
        """Begin to delete every addon, after `needs`; creates that run are superseded, updates are waited for."""
        addons = await repository.addons_of(session, [cluster.id])
        return [await self._remove(session, caller, addon, needs=needs, parent_id=parent_id) for addon in addons]

    def is_cancellable(self, operation: Operation) -> bool:
        """Tell whether what runs can be stopped."""
        return operation.kind == "addon.create"

    async def retry(
        self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str | None = None
    ) -> Operation:
        """Begin a failed operation again.

        Raises:
            NotRetryableError: the addon is gone with its cluster.
        """
        addon = await session.get_one(Addon, operation.resource_id, with_for_update=True)
        if addon.deleted_at is not None:
            raise NotRetryableError(f"Addon {addon.name!r} is gone.")
        addon.phase = {"addon.create": "creating", "addon.update": "updating"}.get(operation.kind, "deleting")
        plan = Plan.again(operation, parent_id=parent_id)
        plan = replace(plan, input={**plan.input, "force": operation.kind == "addon.delete"})
        return await self._ledger.begin(session, caller, target_of(addon), plan)

    async def _update(
        self,
        session: AsyncSession,
        caller: Caller,
        addon: Addon,
        spec: dict[str, Any],
        *,
        upgrades: bool,
        needs: Sequence[Needs],
        parent_id: str | None,
    ) -> None:
        is_synced = addon.observed_generation == addon.generation
        # New tags alone, without an upgrade of the cluster, must not move an addon to EKS's default version of today.
        keeps_version = is_synced and addon.spec == spec and not upgrades
        if is_synced or addon.spec != spec:
            addon.spec = spec
            addon.generation += 1
        if addon.phase != "active":
            return  # not installed yet: whatever installs it takes the new spec
        addon.phase = "updating"
        data = {"usable": True, "keeps_version": keeps_version}
        plan = Plan("addon.update", ("update_stack",), data, needs=needs, parent_id=parent_id)
        await self._ledger.begin(session, caller, target_of(addon), plan)

    async def _remove(
        self, session: AsyncSession, caller: Caller, addon: Addon, *, needs: Sequence[Needs], parent_id: str | None
    ) -> Operation:
        live = await operations.live_of(session, addon.id)
        if live is not None and live.kind == "addon.delete":
            return live
        if live is not None and live.kind == "addon.create":
            await self._ledger.supersede(session, live)
            needs = [*needs, Needs(live.id, "end")]
        elif live is not None:
            needs = [*needs, await self._ledger.let_end(session, live)]
        addon.phase = "deleting"
        data = {"usable": True, "force": False}  # one that could not be deleted is still there, and wanted no more
        plan = Plan("addon.delete", ("delete_stack",), data, needs=needs, parent_id=parent_id)
        return await self._ledger.begin(session, caller, target_of(addon), plan)


def _must_change(addon: Addon, wanted: dict[str, Any] | None, *, retagged: bool) -> bool:
    """Tell whether an addon is not what is wanted: another spec or tags, gone, or its last update did not succeed."""
    unsynced = addon.phase in ("active", "failed") and addon.observed_generation != addon.generation
    unsynced = unsynced or addon.phase == "deleting"
    carries_tags = addon.phase in ("creating", "active", "updating")
    return wanted is None or wanted != addon.spec or unsynced or (retagged and carries_tags)
