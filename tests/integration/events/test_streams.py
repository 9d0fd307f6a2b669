"""Server-sent events: order, resumption, end, several replicas, slow readers, and readers that leave."""

import asyncio
import gc
import socket
import time
from typing import Any

import pytest
from integration.events.conftest import SECONDS, STREAM, Server, event, operation, save, serving, until
from sqlalchemy import text, update
from sqlmodel import col

from app.cloudformation.models import WATCHER
from app.db.base import DEFAULT_ACCOUNT
from app.db.session import Database
from app.engine.models import Operation, OperationWatch
from app.http import sse
from app.operations import feed


async def end(database: Database, row: Operation) -> None:
    """End an operation as the engine does: status and event in one transaction."""
    async with database.write() as session:
        await session.execute(update(Operation).where(col(Operation.id) == row.id).values(status="succeeded"))
        session.add(event(row, "ended", "operation.succeeded"))
        await database.notifier.notify(session, "slipway_events")


async def test_an_operation_is_followed_from_its_first_event_to_its_end(server: Server) -> None:
    parent = operation(kind="cluster.apply")
    child = operation(parent_id=parent.id, resource_name="gpu")
    other = operation()
    await save(server.database, parent, child, other, event(parent, "one"), event(other, "not ours"))
    async with server.stream(f"/operations/{parent.id}/events") as messages:
        first = await messages.next()
        assert first is not None
        assert first["data"]["message"] == "one"
        assert first["id"] == first["data"]["id"]
        await save(server.database, event(child, "two"), event(other, "not ours"), event(parent, "three"))
        assert await messages.take(2) == ["two", "three"]
        await end(server.database, parent)
        assert await messages.take(1) == ["ended"]
        await end(server.database, child)
        assert await messages.take(1) == ["ended"]
        last = await messages.next()
        assert last is not None
        assert last["event"] == "end"
        assert "id" not in last
        assert last["data"] == (await server.client.get(f"/operations/{parent.id}")).json()
        assert await messages.next() is None
    await until(lambda: server.readers == 0)


async def test_a_cut_stream_is_resumed_and_an_ended_one_not_begun_again(server: Server) -> None:
    row = operation()
    await save(server.database, row, *(event(row, str(number)) for number in range(500)))
    path = f"/operations/{row.id}/events"
    async with server.stream(path) as messages:
        got = [await messages.next() for _ in range(250)]
    last = got[-1] or {}
    await end(server.database, row)
    async with server.stream(path, headers={"Last-Event-ID": last["id"]}) as messages:
        assert await messages.take(251) == [*map(str, range(250, 500)), "ended"]
        assert (await messages.next() or {})["event"] == "end"
    newest = (await server.client.get(path, params={"limit": 200, "after": last["id"]})).json()["items"][-1]
    again = {**STREAM, "Last-Event-ID": str(int(newest["id"]) + 100)}
    assert (await server.client.get(path, headers=again)).status_code == 204
    async with server.stream(path, params={"after": last["id"]}) as messages:
        assert (await messages.take(1)) == ["250"]


async def test_events_of_everything_begin_now_or_after_a_number(server: Server) -> None:
    one, two = operation(resource_name="one"), operation(resource_name="two")
    await save(server.database, one, two, event(one, "before"))
    async with server.stream("/events") as all_of_it, server.stream("/events", params={"resource": "two"}) as of_two:
        await until(lambda: server.readers == 2)
        await until(lambda: server.app.state.feed._pump.ready.is_set())
        await asyncio.sleep(0)
        await save(server.database, event(one, "a"), event(two, "b"))
        assert await all_of_it.take(2) == ["a", "b"]
        assert await of_two.take(1) == ["b"]
    async with server.stream("/events", params={"after": "0"}) as messages:
        assert await messages.take(3) == ["before", "a", "b"]


async def test_another_projects_events_are_not_told(server: Server) -> None:
    async with server.database.write() as session:
        await session.execute(
            text("INSERT INTO projects (id, name, created_at) VALUES ('prj_other', 'other', CURRENT_TIMESTAMP)")
        )
    foreign, own = operation(project_id="prj_other"), operation()
    await save(server.database, foreign, own, event(foreign, "secret"), event(own, "first"))
    answer = await server.client.get(f"/operations/{foreign.id}/events", headers=STREAM)
    assert (answer.status_code, answer.json()["code"]) == (404, "operation_not_found")
    async with server.stream("/events", params={"after": "0"}) as messages:
        assert await messages.take(1) == ["first"]
        await save(server.database, event(foreign, "secret"), event(own, "second"))
        assert await messages.take(1) == ["second"]


