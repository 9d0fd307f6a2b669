"""Sessions: `read()` sees, `write()` changes and commits at its end. No network call stands inside either.

SQLite: a transaction that will write begins with BEGIN IMMEDIATE, because a deferred one that reads first and then
writes fails "database is locked" at once, whatever the busy time-out. Within one process the writers queue on an
asyncio lock instead of spinning on the file's.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import QueuePool

from app.db import files, postgres
from app.db.notify import Notifier, PostgresNotifier
from app.db.phases import PhaseObserver, PhaseWatch

BUSY_TIMEOUT_SECONDS = 30

POOL_SECONDS = 10.0
"""How long a session waits for a connection of its own."""

CLOSE_SECONDS = 3.0
"""How long the end of a process waits for sessions that are being rolled back."""


def async_url(url: str) -> URL:
    """Return the SQLAlchemy URL with the asynchronous driver of its database.

    Raises:
        ValueError: neither `sqlite` nor `postgresql`.
    """
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise ValueError(f"SLIPWAY_DATABASE_URL: {other} is not supported; use sqlite:///… or postgresql://…")


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, below
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}")

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("slipway_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


class Database:
    """One engine, its sessions, and the notifier by which processes wake each other."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = async_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            files.prepare(url)
            self.engine = create_async_engine(self.url, pool_size=pool_size)
            _prepare_sqlite(self.engine)
        else:
            self.url = postgres.bounded(self.url)
            self.engine = create_async_engine(
                self.url,
                pool_size=pool_size,
                max_overflow=10,
                pool_timeout=POOL_SECONDS,
                pool_pre_ping=True,
                connect_args={"async_creator_fn": postgres.Connection.connect},
            )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=True)
        self._write_lock = asyncio.Lock()
        self.phase_observers: list[PhaseObserver] = []
        self.notifier: Notifier = Notifier() if self.is_sqlite else PostgresNotifier(self.url)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Open a session for reading; it is rolled back at its end."""
        async with self._sessions() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Open a session for writing; commits when the block ends, rolls back when it raises."""
        async with self._write_lock if self.is_sqlite else nullcontext(), self._sessions() as session:
            await session.connection(execution_options={"slipway_write": True})
            watch = PhaseWatch(session) if self.phase_observers else None
            yield session
            if watch and (changes := await watch.changes()):
                for observer in self.phase_observers:
                    await observer(session, changes)
            await session.commit()

    async def ping(self) -> None:
        """Raise when the database does not answer."""
        async with self.read() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close the notifier and the pool.

        A session that is cut off rolls back in a task of its own, which the end of the loop would cancel.
        """
        await self.notifier.close()
        pool = self.engine.pool
        deadline = time.monotonic() + CLOSE_SECONDS
        while isinstance(pool, QueuePool) and pool.checkedout() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # a pool tells nobody when one comes back
        await self.engine.dispose()


def is_away(error: BaseException) -> bool:
    """Tell whether the database is away, locked or out of connections, rather than asked for something wrong."""
    if isinstance(error, OperationalError) and getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return False  # SQLite's word for a statement that is wrong, too
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated
