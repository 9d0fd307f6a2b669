"""A small engine on either database: operations of a made-up kind, reconcilers that tests write in a line or two."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from app.core.caller import Caller
from app.core.ids import new_id
from app.core.settings import Settings
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.db.session import Database
from app.engine.contract import Context, Ending, Outcome, Reconciler
from app.engine.models import Operation, OperationEvent
from app.engine.runner import Engine
from app.operations.service import Ledger, Needs, Plan, Target

KIND = "thing.create"
REGION = "us-west-2"
WAIT_SECONDS = 60.0
CALLER = Caller(project_id=DEFAULT_PROJECT, key_id="key_test")

Act = Callable[[Context], Awaitable[Outcome]]


class Scripted(Reconciler):
    """Does what a test's function does; remembers what it settled, in the order in which that was committed."""

    phases: ClassVar[tuple[str, ...]] = ("begin", "second")

    def __init__(
        self, act: Act, *, activities: frozenset[str] = frozenset(), settle_error: Exception | None = None
    ) -> None:
        self.act = act
        self.activities = activities  # type: ignore[misc]
        self.settled: list[tuple[str, Ending]] = []
        self.settle_error = settle_error

    async def reconcile(self, context: Context) -> Outcome:
        return await self.act(context)

    async def settle(self, session: Any, operation: Operation, ending: Ending) -> None:
        if self.settle_error:
            raise self.settle_error
        self.settled.append((operation.id, ending))


class Bench:
    """A database with its ledger, and engines on it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger = Ledger(database.notifier)

    async def begin(
        self,
        name: str = "thing",
        *,
        kind: str = KIND,
        needs: Sequence[Needs] = (),
        parent: str | None = None,
        region: str = REGION,
        steps: Sequence[str] = (),
        lock: bool = True,
    ) -> str:
        async with self.database.write() as session:
            target = Target("thing", new_id("clu"), name, DEFAULT_PROJECT, DEFAULT_ACCOUNT, region)
            plan = Plan(kind=kind, needs=needs, parent_id=parent, steps=steps, holds_lock=lock)
            return (await self.ledger.begin(session, CALLER, target, plan)).id

    async def get(self, operation_id: str) -> Operation:
        async with self.database.read() as session:
            return await session.get_one(Operation, operation_id)

    async def events(self, operation_id: str) -> list[OperationEvent]:
        query = select(OperationEvent).where(col(OperationEvent.operation_id) == operation_id)
        async with self.database.read() as session:
            return list((await session.execute(query.order_by(col(OperationEvent.seq)))).scalars())

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str = "it") -> Any:
        """Wait until the condition gives something; fail after WAIT_SECONDS."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := await condition()):
            assert time.monotonic() < deadline, f"{what} did not come about"
            await asyncio.sleep(0.05)
        return found

    async def ended(self, *operation_ids: str) -> list[Operation]:
        """Wait for the end of operations."""

        async def all_ended() -> list[Operation]:
            query = select(Operation).where(
                col(Operation.id).in_(operation_ids), col(Operation.finished_at).is_not(None)
            )
            async with self.database.read() as session:
                found = (await session.execute(query)).scalars().all()
            return list(found) if len(found) == len(operation_ids) else []

        by_id = {row.id: row for row in await self.until(all_ended, f"the end of {operation_ids}")}
        return [by_id[operation_id] for operation_id in operation_ids]

    async def execute(self, statement: str, **values: Any) -> None:
        """Change the table behind the engine's back."""
        async with self.database.write() as session:
            await session.execute(text(statement), values)

    def engine(self, registry: Mapping[str, Reconciler] | Act, **settings: Any) -> Engine:
        """Return an engine that is not running yet."""
        known = {KIND: Scripted(registry)} if callable(registry) else registry
        return Engine(self.database, known, settings_of(**settings))

    @contextlib.asynccontextmanager
    async def running(self, registry: Mapping[str, Reconciler] | Act, **settings: Any) -> AsyncIterator[Engine]:
        """Run an engine while the block runs; it drains at the end."""
        async with running(self.engine(registry, **settings)) as engine:
            yield engine


@contextlib.asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    """Run an engine while the block runs; it drains at the end."""
    task = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        await engine.drain()
        await asyncio.wait_for(task, WAIT_SECONDS)


@contextlib.asynccontextmanager
async def standstills(database: Database) -> AsyncIterator[list[float]]:
    """Give by how many seconds short pauses, each with a query, were late: leases that ran out then are nobody's fault.

    A busy machine stops a process or its database for longer than a test's lease.
    """
    late, over = [0.0], asyncio.Event()

    async def beat() -> None:
        while not over.is_set():
            before = time.monotonic()
            await asyncio.sleep(0.05)
            await database.ping()
            late.append(time.monotonic() - before - 0.05)

    task = asyncio.create_task(beat())
    try:
        yield late
    finally:
        over.set()
        await task


def settings_of(**values: Any) -> Settings:
    """Return settings with a fast tick; `values` are named as the fields."""
    return Settings(**{"tick_seconds": 0.05, "drain_seconds": 2.0, **values})


@pytest.fixture
async def bench(database: Database) -> Bench:
    """A ledger and a database to run engines on."""
    return Bench(database)
