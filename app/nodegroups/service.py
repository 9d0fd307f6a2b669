"""The use cases of node groups: each writes the desired state and its operation in the caller's transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.core.errors import FieldError, InvalidError
from app.core.ids import new_id
from app.core.validation import repeated, validate
from app.db import resources
from app.engine.models import Operation
from app.nodegroups import repository
from app.nodegroups.errors import (
    ClusterDeletingError,
    ClusterFailedError,
    NodegroupDeletingError,
    NodegroupExistsError,
    NodegroupNotFoundError,
)
from app.nodegroups.models import Nodegroup
from app.nodegroups.ports import Clusters, ClusterView
from app.nodegroups.render import subnets_of, taints_of
from app.nodegroups.schemas import NodegroupSpec
from app.operations import repository as operations
from app.operations.errors import ImmutableFieldError, NotRetryableError
from app.operations.service import Ledger, Needs, Plan, Target
from app.operations.transitions import check_unchanged, want
from app.stacks.immutable import nodegroup_violations
from app.stacks.taints import Taint

IDENTITY = ("cluster", "name")


def target_of(group: Nodegroup) -> Target:
    """Return the target of an operation on a node group."""
    return Target("nodegroup", group.id, group.name, group.project_id, group.account_id, group.region)


def minor(version: str) -> int:
    """Return the minor of a Kubernetes version: 34 of `1.34`."""
    return int(version.split(".")[1])


class NodegroupService:
    """Creates, changes and deletes node groups, and knows how their operations are stopped and retried."""

    def __init__(self, ledger: Ledger, clusters: Clusters) -> None:
        self._ledger = ledger
        self._clusters = clusters

    async def create(
        self, session: AsyncSession, caller: Caller, spec: NodegroupSpec, *, callback_url: str | None = None
    ) -> Operation:
        """Begin to create a node group; one of a cluster that is still being created waits for it.

        Raises:
            NodegroupExistsError: the cluster has a group of that name.
            ClusterDeletingError: the cluster is being deleted.
            ClusterFailedError: the cluster cannot be used.
            InvalidError: the version is newer than the cluster's.
        """
        cluster = await self._clusters.get(session, caller.project_id, spec.cluster, lock=True)
        operation = await self._create(session, caller, cluster, spec, parent_id=None, callback_url=callback_url)
        await self._clusters.begin_waiting_addons(session, caller, cluster.id, [Needs(operation.id, "end")])
        return operation

    async def create_with_cluster(
        self, session: AsyncSession, caller: Caller, cluster_id: str, specs: Sequence[NodegroupSpec], *, parent_id: str
    ) -> list[Operation]:
        """Begin to create the groups that stand in a cluster's own request."""
        cluster = await self._clusters.by_id(session, cluster_id)
        begun = []
        for index, spec in enumerate(specs):
            try:
                begun.append(await self._create(session, caller, cluster, spec, parent_id=parent_id))
            except InvalidError as error:
                raise error.below(f"/nodegroups/{index}") from error
        return begun

    async def check_change(self, session: AsyncSession, group: Nodegroup, spec: NodegroupSpec) -> ClusterView:
        """Check that a group can be changed now, and to this spec as far as AWS need not be asked; return its cluster.

        Raises:
            ImmutableFieldError: AWS could only replace the group for one of the changes.
            NodegroupDeletingError: it is being deleted.
            OperationInProgressError: it is being changed.
            ClusterFailedError: its cluster never came to be.
        """
        cluster = await self._clusters.by_id(session, group.cluster_id)
        await self._refuse_deleting(session, group, cluster)
        await self._ledger.check_free(session, group.id)
        _check_mutable(group, spec)
        await self._needs(session, cluster)
        return cluster

    async def update(
        self,
        session: AsyncSession,
        caller: Caller,
        group: Nodegroup,
        spec: NodegroupSpec,
        *,
        seen: Nodegroup,
        keep_desired: bool,
        callback_url: str | None = None,
    ) -> Operation:
        """Begin to bring a node group to a new spec; one that failed to be created is created anew with it.

        Args:
            session: The transaction.
            caller: Who asks.
            group: The group, locked.
            spec: The whole new spec.
            seen: The group as it was when the spec was checked.
            keep_desired: The request did not say how many nodes there should be: the live number stays.
            callback_url: To be called when the operation ends.

        Raises:
            SlipwayError: as `check_change`.
        """
        cluster = await self.check_change(session, group, spec)
        check_unchanged(seen, group)
        before = _applied(group)
        spec = _with_version(spec, cluster, before)
        _check_subnets(spec, cluster)
        usable = group.phase == "active"
        want(group, spec.model_dump(mode="json"), spec.tags)
        group.phase = "updating"
        plan = Plan(
            "nodegroup.update",
            ("update_stack",) if group.observed_generation else ("create_stack",),
            {
                "generation": group.generation,
                "usable": usable,
                "keep_desired": keep_desired,
                "version_change": before is not None and before.version != spec.version,
            },
            needs=await self._needs(session, cluster),
            callback_url=callback_url,
        )
        operation = await self._ledger.begin(session, caller, target_of(group), plan)
        if not group.observed_generation:
            await self._clusters.begin_waiting_addons(session, caller, cluster.id, [Needs(operation.id, "end")])
        return operation

    async def delete(
        self, session: AsyncSession, caller: Caller, group: Nodegroup, *, callback_url: str | None = None
    ) -> Operation:
        """Begin to delete a node group; a create that runs is superseded.

        Raises:
            OperationInProgressError: it is being changed.
        """
        return await self._delete(session, caller, group, parent_id=None, retry_of=None, callback_url=callback_url)

    async def delete_with_cluster(
        self, session: AsyncSession, caller: Caller, cluster_id: str, *, needs: Sequence[Needs], parent_id: str
    ) -> list[Operation]:
        """Begin to delete every group of a cluster, after `needs` and what changes it; a delete that runs stays."""
        begun = []
        for group in await repository.of_cluster(session, cluster_id):
            live = await operations.live_of(session, group.id)
            if live is not None and live.kind == "nodegroup.delete":
                begun.append(live)
            else:
                begun.append(
                    await self._delete(session, caller, group, needs=needs, parent_id=parent_id, retry_of=None)
                )
        return begun

    def is_cancellable(self, operation: Operation) -> bool:
        """Tell whether what runs can be stopped: a create, and an update that changes no version."""
        if operation.kind == "nodegroup.create":
            return True
        return operation.kind == "nodegroup.update" and not operation.input.get("version_change")

    async def retry(
        self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str | None = None
    ) -> Operation:
        """Begin a failed operation again from where it stopped."""
        try:
            group = await repository.get(session, caller.project_id, operation.resource_id, lock=True)
        except NodegroupNotFoundError as error:
            raise NotRetryableError(f"Node group {operation.resource_name!r} is gone.") from error
        if operation.kind == "nodegroup.delete":
            return await self._delete(session, caller, group, parent_id=parent_id, retry_of=operation.id)
        cluster = await self._clusters.by_id(session, group.cluster_id)
        await self._refuse_deleting(session, group, cluster)
        group.phase = "creating" if operation.kind == "nodegroup.create" else "updating"
        plan = Plan.again(operation, needs=await self._needs(session, cluster), parent_id=parent_id)
        new = await self._ledger.begin(session, caller, target_of(group), plan)
        if parent_id is None:
            await self._clusters.begin_waiting_addons(session, caller, cluster.id, [Needs(new.id, "end")])
        return new

    async def coming(self, session: AsyncSession, cluster_id: str) -> list[str]:
        """Return the operations that create or change groups of a cluster now."""
        groups = await repository.of_cluster(session, cluster_id)
        live = await operations.live_of_many(session, [group.id for group in groups])
        return [operation.id for operation in live if operation.kind != "nodegroup.delete"]

    async def taints(self, session: AsyncSession, cluster_id: str) -> list[list[Taint]]:
        """Return the taints of each group of a cluster that is there or to be."""
        groups = await repository.of_cluster(session, cluster_id)
        return [
            list(taints_of(NodegroupSpec.model_validate(group.spec)))
            for group in groups
            if group.phase in ("active", "updating", "creating")
        ]

    async def any_active(self, session: AsyncSession, cluster_id: str) -> bool:
        """Tell whether a cluster has a group that serves."""
        groups = await repository.of_cluster(session, cluster_id)
        return any(group.observed_generation and group.phase in ("active", "updating") for group in groups)

    async def _create(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: ClusterView,
        spec: NodegroupSpec,
        *,
        parent_id: str | None,
        callback_url: str | None = None,
    ) -> Operation:
        if cluster.phase == "deleting":
            raise ClusterDeletingError(f"Cluster {cluster.name!r} is being deleted.", cluster_id=cluster.id)
        if cluster.phase == "failed":
            raise ClusterFailedError(f"Cluster {cluster.name!r} has failed.", cluster_id=cluster.id)
        existing = await repository.named(session, cluster.id, spec.name)
        if existing is not None:
            raise _exists(spec, cluster, existing.id)
        spec = _with_version(spec, cluster, None)
        _check_subnets(spec, cluster)
        group = Nodegroup(
            id=new_id("ng"),
            project_id=cluster.project_id,
            account_id=cluster.account_id,
            region=cluster.region,
            name=spec.name,
            cluster_id=cluster.id,
            spec=spec.model_dump(mode="json"),
            tags=spec.tags,
            phase="creating",
        )
        await resources.insert(session, group, _exists(spec, cluster, None))
        plan = Plan(
            "nodegroup.create",
            ("create_stack",),
            {"generation": 1, "usable": False},
            needs=await self._needs(session, cluster),
            parent_id=parent_id,
            callback_url=callback_url,
        )
        return await self._ledger.begin(session, caller, target_of(group), plan)

    async def _delete(
        self,
        session: AsyncSession,
        caller: Caller,
        group: Nodegroup,
        *,
        needs: Sequence[Needs] = (),
        parent_id: str | None,
        retry_of: str | None,
        callback_url: str | None = None,
    ) -> Operation:
        live = await operations.live_of(session, group.id)
        usable = group.phase == "active"
        if live is not None and live.kind == "nodegroup.create":
            await self._ledger.supersede(session, live)
            needs = [*needs, Needs(live.id, "end")]
        elif live is not None and parent_id is not None:  # the cluster's delete waits, the group's own one does not
            needs = [*needs, await self._ledger.let_end(session, live)]
            usable = bool(live.input.get("usable"))
        else:
            await self._ledger.check_free(session, group.id)
        plan = Plan(
            "nodegroup.delete",
            ("delete_stack",),
            {"usable": usable, "force": retry_of is not None},
            needs=needs,
            parent_id=parent_id,
            retry_of=retry_of,
            callback_url=callback_url,
        )
        group.phase = "deleting"
        return await self._ledger.begin(session, caller, target_of(group), plan)

    async def _needs(self, session: AsyncSession, cluster: ClusterView) -> list[Needs]:
        """Return what must come first: the cluster's create must succeed, any other change of it must end."""
        live = await operations.live_of(session, cluster.id)
        is_there = bool(cluster.outputs.get("arn"))
        if live is None and not is_there:
            raise ClusterFailedError(f"Cluster {cluster.name!r} has failed.", cluster_id=cluster.id)
        return [Needs(live.id, "end" if is_there else "success")] if live else []

    async def _refuse_deleting(self, session: AsyncSession, group: Nodegroup, cluster: ClusterView) -> None:
        if cluster.phase == "deleting":
            raise ClusterDeletingError(f"Cluster {cluster.name!r} is being deleted.", cluster_id=cluster.id)
        await self._ledger.check_stays(session, group, "Node group", NodegroupDeletingError)


