"""The use cases of every kind, whoever asks: a route, the request of a whole cluster, a retry.

A change is two halves. The first looks, at AWS too, in no transaction, and gives a `Prepared` change; its `begin`
writes desired state and operation in a transaction of the caller's. What is only planned is prepared and not begun.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.core.errors import FieldError, InvalidError
from app.core.ids import new_id
from app.core.merge_patch import merge_patch
from app.core.validation import validate
from app.db import resources
from app.db.session import Database
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud, Clouds
from app.kinds import errors, rows
from app.kinds.kind import Kind, Options, Patch
from app.kinds.scope import Owner
from app.operations import repository as operations
from app.operations.errors import ImmutableFieldError, NotRetryableError
from app.operations.prepared import Begin, Prepared, StackChange
from app.operations.service import Ledger, Needs, Plan, Target
from app.operations.transitions import check_unchanged, want
from app.stacks.template import StackTemplate, refuse_dynamic_references

Verb = Literal["create", "update", "delete"]

_IDENTIFIES = "identifies the {title} and cannot be changed"


class Follower(Protocol):
    """Begins what waited for a resource that is being created by itself."""

    async def __call__(
        self, session: AsyncSession, caller: Caller, cluster: ClusterView, needs: Sequence[Needs]
    ) -> None:
        """Begin it, after `needs`."""
        ...


@dataclass(slots=True)
class Changes:
    """Create, update, delete, retry and cancel of every kind.

    Attributes:
        kinds: All of them, by type.
        followers: By type, what waits for its creates.
    """

    database: Database
    clouds: Clouds
    ledger: Ledger
    kinds: Mapping[str, Kind[Any]]
    followers: dict[str, Follower] = field(default_factory=dict)

    async def create(self, kind: Kind[Any], caller: Caller, spec: Any) -> Prepared:
        """Prepare to create a resource; one of a cluster that is still being created will wait for it.

        Raises:
            InvalidError: AWS does not have what the spec names, or no template can say that.
            SlipwayError: there is no such cluster or account, the name is in use, or AWS cannot be asked.
        """
        async with self.database.read() as session:
            owner = await kind.scope.named(session, caller.project_id, spec)
            kind.scope.refuse_new(owner)
            await self.refuse_taken(session, kind, owner, spec)
        stack = await self.check_new(kind, spec, owner, await self.clouds.of(owner.account_id, owner.region))

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            locked = await kind.scope.named(session, caller.project_id, spec, lock=True)
            operation = await self.add(session, kind, caller, locked, spec, how)
            await self._follow(session, kind, caller, locked, operation)
            return operation

        return Prepared(None, spec.model_dump(mode="json"), lambda: [(None, stack)], begin)

    async def check_new(self, kind: Kind[Any], spec: Any, owner: Owner, cloud: Cloud) -> StackTemplate:
        """Check a resource that is not there yet as `check` does, and that AWS has none of its name.

        Raises:
            InvalidError: with pointers into the spec.
            SlipwayError: AWS has one, which Slipway did not make; or AWS cannot be asked.
        """
        stack = await self.check(kind, spec, owner, cloud)
        await kind.check_free(cloud, spec)
        return stack

    async def refuse_taken(self, session: AsyncSession, kind: Kind[Any], owner: Owner, spec: Any) -> None:
        """Raise ResourceExistsError if the owner has one of that name."""
        name = kind.name_of(spec)
        existing = await rows.named(session, kind, owner, name)
        if existing is not None:
            raise errors.exists(kind, owner, name, existing.id)

    async def check(
        self,
        kind: Kind[Any],
        spec: Any,
        owner: Owner,
        cloud: Cloud,
        before: Any = None,
        resource_id: str = "",
    ) -> StackTemplate:
        """Check that a template can be made of a spec, and that AWS has what it names; return the template.

        Raises:
            InvalidError: with pointers into the spec.
        """
        refuse_dynamic_references(spec.model_dump(mode="json"))
        stack = kind.preview(spec, owner, before, resource_id)
        wrong = list(await kind.check(cloud, spec, owner, before))
        if wrong:
            raise InvalidError(f"AWS does not have what the {kind.title} asks for.", wrong)
        return stack

    async def add(
        self, session: AsyncSession, kind: Kind[Any], caller: Caller, owner: Owner, spec: Any, how: Begin
    ) -> Operation:
        """Write the row of a new resource and its create.

        Raises:
            ResourceExistsError: the owner has one of that name.
            ClusterDeletingError: the cluster is being deleted.
            ClusterFailedError: the cluster cannot be used.
            InvalidError: the owner cannot have this.
        """
        kind.scope.refuse_new(owner)
        await self.refuse_taken(session, kind, owner, spec)
        name, spec = kind.name_of(spec), kind.complete(spec, owner, None)
        columns = {"account_id": owner.account_id, "region": owner.region, **kind.scope.values(owner)}
        row = rows.new(
            kind,
            id=new_id(kind.prefix),
            project_id=caller.project_id,
            name=name,
            spec=spec.model_dump(mode="json"),
            tags=spec.tags,
            phase="creating",
            **columns,
        )
        await resources.insert(session, row, errors.exists(kind, owner, name, None))
        how = replace(how, needs=[*how.needs, *await self._needs(session, kind, owner)])
        return await self.begin(session, kind, caller, row, "create", how)

    async def update(self, kind: Kind[Any], caller: Caller, row: Any, patch: dict[str, Any]) -> Prepared:
        """Prepare a merge patch of a resource's spec; one that failed to be created is created anew with it.

        Raises:
            ImmutableFieldError: AWS could only replace the resource for one of the changes.
            InvalidError: the patched spec is not valid, or AWS does not have what it names.
            SlipwayError: the resource or its cluster is being deleted or changed, or AWS cannot be asked.
        """
        patched = kind.patch(row.spec, patch) if kind.patch else Patch(merge_patch(row.spec, patch))
        spec: Any = validate(kind.spec, patched.document)
        async with self.database.read() as session:
            seen = await self._check_change(session, kind, row, spec)
        before = _applied(kind, row)
        stack = await self.check(kind, spec, seen, await self.clouds.of(row.account_id, row.region), before, row.id)

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            locked = await rows.get(session, caller.project_id, kind, row.id, lock=True)
            how.check_match(locked.generation)
            owner = await self._check_change(session, kind, locked, spec)
            check_unchanged(row, locked)
            wanted, usable = kind.complete(spec, owner, before), locked.phase == "active"
            want(locked, wanted.model_dump(mode="json"), wanted.tags)
            locked.phase = "updating"
            upgrades = before is not None and getattr(before, "version", None) != getattr(wanted, "version", None)
            said = {**patched.said, "usable": usable, "version_change": upgrades}
            how = replace(how, needs=[*how.needs, *await self._needs(session, kind, owner)])
            operation = await self.begin(session, kind, caller, locked, "update", how, said)
            if not locked.observed_generation:
                await self._follow(session, kind, caller, owner, operation)
            return operation

        def stacks() -> list[StackChange]:
            return [(kind.template(row.id, before, seen, {}) if before else None, stack)]

        known = row.applied_spec if before else None
        return Prepared(known, spec.model_dump(mode="json"), stacks, begin)

    async def delete(self, kind: Kind[Any], caller: Caller, row: Any, options: Options | None = None) -> Prepared:
        """Prepare to delete a resource.

        Args:
            kind: Its kind.
            caller: Who asks.
            row: The resource.
            options: Which of the kind's own options are asked for.

        Raises:
            OperationInProgressError: it is being changed; a create will be superseded.
            SlipwayError: what AWS has of it is in the way of a delete.
        """
        before, asked = _applied(kind, row), options or {}
        async with self.database.read() as session:
            owner = await kind.scope.of_row(session, row)
            live = await operations.live_of(session, row.id)
            if live is None or not live.kind.endswith(".create"):
                await self.ledger.check_free(session, row.id)
        if kind.deletion.check:
            await kind.deletion.check(await self.clouds.of(row.account_id, row.region), row, asked)

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            locked = await rows.get(session, caller.project_id, kind, row.id, lock=True)
            how.check_match(locked.generation)
            return await self.remove(session, kind, caller, locked, how, asked)

        def stacks() -> list[StackChange]:
            return [(kind.template(row.id, before, owner, {}) if before else None, None)]

        known = row.applied_spec if before else None
        return Prepared(known, None, stacks, begin)

    async def remove(
        self,
        session: AsyncSession,
        kind: Kind[Any],
        caller: Caller,
        row: Any,
        how: Begin,
        options: Options | None = None,
    ) -> Operation:
        """Begin to delete a resource, its row locked; a create that runs is superseded.

        With its cluster (`how.parent_id`), a delete that runs stays as it is, and any other change is waited for.

        Raises:
            OperationInProgressError: it is being changed, and is deleted by itself.
        """
        live = await operations.live_of(session, row.id)
        needs, usable = list(how.needs), row.phase == "active"
        verb = live.kind.rpartition(".")[2] if live else None
        if live is not None and verb == "create":
            await self.ledger.supersede(session, live)
            needs.append(Needs(live.id, "end"))
        elif live is not None and how.parent_id is not None:
            if verb == "delete":
                return live
            needs.append(await self.ledger.let_end(session, live))
            usable = bool(live.input.get("usable"))
        else:
            await self.ledger.check_free(session, row.id)
        said = {"usable": usable, "force": how.retry_of is not None, **_asked(kind, options or {})}
        row.phase = "deleting"
        return await self.begin(session, kind, caller, row, "delete", replace(how, needs=needs), said)

    def is_cancellable(self, operation: Operation) -> bool:
        """Tell whether what runs can be stopped: a create, and an update that changes no version."""
        verb = operation.kind.rpartition(".")[2]
        return verb == "create" or (verb == "update" and not operation.input.get("version_change"))

    async def retry(
        self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str | None = None
    ) -> Operation:
        """Begin a failed operation again from where it stopped.

        Raises:
            NotRetryableError: the resource is gone.
        """
        type_, _, verb = operation.kind.rpartition(".")
        kind = self.kinds[type_]
        try:
            row = await rows.get(session, caller.project_id, kind, operation.resource_id, lock=True)
        except errors.ResourceNotFoundError as error:
            raise NotRetryableError(f"{kind.heading} {operation.resource_name!r} is gone.") from error
        if verb == "delete":
            how = Begin(parent_id=parent_id, retry_of=operation.id)
            return await self.remove(session, kind, caller, row, how, operation.input)
        owner = await self._owner_of(session, kind, row)
        row.phase = "creating" if verb == "create" else "updating"
        plan = Plan.again(operation, needs=await self._needs(session, kind, owner), parent_id=parent_id)
        plan = replace(plan, input={**plan.input, "generation": row.generation})  # the spec as it is by now
        new = await self.ledger.begin(session, caller, _target(kind, row), plan)
        await self._follow(session, kind, caller, owner, new)
        return new

    async def begin(
        self,
        session: AsyncSession,
        kind: Kind[Any],
        caller: Caller,
        row: Any,
        verb: Verb,
        how: Begin,
        said: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Write the operation that brings a row to its spec, or takes it away; `said` is for its `input`."""
        given = {"usable": False, "generation": row.generation, **(said or {})}
        steps: Sequence[str] = ("update_stack",) if row.observed_generation else ("create_stack",)
        plan = Plan(
            f"{kind.type}.{verb}",
            kind.deletion.steps(given) if verb == "delete" else steps,
            given,
            needs=how.needs,
            parent_id=how.parent_id,
            retry_of=how.retry_of,
            callback_url=how.callback_url,
        )
        return await self.ledger.begin(session, caller, _target(kind, row), plan)

    async def _follow(
        self, session: AsyncSession, kind: Kind[Any], caller: Caller, owner: Any, operation: Operation
    ) -> None:
        follower = self.followers.get(kind.type)
        if follower is not None and operation.parent_id is None:
            await follower(session, caller, owner, [Needs(operation.id, "end")])

    async def _check_change(self, session: AsyncSession, kind: Kind[Any], row: Any, spec: Any) -> Owner:
        owner = await self._owner_of(session, kind, row)
        await self.ledger.check_free(session, row.id)
        _check_mutable(kind, row, spec)
        await self._needs(session, kind, owner)
        return owner

    async def _needs(self, session: AsyncSession, kind: Kind[Any], owner: Any) -> list[Needs]:
        """Return what must come first: of the owner, and the ends of changes of the kinds that this one comes after."""
        before = await self.coming(session, kind, owner.id) if kind.after else []
        return [*await kind.scope.needs(session, owner), *before]

    async def coming(self, session: AsyncSession, kind: Kind[Any], cluster_id: str) -> list[Needs]:
        """Return the ends of what creates or changes now what a kind comes after."""
        before = [
            row.id for type_ in kind.after for row in await rows.of_cluster(session, self.kinds[type_], cluster_id)
        ]
        live = await operations.live_of_many(session, before) if before else []
        return [Needs(operation.id, "end") for operation in live if not operation.kind.endswith(".delete")]

    async def _owner_of(self, session: AsyncSession, kind: Kind[Any], row: Any) -> Owner:
        """Return what a resource belongs to; raise if either of them is being deleted."""
        owner: Owner = await kind.scope.of_row(session, row)
        kind.scope.refuse_change(owner)
        if row.phase == "deleting":
            live = await operations.live_of(session, row.id)
            raise errors.deleting(kind, row.name, live.id if live else None)
        return owner


