"""The connections of a process: how many there may be, who makes room when they are too many, how long each may wait.

uvicorn has a time-out for idle connections alone, and takes what the kernel gives it until no descriptor is left. Here
each connection is in one of a few states (its head is awaited, it rests between two requests, it sends a body, it takes
an answer), each state has its time, and a sweep looks at all of them.

When there are too many, whoever can be spared goes first: the one that has rested longest, then the one whose head is
overdue for a second, since who has something to ask says so at once. Only then is anybody refused. A few places are
kept beyond the limit for `/healthz` and `/readyz`: a process that is merely busy must not be killed for it.
"""

import asyncio
import logging
import resource
import time
from collections import Counter as Count
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter, Gauge

from app.core.metrics import REGISTRY
from app.core.settings import Settings

log = logging.getLogger(__name__)

RESERVE = 16
"""Places beyond the limit, for probes alone."""

MOST_BY_DEFAULT = 4096
HEAD_GRACE_SECONDS = 1.0
"""How long a connection may think about its head before it can be closed to make room."""

LOG_SECONDS = 10.0
"""How often the log says that somebody was refused."""

OPEN = Gauge("slipway_http_connections", "Open connections to the API.", registry=REGISTRY)
REFUSED = Counter(
    "slipway_http_connections_refused", "Connections beyond a limit.", ("reason",), registry=REGISTRY
)  # reason: total, address
CLOSED = Counter(
    "slipway_http_connections_closed", "Connections that Slipway closed.", ("reason",), registry=REGISTRY
)  # reason: header, body, answer (too slow), drain (a body that would outlast it), room (to make room)


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system lets this process have: the soft limit is for programs that select()."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process allows; seconds and counts.

    Attributes:
        most: Connections in all, beside the reserve for probes.
        most_of_address: Of one address; 0 is no limit.
        header_seconds: From the connection's beginning, or a request's first byte, to the end of its head.
        body_seconds: From there to the end of its body.
        stall_seconds: Without a byte of the body; or in which a reader takes too little of an answer.
        keep_alive_seconds: Between two requests.
        drain_seconds: From SIGTERM to the end of every connection; a body may take half of it, its request the rest.
    """

    most: int
    most_of_address: int
    header_seconds: float
    body_seconds: float
    stall_seconds: float
    keep_alive_seconds: float
    drain_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return the settings' limits; half of the descriptors, unless they say how many connections there may be."""
        most = settings.http_max_connections
        if most is None:
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            # The other half is for SQL, helm, AWS, clusters and webhooks.
            half = MOST_BY_DEFAULT if soft == resource.RLIM_INFINITY else soft // 2 - RESERVE
            most = max(RESERVE, min(MOST_BY_DEFAULT, half))
        of_address = settings.http_max_connections_per_address
        return cls(
            most=most,
            most_of_address=max(1, most // 2) if of_address is None else of_address,
            header_seconds=settings.http_header_seconds,
            body_seconds=settings.http_body_seconds,
            stall_seconds=settings.http_stall_seconds,
            keep_alive_seconds=settings.http_keep_alive_seconds,
            drain_seconds=settings.drain_seconds,
        )

    @property
    def sweep_seconds(self) -> float:
        """How often connections are looked at."""
        return min(1.0, min(self.header_seconds, self.body_seconds, self.stall_seconds, self.drain_seconds) / 4)


class Connection(Protocol):
    """What is known here of a connection."""

    address: str
    head_since: float

    def overdue(self, now: float) -> str | None:
        """Return what it has been too slow with (`header`, `body`, `drain`, `answer`), or None."""

    def end(self, reason: str) -> None:
        """Close it, with a word if one can still be said."""


class Connections:
    """Every connection of a server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: set[Connection] = set()
        self._of_address: Count[str] = Count()
        # Of what each of these holds, the oldest comes first.
        self._resting: dict[Connection, None] = {}
        self._asked_nothing: dict[Connection, None] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._refused: Count[str] = Count()
        self._told_at = -LOG_SECONDS

    def admit(self, connection: Connection) -> str | None:
        """Add a connection, after making room for it.

        Returns:
            None, or which limit it is beyond (`total`, `address`): it is there, and may ask for a probe alone.
        """
        beyond = self._beyond(connection.address)
        if beyond and self._make_room(connection.address if beyond == "address" else None, HEAD_GRACE_SECONDS):
            beyond = self._beyond(connection.address)
        if len(self._open) >= self.limits.most + RESERVE:
            self._make_room(None, 0.0)
        self._open.add(connection)
        self._of_address[connection.address] += 1
        OPEN.set(len(self._open))
        if self._sweeping is None:
            self._sweep_later()
        return beyond

    def is_over_reserve(self) -> bool:
        """Tell whether not even a probe can be answered: a connection that was just added must go."""
        return len(self._open) > self.limits.most + RESERVE

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self.busy(connection)
        self._of_address[connection.address] -= 1
        if not self._of_address[connection.address]:
            del self._of_address[connection.address]
        OPEN.set(len(self._open))

    def resting(self, connection: Connection) -> None:
        """Note that a connection waits for its next request."""
        self._resting.pop(connection, None)
        self._resting[connection] = None

    def awaits_head(self, connection: Connection) -> None:
        """Note that a connection is to send a head."""
        self._resting.pop(connection, None)
        self._asked_nothing.setdefault(connection, None)

    def busy(self, connection: Connection) -> None:
        """Note that a connection has a request under way."""
        self._resting.pop(connection, None)
        self._asked_nothing.pop(connection, None)

    def refuse(self, reason: str) -> None:
        """Count a refusal, and say so in the log now and then."""
        REFUSED.labels(reason).inc()
        self._refused[reason] += 1
        now = time.monotonic()
        if now - self._told_at >= LOG_SECONDS:
            self._told_at = now
            counts = ", ".join(f"{count} by {which}" for which, count in sorted(self._refused.items()))
            log.warning("connections were refused (%s); %d are open", counts, len(self._open))
            self._refused.clear()

    def _beyond(self, address: str) -> str | None:
        of_address = self.limits.most_of_address
        if of_address and self._of_address[address] >= of_address:
            return "address"
        return "total" if len(self._open) >= self.limits.most else None

    def _make_room(self, address: str | None, grace: float) -> bool:
        before = time.monotonic() - grace
        found = _first(self._resting, address) or _first(self._asked_nothing, address)
        if found is None or (found in self._asked_nothing and found.head_since > before):
            return False
        self._end(found, "room")
        self.remove(found)
        return True

    def _end(self, connection: Connection, reason: str) -> None:
        CLOSED.labels(reason).inc()
        connection.end(reason)

    def _sweep_later(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(self.limits.sweep_seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = time.monotonic()
        for connection in list(self._open):
            if reason := connection.overdue(now):
                self._end(connection, reason)
        if self._open:
            self._sweep_later()


def _first(connections: Iterable[Connection], address: str | None) -> Connection | None:
    return next((each for each in connections if address is None or each.address == address), None)