def parse(raw: Sequence[dict[str, Any]], cluster: str) -> list[NodegroupSpec]:
    """Check the node groups that stand in a cluster's request.

    Raises:
        InvalidError: pointers are below `/nodegroups`.
    """
    specs: list[NodegroupSpec] = []
    names: dict[str, str] = {}
    errors: list[FieldError] = []
    for index, document in enumerate(raw):
        pointer = f"/nodegroups/{index}"
        if "cluster" in document:
            errors.append(FieldError(f"{pointer}/cluster", "must be left out: the group belongs to this cluster"))
            continue
        try:
            spec = validate(NodegroupSpec, {**document, "cluster": cluster}, pointer=pointer)
        except InvalidError as error:
            errors.extend(error.errors)
        else:
            specs.append(spec)
            names[f"{pointer}/name"] = spec.name
    errors += repeated(names)
    if errors:
        raise InvalidError("The node groups are not valid.", errors)
    return specs


def _exists(spec: NodegroupSpec, cluster: ClusterView, nodegroup_id: str | None) -> NodegroupExistsError:
    facts = {"nodegroup_id": nodegroup_id} if nodegroup_id else {}
    return NodegroupExistsError(f"Cluster {cluster.name!r} has a node group named {spec.name!r}.", **facts)


def _with_version(spec: NodegroupSpec, cluster: ClusterView, before: NodegroupSpec | None) -> NodegroupSpec:
    """Fill in the cluster's version, and refuse one that the group cannot have."""
    if spec.version is None:
        return spec.model_copy(update={"version": before.version if before else cluster.version})
    if minor(spec.version) > minor(cluster.version):
        detail = f"is newer than the cluster's {cluster.version}: upgrade the cluster first"
        raise InvalidError("The version is newer than the cluster's.", [FieldError("/version", detail)])
    if before and before.version and minor(spec.version) < minor(before.version):
        detail = f"is older than the group's {before.version}: nodes cannot go back"
        raise InvalidError("The version is older than the group's.", [FieldError("/version", detail)])
    return spec