def _target(kind: Kind[Any], row: Any) -> Target:
    return Target(kind.type, row.id, row.name, row.project_id, row.account_id, row.region)


def _applied(kind: Kind[Any], row: Any) -> Any | None:
    """Return the spec that AWS has; None if the resource never came to be."""
    return kind.spec.model_validate(row.applied_spec) if row.observed_generation else None


def _asked(kind: Kind[Any], options: Mapping[str, Any]) -> dict[str, bool]:
    """Return what was asked for of a kind's options of a delete, each of them said."""
    return {name: bool(options.get(name)) for name in kind.deletion.options}


def _check_mutable(kind: Kind[Any], row: Any, after: Any) -> None:
    """Refuse what AWS can only replace; what never came to be may change all but its identity."""
    before: Any = kind.spec.model_validate(row.applied_spec)
    found = list(kind.violations(before, after)) if row.observed_generation else []
    told = {each.pointer for each in found}
    identity = kind.scope.fields if row.observed_generation else {*kind.scope.fields, *kind.identity}
    found += [
        FieldError(f"/{name}", _IDENTIFIES.format(title=kind.title))
        for name in kind.spec.model_fields
        if name in identity and f"/{name}" not in told and getattr(before, name) != getattr(after, name)
    ]
    if found:
        raise ImmutableFieldError(f"AWS could only replace the {kind.title} to change this.", found)
