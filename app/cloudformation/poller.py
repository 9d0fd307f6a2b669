"""One poller for each account + region feeds every stack that is waited for.

One ListStacks, filtered to the states in progress, answers for all of them; a stack that is not (or no longer) listed
wakes its operation, which asks for it by its id. Which process polls is held by a lease, so replicas do not add calls.
While somebody follows an operation, its stacks' events are read too, at most every five seconds.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from app.cloudformation.events import is_of, stack_event
from app.cloudformation.metrics import POLL_INTERVAL, POLLS, WATCHED
from app.cloudformation.models import WATCHER, PollerLease
from app.core.settings import Settings
from app.db.notify import EVENTS
from app.db.session import Database
from app.db.types import utcnow
from app.engine import claims
from app.engine.claims import event_values
from app.engine.models import Operation, OperationEvent, OperationWatch
from app.engine.results import insert_new
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.errors import AwsError, NotFound, Throttled

log = logging.getLogger(__name__)

EVENTS_EVERY_SECONDS = 5.0
LEASE_SECONDS = 6.0
"""How long after the end of a process another one polls in its place."""

LOOK_SECONDS = 2.0
"""How often the lease is renewed and the table looked at: what is new does not wait for the end of a long pause."""

ASIDE_SECONDS = 10.0
"""How long a process that could not ask AWS leaves the polling to others."""

GROWTH = 0.05
"""A stack that has been waited for T seconds is looked at every 5 % of T: the wait grows by a fortieth on average."""

LARGEST_SLOWDOWN = 16.0

Key = tuple[str, str]
"""Account id and region."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What waits in one account + region: how many stacks, since when the youngest, and whether somebody follows."""

    count: int
    youngest_seconds: float
    followed: bool


def interval(youngest: float, *, shortest: float, longest: float, slowdown: float) -> float:
    """Return the seconds to the next poll: by the age of the youngest wait, between the limits, times the slowdown."""
    return min(longest, max(shortest, youngest * GROWTH)) * slowdown


class _Rhythm:
    """When AWS is asked again."""

    def __init__(self, settings: Settings) -> None:
        self.slowdown = 1.0
        self.interval = settings.poll_min_seconds
        self._settings = settings
        self._clock = asyncio.get_running_loop().time
        self._polled = self._clock()
        self._events_read: float | None = None
        self._aside_until = 0.0

    def heed(self, waiting: _Waiting) -> None:
        """Set the interval by what waits now."""
        self.interval = interval(
            waiting.youngest_seconds,
            shortest=self._settings.poll_min_seconds,
            longest=self._settings.poll_max_seconds,
            slowdown=self.slowdown,
        )

    def seconds_to_poll(self) -> float:
        return self._polled + self.interval - self._clock()

    def are_events_due(self) -> bool:
        every = EVENTS_EVERY_SECONDS * self.slowdown
        return self._events_read is None or self._clock() - self._events_read >= every

    def polled(self) -> None:
        self._polled = self._clock()

    def events_read(self) -> None:
        self._events_read = self._clock()

    def stand_aside(self) -> None:
        self._aside_until = self._clock() + ASIDE_SECONDS

    def stands_aside(self) -> bool:
        return self._clock() < self._aside_until

    def slow_down(self) -> None:
        self.slowdown = min(LARGEST_SLOWDOWN, self.slowdown * 2)

    def speed_up(self) -> None:
        self.slowdown = max(1.0, self.slowdown / 2)


