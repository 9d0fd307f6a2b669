"""Connections to PostgreSQL whose other end says nothing any more, and what a lost process holds."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from silence import Proxy, proxy
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from app.db import postgres
from app.db.notify import EVENTS, PostgresNotifier
from app.db.session import Database, is_away


@pytest.fixture
def through(postgres_url: str) -> Iterator[tuple[Proxy, str]]:
    url = make_url(postgres_url)
    assert url.port is not None
    with proxy(url.port) as between:
        moved = url.set(host="127.0.0.1", port=between.port)
        yield between, moved.render_as_string(hide_password=False)


@pytest.fixture
async def database(through: tuple[Proxy, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setattr(postgres.Connection, "wait_seconds", 0.5)
    opened = Database(through[1])
    yield opened
    await opened.close()


async def test_each_wait_ends_and_new_connections_do_the_work(through: tuple[Proxy, str], database: Database) -> None:
    between, _ = through
    with pytest.raises(OperationalError) as raised:  # noqa: PT012
        async with database.write() as session:  # in the middle of a transaction
            await session.execute(text("SELECT 1"))
            assert between.silence() >= 2
            await session.execute(text("SELECT 2"))
    assert is_away(raised.value)
    await database.ping()
    assert between.silence() >= 2
    await database.ping()  # one of the pool, which is tried first


async def test_an_answer_that_nobody_had_time_to_read_is_an_answer(database: Database) -> None:
    """A process that was busy, or stopped, must not give up a server that answered long ago."""
    async with database.read() as session:
        asking = asyncio.create_task(session.execute(text("SELECT 'here' FROM pg_sleep(0.1)")))
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        threading.Event().wait(1.0)  # the loop stands still beyond the limit, as under SIGSTOP
        assert (await asking).scalar_one() == "here"


async def test_a_lost_process_lets_go_of_what_it_held(postgres_url: str) -> None:
    """Rows and advisory locks: the server ends a transaction in which nothing happens."""
    hurried = make_url(postgres_url).update_query_dict({"options": "-c idle_in_transaction_session_timeout=300"})
    lost, other = Database(hurried.render_as_string(hide_password=False)), Database(postgres_url)
    session = lost._sessions()
    await session.execute(text("SELECT pg_advisory_xact_lock(7202)"))  # and then nothing: its node is gone
    async with other.write() as taking:
        await taking.execute(text("SELECT pg_advisory_xact_lock(7202)"))
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which one depends on the driver
        await session.execute(text("SELECT 1"))
    assert is_away(raised.value)
    await session.close()
    await lost.close()
    await other.close()


async def test_a_lock_is_waited_for_with_an_end(postgres_url: str) -> None:
    hurried = make_url(postgres_url).update_query_dict({"options": "-c lock_timeout=100"})
    holder, waiting = Database(postgres_url), Database(hurried.render_as_string(hide_password=False))
    async with holder.write() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(7201)"))
        with pytest.raises(OperationalError) as raised:
            async with waiting.write() as second:
                await second.execute(text("SELECT pg_advisory_xact_lock(7201)"))
        assert is_away(raised.value)
    await holder.close()
    await waiting.close()


async def test_every_session_has_its_limits_and_the_url_may_set_others(postgres_url: str) -> None:
    given = make_url(postgres_url).update_query_dict({"options": "-c lock_timeout=7s", "keepalives_idle": "33"})
    database = Database(given.render_as_string(hide_password=False))
    async with database.read() as session:
        found = {
            name: (await session.execute(text(f"SHOW {name}"))).scalar_one()
            for name in (*postgres.SERVER, "transaction_timeout")
        }
    assert found["lock_timeout"] == "7s"
    assert {found["statement_timeout"], found["idle_in_transaction_session_timeout"]} == {"6s", "10s"}
    assert found["transaction_timeout"] == postgres.TRANSACTION
    assert database.url.query["keepalives_idle"] == "33"
    assert database.url.query["tcp_user_timeout"] == "15000"
    await database.close()


async def test_a_silent_listener_listens_again(
    through: tuple[Proxy, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.db.notify.STILL_SECONDS", 0.1)
    assert isinstance(database.notifier, PostgresNotifier)
    woken = asyncio.Event()
    with database.notifier.subscribe(EVENTS, woken):
        listening = asyncio.create_task(database.notifier.run())
        await asyncio.wait_for(woken.wait(), 20)
        through[0].silence()
        woken.clear()
        await asyncio.wait_for(woken.wait(), 20)  # by the new connection: everybody looks once
        woken.clear()
        url = make_url(through[1]).set(drivername="postgresql").render_as_string(hide_password=False)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"NOTIFY {EVENTS}")
        await asyncio.wait_for(woken.wait(), 20)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
