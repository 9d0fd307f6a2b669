"""How many requests a process answers at once, and how many event streams it keeps.

A stream lives for hours and costs little, so it gives its place among the requests back as soon as it begins, and is
counted by itself: in all, and for each key. Probes take no place, because they must be answered when all are taken.
"""

from collections import Counter as Count
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.metrics import REGISTRY
from app.http.errors import OverloadedError, TooManyStreamsError
from app.http.problems import problem_of

IN_PROGRESS = Gauge("slipway_http_requests_in_progress", "Requests being answered, no streams.", registry=REGISTRY)
OVERLOADED = Counter("slipway_http_requests_overloaded", "Requests beyond the limit.", registry=REGISTRY)
PROBES = frozenset({"/healthz", "/readyz"})
_PLACE = "place"


class Place:
    """One request's place; given back once, however often it is said."""

    def __init__(self, requests: "Requests") -> None:
        self._requests: Requests | None = requests
        requests.taken += 1
        IN_PROGRESS.set(requests.taken)

    def give_back(self) -> None:
        """Let another request have it."""
        if self._requests is not None:
            self._requests.taken -= 1
            IN_PROGRESS.set(self._requests.taken)
            self._requests = None


def give_back(scope: Scope) -> None:
    """Give the place of the request back before it is over, if it has one."""
    place: Place | None = scope.get("state", {}).get(_PLACE)
    if place is not None:
        place.give_back()


class Requests:
    """Answers `limit` requests at once, and the next one with 503 (ASGI middleware)."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.taken = 0
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request (ASGI)."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        if self.taken >= self._limit:
            OVERLOADED.inc()
            error = OverloadedError(f"{self._limit} requests are being answered at this moment.", retry_after=1)
            await problem_of(error)(scope, receive, send)
            return
        place = Place(self)
        scope.setdefault("state", {})[_PLACE] = place
        try:
            await self.app(scope, receive, send)
        finally:
            place.give_back()


class Streams:
    """Counts the event streams of a process."""

    def __init__(self, most: int, most_of_key: int) -> None:
        self._most = most
        self._most_of_key = most_of_key
        self._of_key: Count[str] = Count()

    @contextmanager
    def one(self, key_id: str) -> Iterator[None]:
        """Count a stream of a key while the block runs.

        Raises:
            TooManyStreamsError: the key has as many as it may have.
            OverloadedError: the process has.
        """
        if self._of_key[key_id] >= self._most_of_key:
            raise TooManyStreamsError(f"This key follows {self._most_of_key} streams, which is the limit.")
        if self._of_key.total() >= self._most:
            raise OverloadedError(f"{self._most} streams are followed at this moment.")
        self._of_key[key_id] += 1
        try:
            yield
        finally:
            self._of_key[key_id] -= 1
            if not self._of_key[key_id]:
                del self._of_key[key_id]