class Poller:
    """Polls every account + region that has waiting stacks, as long as `run` runs."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        owner: str,
        cloudformation: Callable[[str, str], Awaitable[CloudFormation]],
    ) -> None:
        self._database = database
        self._settings = settings
        self._owner = owner
        self._cloudformation = cloudformation
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Start a task for each account + region that has waiting stacks; a task ends when nothing waits any more."""
        try:
            while True:
                try:
                    await self._start_missing()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("the database does not answer the poller, trying again: %s", error)
                except Exception:
                    log.exception("the poller failed unexpectedly and goes on")
                await asyncio.sleep(min(1.0, self._settings.poll_min_seconds))
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._let_go()

    async def _start_missing(self) -> None:
        async with self._database.read() as session:
            watched = select(col(OperationWatch.account_id), col(OperationWatch.region))
            keys = await session.execute(watched.where(_ours()).distinct())
            for account_id, region in keys:
                self._start((account_id, region))

    async def _let_go(self, key: Key | None = None) -> None:
        """Give the leases back (that of an account + region, if given), so that another process polls at once."""
        held = [col(PollerLease.owner) == self._owner]
        if key is not None:
            held += [col(PollerLease.account_id) == key[0], col(PollerLease.region) == key[1]]
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with self._database.write() as session:
                await session.execute(delete(PollerLease).where(*held))

    def _start(self, key: Key) -> None:
        if key not in self._tasks:
            task = asyncio.create_task(self._poll_region(key), name=f"poller {key}")
            self._tasks[key] = task
            task.add_done_callback(lambda _task: self._tasks.pop(key, None))

    async def _poll_region(self, key: Key) -> None:
        rhythm = _Rhythm(self._settings)
        while True:
            pause = LOOK_SECONDS
            try:
                waiting = await self._waiting(key)
                WATCHED.labels(key[1]).set(waiting.count)
                if not waiting.count:
                    return
                rhythm.heed(waiting)
                POLL_INTERVAL.labels(key[1]).set(rhythm.interval)
                if not rhythm.stands_aside() and await self._hold(key):
                    await self._poll(key, rhythm, followed=waiting.followed)
                    pause = min(pause, max(0.01, rhythm.seconds_to_poll()))
            except Throttled:
                rhythm.slow_down()
                POLLS.labels(key[1], "throttled").inc()
                log.info("CloudFormation throttles %s in %s: polling %g times slower", *key, rhythm.slowdown)
            except AwsError as error:
                rhythm.slow_down()
                POLLS.labels(key[1], "error").inc()
                log.warning("a poll of %s in %s failed, others may try: %s", *key, error)
                rhythm.stand_aside()  # being alive is not enough to keep the lease
                await self._let_go(key)
            except (SQLAlchemyError, OSError) as error:
                rhythm.slow_down()
                POLLS.labels(key[1], "error").inc()
                log.warning("a poll of %s in %s failed: %s", *key, error)
            except Exception:
                rhythm.slow_down()
                POLLS.labels(key[1], "error").inc()
                log.exception("a poll of %s in %s failed unexpectedly", *key)
            await asyncio.sleep(pause)

    async def _poll(self, key: Key, rhythm: _Rhythm, *, followed: bool) -> None:
        """Ask AWS what is due."""
        if rhythm.seconds_to_poll() <= 0:
            rhythm.polled()
            await self._poll_stacks(key)
            rhythm.speed_up()
            POLLS.labels(key[1], "ok").inc()
        if followed and rhythm.are_events_due():
            rhythm.events_read()
            for watch in await self._watches(key, col(OperationWatch.followed_until) > utcnow()):
                await self._read_events(key, watch)

    async def _waiting(self, key: Key) -> _Waiting:
        query = select(
            utcnow(),
            func.count(),
            func.max(col(OperationWatch.created_at)),
            func.max(col(OperationWatch.followed_until)),
        ).where(_ours(key))
        async with self._database.read() as session:
            now, count, youngest, followed = (await session.execute(query)).one()
        age = (now - youngest).total_seconds() if youngest else 0.0
        return _Waiting(count, age, followed is not None and followed > now)

    async def _watches(self, key: Key, *where: ColumnElement[bool]) -> Sequence[OperationWatch]:
        query = select(OperationWatch).where(_ours(key), *where)
        async with self._database.read() as session:
            return (await session.execute(query)).scalars().all()

    async def _hold(self, key: Key) -> bool:
        """Take or renew the lease of an account + region; False while another process has it."""
        lease = utcnow(LEASE_SECONDS)
        async with self._database.write() as session:
            dialect = sqlite if self._database.is_sqlite else postgresql
            taken = (
                dialect.insert(PollerLease)
                .values(account_id=key[0], region=key[1], owner=self._owner, expires_at=lease)
                .on_conflict_do_update(
                    index_elements=["account_id", "region"],
                    set_={"owner": self._owner, "expires_at": lease},
                    where=or_(col(PollerLease.owner) == self._owner, col(PollerLease.expires_at) < utcnow()),
                )
                .returning(col(PollerLease.owner))
            )
            return (await session.execute(taken)).scalar_one_or_none() is not None

    async def _poll_stacks(self, key: Key) -> None:
        """Wake the operations whose stacks were watched before AWS was asked, and are not in progress."""
        watched = await self._watches(key)
        client = await self._cloudformation(*key)
        in_progress = await client.in_progress()
        ended = [watch for watch in watched if watch.target_id not in in_progress]
        if not ended:
            return
        async with self._database.write() as session:
            for watch in ended:
                await session.execute(
                    delete(OperationWatch).where(
                        col(OperationWatch.operation_id) == watch.operation_id,
                        col(OperationWatch.target_id) == watch.target_id,
                    )
                )
            await claims.wake(session, self._database.notifier, sorted({watch.operation_id for watch in ended}))

    async def _read_events(self, key: Key, watch: OperationWatch) -> None:
        client = await self._cloudformation(*key)
        try:
            events = await client.events(watch.target_id, until_event_id=watch.last_event_id)
        except NotFound:  # of a stack that somebody else deleted long ago: its operation will find out
            return
        if not events:
            return
        async with self._database.write() as session:
            operation = await session.get(Operation, watch.operation_id)
            if operation is None:
                return
            news = [stack_event(event) for event in events if is_of(event, operation)]
            rows = [
                event_values(
                    operation, type=new.type, message=new.message, data=new.data, source_id=new.source_id, at=new.at
                )
                for new in news
            ]
            if rows:
                await claims.order_events(session)
                await insert_new(session, OperationEvent, rows)
            await session.execute(
                update(OperationWatch)
                .where(
                    col(OperationWatch.operation_id) == watch.operation_id,
                    col(OperationWatch.target_id) == watch.target_id,
                )
                .values(last_event_id=events[-1].id)
            )
            await self._database.notifier.notify(session, EVENTS)


def _ours(key: Key | None = None) -> ColumnElement[bool]:
    """Hold of stacks that are watched, of one account + region if that is given."""
    ours = col(OperationWatch.watcher) == WATCHER
    if key is None:
        return ours
    return and_(ours, col(OperationWatch.account_id) == key[0], col(OperationWatch.region) == key[1])
