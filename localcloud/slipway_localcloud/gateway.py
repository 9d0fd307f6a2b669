"""The ASGI application: control routes, counted calls and faults first, then ministack with our services."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable
from typing import Any

from . import control, faults
from .calls import CALLS, operation_of, service_of
from .ecr import distribution
from .rules import RULES

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Gateway:
    """ministack's application with ours around it. `ready` is called once requests can be answered."""

    def __init__(self, upstream: Any, ready: Callable[[], None]) -> None:
        self._upstream = upstream
        self._ready = ready
        _install(upstream)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._upstream.app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """In place of ministack's: no Docker sweep, no schedulers, no listeners of services unused here."""
        await receive()
        loop = asyncio.get_running_loop()
        self._upstream._MAIN_LOOP = loop
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(max_workers=8))
        await send({"type": "lifespan.startup.complete"})
        self._ready()
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, query = scope["path"], scope.get("query_string", b"").decode()
        if path.startswith(control.PREFIX):
            body, _ = await _read(receive)
            await _reply(send, control.handle(scope["method"], path, body))
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        service = service_of(headers, query)
        if not service and distribution.is_registry(path):
            body, _ = await _read(receive)
            await _reply(send, _registry(scope["method"], path, headers, query, body), scope["method"])
            return
        if not service:
            await self._upstream.app(scope, receive, send)
            return
        body, replay = await _read(receive)
        name = f"{service}:{operation_of(service, scope['method'], path, headers, query, body)}"
        CALLS[name] += 1
        fault = RULES.for_call(name)
        if fault:
            await _reply(send, faults.response(service, fault))
            return
        await self._upstream.app(scope, replay, send)


def _registry(method: str, path: str, headers: dict[str, str], query: str, body: bytes) -> control.Response:
    """The answer to a call of the registry protocol, which is counted and refused like all others."""
    name = distribution.operation_of(method, path)
    CALLS[name] += 1
    fault = RULES.for_call(name)
    if fault:
        return distribution.refusal(fault.status, fault.code, fault.message or faults.message_of(fault.code))
    return distribution.handle(method, path, headers, query, body)


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The whole body, and a `receive` that gives it once more."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> dict[str, Any]:
        return next(messages, None) or await receive()

    return body, replay


async def _reply(send: Send, response: tuple[int, dict[str, str], bytes], method: str = "GET") -> None:
    """Sends a response; that to HEAD says how long the body would be."""
    status, headers, body = response
    listed = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    listed.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _install(upstream: Any) -> None:
    """Puts our services in the place of ministack's."""
    from . import auth, ec2_api, ec2_filters, elb_api, secrets_api
    from .cloudformation import service as cloudformation
    from .ecr import router as ecr
    from .eks import router as eks
    from .resources import known_types

    handlers = upstream.SERVICE_HANDLERS
    handlers["elasticloadbalancing"] = elb_api.in_front_of(handlers["elasticloadbalancing"])
    handlers["cloudformation"] = cloudformation.handle
    handlers["ecr"] = ecr.handle
    handlers["eks"] = eks.handle
    handlers["secretsmanager"] = secrets_api.in_front_of(handlers["secretsmanager"])
    ec2_api.install()
    ec2_filters.install()
    auth.install()
    known_types()
