"""Use cases of clusters: each writes desired state and operation in the caller's transaction. No network."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import repository as accounts
from app.clusters import repository
from app.clusters.errors import (
    ClusterDeletingError,
    ClusterExistsError,
    ClusterNotFoundError,
    DeletionProtectedError,
)
from app.clusters.models import Cluster
from app.clusters.ports import Addons, Parts, Releases
from app.clusters.progress import AskedOfCluster
from app.clusters.schemas import ClusterSpec
from app.clusters.template import cluster_stack
from app.clusters.update_groups import stages_of_create, steps_of_update
from app.core.caller import Caller
from app.core.errors import FieldError
from app.core.ids import new_id
from app.db import resources
from app.engine.models import Operation
from app.operations import repository as operations
from app.operations.errors import ImmutableFieldError, NotRetryableError
from app.operations.group_kinds import CLUSTER_APPLY
from app.operations.service import Ledger, Needs, Plan, Target
from app.operations.transitions import check_unchanged, want
from app.stacks.immutable import cluster_violations

DELETE_STEPS = ("delete_stack", "delete_log_group", "check_leftovers")


def create_steps(spec: ClusterSpec) -> list[str]:
    """Return the steps of a create."""
    return ["prepare", *(step for step, _ in stages_of_create(spec.model_dump(mode="json")))]


def target_of(cluster: Cluster) -> Target:
    """Return the target of an operation on a cluster."""
    return Target("cluster", cluster.id, cluster.name, cluster.project_id, cluster.account_id, cluster.region)


class ClusterService:
    """Creates, changes and deletes clusters, and knows how their operations are stopped and retried."""

    def __init__(
        self,
        ledger: Ledger,
        parts: Parts,
        addons: Addons,
        releases: Releases,
    ) -> None:
        self._ledger = ledger
        self._parts = parts
        self._addons = addons
        self._releases = releases

    async def create(
        self,
        session: AsyncSession,
        caller: Caller,
        spec: ClusterSpec,
        parts: Sequence[Any] = (),
        releases: Sequence[Any] = (),
        *,
        facts: dict[str, Any],
        warnings: Sequence[str] = (),
        whole: bool = False,
        callback_url: str | None = None,
    ) -> Operation:
        """Begin to create a cluster and what belongs to it.

        Args:
            session: The transaction.
            caller: Who asks.
            spec: The cluster, its `version` filled in.
            parts: What is to be made with it, as `Parts.parse` gave it.
            releases: Releases as `Releases.parse` gave them.
            facts: What `live.py` found out: `zones`, `control_plane_zone`.
            warnings: What the caller should know.
            whole: Answer with a parent operation even when there is only the cluster (a ClusterConfig).
            callback_url: To be called when the operation ends.

        Raises:
            ClusterExistsError: the name is in use.
            AccountNotFoundError: there is no such account.
        """
        cluster = await self._add(session, caller, spec, facts)
        parent: Operation | None = None
        if parts or releases or whole:
            parent = await self._ledger.begin(
                session,
                caller,
                target_of(cluster),
                Plan(CLUSTER_APPLY, warnings=warnings, holds_lock=False, callback_url=callback_url),
            )
        plan = Plan(
            "cluster.create",
            create_steps(spec),
            AskedOfCluster(generation=1, usable=False).as_json(),
            warnings=() if parent else warnings,
            parent_id=parent.id if parent else None,
            callback_url=None if parent else callback_url,
        )
        operation = await self._ledger.begin(session, caller, target_of(cluster), plan)
        needs = [Needs(operation.id)]
        if parent is None:
            await self._addons.bring(session, caller, cluster, needs=needs, parent_id=None)
            return operation
        await self._parts.begin_create(session, caller, cluster, parts, parent_id=parent.id)
        await self._addons.bring(session, caller, cluster, needs=needs, parent_id=parent.id)
        await self._releases.begin_create(session, caller, cluster.id, releases, parent_id=parent.id)
        return parent

    async def _add(self, session: AsyncSession, caller: Caller, spec: ClusterSpec, facts: dict[str, Any]) -> Cluster:
        account_id = await accounts.account_id(session, caller.project_id, spec.account)
        existing = await repository.named(session, account_id, spec.region, spec.name)
        if existing is not None:
            raise _exists(spec, existing.id if existing.project_id == caller.project_id else None)
        cluster = Cluster(
            id=new_id("clu"),
            project_id=caller.project_id,
            account_id=account_id,
            region=spec.region,
            name=spec.name,
            spec=spec.model_dump(mode="json"),
            tags=spec.tags,
            facts=facts,
            phase="creating",
        )
        await resources.insert(session, cluster, _exists(spec, None))
        return cluster

    async def check_change(self, session: AsyncSession, cluster: Cluster, spec: ClusterSpec) -> None:
        """Check that a cluster can be changed now, and to this spec as far as AWS need not be asked.

        Raises:
            ImmutableFieldError: AWS could only replace the cluster for one of the changes.
            ClusterDeletingError: the cluster is being deleted.
            OperationInProgressError: the cluster is being changed.
        """
        await self._ledger.check_stays(session, cluster, "Cluster", ClusterDeletingError)
        await self._ledger.check_free(session, cluster.id)
        _check_mutable(cluster, ClusterSpec.model_validate(cluster.applied_spec), spec)

    async def update(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: Cluster,
        spec: ClusterSpec,
        *,
        seen: Cluster,
        facts: dict[str, Any] | None = None,
        callback_url: str | None = None,
    ) -> Operation:
        """Begin to bring a cluster to a new spec.

        Args:
            session: The transaction.
            caller: Who asks.
            cluster: The cluster, locked.
            spec: The whole new spec.
            seen: The cluster as it was when the spec was checked.
            facts: As for `create`, if the cluster never came to be: it is laid out anew.
            callback_url: To be called when the operation ends.

        Raises:
            InvalidError: no template can say that.
            SlipwayError: as `check_change`; or an addon that has to change is being changed.
        """
        await self.check_change(session, cluster, spec)
        check_unchanged(seen, cluster)
        before = ClusterSpec.model_validate(cluster.applied_spec)
        retagged = bool(cluster.observed_generation) and before.tags != spec.tags
        addons_change = await self._addons.differ(session, cluster, spec, retagged=retagged)
        if facts is not None:
            cluster.facts = facts
        cluster_stack(cluster.id, spec, cluster.facts)  # what no template can say is better refused than failed
        upgrades = bool(cluster.observed_generation) and before.version != spec.version
        usable, applied = cluster.phase == "active", cluster.applied_spec
        want(cluster, spec.model_dump(mode="json"), spec.tags)
        cluster.phase = "updating"
        parent: Operation | None = None
        if addons_change and cluster.observed_generation:
            plan = Plan(CLUSTER_APPLY, holds_lock=False, callback_url=callback_url)
            parent = await self._ledger.begin(session, caller, target_of(cluster), plan)
        asked = AskedOfCluster(generation=cluster.generation, usable=usable, before=applied, version_change=upgrades)
        plan = Plan(
            "cluster.update",
            steps_of_update(before, spec) if cluster.observed_generation else create_steps(spec),
            asked.as_json(),
            parent_id=parent.id if parent else None,
            callback_url=None if parent else callback_url,
        )
        operation = await self._ledger.begin(session, caller, target_of(cluster), plan)
        if addons_change:
            await self._addons.bring(
                session,
                caller,
                cluster,
                needs=[Needs(operation.id)],
                parent_id=parent.id if parent else None,
                retagged=retagged,
                upgrades=upgrades,
            )
        if upgrades:
            await self._addons.follow_upgrade(session, caller, cluster, operation)
        return parent or operation

    async def delete(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, *, callback_url: str | None = None
    ) -> Operation:
        """Begin to delete a cluster with all that belongs to it: releases, node groups, addons, then the cluster.

        Raises:
            DeletionProtectedError: `deletion_protection` is on.
            OperationInProgressError: the cluster is being changed; a create is superseded. Changes of what belongs to
                the cluster are waited for.
        """
        if cluster.spec.get("deletion_protection"):
            raise DeletionProtectedError(
                f"Cluster {cluster.name!r} has deletion_protection; PATCH it to false first.", cluster_id=cluster.id
            )
        return await self._begin_delete(session, caller, cluster, retry_of=None, callback_url=callback_url)

    def is_cancellable(self, operation: Operation) -> bool:
        """Tell whether what runs can be stopped: a create, and an update that changes no version."""
        if operation.kind == "cluster.create":
            return True
        return operation.kind == "cluster.update" and not AskedOfCluster.of(operation.input).version_change

    async def retry(
        self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str | None = None
    ) -> Operation:
        """Begin a failed operation again from where it stopped."""
        try:
            cluster = await repository.get(session, caller.project_id, operation.resource_id, lock=True)
        except ClusterNotFoundError as error:
            raise NotRetryableError(f"Cluster {operation.resource_name!r} is gone.") from error
        if operation.kind == CLUSTER_APPLY:
            return await self._retry_group(session, caller, cluster, operation)
        if operation.kind == "cluster.delete":
            return await self._begin_delete(session, caller, cluster, retry_of=operation.id, callback_url=None)
        new = await self._again(session, caller, cluster, operation, parent_id=parent_id)
        if parent_id is None:  # else the group does, after what it begins beside it
            await self._addons.install(session, caller, cluster, needs=[Needs(new.id)], parent_id=None)
        return new

    async def _again(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, operation: Operation, *, parent_id: str | None
    ) -> Operation:
        await self._ledger.check_stays(session, cluster, "Cluster", ClusterDeletingError)
        cluster.phase = "creating" if operation.kind == "cluster.create" else "updating"
        plan = Plan.again(operation, parent_id=parent_id)
        return await self._ledger.begin(session, caller, target_of(cluster), plan)

    async def _retry_group(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, parent: Operation
    ) -> Operation:
        children = (await operations.children_of(session, [parent.id]))[parent.id]
        plan = Plan(CLUSTER_APPLY, retry_of=parent.id, holds_lock=False)
        new = await self._ledger.begin(session, caller, target_of(cluster), plan)
        left = [child for child in children if await self._is_left_to_do(session, child)]
        releases = [child for child in left if child.resource_type == "release"]
        needs: list[Needs] = []
        for child in left:  # the cluster is the oldest one
            if child not in releases:
                again = await self._ledger.retry_child(session, caller, child, parent_id=new.id)
                needs += [Needs(again.id)] if child.resource_type == "cluster" else []
        await self._addons.install(session, caller, cluster, needs=needs, parent_id=new.id)
        for child in releases:  # they wait for all else
            await self._ledger.retry_child(session, caller, child, parent_id=new.id)
        if not (await operations.children_of(session, [new.id]))[new.id]:
            raise NotRetryableError("Nothing of the operation is left to be done.")
        return new

    @staticmethod
    async def _is_left_to_do(session: AsyncSession, child: Operation) -> bool:
        """Tell whether nothing came after a child that did not succeed; what a cancelled create began is gone."""
        if child.status == "succeeded" or (child.status == "cancelled" and child.kind.endswith(".create")):
            return False
        latest = await operations.latest_of(session, child.resource_id)
        return latest is not None and latest.id == child.id

    async def _begin_delete(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, *, retry_of: str | None, callback_url: str | None
    ) -> Operation:
        superseded = await self._supersede_create(session, cluster)
        usable = cluster.phase == "active"
        cluster.phase = "deleting"
        plan = Plan(
            "cluster.delete",
            DELETE_STEPS,
            AskedOfCluster(usable=usable, force=retry_of is not None).as_json(),
            needs=[Needs(superseded.id, "end")] if superseded else (),
            retry_of=retry_of,
            callback_url=callback_url,
        )
        operation = await self._ledger.begin(session, caller, target_of(cluster), plan)
        releases = await self._releases.begin_delete(
            session, caller, cluster.id, parent_id=operation.id, force=retry_of is not None
        )
        begun = [
            *releases,
            *await self._parts.begin_delete(
                session, caller, cluster.id, needs=_all_of(releases), parent_id=operation.id
            ),
        ]
        await self._ledger.add_needs(session, operation, _all_of(begun))
        return operation

    async def _supersede_create(self, session: AsyncSession, cluster: Cluster) -> Operation | None:
        live = await operations.live_of(session, cluster.id)
        if live is None or live.kind != "cluster.create":
            await self._ledger.check_free(session, cluster.id)
            return None
        await self._ledger.supersede(session, live)
        return live


def _all_of(begun: Sequence[Operation]) -> list[Needs]:
    return [Needs(operation.id) for operation in begun]


def _exists(spec: ClusterSpec, cluster_id: str | None) -> ClusterExistsError:
    facts = {"cluster_id": cluster_id} if cluster_id else {}
    return ClusterExistsError(f"A cluster named {spec.name!r} exists in {spec.region}.", **facts)


def _check_mutable(cluster: Cluster, before: ClusterSpec, after: ClusterSpec) -> None:
    """Refuse what AWS can only replace; a cluster that never came to be may change all but its identity."""
    violations = cluster_violations(before.model_dump(mode="json"), after.model_dump(mode="json"))
    if not cluster.observed_generation:
        violations = tuple(v for v in violations if v.pointer.split("/")[1] in ("name", "region", "account"))
    if violations:
        errors = [FieldError(violation.pointer, violation.reason) for violation in violations]
        raise ImmutableFieldError("AWS could only replace the cluster to change this.", errors)
