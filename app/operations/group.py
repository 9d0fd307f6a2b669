"""A parent operation: it ends when all its children have ended, and fails if one failed."""

from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.failure import Cause, Failure
from app.db.session import Database
from app.engine.contract import Cancelled, Context, Done, Ending, Fail, Outcome, Reconciler, Wait
from app.engine.models import TERMINAL, Operation
from app.operations import repository

CHILDREN_SECONDS = 300.0
"""How often a parent looks at its children without being woken by the end of one."""


class GroupReconciler(Reconciler):
    """Waits for the children."""

    phases: ClassVar[tuple[str, ...]] = ("begin",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reconcile(self, context: Context) -> Outcome:
        """End once every child has."""
        parent = context.operation.id
        async with self._database.read() as session:
            children = (await repository.children_of(session, [parent]))[parent]
        if any(child.status not in TERMINAL for child in children):
            return Wait(CHILDREN_SECONDS)
        for child in children:
            for warning in child.warnings:
                context.warn(warning)
        failed = [child for child in children if child.status == "failed"]
        if failed and not context.operation.cancel_requested:
            return Fail(_failure(failed))
        if any(child.status != "succeeded" for child in children):
            return Cancelled()
        return Done()

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Do nothing: each child settles its own resource."""


def _failure(failed: list[Operation]) -> Failure:
    """Return the failure of the first child that failed by itself, naming it."""
    first = next((c for c in failed if c.error and c.error["code"] != "dependency_failed"), failed[0])
    error = first.error or {}
    others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return Failure(
        code="child_failed",
        message=f"{first.kind} {first.id} of {first.resource_name!r} failed{others}: {error.get('message', '')}",
        hint=error.get("hint"),
        cause=Cause(**error["cause"]) if error.get("cause") else None,
        retryable=bool(error.get("retryable")),
    )
