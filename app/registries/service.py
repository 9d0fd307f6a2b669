"""The use cases of registries: each writes the desired state and its operation in the caller's transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.core.errors import FieldError, InvalidError
from app.core.ids import new_id
from app.core.validation import repeated, validate
from app.db import resources
from app.engine.models import Operation
from app.operations import repository as operations
from app.operations.errors import ImmutableFieldError, NotRetryableError
from app.operations.service import Ledger, Needs, Plan, Target
from app.operations.transitions import check_unchanged, want
from app.registries import repository
from app.registries.errors import RegistryDeletingError, RegistryExistsError, RegistryNotFoundError
from app.registries.models import Registry
from app.registries.ports import Accounts
from app.registries.schemas import RegistrySpec
from app.stacks.immutable import registry_violations

IDENTITY = ("name", "region", "account")
DELETE_STEPS = ("check_images", "delete_stack")
FORCED_DELETE_STEPS = ("empty_on_delete", "delete_stack")


def target_of(registry: Registry) -> Target:
    """Return the target of an operation on a registry."""
    return Target("registry", registry.id, registry.name, registry.project_id, registry.account_id, registry.region)


class RegistryService:
    """Creates, changes and deletes registries, and knows how their operations are stopped and retried."""

    def __init__(self, ledger: Ledger, accounts: Accounts) -> None:
        self._ledger = ledger
        self._accounts = accounts

    async def create(
        self,
        session: AsyncSession,
        caller: Caller,
        spec: RegistrySpec,
        *,
        parent_id: str | None = None,
        callback_url: str | None = None,
    ) -> Operation:
        """Begin to create a registry.

        Raises:
            RegistryExistsError: the account has one of that name in that region.
            AccountNotFoundError: there is no such account.
        """
        account_id = await self._accounts.account_id(session, caller.project_id, spec.account)
        existing = await repository.named(session, account_id, spec.region, spec.name)
        if existing is not None:
            raise _exists(spec, existing.id if existing.project_id == caller.project_id else None)
        registry = Registry(
            id=new_id("reg"),
            project_id=caller.project_id,
            account_id=account_id,
            region=spec.region,
            name=spec.name,
            spec=spec.model_dump(mode="json"),
            tags=spec.tags,
            phase="creating",
        )
        await resources.insert(session, registry, _exists(spec, None))
        plan = Plan(
            "registry.create",
            ("create_stack",),
            {"generation": 1, "usable": False},
            parent_id=parent_id,
            callback_url=callback_url,
        )
        return await self._ledger.begin(session, caller, target_of(registry), plan)

    async def create_with_cluster(
        self, session: AsyncSession, caller: Caller, specs: Sequence[RegistrySpec], *, parent_id: str
    ) -> list[Operation]:
        """Begin to create the registries that stand in a cluster's own request; they need nothing of the cluster."""
        return [await self.create(session, caller, spec, parent_id=parent_id) for spec in specs]

    async def check_change(self, session: AsyncSession, registry: Registry, spec: RegistrySpec) -> None:
        """Check that a registry can be changed now, and to this spec as far as AWS need not be asked.

        Raises:
            ImmutableFieldError: AWS could only replace the registry for one of the changes.
            RegistryDeletingError: it is being deleted.
            OperationInProgressError: it is being changed.
        """
        await self._ledger.check_stays(session, registry, "Registry", RegistryDeletingError)
        await self._ledger.check_free(session, registry.id)
        _check_mutable(registry, spec)

    async def update(
        self,
        session: AsyncSession,
        caller: Caller,
        registry: Registry,
        spec: RegistrySpec,
        *,
        seen: Registry,
        callback_url: str | None = None,
    ) -> Operation:
        """Begin to bring a registry to a new spec; one that failed to be created is created anew with it.

        Args:
            session: The transaction.
            caller: Who asks.
            registry: The registry, locked.
            spec: The whole new spec.
            seen: The registry as it was when the spec was checked.
            callback_url: To be called when the operation ends.

        Raises:
            SlipwayError: as `check_change`.
        """
        await self.check_change(session, registry, spec)
        check_unchanged(seen, registry)
        usable = registry.phase == "active"
        want(registry, spec.model_dump(mode="json"), spec.tags)
        registry.phase = "updating"
        plan = Plan(
            "registry.update",
            ("update_stack",) if registry.observed_generation else ("create_stack",),
            {"generation": registry.generation, "usable": usable},
            callback_url=callback_url,
        )
        return await self._ledger.begin(session, caller, target_of(registry), plan)

    async def check_delete(self, session: AsyncSession, registry: Registry) -> None:
        """Check that nothing but images can be in the way of a delete; a create that runs is superseded.

        Raises:
            OperationInProgressError: it is being changed, or deleted.
        """
        live = await operations.live_of(session, registry.id)
        if live is None or live.kind != "registry.create":
            await self._ledger.check_free(session, registry.id)

    async def delete(
        self,
        session: AsyncSession,
        caller: Caller,
        registry: Registry,
        *,
        force: bool,
        callback_url: str | None = None,
    ) -> Operation:
        """Begin to delete a registry; a create that runs is superseded.

        Args:
            session: The transaction.
            caller: Who asks.
            registry: The registry, locked.
            force: Its images go with it; else images that are there when the time comes fail the operation.
            callback_url: To be called when the operation ends.

        Raises:
            OperationInProgressError: it is being changed.
        """
        return await self._delete(session, caller, registry, force=force, retry_of=None, callback_url=callback_url)

    def is_cancellable(self, operation: Operation) -> bool:
        """Tell whether what runs can be stopped: all but a delete."""
        return operation.kind != "registry.delete"

    async def retry(
        self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str | None = None
    ) -> Operation:
        """Begin a failed operation again from where it stopped."""
        try:
            registry = await repository.get(session, caller.project_id, operation.resource_id, lock=True)
        except RegistryNotFoundError as error:
            raise NotRetryableError(f"Registry {operation.resource_name!r} is gone.") from error
        if operation.kind == "registry.delete":
            force = bool(operation.input.get("force"))
            return await self._delete(session, caller, registry, force=force, retry_of=operation.id)
        await self._ledger.check_stays(session, registry, "Registry", RegistryDeletingError)
        registry.phase = "creating" if operation.kind == "registry.create" else "updating"
        plan = Plan.again(operation, parent_id=parent_id)
        return await self._ledger.begin(session, caller, target_of(registry), plan)

    async def _delete(
        self,
        session: AsyncSession,
        caller: Caller,
        registry: Registry,
        *,
        force: bool,
        retry_of: str | None,
        callback_url: str | None = None,
    ) -> Operation:
        await self.check_delete(session, registry)
        live = await operations.live_of(session, registry.id)
        if live is not None:
            await self._ledger.supersede(session, live)
        plan = Plan(
            "registry.delete",
            FORCED_DELETE_STEPS if force else DELETE_STEPS,
            {"usable": registry.phase == "active", "force": force},
            needs=[Needs(live.id, "end")] if live else (),
            retry_of=retry_of,
            callback_url=callback_url,
        )
        registry.phase = "deleting"
        return await self._ledger.begin(session, caller, target_of(registry), plan)


