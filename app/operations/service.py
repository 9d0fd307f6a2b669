"""The ledger's use cases: begin an operation, read, cancel and retry it. Transactions are the caller's; no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.caller import Caller
from app.core.errors import ConflictError
from app.core.ids import new_id
from app.db.base import ResourceColumns
from app.db.notify import OPERATIONS, Notifier
from app.engine import claims
from app.engine.models import LIVE, Operation, OperationDependency
from app.operations import repository
from app.operations.errors import CallbackExistsError, NotCancellableError, NotRetryableError, OperationInProgressError
from app.operations.group_kinds import GROUP_KINDS
from app.operations.schemas import OperationOut, operation_out

FIRST_PHASE = "begin"
"""The phase in which every kind of operation starts."""

_BEGUN = "operations begun"


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that an operation changes, and where it is."""

    type: str
    id: str
    name: str
    project_id: str
    account_id: str
    region: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What an operation waits for: another one's `success`, or only its `end`."""

    operation_id: str
    what: Literal["success", "end"] = "success"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be begun.

    Attributes:
        kind: `cluster.create`, ….
        steps: Names of the steps, in order.
        input: What the reconciler needs beside the resource's row; a JSON object.
        holds_lock: False for a parent, whose children hold their resources' locks.
    """

    kind: str
    steps: Sequence[str] = ()
    input: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    needs: Sequence[Needs] = ()
    parent_id: str | None = None
    retry_of: str | None = None
    callback_url: str | None = None
    holds_lock: bool = True

    @classmethod
    def again(cls, failed: Operation, *, needs: Sequence[Needs] = (), parent_id: str | None = None) -> Self:
        """Return what takes an operation that has failed up again."""
        return cls(
            failed.kind,
            [step["name"] for step in failed.steps],
            failed.input,
            needs=needs,
            parent_id=parent_id,
            retry_of=failed.id,
        )


class ResourceChanges(Protocol):
    """What each resource type knows about its own operations; roots register one for each type."""

    def is_cancellable(self, operation: Operation) -> bool:
        """Tell whether what runs can be stopped."""
        ...

    async def retry(
        self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str | None = None
    ) -> Operation:
        """Begin a new operation that takes up the failed one's work, by itself or as the child of another one."""
        ...


