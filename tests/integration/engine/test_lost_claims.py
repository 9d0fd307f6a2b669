"""Claims that were never handed back: how they are counted, and what is called beside a suspect."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from integration.engine.conftest import KIND, Bench, Scripted

from app.core.failure import Failure
from app.engine import claims
from app.engine.contract import Advance, Cancelled, Context, Done, Outcome, TransientError, Wait
from app.engine.lost import LOST_CLAIMS, SUSPECT_AFTER
from app.engine.models import Operation
from app.operations.service import Needs

PHASES = ((KIND, ("begin", "second")),)


async def lose(bench: Bench, operation_id: str, lost_claims: int) -> None:
    """Leave an operation as processes do that died with it, the last one with its lease."""
    await bench.execute(
        "UPDATE operations SET status = 'running', lost_claims = :before, gen = gen + 1, lease_owner = 'dead',"
        " lease_expires_at = '2020-01-01 00:00:00' WHERE id = :id",
        id=operation_id,
        before=lost_claims - 1,
    )


async def done(_context: Context) -> Outcome:
    return Done()


async def kinds(bench: Bench, operation_id: str) -> list[str]:
    return [event.type for event in await bench.events(operation_id)]


async def test_it_ends_after_five_without_another_call(bench: Bench) -> None:
    called: list[str] = []

    async def act(context: Context) -> Outcome:
        called.append(context.operation.id)
        return Done()

    reconciler = Scripted(act)
    guilty, other = await bench.begin("guilty"), await bench.begin("other")
    needs = await bench.begin("needs", needs=[Needs(guilty)])
    await lose(bench, guilty, LOST_CLAIMS)
    await lose(bench, other, LOST_CLAIMS - 1)
    async with bench.running({KIND: reconciler}):
        ended, spared, dependent = await bench.ended(guilty, other, needs)
    assert (ended.status, ended.dead_letter, spared.status) == ("failed", True, "succeeded")
    assert ended.error is not None
    assert ended.error["code"] == "worker_lost"
    assert ended.error["retryable"] is True
    assert "exit codes" in ended.error["hint"]
    assert called == [other]
    assert (guilty, "failed") in reconciler.settled
    assert dependent.error is not None
    assert dependent.error["code"] == "dependency_failed"
    [event] = [event for event in await bench.events(guilty) if event.type == "operation.claim_lost"]
    assert event.data == {"owner": "dead", "lost_claims": LOST_CLAIMS, "limit": LOST_CLAIMS}
    assert "It is given up." in event.message


@pytest.mark.parametrize(
    "outcome", [Advance("second"), Wait(0.0), TransientError(Failure("away", "Away."), retry_after=0.01)]
)
async def test_a_call_that_returns_begins_the_count_anew(bench: Bench, outcome: Any) -> None:
    seen: list[int] = []

    async def act(context: Context) -> Outcome:
        seen.append(context.operation.lost_claims)
        if len(seen) > 1:
            return Done()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    operation_id = await bench.begin()
    await lose(bench, operation_id, LOST_CLAIMS - 1)
    async with bench.running(act):
        await bench.ended(operation_id)
    assert seen == [LOST_CLAIMS - 1, 0]


async def test_a_drain_hands_back_and_counts_nothing(bench: Bench) -> None:
    at_it = asyncio.Event()

    async def act(_context: Context) -> Outcome:
        at_it.set()
        await asyncio.sleep(60)
        return Done()

    operation_id = await bench.begin()
    await lose(bench, operation_id, 3)
    for _ in range(2):
        at_it.clear()
        async with bench.running(act, drain_seconds=0.1):
            await at_it.wait()
        assert (await bench.get(operation_id)).lost_claims == 3
    assert (await kinds(bench, operation_id)).count("operation.claim_lost") == 1


async def test_what_a_process_takes_over_from_itself_is_not_lost(bench: Bench) -> None:
    operation_id = await bench.begin()
    engine = bench.engine(done)
    await lose(bench, operation_id, 1)
    await bench.execute("UPDATE operations SET lease_owner = :owner", owner=engine.owner)
    running = asyncio.create_task(engine.run())
    [operation] = await bench.ended(operation_id)
    await engine.drain()
    await running
    assert (operation.status, operation.lost_claims) == ("succeeded", 0)
    assert "operation.claim_lost" not in await kinds(bench, operation_id)


class Together:
    """Remembers which operations were in flight at the same time as each one."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.met: dict[str, set[str]] = {}

    async def act(self, context: Context) -> Outcome:
        name = context.operation.resource_name
        self.present.add(name)
        for each in self.present:
            self.met.setdefault(each, set()).update(self.present - {each})
            self.met.setdefault(name, set()).add(each)
        self.met[name].discard(name)
        try:
            await asyncio.sleep(0.2)
        finally:
            self.present.discard(name)
        return Done()


