"""New events, read once for each process and handed to everybody who follows; nothing is read while nobody does.

Sequence numbers of concurrent transactions of PostgreSQL may become visible out of order: 8 before 7. Who has seen 8
and comes back with it would never be told of 7, so 8 is held back until 7 is there or can no longer come: a gap is
given up once every transaction that was running when it was noticed has ended (`pg_snapshot_xmin` has passed that
moment's `pg_snapshot_xmax`), or after `GAP_SECONDS`. Readers thus get each event once, in the order of the numbers.
SQLite has one writer at a time and no such gaps.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.notify import EVENTS
from app.db.session import Database
from app.operations import repository
from app.operations.repository import FeedRow

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often the feed looks without being woken."""

GAP_POLL_SECONDS = 0.02
GAP_SECONDS = 5.0
FOLLOW_EVERY_SECONDS = 5.0
FOLLOW_SECONDS = 15.0
"""How long what somebody reads keeps an operation followed."""

MOST_WAITING = 1000
"""Events that wait for one reader; who is further behind is dropped, and may come back with `Last-Event-ID`."""

_READ = 500


@dataclass(slots=True, eq=False)
class Subscription:
    """One reader's events from `start` (exclusive) on.

    Attributes:
        ended: No more will come: the service stops, or the reader is too slow.
    """

    wants: Callable[[FeedRow], bool]
    follows: str | None
    start: int = 0
    ended: bool = False
    waiting: deque[FeedRow] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, row: FeedRow) -> None:
        """Hand an event over."""
        if len(self.waiting) >= MOST_WAITING:
            self.waiting.clear()
            self.end()
        elif not self.ended:
            self.waiting.append(row)
            self.news.set()

    def end(self) -> None:
        """Tell the reader that no more will come."""
        self.ended = True
        self.news.set()

    async def take(self, seconds: float) -> list[FeedRow]:
        """Return what has come; nothing after `seconds` without any."""
        if not self.ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.news.wait()
        self.news.clear()
        rows = list(self.waiting)
        self.waiting.clear()
        return rows


class Horizon:
    """Up to which number events are complete; see the module. Pure."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._highest = 0
        """All gaps up to here were noticed when `_transaction` had yet to begin."""
        self._transaction = 0
        self._since = 0.0

    @property
    def waits(self) -> bool:
        """Tell whether something is held back."""
        return self._highest > self.position

    def advance(self, numbers: Sequence[int], oldest_running: int) -> int:
        """Return how many of these numbers (all there are after `position`, ascending) can be given out."""
        passed = self.waits and (oldest_running >= self._transaction or time.monotonic() - self._since > GAP_SECONDS)
        cleared = self._highest if passed else self.position
        count = 0
        for number in numbers:
            if number != self.position + 1 and number > cleared:
                break
            self.position = number
            count += 1
        return count

    def note(self, highest: int, next_transaction: int) -> None:
        """Note, after something was held back, what must have ended before it is given out."""
        if not self.waits:
            self._highest, self._transaction, self._since = highest, next_transaction, time.monotonic()


class Feed:
    """Hands out new events as long as somebody is subscribed."""

    def __init__(self, database: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._pump: _Pump | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def readers(self) -> int:
        """How many are subscribed."""
        return len(self._pump.subscriptions) if self._pump else 0

    @contextlib.asynccontextmanager
    async def subscribe(
        self, wants: Callable[[FeedRow], bool], *, follows: str | None = None
    ) -> AsyncIterator[Subscription]:
        """Get the events from now on while the block runs; those before `start` are in the database.

        Args:
            wants: Which events.
            follows: The operation that is to be followed, with its children.
        """
        subscription = Subscription(wants, follows)
        if self._closed:
            subscription.end()
            yield subscription
            return
        pump = self._pump
        if pump is None:
            pump = self._pump = _Pump(self._database, self._poll_seconds)
            task = asyncio.create_task(pump.run(), name="event feed")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        pump.subscriptions.add(subscription)
        try:
            await pump.ready.wait()
            subscription.start = pump.position
            yield subscription
        finally:
            pump.subscriptions.discard(subscription)
            if not pump.subscriptions:
                pump.stop()
                if self._pump is pump:
                    self._pump = None

    def close(self) -> None:
        """End every stream: the service is about to stop. From the event loop's thread."""
        self._closed = True
        for subscription in list(self._pump.subscriptions) if self._pump else ():
            subscription.end()

    async def aclose(self) -> None:
        """End every stream and wait until nothing is read any more."""
        self.close()
        if self._pump:
            self._pump.stop()
        await asyncio.gather(*self._ending, return_exceptions=True)


class _Pump:
    """Reads while there are subscriptions, then ends by itself: no statement is broken off."""

    def __init__(self, database: Database, poll_seconds: float) -> None:
        self.subscriptions: set[Subscription] = set()
        self.ready = asyncio.Event()
        self._database = database
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._horizon = Horizon(0)
        self._followed_at = 0.0
        self._stopped = False

    @property
    def position(self) -> int:
        return self._horizon.position

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    async def run(self) -> None:
        try:
            with self._database.notifier.subscribe(EVENTS, self._wake):
                while not self._stopped:
                    self._wake.clear()
                    pause = await self._turn_if_possible()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), pause)
        finally:
            self.ready.set()

    async def _turn_if_possible(self) -> float:
        try:
            return await self._turn()
        except (SQLAlchemyError, OSError) as error:
            log.warning("events cannot be read, trying again: %s", error)
        except Exception:  # the last line of defence: every reader would wait for ever
            log.exception("events cannot be read, trying again")
        return self._poll_seconds

    async def _turn(self) -> float:
        """Hand out what is new; return the seconds until the next look."""
        if not self.ready.is_set():
            await self._begin()
        await self._follow()
        async with self._database.read() as session:
            oldest = await self._oldest_running(session) if self._horizon.waits else 0
            rows = await repository.events_after(session, self.position, _READ)
            numbers = [row.seq for row in rows]
            count = len(rows) if self._database.is_sqlite else self._horizon.advance(numbers, oldest)
            if count < len(rows):
                self._horizon.note(numbers[-1], await self._next_transaction(session))
        if self._database.is_sqlite and rows:
            self._horizon.position = numbers[-1]
        for row in rows[:count]:
            for subscription in self.subscriptions:
                if subscription.wants(row):
                    subscription.give(row)
        if count < len(rows):
            return GAP_POLL_SECONDS
        return 0.0 if len(rows) == _READ else self._poll_seconds

    async def _begin(self) -> None:
        """Find where "now" is: a number up to which nothing can be added any more."""
        async with self._database.read() as session:
            newest = await repository.newest_event(session)
            if not self._database.is_sqlite:
                mark = await self._next_transaction(session)
                for _ in range(int(GAP_SECONDS / GAP_POLL_SECONDS)):
                    if await self._oldest_running(session) >= mark:
                        break
                    await asyncio.sleep(GAP_POLL_SECONDS)
        self._horizon = Horizon(newest)
        self.ready.set()

    async def _follow(self) -> None:
        followed = {subscription.follows for subscription in self.subscriptions if subscription.follows}
        if followed and time.monotonic() - self._followed_at >= FOLLOW_EVERY_SECONDS:
            self._followed_at = time.monotonic()
            async with self._database.write() as session:
                await repository.follow_families(session, sorted(followed), FOLLOW_SECONDS)

    async def _oldest_running(self, session: AsyncSession) -> int:
        return await _number(session, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")

    async def _next_transaction(self, session: AsyncSession) -> int:
        return await _number(session, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")


async def _number(session: AsyncSession, query: str) -> int:
    return int((await session.execute(text(query))).scalar_one())