class Ledger:
    """Begins, cancels and retries operations."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._changes: dict[str, ResourceChanges] = {}

    def register(self, resource_type: str, changes: ResourceChanges) -> None:
        """Say who knows the operations of a resource type."""
        self._changes[resource_type] = changes

    async def begin(self, session: AsyncSession, caller: Caller, target: Target, plan: Plan) -> Operation:
        """Write a pending operation; the engine takes it up once the transaction is committed.

        Raises:
            OperationInProgressError: the resource has a live operation.
        """
        lock_key = target.id if plan.holds_lock else None
        if lock_key:
            await self.check_free(session, lock_key)
        operation = Operation(
            id=new_id("op"),
            project_id=target.project_id,
            account_id=target.account_id,
            region=target.region,
            kind=plan.kind,
            resource_type=target.type,
            resource_id=target.id,
            resource_name=target.name,
            parent_id=plan.parent_id,
            retry_of=plan.retry_of,
            lock_key=lock_key,
            phase=FIRST_PHASE,
            input=dict(plan.input),
            steps=[{"name": name, "status": "pending"} for name in plan.steps],
            warnings=list(plan.warnings),
            callback_url=plan.callback_url,
            request_id=caller.request_id,
        )
        session.add(operation)
        session.info.setdefault(_BEGUN, []).append(operation)
        try:
            await session.flush()
        except IntegrityError as error:
            raise OperationInProgressError("Another operation on this resource has just begun.") from error
        await self.add_needs(session, operation, plan.needs)
        await self._notifier.notify(session, OPERATIONS)
        return operation

    def begun(self, session: AsyncSession) -> Sequence[Operation]:
        """Return the operations that a transaction has begun so far, in their order, without those that hold others."""
        begun: list[Operation] = session.info.get(_BEGUN, [])
        return [operation for operation in begun if operation.kind not in GROUP_KINDS]

    async def add_needs(self, session: AsyncSession, operation: Operation, needs: Sequence[Needs]) -> None:
        """Say what an operation waits for; it must be pending, in this very transaction."""
        if needs:
            await session.execute(
                insert(OperationDependency),
                [
                    {"operation_id": operation.id, "depends_on_id": need.operation_id, "needs": need.what}
                    for need in needs
                ],
            )

    async def check_free(self, session: AsyncSession, resource_id: str) -> None:
        """Raise OperationInProgressError if the resource is being changed."""
        live = await repository.live_of(session, resource_id)
        if live is not None:
            raise in_progress(live)

    async def check_stays(
        self, session: AsyncSession, row: ResourceColumns, what: str, error: type[ConflictError]
    ) -> None:
        """Raise the error, which names the delete, if a resource (`what` it is, for people) is being deleted."""
        if row.phase == "deleting":
            live = await repository.live_of(session, row.id)
            raise error(f"{what} {row.name!r} is being deleted.", operation_id=live.id if live else None)

    async def supersede(self, session: AsyncSession, operation: Operation) -> None:
        """Take the lock from a running create, which then ends cancelled and leaves the clearing to who takes over."""
        await session.execute(
            update(Operation)
            .where(col(Operation.id) == operation.id, col(Operation.status).in_(LIVE))  # what has ended stays as it is
            .values(lock_key=None, cancel_requested=True, superseded=True)
        )
        await claims.wake(session, self._notifier, [operation.id])

    async def let_end(self, session: AsyncSession, operation: Operation) -> Needs:
        """Take the lock from a running change, which goes on to its end; return what the new holder has to wait for."""
        await session.execute(
            update(Operation)
            .where(col(Operation.id) == operation.id, col(Operation.status).in_(LIVE))
            .values(lock_key=None)
        )
        return Needs(operation.id, "end")

    async def read(self, session: AsyncSession, caller: Caller, operation_id: str) -> OperationOut:
        """Return what the caller sees of an operation."""
        return await self.out(session, await repository.get(session, caller.project_id, operation_id))

    async def out(self, session: AsyncSession, operation: Operation) -> OperationOut:
        """Return what callers see of a row."""
        return (await self.out_many(session, [operation]))[0]

    async def out_many(self, session: AsyncSession, operations: Sequence[Operation]) -> list[OperationOut]:
        """Return what callers see of rows, in their order."""
        await session.flush()
        for operation in operations:
            await session.refresh(operation)  # the database fills in times; bulk updates pass the session by
        ids = [operation.id for operation in operations]
        children = await repository.children_of(session, ids)
        dependencies = await repository.dependencies_of(session, ids)
        return [operation_out(row, children[row.id], dependencies[row.id]) for row in operations]

    async def cancel(
        self, session: AsyncSession, caller: Caller, operation_id: str, *, callback_url: str | None = None
    ) -> OperationOut:
        """Ask an operation (and its children) to stop; it ends `cancelled` once what it began is cleared.

        Raises:
            CallbackExistsError: somebody else is called when it ends.
            NotCancellableError: it has ended, or what it does cannot be stopped.
        """
        operation = await repository.get(session, caller.project_id, operation_id)
        if operation.status not in LIVE:
            raise NotCancellableError(f"The operation has already {operation.status}.", operation_id=operation.id)
        children = (await repository.children_of(session, [operation.id]))[operation.id]
        stopped = [child for child in children if child.status in LIVE and self._is_cancellable(child)]
        if not self._is_cancellable(operation) or (operation.kind in GROUP_KINDS and not stopped):
            raise NotCancellableError(f"{operation.kind} cannot be stopped.", operation_id=operation.id)
        ids = [operation.id, *(child.id for child in stopped)]
        await claims.lock(session, col(Operation.id).in_(ids))
        live = col(Operation.status).in_(LIVE)  # one that has just ended stays as it is
        await session.execute(update(Operation).where(col(Operation.id).in_(ids), live).values(cancel_requested=True))
        if callback_url is not None:
            if operation.callback_url not in (None, callback_url):
                raise CallbackExistsError("The operation already calls another URL when it ends.")
            operation.callback_url = callback_url
        await claims.wake(session, self._notifier, ids)
        return await self.read(session, caller, operation_id)

    async def retry(
        self, session: AsyncSession, caller: Caller, operation_id: str, *, callback_url: str | None = None
    ) -> OperationOut:
        """Begin a new operation that goes on where a failed or cancelled one stopped.

        Raises:
            NotRetryableError: it has not failed, or it is not the newest one of its resource.
            OperationInProgressError: the resource is being changed.
        """
        operation = await repository.get(session, caller.project_id, operation_id)
        if operation.status not in ("failed", "cancelled"):
            raise NotRetryableError(f"The operation is {operation.status}; only a failed one is retried.")
        if operation.kind not in GROUP_KINDS:
            await self.check_free(session, operation.resource_id)
            latest = await repository.latest_of(session, operation.resource_id)
            if latest is not None and latest.id != operation.id:
                raise NotRetryableError(
                    f"{latest.kind} {latest.id} came after it; retry that one or change the resource.",
                    operation_id=latest.id,
                )
        new = await self._changes[operation.resource_type].retry(session, caller, operation)
        new.callback_url = callback_url
        return await self.out(session, new)

    async def retry_child(
        self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str
    ) -> Operation:
        """Begin a failed operation again as the child of the one that takes its parent's work up."""
        return await self._changes[operation.resource_type].retry(session, caller, operation, parent_id=parent_id)

    async def amend(self, session: AsyncSession, operation: Operation, said: Mapping[str, Any]) -> None:
        """Tell an operation that waits of more than it was begun with.

        Raises:
            OperationInProgressError: it has been taken up.
        """
        waits = (col(Operation.id) == operation.id, col(Operation.status) == "pending")
        amended = await session.execute(
            update(Operation).where(*waits).values(input={**operation.input, **said}).returning(col(Operation.id))
        )
        if amended.first() is None:
            raise in_progress(operation)

    def _is_cancellable(self, operation: Operation) -> bool:
        return operation.kind in GROUP_KINDS or self._changes[operation.resource_type].is_cancellable(operation)


def in_progress(live: Operation) -> OperationInProgressError:
    """Return the error of a resource that an operation is changing."""
    return OperationInProgressError(
        f"{live.kind} {live.id} is {live.status} on {live.resource_type} {live.resource_name!r}.", operation_id=live.id
    )
