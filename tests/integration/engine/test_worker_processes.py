"""Real processes on one database: killed, stopped for a while, told to end; and a database that goes away."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from integration.engine.conftest import Bench
from silence import proxy
from sqlalchemy import make_url, text

from app import migrate
from app.db.session import Database
from app.engine.contract import Advance, Context, Done, Outcome
from app.engine.lost import LOST_CLAIMS, SUSPECT_AFTER

SCRIPT = Path(__file__).with_name("worker_process.py")
CHECKOUT = Path(__file__).parents[3]
END_SECONDS = 60.0


class Worker:
    """A process with an engine."""

    def __init__(self, database_url: str) -> None:
        settings = {"DATABASE_URL": database_url, "LEASE_SECONDS": "3", "TICK_SECONDS": "0.2", "DRAIN_SECONDS": "0.5"}
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)} | {f"SLIPWAY_{key}": settings[key] for key in settings},
            stdout=subprocess.PIPE,
        )
        self.pid = self.process.pid

    async def ready(self) -> None:
        assert self.process.stdout is not None
        assert await asyncio.to_thread(self.process.stdout.readline) == b"ready\n"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, END_SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Site:
    """Worker processes on one database, and what they settled."""

    def __init__(self, bench: Bench, url: str, workers: contextlib.ExitStack) -> None:
        self.bench = bench
        self._url = url
        self._workers = workers

    async def workers(self, count: int, url: str | None = None) -> list[Worker]:
        started = [Worker(url or self._url) for _ in range(count)]
        for worker in started:
            self._workers.callback(worker.close)
        for worker in started:
            await worker.ready()
        return started

    async def held_by(self, operation_id: str) -> int:
        """Return the process that works on an operation, once one does."""

        async def holder() -> int:
            return int((await self.bench.get(operation_id)).data.get("held", 0))

        return int(await self.bench.until(holder, "a holder"))

    async def settled_ids(self) -> list[str]:
        return [operation_id for operation_id, _ in await self.settled()]

    async def settled(self) -> list[tuple[str, int]]:
        async with self.bench.database.read() as session:
            rows = await session.execute(text("SELECT operation_id, pid FROM settled"))
            return [(row[0], row[1]) for row in rows]


@pytest.fixture
async def site(bench: Bench, database_url: str) -> AsyncIterator[Site]:
    await bench.execute("CREATE TABLE settled (operation_id VARCHAR(40), pid INTEGER)")
    with contextlib.ExitStack() as workers:
        yield Site(bench, database_url, workers)


async def test_what_a_stopped_or_killed_process_held_is_done_once_by_another(site: Site) -> None:
    one, two = await site.workers(2)
    held = await site.bench.begin("hold")
    by_pid = {one.pid: one, two.pid: two}
    stopped = by_pid.pop(await site.held_by(held))
    [(_, other)] = by_pid.items()
    stopped.signal(signal.SIGSTOP)
    [operation] = await site.bench.ended(held)  # once its lease has run out
    stopped.signal(signal.SIGCONT)
    assert await site.settled() == [(held, other.pid)]

    second = await site.bench.begin("hold")
    killed = {one.pid: one, two.pid: two}[await site.held_by(second)]
    survivor = two if killed is one else one
    killed.signal(signal.SIGKILL)
    await site.bench.ended(second)
    assert await site.settled() == [(held, other.pid), (second, survivor.pid)]
    again = await site.bench.get(held)
    assert (again.gen, again.finished_at) == (operation.gen, operation.finished_at)
    for operation_id in (held, second):
        events = await site.bench.events(operation_id)
        # Of a process that was not stopped before its lease ran out.
        assert {event.data["code"] for event in events if event.type == "operation.waiting"} <= {"timed_out"}
        kinds = Counter(event.type for event in events if event.type != "operation.waiting")
        assert kinds == {"operation.running": 1, "operation.claim_lost": 1, "operation.succeeded": 1}
        [lost] = [event for event in events if event.type == "operation.claim_lost"]
        holder = stopped if operation_id == held else killed
        assert f"-{holder.pid}-" in lost.message


async def test_what_kills_each_process_is_given_up_and_what_stood_beside_it_succeeds(site: Site) -> None:
    guilty = await site.bench.begin("poison")
    beside = [await site.bench.begin("slow") for _ in range(20)]
    deaths = 0

    async def all_ended() -> bool:
        rows = [await site.bench.get(each) for each in (guilty, *beside)]
        return all(row.finished_at for row in rows)

    workers = await site.workers(2)
    deadline = time.monotonic() + 300.0
    while not await all_ended():
        assert time.monotonic() < deadline
        for dead in [worker for worker in workers if worker.process.poll() is not None]:
            assert dead.process.returncode == -signal.SIGKILL
            deaths += 1
            workers.remove(dead)
            workers += await site.workers(1)
        await asyncio.sleep(0.1)
    assert deaths == LOST_CLAIMS
    ended = await site.bench.get(guilty)
    assert (ended.status, ended.dead_letter) == ("failed", True)
    assert ended.error is not None
    assert ended.error["code"] == "worker_lost"
    told = [event.data for event in await site.bench.events(guilty) if event.type == "operation.claim_lost"]
    assert [data["lost_claims"] for data in told] == [1, 2, 3, 4, 5]
    rows = [await site.bench.get(each) for each in beside]
    assert {row.status for row in rows} == {"succeeded"}
    assert sorted(await site.settled_ids()) == sorted([guilty, *beside])
    losses = [sum(event.type == "operation.claim_lost" for event in await site.bench.events(each)) for each in beside]
    # They did stand beside it; more than twice only where this machine stood still for longer than a lease.
    assert max(losses) >= SUSPECT_AFTER


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_two_replicas_do_each_of_200_operations_once_though_one_is_told_to_end(site: Site) -> None:
    held = await site.bench.begin("hold")
    ids = [held, *[await site.bench.begin() for _ in range(199)]]
    one, two = await site.workers(2)
    by_pid = {one.pid: one, two.pid: two}
    ends = by_pid.pop(await site.held_by(held))
    ends.signal(signal.SIGTERM)
    assert await ends.ended() == 0
    operations = await site.bench.ended(*ids)
    assert {operation.status for operation in operations} == {"succeeded"}
    settled = await site.settled()
    assert sorted(operation_id for operation_id, _ in settled) == sorted(ids)
    assert dict(settled)[held] in by_pid
    async with site.bench.database.read() as session:
        query = "SELECT type, count(*) FROM operation_events GROUP BY type"
        counts = {row[0]: row[1] for row in await session.execute(text(query))}
        waited = (
            await session.execute(
                text("SELECT operation_id, data FROM operation_events WHERE type = 'operation.waiting'")
            )
        ).all()
    # What is held may outlast its lease before it is given back; nothing else is tried again, and for no other reason.
    assert {(operation_id, data["code"]) for operation_id, data in waited} <= {(held, "timed_out")}
    counts.pop("operation.waiting", None)
    counts.pop("operation.claim_lost", None)  # of a process that the machine stopped for longer than its lease
    assert counts == {"operation.running": 200, "operation.succeeded": 200}


class Restartable:
    """A PostgreSQL of this test alone, which can go away and come back."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url = server.url("slipway")

    def stop(self) -> None:
        assert self._server.process is not None
        self._server.process.send_signal(signal.SIGINT)  # fast: connections are cut, what is committed is kept
        self._server.process.wait(END_SECONDS)

    def start(self) -> None:
        assert self._server.process is not None
        with (self._server.folder / "log").open("ab") as log:
            self._server.process = subprocess.Popen(
                self._server.process.args, stdout=log, stderr=log, **self._server._spawn_options()
            )
        assert self._server._is_ready(self._server.process)


