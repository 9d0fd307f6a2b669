"""The addons of a cluster follow its spec: which differ from it, what waits for a node group, what an upgrade moves."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository
from app.clusters.addons import own_addons
from app.clusters.models import WAITING, Addon, Cluster
from app.clusters.schemas import ClusterSpec
from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.core.ids import new_id
from app.engine.models import Operation
from app.kinds import rows
from app.kinds.addon.kind import ADDONS
from app.kinds.changes import Changes, Verb
from app.kinds.nodegroup import nodes
from app.operations import repository as operations
from app.operations.prepared import Begin
from app.operations.service import Needs, in_progress


class ClusterAddons:
    """Begins what happens to the addons of a cluster that are stacks of their own."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def differ(self, session: AsyncSession, cluster: Cluster, spec: ClusterSpec, *, retagged: bool) -> bool:
        """Tell whether the addons there are, are not those that a spec asks for (or not brought to it yet).

        `retagged`: the cluster's tags change, which every addon that is installed carries.

        Raises:
            OperationInProgressError: one that would have to change is being changed.
        """
        present, wanted = await self._present(session, cluster), _wanted(spec)
        changed = [
            addon
            for addon in present.values()
            if _must_change(addon, wanted.get(addon.name), retagged=retagged)
            and (addon.phase != "deleting" or addon.name in wanted)
        ]
        for live in await operations.live_of_many(session, [addon.id for addon in changed]):
            # A create that waits takes the new spec up, and one that runs can only be taken away.
            if live.kind != "addon.create" or (live.status != "pending" and live.resource_name in wanted):
                raise in_progress(live)
        return bool(changed) or not wanted.keys() <= present.keys()

    async def bring(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: Cluster,
        *,
        needs: Sequence[Needs],
        parent_id: str | None,
        retagged: bool = False,
        upgrades: bool = False,
    ) -> None:
        """Begin what leads to the addons that the cluster's spec asks for, after `needs`.

        `retagged` as for `differ`; `upgrades`: the cluster gets another version.
        """
        present, wanted = await self._present(session, cluster), _wanted(ClusterSpec.model_validate(cluster.spec))
        session.add_all(_waiting(cluster, spec) for name, spec in wanted.items() if name not in present)
        await session.flush()
        how = Begin(parent_id=parent_id, needs=needs)
        for name, addon in present.items():
            if name not in wanted:
                await self._changes.remove(session, ADDONS, caller, addon, how)
            elif _must_change(addon, wanted[name], retagged=retagged):
                await self._update(session, caller, addon, wanted[name], how, upgrades=upgrades)
        await self.install(session, caller, cluster, needs=needs, parent_id=parent_id)

    async def install(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, *, needs: Sequence[Needs], parent_id: str | None
    ) -> None:
        """Begin to install what is not installed, if the cluster has a node group, or will have one after `needs`."""
        coming = await self._changes.coming(session, ADDONS, cluster.id)
        if coming or await nodes.any_active(session, cluster.id):
            await self._begin_waiting(session, caller, cluster, Begin(parent_id=parent_id, needs=[*needs, *coming]))

    async def install_after(
        self, session: AsyncSession, caller: Caller, cluster: ClusterView, needs: Sequence[Needs]
    ) -> None:
        """Begin to install what waited for a node group, once that is there."""
        await self._begin_waiting(session, caller, await repository.by_id(session, cluster.id), Begin(needs=needs))

    async def follow_upgrade(self, session: AsyncSession, caller: Caller, cluster: Cluster, upgrade: Operation) -> None:
        """After an upgrade of the cluster, bring addons without a version of their own to EKS's default for it."""
        present = await self._present(session, cluster)
        for addon in await self._idle(session, list(present.values())):
            if addon.phase == "active" and not addon.spec.get("version"):
                await self._begin_update(session, caller, addon, Begin(needs=[Needs(upgrade.id)]), keeps_version=False)

    async def _begin_waiting(self, session: AsyncSession, caller: Caller, cluster: Cluster, how: Begin) -> None:
        """Begin what the cluster's spec asks for, that is not there, and that nothing installs yet."""
        present, wanted = await self._present(session, cluster), _wanted(ClusterSpec.model_validate(cluster.spec))
        missing = [addon for addon in present.values() if addon.phase in (WAITING, "failed") and addon.name in wanted]
        for addon in await self._idle(session, missing):
            # One that could not be deleted was there, and its stack may still be.
            verb: Verb = "update" if addon.observed_generation else "create"
            addon.phase = "updating" if addon.observed_generation else "creating"
            await self._changes.begin(session, ADDONS, caller, addon, verb, how)

    async def _update(
        self, session: AsyncSession, caller: Caller, addon: Addon, spec: dict[str, Any], how: Begin, *, upgrades: bool
    ) -> None:
        is_synced = addon.observed_generation == addon.generation
        # New tags alone, without an upgrade of the cluster, must not move an addon to EKS's default version of today.
        keeps_version = is_synced and addon.spec == spec and not upgrades
        if is_synced or addon.spec != spec:
            addon.spec = spec
            addon.generation += 1
        if addon.phase == "active":
            await self._begin_update(session, caller, addon, how, keeps_version=keeps_version)
        elif (live := await operations.live_of(session, addon.id)) is not None:  # a create that waits
            await self._changes.ledger.amend(session, live, {"generation": addon.generation})

    async def _begin_update(
        self, session: AsyncSession, caller: Caller, addon: Addon, how: Begin, *, keeps_version: bool
    ) -> None:
        addon.phase = "updating"
        said = {"usable": True, "keeps_version": keeps_version, "version_change": not keeps_version}
        await self._changes.begin(session, ADDONS, caller, addon, "update", how, said)

    async def _present(self, session: AsyncSession, cluster: Cluster) -> dict[str, Addon]:
        return {addon.name: addon for addon in await rows.of_cluster(session, ADDONS, cluster.id)}

    async def _idle(self, session: AsyncSession, addons: Sequence[Addon]) -> list[Addon]:
        live = {found.resource_id for found in await operations.live_of_many(session, [addon.id for addon in addons])}
        return [addon for addon in addons if addon.id not in live]


def _wanted(spec: ClusterSpec) -> dict[str, dict[str, Any]]:
    return {addon.name: addon.model_dump(mode="json") for addon in own_addons(spec)}


def _waiting(cluster: Cluster, spec: dict[str, Any]) -> Addon:
    return Addon(
        id=new_id(ADDONS.prefix),
        project_id=cluster.project_id,
        account_id=cluster.account_id,
        region=cluster.region,
        name=spec["name"],
        cluster_id=cluster.id,
        spec=spec,
        phase=WAITING,
    )


def _must_change(addon: Addon, wanted: dict[str, Any] | None, *, retagged: bool) -> bool:
    """Tell whether an addon is not what is wanted: another spec or tags, gone, or its last change did not succeed."""
    unsynced = addon.phase in ("failed", "deleting") or (
        addon.phase == "active" and addon.observed_generation != addon.generation
    )
    carries_tags = addon.phase in ("creating", "active", "updating")
    return wanted is None or wanted != addon.spec or unsynced or (retagged and carries_tags)
