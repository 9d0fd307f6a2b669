"""A helm process as an activity: told while it runs, ended when somebody asks for that, and never too many at once."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from app.db.session import Database
from app.engine.contract import Context, NewEvent
from app.engine.models import Operation
from app.gateways.helm.progress import Progress

log = logging.getLogger(__name__)

PROGRESS = "release.progress"
"""Type of the events that tell what helm does."""

TELL_SECONDS = 0.5
"""How often what helm did is written, so that readers of the stream see it."""
CANCEL_SECONDS = 1.0
"""How often it is looked whether somebody wants it to stop."""
MOST_EVENTS = 2000
"""Of one run of helm."""

T = TypeVar("T")
Tell = Callable[[Progress], None]


class CancelledByCallerError(Exception):
    """Somebody asked for the operation's end; helm is dead by now."""


class Places:
    """How many helm processes may change releases at once: in all, and of one cluster; of this process."""

    def __init__(self, total: int, per_cluster: int) -> None:
        self._total = total
        self._per_cluster = per_cluster
        self._taken: Counter[str] = Counter()

    def has_room(self, cluster_id: str) -> bool:
        """Tell whether another one may begin."""
        return self._taken.total() < self._total and self._taken[cluster_id] < self._per_cluster

    @contextmanager
    def taken(self, cluster_id: str) -> Iterator[None]:
        """Take a place for the block."""
        self._taken[cluster_id] += 1
        try:
            yield
        finally:
            self._taken[cluster_id] -= 1
            if not self._taken[cluster_id]:
                del self._taken[cluster_id]


class Telling:
    """Makes events of what helm says, each thing once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: set[Progress] = set()

    def __call__(self, progress: Progress) -> None:
        """Hear of something that helm did."""
        if progress in self._seen or len(self._seen) >= MOST_EVENTS:
            return
        self._seen.add(progress)
        data = {
            "action": progress.action,
            "kind": progress.kind,
            "namespace": progress.namespace,
            "name": progress.name,
            "status": progress.status,
        }
        what = f"{progress.kind}/{progress.name} " if progress.name else ""
        status = f": {data['status']}" if progress.status else ""
        message = f"{what}{progress.action.replace('_', ' ')}{status}"
        self._context.events.append(NewEvent(PROGRESS, message, data=data))


async def supervised(context: Context, database: Database, work: Awaitable[T], *, to_the_end: bool = False) -> T:
    """Await helm's work; write the context's events as they come, and end it when the operation is to be cancelled.

    Whatever ends this call, helm is dead when it returns.

    Args:
        context: Of the operation.
        database: Where it is written.
        work: What helm does.
        to_the_end: Go on though a cancel was asked for: this is what puts right what it leaves.

    Raises:
        CancelledByCallerError: a cancel was asked for, or a delete took over.
        LeaseLostError: somebody else has the operation.
        Exception: what the work raises.
    """
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    look_at = loop.time() + CANCEL_SECONDS
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=TELL_SECONDS)
            try:
                if context.events:
                    await context.intend()
                if loop.time() >= look_at and not task.done() and not to_the_end:
                    look_at = loop.time() + CANCEL_SECONDS
                    if await is_cancelled(context, database):
                        raise CancelledByCallerError
            except (SQLAlchemyError, OSError) as error:  # the lease decides how long that may go on
                log.warning("the database does not answer while helm runs: %s", error)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def is_cancelled(context: Context, database: Database) -> bool:
    """Tell whether somebody has asked for the operation's end since it was claimed; if so, the context knows too."""
    query = select(col(Operation.cancel_requested), col(Operation.superseded))
    async with database.read() as session:
        row = (await session.execute(query.where(col(Operation.id) == context.operation.id))).one()
    context.operation.cancel_requested, context.operation.superseded = row
    return context.operation.cancel_requested
