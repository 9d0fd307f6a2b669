"""What surrounds every request: its id, its log line, its figure, and the answer when everything else has failed."""

import asyncio
import logging
import re
import time
from typing import Any

from fastapi import Response
from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.ids import new_id
from app.core.logging import bound, request_id_var
from app.core.metrics import REGISTRY
from app.core.secrets.scope import entered
from app.http.problems import problem_of_unforeseen

log = logging.getLogger(__name__)
access_log = logging.getLogger("slipway.access")

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_HSTS = "max-age=31536000"
"""Only of a request that came by TLS, as a trusted proxy says: a browser must not be told so by a port-forward."""

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

DURATION = Histogram(
    "slipway_http_request_duration_seconds",
    "How long requests took, by method, path template and status.",
    ("method", "path", "status"),
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)


class RequestContext:
    """Gives each request its id and its log line; what nobody caught becomes a 503 problem here."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        name = given if _SANE.fullmatch(given) else new_id("req")
        scope.setdefault("state", {})["request_id"] = name
        with bound(request_id_var, name), entered():
            await _Request(self.app, name).run(scope, receive, send)


class _Request:
    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app = app
        self.name = name
        self.status = 0

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[HEADER] = self.name
                headers.setdefault("Cache-Control", "no-store")
                for header, value in _SECURITY.items():
                    headers.setdefault(header, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", _HSTS)
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            self.status = self.status or 499  # nginx's number for a caller that has gone
        except asyncio.CancelledError:
            self.status = self.status or 503  # what it is answered by who cancels it: a drain
            raise
        except Exception as error:
            await self._answer_for(error, scope, receive, send_with_id)
        finally:
            self._note(scope, time.perf_counter() - began)

    async def _answer_for(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response = problem_of_unforeseen(error)
        if self.status:
            raise error  # the answer has begun: all that is left is to break it off
        await response(scope, receive, send)

    def _note(self, scope: Scope, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path_format", None) or getattr(route, "path", None) or "(none)"
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        DURATION.labels(method, path, str(self.status)).observe(seconds)
        access_log.log(
            logging.DEBUG if path in _QUIET else logging.INFO,
            "%s %s %d",
            method,
            path,
            self.status,
            extra={"method": method, "path": path, "status": self.status, "duration_ms": round(seconds * 1000, 1)},
        )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
