"""The gate: the only way out of helm processes that fetch charts; a forward proxy on loopback, one for each fetch.

Helm resolves names, follows redirects and reads chart URLs out of an index by itself, so what a caller's URL looks like
says little about where helm goes. It is therefore pointed to this proxy, which connects by the guarded connection
(`gateways/network.py`) or not at all, and bounds what comes back.

Where the operator's environment names a proxy (`HTTPS_PROXY`), the gate goes on through that one (`upstream.py`).
Often nothing else reaches the world or knows its names, so what a name stands for is then that proxy's business; but
addresses that are not public, local names, and names that have such an address here are refused before it is asked.

Go's client goes around every proxy for `localhost` and loopback addresses. The caller's own URL is checked before
(`core/outbound.py`); for what comes later, redirects and an index's URLs, `confinement.py` closes that way.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import h11
import httpcore

from app.core.errors import InvalidError
from app.core.outbound import AddressNotAllowedError, Destination, Rules, SchemeNotAllowedError, destination
from app.gateways.helm.confinement import PROXIES
from app.gateways.helm.errors import AddressRefused, ChartTooLarge, HelmError, RepositoryUnreachable
from app.gateways.helm.upstream import Proxy, ProxyRefusedError, is_excepted, proxy_for
from app.gateways.network import AddressRefusedError, GuardedBackend, NameNotResolvedError

MOST_CONNECTIONS = 16
"""At once; helm uses two or three."""
MOST_SENT = 1024 * 1024
"""Bytes of a request's body; helm sends none but a form for a token."""
HEAD_SECONDS = 10.0
CONNECT_SECONDS = 10.0
LOOK_UP_SECONDS = 3.0
"""For a name that a proxy will look up again; behind proxies there is often no name server that answers."""

_CHUNK = 64 * 1024
_HOP_BY_HOP = {b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"te", b"upgrade"}
_EXCEPTIONS = ("NO_PROXY", "no_proxy")


