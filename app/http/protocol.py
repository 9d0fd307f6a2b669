"""uvicorn's HTTP/1.1 protocol with what it lacks: strict reading, time-outs for head, body and answer, limits.

The rules are `connections.py`'s and `strict_h11.py`'s; here they meet uvicorn. Only what `H11Protocol` calls its own
state is used (`conn`, `cycle`, `transport`, `flow`), and each override ends in uvicorn's own method.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.http.concurrency import PROBES
from app.http.connections import Connections, Limits
from app.http.problems import problem
from app.http.strict_h11 import StrictConnection

log = logging.getLogger(__name__)

LEAST_TAKEN_BYTES = 16 * 1024
"""What a reader must take of an answer in each `stall_seconds`, while there is as much."""

RETRY_SECONDS = 1
_SAID_TOO_LATE = {
    "header": (HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The head of the request took too long."),
    "body": (HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The body of the request took too long."),
    "drain": (HTTPStatus.SERVICE_UNAVAILABLE, "shutting_down", "This process ends, and the body has not come in time."),
    "drained": (HTTPStatus.SERVICE_UNAVAILABLE, "shutting_down", "This process ended before the request was answered."),
    "room": (HTTPStatus.SERVICE_UNAVAILABLE, "too_many_connections", "There are too many connections."),
}


def protocol_of(limits: Limits) -> type["BoundedProtocol"]:
    """Return the protocol of one server (`uvicorn.Config(http=…)`): its connections are counted together."""
    return type("Protocol", (BoundedProtocol,), {"bounds": Connections(limits)})


class BoundedProtocol(H11Protocol):
    """One connection."""

    bounds: ClassVar[Connections]
    conn: StrictConnection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = _until_drained(self.app)
        self.conn = StrictConnection()
        self.timeout_keep_alive = self.bounds.limits.keep_alive_seconds  # type: ignore[assignment]  # a float will do
        self.address = ""
        self.head_since = self._request_since = self._byte_at = time.monotonic()
        self._unsent, self._taken_at = 0, 0.0
        self._drained_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or say that there is no place for it."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.head_since = time.monotonic()
        beyond = self.bounds.admit(self)
        self.bounds.awaits_head(self)
        if beyond:
            self.app = _for_probes(self.app, lambda: self.bounds.refuse(beyond))
        if self.bounds.is_over_reserve():
            self.bounds.refuse(beyond or "total")
            self.end("room")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.bounds.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self.transport.is_closing():
            return
        self._byte_at = time.monotonic()
        if self.timeout_keep_alive_task is not None and self.conn.their_state is h11.IDLE:
            self.head_since = self._byte_at
            self.bounds.awaits_head(self)
        super().data_received(data)

    def handle_events(self) -> None:
        """Handle what h11 makes of what has come."""
        awaits_head = self.conn.their_state is h11.IDLE
        super().handle_events()
        if awaits_head and self.conn.their_state is not h11.IDLE:
            self._request_since = time.monotonic()
            self.bounds.busy(self)

    def on_response_complete(self) -> None:
        """Rest until the next request, which may have come already."""
        if not self.transport.is_closing() and self.conn.their_state is h11.DONE:
            self.bounds.resting(self)
        super().on_response_complete()

    def shutdown(self) -> None:
        """End as soon as the answer that is under way, if one is, has been given."""
        self._drained_since = time.monotonic()
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read with a problem, and close."""
        status, said = self.conn.refused or (HTTPStatus.BAD_REQUEST, msg)
        self._say(status, "malformed", said)

    def overdue(self, now: float) -> str | None:
        """Return what the peer has been too slow with, or None."""
        limits = self.bounds.limits
        if self._stalls(now):
            return "answer"
        if self.transport.is_closing():
            return None
        if self.conn.their_state is h11.IDLE:
            waits = self.timeout_keep_alive_task is None and now - self.head_since > limits.header_seconds
            return "header" if waits else None
        if self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused:
            if now - self._request_since > limits.body_seconds or now - self._byte_at > limits.stall_seconds:
                return "body"
            if self._drained_since is not None and now - self._drained_since > limits.drain_seconds / 2:
                return "drain"
        return None

    def end(self, reason: str) -> None:
        """Close the connection; what was too slow to be answered is told so."""
        if reason not in _SAID_TOO_LATE:
            self.transport.abort()  # `close` would wait for its reader
        elif reason == "room" and self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_handler()
        else:
            self._say(*_SAID_TOO_LATE[reason])

    def _stalls(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent or not self._unsent or self._unsent - unsent >= LEAST_TAKEN_BYTES:
            self._unsent, self._taken_at = unsent, now
        self._unsent = max(self._unsent, unsent)  # the app may add to it meanwhile
        return now - self._taken_at > self.bounds.limits.stall_seconds

    def _say(self, status: HTTPStatus, code: str, detail: str) -> None:
        """Answer with a problem unless an answer has begun, tell the app that its caller is gone, and close."""
        self._unset_keepalive_if_required()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = problem(status, code, status.phrase, detail, headers=_headers_of(status))
            headers = [*self.server_state.default_headers, *answer.raw_headers]
            head = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _until_drained(app: Any) -> Any:
    """Return the app without what uvicorn makes of a request that outlasts the drain: a 500 and a trace in the log."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_noting(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await app(scope, receive, send_noting)
        except asyncio.CancelledError:
            log.warning("a request that was under way for the whole drain is broken off")
            if not begun:
                status, code, detail = _SAID_TOO_LATE["drained"]
                with contextlib.suppress(asyncio.CancelledError):  # again, if the reader takes nothing
                    await problem(status, code, status.phrase, detail, headers=_headers_of(status))(
                        scope, receive, send
                    )

    return answer


def _for_probes(app: Any, refused: Callable[[], None]) -> Any:
    """Return the app as a connection beyond the limit sees it: one probe, or a refusal."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        if scope["path"] in PROBES:
            await app(scope, receive, send_and_close)
            return
        refused()
        status, code, detail = _SAID_TOO_LATE["room"]
        await problem(status, code, status.phrase, detail, headers=_headers_of(status))(scope, receive, send)

    return answer


def _headers_of(status: HTTPStatus) -> dict[str, str]:
    retry = {"Retry-After": str(RETRY_SECONDS)} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return {"Connection": "close", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} | retry
