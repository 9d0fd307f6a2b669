"""Server-sent events: one answer that goes on until its source ends, its reader leaves, or is too slow.

https://html.spec.whatwg.org/multipage/server-sent-events.html. A comment goes out when nothing else does, so that
proxies keep the connection and a reader that is gone is noticed.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from prometheus_client import Counter, Gauge
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core.metrics import REGISTRY
from app.http.concurrency import give_back

log = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
SEND_SECONDS = 30.0
"""How long a reader may take to make room for more."""

RETRY_MILLISECONDS = 2000
"""When a reader comes back after a cut."""

OPEN = Gauge("slipway_event_streams", "Open event streams.", registry=REGISTRY)
DROPPED = Counter("slipway_event_streams_dropped", "Readers that were too slow.", registry=REGISTRY)


Message = tuple[str, str | None, str | None]
"""Data (JSON, which holds no line break), id, and the event's name if it has one."""


class Source(Protocol):
    """Where a stream's messages come from."""

    async def batch(self, seconds: float) -> Sequence[Message] | None:
        """Return messages, none when none came within `seconds`, or None at the end."""
        ...

    async def aclose(self) -> None:
        """Free what the source holds."""
        ...


class EventStream(Response):
    """Sends what a source gives; whatever ends it, the source is closed."""

    media_type = MEDIA_TYPE

    def __init__(self, source: Source, counted: AbstractContextManager[None], *, heartbeat_seconds: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._source = source
        self._counted = counted
        self._heartbeat = heartbeat_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream (ASGI).

        Raises:
            SlipwayError: there are too many streams; nothing has been sent then.
        """
        try:
            with self._counted:
                give_back(scope)
                await self._stream(receive, send)
        finally:
            await self._source.aclose()

    async def _stream(self, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send), name="event stream")
        leaving = asyncio.create_task(_left(receive), name="event stream's reader")
        try:
            with OPEN.track_inprogress():
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            outcome = (await asyncio.gather(sending, leaving, return_exceptions=True))[0]
        if isinstance(outcome, Exception):
            raise outcome

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        part: bytes | None = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        try:
            while part is not None:
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                batch = await self._source.batch(self._heartbeat)
                part = None if batch is None else _encoded(batch)
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            DROPPED.inc()
            log.info("a reader of events took nothing for %g s and is dropped", SEND_SECONDS)


def _encoded(batch: Sequence[Message]) -> bytes:
    parts = []
    for data, id_, event in batch:
        if id_ is not None:
            parts.append(f"id: {id_}\n")
        if event is not None:
            parts.append(f"event: {event}\n")
        parts.append(f"data: {data}\n\n")
    return "".join(parts).encode() or b": still here\n\n"


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
