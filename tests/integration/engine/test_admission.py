"""Who begins when: dependencies, places in a region, parents, and what is cancelled before it began."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from integration.engine.conftest import CALLER, KIND, Bench, Scripted
from sqlalchemy import event

from app.core.failure import Failure
from app.engine import claims
from app.engine.contract import Cancelled, Context, Done, Fail, Outcome, Wait
from app.engine.models import Operation
from app.operations.group import GroupReconciler
from app.operations.group_kinds import CLUSTER_APPLY
from app.operations.service import Needs


class Gate:
    """Operations end as their names say, once the gate is open for them."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._open: dict[str, asyncio.Event] = {}

    def open(self, name: str) -> None:
        self._open.setdefault(name, asyncio.Event()).set()

    async def act(self, context: Context) -> Outcome:
        name = context.operation.resource_name
        if context.operation.cancel_requested:
            return Cancelled()
        self.begun.append(name)
        await self._open.setdefault(name, asyncio.Event()).wait()
        return Fail(Failure("broken", "It broke.")) if name.startswith("bad") else Done()


async def begun(bench: Bench, operation_id: str) -> bool:
    return (await bench.get(operation_id)).status != "pending"


def status_is(bench: Bench, operation_id: str, status: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return (await bench.get(operation_id)).status == status

    return holds


async def test_it_begins_when_the_last_of_its_needs_has_ended(bench: Bench) -> None:
    gate = Gate()
    first, second = await bench.begin("first"), await bench.begin("second")
    last = await bench.begin("last", needs=[Needs(first), Needs(second)])
    async with bench.running(gate.act):
        gate.open("first")
        await bench.ended(first)
        assert (await bench.get(last)).status == "pending"
        gate.open("second")
        gate.open("last")
        *_, operation = await bench.ended(first, second, last)
    assert operation.status == "succeeded"
    assert gate.begun[-1] == "last"


@pytest.mark.parametrize(("what", "status"), [("success", "failed"), ("end", "succeeded")])
async def test_a_need_that_failed(bench: Bench, what: str, status: str) -> None:
    gate = Gate()
    bad = await bench.begin("bad")
    after = await bench.begin("after", needs=[Needs(bad, what)])  # type: ignore[arg-type]
    async with bench.database.write() as session:
        (await session.get_one(Operation, after)).data = {"of another owner": 1}
    gate.open("bad")
    gate.open("after")
    async with bench.running(gate.act):
        _, operation = await bench.ended(bad, after)
    assert operation.status == status
    assert operation.data.pop("of another owner") == 1
    assert operation.data.keys() == ({"failed_dependency"} if what == "success" else set())
    if what == "success":
        assert operation.error is not None
        assert operation.error["code"] == "dependency_failed"
        assert bad in operation.error["message"]
        assert "It broke." in operation.error["message"]
        assert gate.begun == ["bad"]


async def test_what_is_cancelled_while_it_is_blocked_ends_at_once(bench: Bench) -> None:
    gate = Gate()
    slow = await bench.begin("slow")
    after = await bench.begin("after", needs=[Needs(slow)])
    then = await bench.begin("then", needs=[Needs(after)])
    async with bench.running(gate.act):
        await bench.until(status_is(bench, slow, "running"))
        async with bench.database.write() as session:
            bench.ledger.register("thing", _Everything())
            await bench.ledger.cancel(session, CALLER, after)
        cancelled, failed = await bench.ended(after, then)
        gate.open("slow")
        await bench.ended(slow)
    assert (cancelled.status, failed.status) == ("cancelled", "failed")
    assert failed.error is not None
    assert failed.error["code"] == "dependency_failed"


class _Everything:
    def is_cancellable(self, _operation: Operation) -> bool:
        return True

    async def retry(self, *_: object) -> Operation:
        raise NotImplementedError


async def test_a_region_takes_so_many_at_once_the_oldest_first(bench: Bench) -> None:
    gate = Gate()
    ids = [await bench.begin(f"a{number}") for number in range(4)]
    elsewhere = await bench.begin("b", region="eu-west-1")
    async with bench.running(gate.act, max_running_per_region=2):
        await bench.until(status_is(bench, elsewhere, "running"))
        assert [await begun(bench, each) for each in ids] == [True, True, False, False]
        async with bench.database.write() as session:
            bench.ledger.register("thing", _Everything())
            await bench.ledger.cancel(session, CALLER, ids[3])  # it needs no place
        await bench.ended(ids[3])
        assert not await begun(bench, ids[2])
        gate.open("a1")
        await bench.until(status_is(bench, ids[2], "running"))
        for name in ("a0", "a2", "b"):
            gate.open(name)
        await bench.ended(*ids, elsewhere)
    assert (sorted(gate.begun[:3]), gate.begun[3:]) == (["a0", "a1", "b"], ["a2"])


async def test_parents_take_no_place_and_end_with_their_children(bench: Bench) -> None:
    gate = Gate()
    parents = [await bench.begin(kind=CLUSTER_APPLY, lock=False) for _ in range(3)]
    children = [await bench.begin(name, parent=parent) for name, parent in zip(("x", "bad", "z"), parents, strict=True)]
    for name in ("x", "bad", "z"):
        gate.open(name)
    registry = {KIND: Scripted(gate.act), CLUSTER_APPLY: GroupReconciler(bench.database)}
    async with bench.running(registry, max_running_per_region=1):
        good, broken, _ = await bench.ended(*parents)
    assert [child.status for child in await bench.ended(*children)] == ["succeeded", "failed", "succeeded"]
    assert (good.status, broken.status) == ("succeeded", "failed")
    assert broken.error is not None
    assert (broken.error["code"], children[1] in broken.error["message"]) == ("child_failed", True)


async def test_two_needs_that_end_at_the_same_moment_wake_what_waits(bench: Bench) -> None:
    """Each of two processes ends one of them; neither transaction sees the other's end before its own lock."""
    together = asyncio.Barrier(2)

    async def act(context: Context) -> Outcome:
        if context.operation.resource_name == "half":
            await together.wait()
        return Done()

    rounds = []
    for _ in range(4):
        parent = await bench.begin(kind=CLUSTER_APPLY, lock=False)
        halves = [await bench.begin("half", parent=parent) for _ in range(2)]
        rounds += [parent, await bench.begin("whole", needs=[Needs(half) for half in halves])]
    registry = {KIND: Scripted(act), CLUSTER_APPLY: GroupReconciler(bench.database)}
    async with bench.running(registry, max_inflight=1), bench.running(registry, max_inflight=1):
        operations = await bench.ended(*rounds)
    assert {operation.status for operation in operations} == {"succeeded"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
async def test_an_end_beside_an_admission_is_not_slept_through(bench: Bench) -> None:
    """The dependency ends after the admission's snapshot, and before it puts what waits to sleep."""
    first = await bench.begin("first")
    after = await bench.begin("after", needs=[Needs(first)])
    await bench.execute("UPDATE operations SET status = 'running' WHERE id = :id", id=first)
    async with bench.database.write() as session:
        await claims.admit(session, per_region=10)
        ending = asyncio.create_task(_end(bench, first))
        await asyncio.sleep(0.2)  # it waits for the row, which is locked here
        assert not ending.done()
    await ending
    async with bench.database.read() as session:
        due = await claims.look(session, per_region=10, phases=((KIND, ("begin",)),))
    assert due.due
    async with bench.database.write() as session:
        assert await claims.admit(session, per_region=10) == 1
    assert (await bench.get(after)).status == "running"


async def _end(bench: Bench, operation_id: str) -> None:
    async with bench.database.write() as session:
        operation = await session.get_one(Operation, operation_id)
        operation.status = "succeeded"
        await session.flush()
        await claims.wake_waiting_for(session, bench.database.notifier, operation)


async def test_two_processes_never_admit_more_than_the_places(bench: Bench) -> None:
    at_once = most = 0

    async def act(_context: Context) -> Outcome:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return Done()

    ids = [await bench.begin() for _ in range(12)]
    async with (
        bench.running(act, max_running_per_region=3),
        bench.running(act, max_running_per_region=3),
    ):
        operations = await bench.ended(*ids)
    assert {operation.status for operation in operations} == {"succeeded"}
    assert 1 <= most <= 3


async def test_a_claim_takes_no_more_than_its_limit_and_what_others_hold_is_left(bench: Bench) -> None:
    ids = [await bench.begin() for _ in range(20)]
    phases = ((KIND, ("begin",)),)
    async with bench.database.write() as session:
        assert await claims.admit(session, per_region=100) == 20
    claimed: list[str] = []
    for owner in ("a", "b", "c"):
        async with bench.database.write() as session:
            rows = await claims.claim(session, owner=owner, lease_seconds=20, limit=8, phases=phases)
        claimed += [row.id for row in rows]
        assert {row.lease_owner for row in rows} == {owner}
    assert (len(claimed), sorted(claimed)) == (20, sorted(ids))


async def test_an_idle_engine_only_reads_and_a_blocked_operation_does_not_make_it_spin(bench: Bench) -> None:
    async def act(_context: Context) -> Outcome:
        return Wait(3600)

    first = await bench.begin("first")
    await bench.begin("blocked", needs=[Needs(first)])
    await bench.begin("no place")
    statements: list[str] = []
    async with bench.running(act, max_running_per_region=1):

        async def waits() -> bool:
            return (await bench.get(first)).gen == 2

        await bench.until(waits)
        await asyncio.sleep(0.2)
        event.listen(
            bench.database.engine.sync_engine,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, *_: statements.append(statement.split()[0]),
        )

        async def looks() -> bool:
            return "SELECT" in statements

        await bench.until(looks)
        statements.clear()
        await asyncio.sleep(1.0)
    assert statements.count("SELECT") <= 60  # a look for each tick of 0.05 s; a loop that spins makes hundreds
    assert set(statements) <= {"SELECT", "BEGIN"}
