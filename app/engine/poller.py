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

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from app.core.settings import Settings
from app.db.notify import EVENTS
from app.db.session import Database
from app.db.types import utcnow
from app.engine import claims
from app.engine.claims import event_values
from app.engine.metrics import POLL_INTERVAL, POLLS, WATCHED
from app.engine.models import Operation, OperationEvent, PollerLease, StackWatch
from app.engine.results import insert_new
from app.engine.stack_events import since, stack_event
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.errors import AwsError, Throttled

log = logging.getLogger(__name__)

EVENTS_EVERY_SECONDS = 5.0
LEASE_SECONDS = 6.0
"""How long after the end of a process another one polls in its place."""

RENEW_SECONDS = 2.0
GROWTH = 0.05
"""A stack that has been waited for T seconds is looked at every 5 % of T: the wait grows by a fortieth on average."""

Key = tuple[str, str]
"""Account id and region."""


@dataclass(slots=True)
class _Watched:
    watch: StackWatch
    age_seconds: float
    followed: bool


def interval(ages: Sequence[float], *, shortest: float, longest: float, slowdown: float) -> float:
    """Return the seconds to the next poll: by the youngest wait, between the limits, times the slowdown."""
    youngest = min(ages, default=0.0)
    return min(longest, max(shortest, youngest * GROWTH)) * slowdown


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
                with contextlib.suppress(SQLAlchemyError, OSError):
                    async with self._database.read() as session:
                        keys = await session.execute(
                            select(col(StackWatch.account_id), col(StackWatch.region)).distinct()
                        )
                        for account_id, region in keys:
                            self._start((account_id, region))
                await asyncio.sleep(min(1.0, self._settings.poll_min_seconds))
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._let_go()

    async def _let_go(self) -> None:
        """Give the leases back, so that another process polls at once."""
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with self._database.write() as session:
                await session.execute(delete(PollerLease).where(col(PollerLease.owner) == self._owner))

    def _start(self, key: Key) -> None:
        if key not in self._tasks:
            task = asyncio.create_task(self._poll_region(key), name=f"poller {key}")
            self._tasks[key] = task
            task.add_done_callback(lambda _task: self._tasks.pop(key, None))

    async def _poll_region(self, key: Key) -> None:
        slowdown, events_read = 1.0, 0.0
        loop = asyncio.get_running_loop()
        while True:
            pause = self._settings.poll_min_seconds
            try:
                watched = await self._watched(key)
                WATCHED.labels(key[1]).set(len(watched))
                if not watched:
                    return
                ages = [entry.age_seconds for entry in watched]
                pause = interval(
                    ages,
                    shortest=self._settings.poll_min_seconds,
                    longest=self._settings.poll_max_seconds,
                    slowdown=slowdown,
                )
                POLL_INTERVAL.labels(key[1]).set(pause)
                if not await self._sleep_holding(key, pause):
                    continue
                await self._poll_stacks(key)
                if loop.time() - events_read >= EVENTS_EVERY_SECONDS:
                    events_read = loop.time()
                    await self._read_followed(key)
                slowdown = max(1.0, slowdown / 2)
                POLLS.labels(key[1], "ok").inc()
            except Throttled:
                slowdown = min(16.0, slowdown * 2)
                POLLS.labels(key[1], "throttled").inc()
                log.info("CloudFormation throttles %s in %s: polling %g times slower", *key, slowdown)
            except (AwsError, SQLAlchemyError, OSError) as error:
                slowdown = min(16.0, slowdown * 2)
                POLLS.labels(key[1], "error").inc()
                log.warning("a poll of %s in %s failed: %s", *key, error)
                await asyncio.sleep(pause)

    async def _watched(self, key: Key) -> list[_Watched]:
        query = select(StackWatch, utcnow()).where(
            col(StackWatch.account_id) == key[0], col(StackWatch.region) == key[1]
        )
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        return [
            _Watched(
                watch=watch,
                age_seconds=(now - watch.created_at).total_seconds(),
                followed=watch.followed_until is not None and watch.followed_until > now,
            )
            for watch, now in rows
        ]

    async def _sleep_holding(self, key: Key, seconds: float) -> bool:
        """Sleep with the lease of an account + region; False once another process has it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            if not await self._hold(key):
                await asyncio.sleep(RENEW_SECONDS)
                return False
            left = end - loop.time()
            if left <= 0:
                return True
            await asyncio.sleep(min(left, RENEW_SECONDS))

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
        watched = await self._watched(key)
        client = await self._cloudformation(*key)
        in_progress = await client.in_progress()
        ended = [entry.watch for entry in watched if entry.watch.stack_id not in in_progress]
        if not ended:
            return
        async with self._database.write() as session:
            for watch in ended:
                await session.execute(
                    delete(StackWatch).where(
                        col(StackWatch.operation_id) == watch.operation_id, col(StackWatch.stack_id) == watch.stack_id
                    )
                )
            await claims.wake(session, self._database.notifier, sorted({watch.operation_id for watch in ended}))

    async def _read_followed(self, key: Key) -> None:
        for entry in await self._watched(key):
            if entry.followed:
                await self._read_events(key, entry.watch)

    async def _read_events(self, key: Key, watch: StackWatch) -> None:
        client = await self._cloudformation(*key)
        events = await client.events(watch.stack_id, until_event_id=watch.last_event_id)
        if not events:
            return
        async with self._database.write() as session:
            operation = await session.get(Operation, watch.operation_id)
            if operation is None:
                return
            news = [stack_event(event) for event in since(events, operation.started_at)]
            rows = [
                event_values(
                    operation, type=new.type, message=new.message, data=new.data, source_id=new.source_id, at=new.at
                )
                for new in news
            ]
            if rows:
                await insert_new(session, OperationEvent, rows)
            await session.execute(
                update(StackWatch)
                .where(col(StackWatch.operation_id) == watch.operation_id, col(StackWatch.stack_id) == watch.stack_id)
                .values(last_event_id=events[-1].id)
            )
            await self._database.notifier.notify(session, EVENTS)