@pytest.fixture
def restartable(postgres_server: Any) -> Iterator[Restartable]:
    server = type(postgres_server)()
    try:
        server.start()
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE slipway")
        migrate.upgrade(server.url("slipway"))
        yield Restartable(server)
    finally:
        server.stop()


async def test_silence_costs_time_and_no_result(site: Site, database_url: str) -> None:
    """The connections of one process die, and nobody says so: another one goes on, then it does so itself."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        pytest.skip("SQLite has no connections that could fall silent")
    assert url.port is not None
    with proxy(url.port) as between:
        through = url.set(host="127.0.0.1", port=between.port).render_as_string(hide_password=False)
        [deaf] = await site.workers(1, through)
        held = await site.bench.begin("hold")
        assert await site.held_by(held) == deaf.pid
        [other] = await site.workers(1)
        working = [await site.bench.begin("slow") for _ in range(10)]
        assert between.silence()
        await site.bench.ended(*working)
        await site.bench.ended(held)
        other.signal(signal.SIGKILL)
        alone = await site.bench.begin("slow")
        await site.bench.ended(alone)
        settled = await site.settled()
        assert (alone, deaf.pid) in settled
        assert len(settled) == len({operation_id for operation_id, _ in settled}) == 12


async def test_a_database_that_goes_away_costs_time_and_no_result(restartable: Restartable) -> None:
    database, second = Database(restartable.url), Database(restartable.url)
    bench, calls, gone = Bench(database), Counter[str](), asyncio.Event()

    async def act(context: Context) -> Outcome:
        calls[context.operation.id] += 1
        if context.phase == "begin":
            await gone.wait()  # what it comes to cannot be written at once
            return Advance("second")
        await context.intend(asked=True)
        return Done()

    ids = [await bench.begin() for _ in range(40)]
    async with bench.running(act, max_inflight=10), Bench(second).running(act, max_inflight=10):

        async def under_way() -> bool:
            return len(calls) == 20  # as much as both may have in flight

        await bench.until(under_way)
        await asyncio.to_thread(restartable.stop)
        gone.set()
        await asyncio.sleep(2.0)
        await asyncio.to_thread(restartable.start)
        operations = await bench.ended(*ids)
    assert {operation.status for operation in operations} == {"succeeded"}
    for operation_id in ids:
        kinds = [event.type for event in await bench.events(operation_id)]
        assert kinds == ["operation.running", "operation.succeeded"]
    await second.close()
    await database.close()