class _RefusedError(Exception):
    """What the client hears in place of a connection."""

    def __init__(self, status: int, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(reason)
        self.response = h11.Response(
            status_code=status,
            headers=[("Content-Length", "0"), ("Connection", "close"), *headers],
            reason=reason.encode("ascii", "replace"),
        )


class _CutOffError(Exception):
    """More came than may come."""


class Gate:
    """One fetch's way out.

    Attributes:
        environment: What its helm processes get beyond their usual environment.
        ports: Those that they may connect to: the gate's, and what is reached around it; None for any.
        failure: The refusal that helm's failure follows from; helm itself can't tell it.
        room: Bytes that may still come; set before each process.
    """

    def __init__(self, rules: Rules, trusted: frozenset[str]) -> None:
        self.environment: dict[str, str] = {}
        self.ports: frozenset[int] | None = frozenset()
        self.failure: HelmError | None = None
        self.room = 0
        self._rules = rules
        self._trusted = trusted
        self._loose = replace(rules, allow_private_addresses=True)
        self._guarded = GuardedBackend(rules)
        self._guarded_loosely = GuardedBackend(self._loose)
        self._password = secrets.token_urlsafe(32)
        self._served: set[asyncio.Task[None]] = set()

    async def listen(self, around: frozenset[int]) -> asyncio.Server:
        """Listen, and let `environment` and `ports` lead here."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        proxy = f"http://slipway:{self._password}@127.0.0.1:{port}"
        self.environment = dict.fromkeys(PROXIES, proxy) | dict.fromkeys(_EXCEPTIONS, "")
        self.ports = None if self._rules.allow_private_addresses else around | {port}
        return server

    async def aclose(self) -> None:
        """End every connection."""
        served = list(self._served)
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
        self._guarded.close()
        self._guarded_loosely.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._served) >= MOST_CONNECTIONS:
            writer.close()
            return
        # A task of our own: of one that asyncio makes, it logs the cancellation as an error (Python 3.11).
        task = asyncio.create_task(self._serve(reader, writer), name="helm-gate")
        self._served.add(task)
        task.add_done_callback(self._served.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = h11.Connection(h11.SERVER)
        try:
            await self._one(client, reader, writer)
        except _RefusedError as refused:
            with suppress(h11.LocalProtocolError, OSError):
                writer.write(client.send(refused.response) or b"")
                await writer.drain()
        except (_CutOffError, h11.ProtocolError, httpcore.NetworkError, httpcore.TimeoutException, OSError):
            pass  # the connection breaks off; helm, or `failure`, says the rest
        finally:
            writer.close()

    async def _one(self, client: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; each has a connection of its own."""
        async with asyncio.timeout(HEAD_SECONDS):
            request, body = await _request(client, reader)
        self._authorize(request)
        tunnel = request.method == b"CONNECT"
        target = request.target.decode("ascii", "replace")
        place = self._place(f"https://{target}/" if tunnel else target, tunnel=tunnel)
        server, proxy = await self._way_to(place, tunnel=tunnel)
        try:
            if tunnel:
                writer.write(client.send(h11.Response(status_code=200, headers=[])) or b"")
                await self._tunnel(reader, writer, server, client.trailing_data[0])
            else:
                await self._forward(client, writer, server, _as_sent_on(request, place, proxy), body)
        finally:
            await server.aclose()

    def _authorize(self, request: h11.Request) -> None:
        given = dict(request.headers).get(b"proxy-authorization", b"")
        expected = b"Basic " + base64.b64encode(f"slipway:{self._password}".encode())
        if not hmac.compare_digest(given, expected):
            raise _RefusedError(407, "Proxy Authentication Required", ("Proxy-Authenticate", 'Basic realm="slipway"'))

    def _place(self, url: str, *, tunnel: bool) -> Destination:
        try:
            place = destination(url, self._loose)
            if place.host not in self._trusted:
                place = destination(url, self._rules)
        except (AddressNotAllowedError, SchemeNotAllowedError) as error:
            raise self._refused(f"the chart's source leads to {url.partition('?')[0]}: {error}") from error
        except InvalidError as error:
            raise _RefusedError(400, "no URL that can be called") from error
        if not tunnel and place.scheme != "http":
            raise _RefusedError(400, "TLS needs a tunnel")
        return place

    async def _way_to(self, place: Destination, *, tunnel: bool) -> tuple[httpcore.AsyncNetworkStream, Proxy | None]:
        """Connect to a place, or to the operator's proxy for it; with a tunnel through that one if that is asked for.

        `NO_PROXY` counts for the account's own registry alone, which may be inside: all else is named by callers.
        """
        trusted = place.host in self._trusted
        backend = self._guarded_loosely if trusted else self._guarded
        try:
            proxy = None if trusted and is_excepted(place.host) else proxy_for(place.scheme)
            if proxy is None:
                return await backend.connect_tcp(place.host, place.port, CONNECT_SECONDS), None
            await _look_at(backend, place)
            opened = proxy.tunnel(place, CONNECT_SECONDS) if tunnel else proxy.open(CONNECT_SECONDS)
            return await opened, proxy
        except ProxyRefusedError as error:
            self.failure = self.failure or RepositoryUnreachable(str(error))
            raise _RefusedError(502, "proxyconnect") from error
        except AddressRefusedError as error:
            raise self._refused(f"the chart's source leads to {place.origin}: {error}") from error
        except NameNotResolvedError as error:
            raise _RefusedError(502, f"no such host: {place.host}") from error
        except httpcore.ConnectTimeout as error:
            raise _RefusedError(504, f"i/o timeout: {place.origin} takes no connection") from error
        except httpcore.ConnectError as error:
            raise _RefusedError(502, f"connection refused: {place.origin} takes no connection") from error

    def _refused(self, message: str) -> _RefusedError:
        self.failure = self.failure or AddressRefused(message)
        return _RefusedError(403, "Address not allowed")

    def _count(self, data: bytes) -> bytes:
        self.room -= len(data)
        if self.room < 0:
            self.failure = self.failure or ChartTooLarge("the chart's source gave more bytes than a chart may have")
            raise _CutOffError
        return data

    async def _tunnel(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: httpcore.AsyncNetworkStream,
        early: bytes,
    ) -> None:
        """Relay bytes until one side ends."""

        async def up() -> None:
            data = early
            while data or (data := await reader.read(_CHUNK)):
                await server.write(data)
                data = b""

        async def down() -> None:
            while data := await server.read(_CHUNK):
                writer.write(self._count(data))
                await writer.drain()

        ways = [asyncio.create_task(up()), asyncio.create_task(down())]
        try:
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ended:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _forward(
        self,
        client: h11.Connection,
        writer: asyncio.StreamWriter,
        server: httpcore.AsyncNetworkStream,
        request: h11.Request,
        body: bytes,
    ) -> None:
        """Send one request on, and its answer back."""
        upstream = h11.Connection(h11.CLIENT)
        parts: list[h11.Event] = [request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
        for part in parts:
            await server.write(upstream.send(part) or b"")
        while True:
            event = upstream.next_event()
            if event is h11.NEED_DATA:
                upstream.receive_data(self._count(await server.read(_CHUNK)))
            elif isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
                if isinstance(event, h11.Response):
                    event = h11.Response(
                        status_code=event.status_code, reason=event.reason, headers=_end_to_end(event.headers)
                    )
                writer.write(client.send(event) or b"")
                await writer.drain()
                if isinstance(event, h11.EndOfMessage):
                    return
            elif not isinstance(event, h11.InformationalResponse):
                return


@asynccontextmanager
async def gate(
    rules: Rules, *, trusted: frozenset[str] = frozenset(), around: frozenset[int] = frozenset()
) -> AsyncIterator[Gate]:
    """Open a gate for the block.

    Args:
        rules: Where it leads.
        trusted: Names of hosts that may have private addresses, too.
        around: Ports that helm may connect to around it: of a source on this machine itself.
    """
    made = Gate(rules, trusted)
    server = await made.listen(around)
    try:
        yield made
    finally:
        server.close()
        await made.aclose()


async def _request(client: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes]:
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MOST_SENT:
                raise _RefusedError(413, "too large")
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, bytes(body)
        else:
            raise _CutOffError


async def _look_at(backend: GuardedBackend, place: Destination) -> None:
    """Refuse a name that has an address here that may not be connected to; what is not known here is let pass."""
    with suppress(NameNotResolvedError, TimeoutError):
        async with asyncio.timeout(LOOK_UP_SECONDS):
            await backend.checked(place.host, place.port)


def _as_sent_on(request: h11.Request, place: Destination, proxy: Proxy | None) -> h11.Request:
    headers = _end_to_end(request.headers)
    if proxy is None:
        return h11.Request(method=request.method, target=place.target, headers=headers)
    port = "" if place.port == 80 else f":{place.port}"
    name = f"[{place.host}]" if ":" in place.host else place.host
    headers += [(header.encode(), value.encode()) for header, value in proxy.headers]
    return h11.Request(method=request.method, target=f"http://{name}{port}{place.target}", headers=headers)


def _end_to_end(headers: h11._headers.Headers) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers.raw_items() if name.lower() not in _HOP_BY_HOP]
    return [*kept, (b"Connection", b"close")]
