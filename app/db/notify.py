"""How one part wakes another after a commit: in the process on SQLite, LISTEN/NOTIFY between replicas on PostgreSQL.

A wake-up is a hint: whoever waits also looks by itself from time to time, so a lost one costs a delay, never work.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator

import psycopg
from sqlalchemy import URL, text
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import postgres

log = logging.getLogger(__name__)

OPERATIONS = "slipway_operations"
"""Channel: some operation is due now."""

EVENTS = "slipway_events"
"""Channel: an event was written."""

DELIVERIES = "slipway_deliveries"
"""Channel: a webhook or callback is to be delivered."""


STILL_SECONDS = 10.0
"""After so much silence the server is asked whether it is still there; less than `postgres.WAIT_SECONDS`."""


class Notifier:
    """Wake-ups inside one process."""

    def __init__(self) -> None:
        self._subscribers: dict[str, set[asyncio.Event]] = defaultdict(set)

    @contextlib.contextmanager
    def subscribe(self, channel: str, event: asyncio.Event) -> Iterator[None]:
        """Set `event` at every wake-up of `channel` while the block runs."""
        self._subscribers[channel].add(event)
        try:
            yield
        finally:
            self._subscribers[channel].discard(event)

    def wake(self, channel: str) -> None:
        """Wake the subscribers of this process."""
        for event in self._subscribers[channel]:
            event.set()

    async def notify(self, session: AsyncSession, channel: str) -> None:
        """Wake every process's subscribers once this session's transaction commits."""
        sqlalchemy_event.listen(session.sync_session, "after_commit", lambda _session: self.wake(channel), once=True)

    async def run(self) -> None:
        """Listen until cancelled; nothing to do inside one process."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Release what `run` holds."""


class PostgresNotifier(Notifier):
    """Wake-ups between processes, over one listening connection each."""

    def __init__(self, url: URL) -> None:
        super().__init__()
        # Not the URL as a text: SQLAlchemy writes a blank as `+`, which libpq takes for a plus.
        _, self._parameters = url.get_dialect()().create_connect_args(url)

    async def notify(self, session: AsyncSession, channel: str) -> None:
        """NOTIFY is delivered by PostgreSQL itself when the transaction commits."""
        await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})

    async def run(self) -> None:
        """Listen until cancelled; a lost connection is opened again, and everybody looks once."""
        while True:
            try:
                async with await postgres.Connection.connect(**self._parameters, autocommit=True) as connection:
                    for channel in (OPERATIONS, EVENTS, DELIVERIES):
                        await connection.execute(f"LISTEN {channel}")
                        self.wake(channel)
                    while True:
                        async for notice in connection.notifies(timeout=STILL_SECONDS):
                            self.wake(notice.channel)
                        await connection.execute("SELECT 1")  # a connection that died in silence says nothing either
            except psycopg.OperationalError as error:
                log.warning("the listening connection is lost, opening it again: %s", error)
                await asyncio.sleep(1)
