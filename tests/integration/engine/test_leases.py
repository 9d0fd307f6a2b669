"""Leases and fences inside one process: late results, lost leases, activities, drains, and writes that are repeated."""

import asyncio

import pytest
from integration.engine.conftest import KIND, WAIT_SECONDS, Bench, Scripted, standstills
from sqlalchemy import select

from app.db.session import Database
from app.db.types import utcnow
from app.engine import claims
from app.engine.contract import Context, Done, NewEvent, Outcome, Wait
from app.engine.models import Operation
from app.engine.results import Result, ResultWriter


async def take_over(bench: Bench, operation_id: str) -> None:
    """Do what another process does once the lease has run out."""
    await bench.execute("UPDATE operations SET gen = gen + 1, lease_owner = 'another' WHERE id = :id", id=operation_id)


@pytest.mark.calendar
async def test_the_result_of_a_lost_lease_is_thrown_away(bench: Bench) -> None:
    async def act(context: Context) -> Outcome:
        await take_over(bench, context.operation.id)
        context.events.append(NewEvent("stack.event", "too late"))
        return Done()

    reconciler = Scripted(act)
    operation_id = await bench.begin()
    engine = bench.engine({KIND: reconciler})
    running = asyncio.create_task(engine.run())

    async def taken() -> bool:
        return (await bench.get(operation_id)).lease_owner == "another"

    await bench.until(taken)
    await engine.drain()
    await running
    operation = await bench.get(operation_id)
    assert (operation.status, operation.lease_owner, operation.gen) == ("running", "another", 2)
    assert [event.type for event in await bench.events(operation_id)] == ["operation.running"]


async def test_nothing_is_intended_on_a_lost_or_overdue_lease(bench: Bench) -> None:
    begun: list[str] = []

    async def act(context: Context) -> Outcome:
        if context.operation.gen == 1:
            if context.operation.resource_name == "lost":
                await take_over(bench, context.operation.id)
            await bench.execute(
                "UPDATE operations SET lease_expires_at = :then WHERE id = :id",
                id=context.operation.id,
                then="2020-01-01 00:00:00",
            )
        await context.intend(asked=True)
        begun.append(context.operation.resource_name)
        return Done()

    ids = [await bench.begin("lost"), await bench.begin("overdue")]
    async with bench.running(act):
        lost, overdue = await bench.ended(*ids)
    assert (lost.status, overdue.status) == ("succeeded", "succeeded")
    assert sorted(begun) == ["lost", "overdue"]
    assert (lost.gen, overdue.gen) == (4, 3)  # claimed again after the lease, and written


async def test_a_call_that_takes_longer_than_its_lease_is_stopped_and_made_again(bench: Bench) -> None:
    calls: list[int] = []

    async def act(context: Context) -> Outcome:
        calls.append(context.operation.attempts)
        if len(calls) == 1:
            await asyncio.sleep(30)
        return Done()

    operation_id = await bench.begin()
    async with bench.running(act, lease_seconds=0.5):
        [operation] = await bench.ended(operation_id)
    assert (operation.status, calls) == ("succeeded", [0, 1])


async def test_an_activity_outlives_many_leases(bench: Bench) -> None:
    calls = 0

    async def act(_context: Context) -> Outcome:
        nonlocal calls
        calls += 1
        await asyncio.sleep(2.0)
        return Done()

    registry = {KIND: Scripted(act, activities=frozenset({"begin"}))}
    operation_id = await bench.begin()
    async with (
        standstills(bench.database) as late,
        bench.running(registry, lease_seconds=0.8),
        bench.running(registry, lease_seconds=0.8),
    ):
        [operation] = await bench.ended(operation_id)
    assert operation.status == "succeeded"
    assert (calls, operation.gen) == (1, 2) or max(late) > 0.2


async def test_an_activity_is_stopped_when_somebody_else_has_its_lease(bench: Bench) -> None:
    stopped = asyncio.Event()

    async def act(context: Context) -> Outcome:
        if context.operation.gen > 1:
            return Done()
        try:
            await take_over(bench, context.operation.id)
            await asyncio.sleep(30)
        finally:
            stopped.set()
        return Done()

    operation_id = await bench.begin()
    async with bench.running({KIND: Scripted(act, activities=frozenset({"begin"}))}, lease_seconds=0.8):
        async with asyncio.timeout(WAIT_SECONDS):
            await stopped.wait()
        [operation] = await bench.ended(operation_id)
    assert operation.status == "succeeded"


async def test_an_activity_ends_before_its_lease_when_the_database_does_not_answer(sqlite_url: str) -> None:
    """The file is locked by somebody else: the driver itself hangs, and must not hold the activity's end up."""
    database, other = Database(sqlite_url), Database(sqlite_url)
    bench = Bench(database)
    at_it, stopped = asyncio.Event(), asyncio.Event()
    left = 0.0

    async def act(context: Context) -> Outcome:
        nonlocal left
        if stopped.is_set():
            return Done()
        at_it.set()
        try:
            await asyncio.sleep(60)
        finally:
            async with database.read() as session:
                now = (await session.execute(select(utcnow()))).scalar_one()
                row = await session.get_one(Operation, context.operation.id)
            assert row.lease_expires_at is not None
            left = (row.lease_expires_at - now).total_seconds()
            stopped.set()
        return Done()

    operation_id = await bench.begin()
    async with (
        standstills(database) as late,
        bench.running({KIND: Scripted(act, activities=frozenset({"begin"}))}, lease_seconds=5),
    ):
        await at_it.wait()
        async with other.write():
            await stopped.wait()
        [operation] = await bench.ended(operation_id)
    assert operation.status == "succeeded"
    assert left + sum(late) > 0  # a driver that held it up would be late by half a minute
    await other.close()
    await database.close()