async def test_an_idle_stream_says_that_it_is_there(database_url: str) -> None:
    async with serving(database_url, heartbeat_seconds=0.02) as server:
        row = operation()
        await save(server.database, row)
        async with server.stream("/events", params={"after": "0"}) as messages:
            waiting = asyncio.create_task(messages.next())
            await until(lambda: messages.comments >= 3)
            await save(server.database, event(row, "at last"))
            assert (await waiting or {})["data"]["message"] == "at last"


async def test_two_replicas(postgres_url: str) -> None:
    row = operation()
    async with serving(postgres_url) as one, serving(postgres_url) as two:
        await save(one.database, row)
        async with two.stream(f"/operations/{row.id}/events") as messages:
            await until(lambda: two.readers == 1)
            await save(one.database, event(row, "from the other one"))
            assert await messages.take(1) == ["from the other one"]


async def test_what_commits_late_is_told_in_its_place(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two transactions take their numbers in one order and commit in the other."""
    monkeypatch.setattr(feed, "GAP_SECONDS", 60.0)
    row = operation()
    async with serving(postgres_url) as server:
        await save(server.database, row)
        async with server.stream("/events", params={"after": "0"}) as messages:
            await until(lambda: server.app.state.feed._pump.ready.is_set())
            async with server.database.write() as slow:
                slow.add(event(row, "first"))
                await slow.flush()
                await save(server.database, event(row, "second"))
                pump = server.app.state.feed._pump
                await until(lambda: pump._horizon.waits)
            assert await messages.take(2) == ["first", "second"]
            async with server.database.write() as never:
                never.add(event(row, "never"))
                await never.flush()
                await save(server.database, event(row, "third"))
                await until(lambda: pump._horizon.waits)
                await never.rollback()
            assert await messages.take(1) == ["third"]


async def test_a_reader_that_leaves_frees_everything(server: Server) -> None:
    row = operation()
    await save(server.database, row)

    def held() -> int:
        names = [task.get_name() for task in asyncio.all_tasks()]
        return server.readers + sum(name.startswith(("event stream", "event feed")) for name in names)

    for _ in range(3):
        async with server.stream(f"/operations/{row.id}/events"), server.stream("/events"):
            await until(lambda: server.readers == 2)
        await until(lambda: held() == 0)
    assert not server.database.notifier._subscribers["slipway_events"]
    gc.collect()
    assert not any(isinstance(found, feed.Subscription) for found in gc.get_objects())


async def test_a_slow_reader_is_dropped_and_holds_nobody_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_WAITING", 20)
    monkeypatch.setattr(sse, "SEND_SECONDS", 3.0)
    row = operation()
    await save(server.database, row)
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the kernel would take tens of megabytes
    slow.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=slow, limit=1024)
    head = "".join(f"{name}: {value}\r\n" for name, value in STREAM.items())
    writer.write(f"GET /events?after=0 HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    await writer.drain()
    await until(lambda: server.readers == 1)
    async with server.stream("/events", params={"after": "0"}) as messages:
        await until(lambda: server.readers == 2)
        for count in range(100):  # 20 MB, more than all buffers hold
            if server.readers == 1:
                break
            big: Any = event(row, str(count))
            big.data = {"filler": "x" * 200_000}
            await save(server.database, big)
            assert await messages.take(1) == [str(count)]
        await until(lambda: server.readers == 1)
        await save(server.database, event(row, "still here"))
        assert await messages.take(1) == ["still here"]
    writer.close()
    assert reader is not None


async def test_a_stopping_service_ends_its_streams(server: Server) -> None:
    async with server.stream("/events") as messages:
        await until(lambda: server.readers == 1)
        server.app.state.feed.close()
        assert await messages.next() is None
    async with server.stream("/events") as messages:
        assert await messages.next() is None


async def test_while_it_is_followed_aws_is_asked(server: Server) -> None:
    parent = operation(kind="cluster.apply")
    child = operation(parent_id=parent.id)
    watch = OperationWatch(
        operation_id=child.id, target_id="arn", watcher=WATCHER, account_id=DEFAULT_ACCOUNT, region="r"
    )
    await save(server.database, parent, child, watch, event(parent, "one"))

    async def followed() -> bool:
        async with server.database.read() as session:
            found = await session.execute(text("SELECT followed_until FROM stack_watches"))
            return found.scalar_one() is not None

    async with server.stream(f"/operations/{parent.id}/events") as messages:
        await messages.next()
        deadline = time.monotonic() + SECONDS
        while not await followed():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("header", ["x", "-1", "9" * 30])
async def test_a_last_event_id_that_is_none(server: Server, header: str) -> None:
    answer = await server.client.get("/events", headers={**STREAM, "Last-Event-ID": header})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/header/Last-Event-ID"