async def test_a_suspect_is_called_with_nothing_beside_it(bench: Bench) -> None:
    together = Together()
    clean = {f"clean-{number}": await bench.begin(f"clean-{number}") for number in range(4)}
    once = {f"once-{number}": await bench.begin(f"once-{number}") for number in range(2)}
    suspects = {f"suspect-{number}": await bench.begin(f"suspect-{number}") for number in range(3)}
    for ids, lost_claims in ((once, 1), (suspects, SUSPECT_AFTER)):
        for operation_id in ids.values():
            await lose(bench, operation_id, lost_claims)
    async with bench.running(together.act):
        await bench.ended(*clean.values(), *once.values(), *suspects.values())
    assert {name: together.met[name] for name in suspects} == {name: set() for name in suspects}
    assert together.met["once-0"] >= {"once-1"}  # one loss keeps nothing apart
    assert any(together.met[name] for name in clean)


async def test_beside_a_suspect_activity_goes_on_what_is_no_suspect(bench: Bench) -> None:
    over = asyncio.Event()
    begun: list[str] = []

    async def act(context: Context) -> Outcome:
        name = context.operation.resource_name
        begun.append(name)
        if name.startswith("suspect"):
            await over.wait()
        return Done()

    suspects = [await bench.begin(f"suspect-{number}") for number in range(2)]
    for operation_id in suspects:
        await lose(bench, operation_id, SUSPECT_AFTER)
    async with bench.running({KIND: Scripted(act, activities=frozenset({"begin"}))}):

        async def one_began() -> bool:
            return bool(begun)

        await bench.until(one_began)
        [clean] = await bench.ended(await bench.begin("clean"))
        assert clean.status == "succeeded"
        assert len([name for name in begun if name.startswith("suspect")]) == 1
        over.set()
        await bench.ended(*suspects)


async def test_a_suspect_is_cancelled_and_a_cancel_that_kills_is_counted(bench: Bench) -> None:
    async def act(context: Context) -> Outcome:
        return Cancelled() if context.operation.cancel_requested else Wait(60)

    suspect, kills, replaced = [await bench.begin(name) for name in ("suspect", "kills", "replaced")]
    await lose(bench, suspect, LOST_CLAIMS - 1)
    await lose(bench, kills, LOST_CLAIMS)
    await lose(bench, replaced, LOST_CLAIMS)
    await bench.execute("UPDATE operations SET cancel_requested = true")
    await bench.execute("UPDATE operations SET superseded = true WHERE id = :id", id=replaced)
    async with bench.running(act):
        cancelled, failed, superseded = await bench.ended(suspect, kills, replaced)
    assert cancelled.status == "cancelled"
    assert failed.error is not None
    assert (failed.status, failed.error["code"]) == ("failed", "worker_lost")
    assert (superseded.status, superseded.dead_letter) == ("cancelled", False)


@pytest.mark.parametrize("seed", range(6))
async def test_any_history_is_counted_as_a_reader_would(bench: Bench, seed: int) -> None:
    """Two processes claim, hand back, give back, die and stand still in any order; the table agrees with a count."""
    chance = random.Random(seed)
    ids = [await bench.begin(f"thing-{number}") for number in range(5)]
    counts, held_by = dict.fromkeys(ids, 0), dict[str, Operation]()
    async with bench.database.write() as session:
        await claims.admit(session, per_region=10)
    for _ in range(60):
        step = chance.choice(["claim", "claim", "return", "give back", "die"])
        owner = chance.choice(["one", "two"])
        if step == "claim":
            for row in await _claim(bench, owner, suspects=chance.random() < 0.5):
                lost = row.id in held_by and held_by[row.id].lease_owner != owner
                counts[row.id] += lost
                assert row.lost_claims == counts[row.id]
                held_by[row.id] = row
        elif step == "die":  # or stand still: its leases run out
            await bench.execute(
                "UPDATE operations SET lease_expires_at = '2020-01-01' WHERE lease_owner = :owner", owner=owner
            )
        elif held_by:
            operation_id = chance.choice(sorted(held_by))
            row = held_by.pop(operation_id)
            async with bench.database.write() as session:
                if step == "return":
                    counts[operation_id] = 0
                    assert await claims.hand_back(session, row, lost_claims=0)
                else:
                    assert await claims.release(session, row)
    for operation_id in ids:
        assert (await bench.get(operation_id)).lost_claims == counts[operation_id]


async def _claim(bench: Bench, owner: str, *, suspects: bool) -> Sequence[Operation]:
    async with bench.database.write() as session:
        expected = await claims.has_suspect(session, owner=owner, phases=PHASES)
        rows = await claims.claim(session, owner=owner, lease_seconds=60, limit=3, phases=PHASES, suspects=suspects)
    assert {row.lost_claims >= SUSPECT_AFTER for row in rows} <= {suspects}
    assert not suspects or bool(rows) == expected
    return rows