async def test_a_drain_lets_calls_finish_and_gives_back_what_does_not(bench: Bench) -> None:
    at_it = asyncio.Barrier(3)

    async def act(context: Context) -> Outcome:
        await at_it.wait()
        await asyncio.sleep(0.05 if context.operation.resource_name == "short" else 60)
        return Done()

    short, long = await bench.begin("short"), await bench.begin("long")
    engine = bench.engine(act, drain_seconds=3.0)
    running = asyncio.create_task(engine.run())
    await at_it.wait()
    await engine.drain()
    await running
    finished, released = await bench.get(short), await bench.get(long)
    assert finished.status == "succeeded"
    assert (released.status, released.lease_owner, released.lease_expires_at) == ("running", None, None)
    async with bench.running({KIND: Scripted(_done)}):  # at once: no lease has to run out
        await bench.ended(long)


async def _done(_context: Context) -> Outcome:
    return Done()


async def test_a_drain_does_not_give_back_what_somebody_else_has(bench: Bench) -> None:
    at_it = asyncio.Event()

    async def act(_context: Context) -> Outcome:
        at_it.set()
        await asyncio.sleep(60)
        return Done()

    operation_id = await bench.begin()
    engine = bench.engine(act, drain_seconds=0.1)
    running = asyncio.create_task(engine.run())
    await at_it.wait()
    await take_over(bench, operation_id)
    await engine.drain()
    await running
    operation = await bench.get(operation_id)
    assert (operation.lease_owner, operation.gen) == ("another", 2)


async def test_a_drain_in_the_midst_of_a_claim_leaves_nothing_running(bench: Bench) -> None:
    calls = 0

    async def act(_context: Context) -> Outcome:
        nonlocal calls
        calls += 1
        await asyncio.sleep(60)
        return Done()

    ids = [await bench.begin() for _ in range(5)]
    engine = bench.engine(act, drain_seconds=0.2)
    running = asyncio.create_task(engine.run())
    for _ in range(20):  # somewhere within the first turn
        await asyncio.sleep(0)
    await engine.drain()
    await running
    before = calls
    rows = [await bench.get(each) for each in ids]
    assert all(row.lease_owner is None for row in rows)
    await asyncio.sleep(0.2)
    assert calls == before
    assert not [task for task in asyncio.all_tasks() if task.get_name() in ids]


async def test_a_result_whose_commit_went_unheard_is_written_once(bench: Bench) -> None:
    reconciler = Scripted(_done)
    writer = ResultWriter(bench.database.notifier, {KIND: reconciler})
    ids = [await bench.begin("waits", steps=["a"]), await bench.begin("ends", steps=["a"])]
    async with bench.database.write() as session:
        await claims.admit(session, per_region=10)
        rows = await claims.claim(session, owner="me", lease_seconds=20, limit=10, phases=((KIND, ("begin",)),))
    written = []
    for _ in range(2):
        async with bench.database.write() as session:
            for row, outcome in zip(sorted(rows, key=lambda row: row.id), (Wait(60), Done()), strict=True):
                steps = [{"name": "a", "status": "running"}]
                written.append(await writer.apply(session, Result(Context(row, {}, steps, [], _keep), outcome)))
    assert written == [True, True, False, False]
    assert reconciler.settled == [(ids[1], "succeeded")]
    assert [event.type for event in await bench.events(ids[0])] == ["operation.running", "operation.step"]
    assert [event.type for event in await bench.events(ids[1])].count("operation.succeeded") == 1


async def _keep(_context: Context) -> None:
    return None


async def test_results_wait_for_a_database_that_is_locked(sqlite_url: str) -> None:
    calls: list[str] = []

    async def act(context: Context) -> Outcome:
        calls.append(context.operation.id)
        await locked.wait()
        return Done()

    locked = asyncio.Event()
    database = Database(sqlite_url)
    mine, other = Bench(database), Database(sqlite_url)
    ids = [await mine.begin() for _ in range(3)]
    async with mine.running(act, lease_seconds=20):

        async def begun() -> bool:
            return len(calls) == 3

        await mine.until(begun)
        async with other.write() as session:
            now = (await session.execute(select(utcnow()))).scalar_one()
            locked.set()
            await asyncio.sleep(1.0)
        operations = await mine.ended(*ids)
    assert {operation.status for operation in operations} == {"succeeded"}
    assert all(operation.finished_at > now for operation in operations)  # type: ignore[operator]
    assert sorted(calls) == sorted(ids)
    await other.close()
    await database.close()