def _check_subnets(spec: NodegroupSpec, cluster: ClusterView) -> None:
    """Refuse a group that would have no subnet, once the cluster's are known."""
    if cluster.outputs.get("arn") and not subnets_of(spec, cluster):
        pointer = "/zones" if spec.zones else "/subnet_type"
        detail = f"the cluster has no {spec.subnet_type or 'fitting'} subnet there"
        raise InvalidError("There is no subnet for the node group.", [FieldError(pointer, detail)])


def _applied(group: Nodegroup) -> NodegroupSpec | None:
    """Return the spec that AWS has; None if the group never came to be."""
    return NodegroupSpec.model_validate(group.applied_spec) if group.observed_generation else None


def _check_mutable(group: Nodegroup, after: NodegroupSpec) -> None:
    """Refuse what AWS can only replace; a group that never came to be may change all but its identity."""
    before = NodegroupSpec.model_validate(group.applied_spec)
    if group.observed_generation:
        violations = nodegroup_violations(before.model_dump(mode="json"), after.model_dump(mode="json"))
        errors = [FieldError(violation.pointer, violation.reason) for violation in violations]
        errors += [
            FieldError(f"/{field}", "the network of a node group cannot be changed")
            for field in ("subnet_type", "zones")
            if getattr(before, field) != getattr(after, field)
        ]
    else:
        errors = [
            FieldError(f"/{field}", "identifies the node group and cannot be changed")
            for field in IDENTITY
            if getattr(before, field) != getattr(after, field)
        ]
    if errors:
        raise ImmutableFieldError("AWS could only replace the node group to change this.", errors)