def parse(raw: Sequence[dict[str, Any]], *, region: str, account: str) -> list[RegistrySpec]:
    """Check the registries that stand in a cluster's request: they are in its region and account.

    Raises:
        InvalidError: pointers are below `/registries`.
    """
    specs: list[RegistrySpec] = []
    names: dict[str, str] = {}
    errors: list[FieldError] = []
    for index, document in enumerate(raw):
        pointer = f"/registries/{index}"
        own = {"region": region, "account": account}
        elsewhere = [
            FieldError(f"{pointer}/{field}", f"must be the cluster's, {value}, or left out")
            for field, value in own.items()
            if document.get(field, value) != value
        ]
        if elsewhere:
            errors += elsewhere
            continue
        try:
            spec = validate(RegistrySpec, {**document, **own}, pointer=pointer)
        except InvalidError as error:
            errors += error.errors
        else:
            specs.append(spec)
            names[f"{pointer}/name"] = spec.name
    errors += repeated(names)
    if errors:
        raise InvalidError("The registries are not valid.", errors)
    return specs


def _exists(spec: RegistrySpec, registry_id: str | None) -> RegistryExistsError:
    facts = {"registry_id": registry_id} if registry_id else {}
    return RegistryExistsError(f"A registry named {spec.name!r} exists in {spec.region}.", **facts)


def _check_mutable(registry: Registry, after: RegistrySpec) -> None:
    """Refuse what AWS can only replace; a registry that never came to be may change all but its identity."""
    violations = registry_violations(registry.applied_spec, after.model_dump(mode="json"))
    if not registry.observed_generation:
        violations = tuple(v for v in violations if v.pointer.split("/")[1] in IDENTITY)
    if violations:
        errors = [FieldError(violation.pointer, violation.reason) for violation in violations]
        raise ImmutableFieldError("AWS could only replace the registry to change this.", errors)
