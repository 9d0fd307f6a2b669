"""What a reader of a stream is sent: first what is in the database, then what comes, and of an operation also its end.

Each is a source of `app/http/sse.py`: `batch` gives messages (data, id, name), nothing after a while without any, or
None at the end.
"""

import contextlib
from collections.abc import Sequence

from app.core.caller import Caller
from app.db.session import Database
from app.engine.models import TERMINAL
from app.operations import repository
from app.operations.feed import Feed, Subscription
from app.operations.repository import FeedRow
from app.operations.service import Ledger

PAGE = 200
END = "end"
"""Name of the message that ends an operation's stream; its data is the operation."""

_ENDINGS = frozenset(f"operation.{status}" for status in TERMINAL)

Message = tuple[str, str | None, str | None]


def _messages(rows: Sequence[FeedRow]) -> list[Message]:
    return [(row.text, str(row.seq), None) for row in rows]


class _Stream:
    """Events after a number: from the database up to where the feed begins, then from the feed."""

    def __init__(self, database: Database, after: int) -> None:
        self._database = database
        self._after = after
        self._stack = contextlib.AsyncExitStack()
        self._subscription: Subscription | None = None
        self._caught_up = False

    async def aclose(self) -> None:
        """Leave the feed."""
        await self._stack.aclose()

    async def batch(self, seconds: float) -> list[Message] | None:
        """Return what is next."""
        if self._subscription is None:
            self._subscription = await self._subscribe()
        if not self._caught_up:
            rows = await self._stored(self._subscription.start)
            self._caught_up = len(rows) < PAGE
            if rows:
                return self._sent(rows)
        return await self._live(self._subscription, seconds)

    async def _live(self, subscription: Subscription, seconds: float) -> list[Message] | None:
        rows = await subscription.take(seconds)
        if subscription.ended and not rows:
            return None
        return self._sent([row for row in rows if row.seq > self._after])

    def _sent(self, rows: Sequence[FeedRow]) -> list[Message]:
        if rows:
            self._after = rows[-1].seq
        return _messages(rows)

    async def _subscribe(self) -> Subscription:
        raise NotImplementedError

    async def _stored(self, upto: int) -> list[FeedRow]:
        raise NotImplementedError


class ProjectStream(_Stream):
    """Events of everything in a project, or of one resource; without `after`, from now on."""

    def __init__(
        self, database: Database, feed: Feed, caller: Caller, *, after: int | None, resource: str | None
    ) -> None:
        super().__init__(database, after or 0)
        self._feed = feed
        self._project_id = caller.project_id
        self._resource = resource
        self._caught_up = after is None

    async def _subscribe(self) -> Subscription:
        return await self._stack.enter_async_context(self._feed.subscribe(self._wants))

    async def _stored(self, upto: int) -> list[FeedRow]:
        async with self._database.read() as session:
            return await repository.project_events_after(
                session, self._project_id, self._after, PAGE, upto=upto, resource=self._resource
            )

    def _wants(self, row: FeedRow) -> bool:
        if row.event.project_id != self._project_id:
            return False
        return self._resource is None or self._resource in (row.event.resource_id, row.resource_name)


class OperationStream(_Stream):
    """Events of an operation and its children, and once all have ended the operation itself."""

    def __init__(
        self, database: Database, feed: Feed, ledger: Ledger, caller: Caller, operation_id: str, *, after: int
    ) -> None:
        super().__init__(database, after)
        self._feed = feed
        self._ledger = ledger
        self._caller = caller
        self._operation_id = operation_id
        self._look = True
        self._ended = False

    async def batch(self, seconds: float) -> list[Message] | None:
        """Return what is next; whether all has ended is looked at first, after each ending, and when idle."""
        if self._ended:
            return None
        if self._look:
            self._look = False
            async with self._database.read() as session:
                self._ended = not await repository.is_family_live(session, self._operation_id)
            if self._ended:
                return await self._last()
        messages = await super().batch(seconds)
        self._look = self._look or not messages
        return messages

    def _sent(self, rows: Sequence[FeedRow]) -> list[Message]:
        self._look = self._look or any(row.event.type in _ENDINGS for row in rows)
        return super()._sent(rows)

    async def _last(self) -> list[Message]:
        """Return all that is left, which is complete now, and the end."""
        messages: list[Message] = []
        async with self._database.read() as session:
            while rows := await repository.family_events_after(session, self._operation_id, self._after, PAGE):
                messages += self._sent(rows)
            operation = await self._ledger.read(session, self._caller, self._operation_id)
        return [*messages, (operation.model_dump_json(), None, END)]

    async def _subscribe(self) -> Subscription:
        subscribing = self._feed.subscribe(self._wants, follows=self._operation_id)
        subscription = await self._stack.enter_async_context(subscribing)
        self._look = True  # it may have ended before the feed began
        return subscription

    async def _stored(self, upto: int) -> list[FeedRow]:
        async with self._database.read() as session:
            return await repository.family_events_after(session, self._operation_id, self._after, PAGE, upto)

    def _wants(self, row: FeedRow) -> bool:
        return self._operation_id in (row.event.operation_id, row.parent_id)


async def has_news(database: Database, operation_id: str, after: int) -> bool:
    """Tell whether a reader that comes back has something to hear: an event after `after`, or one yet to come."""
    async with database.read() as session:
        if await repository.is_family_live(session, operation_id):
            return True
        return bool(await repository.family_events_after(session, operation_id, after, 1))
