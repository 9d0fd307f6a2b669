"""The operator's own proxy, when there is one: the gate goes on through it, and stays in front of it.

It is taken from the environment as Go takes it (golang.org/x/net/http/httpproxy): `HTTPS_PROXY` for tunnels,
`HTTP_PROXY` for plain HTTP, with a user name and a password in the URL. Proxies that speak HTTP, with or without TLS,
are known; SOCKS is not.
"""

import asyncio
import base64
import os
import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed has it for macOS alone

import h11
import httpcore

from app.core.outbound import Destination

_CHUNK = 64 * 1024
_NAMES = {"https": ("HTTPS_PROXY", "https_proxy"), "http": ("HTTP_PROXY", "http_proxy")}
_PORTS = {"http": 80, "https": 443}


class ProxyRefusedError(Exception):
    """The proxy does not do what it is asked for; the message is for callers."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: Its name or address; whatever the operator says, private ones too.
        port: Likewise.
        tls: Whether it is spoken to in TLS.
        headers: What it wants with each request: its credentials.
    """

    host: str
    port: int
    tls: bool
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    async def open(self, timeout: float) -> httpcore.AsyncNetworkStream:  # noqa: ASYNC109 - of each step, as httpcore's
        """Connect to it.

        Raises:
            httpcore.NetworkError: it takes no connection.
            httpcore.TimeoutException: not in time.
        """
        stream = await httpcore.AnyIOBackend().connect_tcp(self.host, self.port, timeout)
        if not self.tls:
            return stream
        context = await asyncio.to_thread(ssl.create_default_context)
        return await stream.start_tls(context, self.host, timeout)

    async def tunnel(self, place: Destination, timeout: float) -> httpcore.AsyncNetworkStream:  # noqa: ASYNC109 - see above
        """Let it connect to a place.

        Raises:
            ProxyRefusedError: it does not.
            httpcore.NetworkError: it takes no connection.
            httpcore.TimeoutException: not in time.
        """
        stream = await self.open(timeout)
        try:
            await self._connect(stream, place, timeout)
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def _connect(self, stream: httpcore.AsyncNetworkStream, place: Destination, timeout: float) -> None:  # noqa: ASYNC109
        name = f"[{place.host}]" if ":" in place.host else place.host
        target = f"{name}:{place.port}"
        spoken = h11.Connection(h11.CLIENT)
        request = h11.Request(method="CONNECT", target=target, headers=[("Host", target), *self.headers])
        try:
            await stream.write((spoken.send(request) or b"") + (spoken.send(h11.EndOfMessage()) or b""), timeout)
            while (event := spoken.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
                if event is h11.NEED_DATA:
                    spoken.receive_data(await stream.read(_CHUNK, timeout))
        except h11.ProtocolError as error:
            raise ProxyRefusedError("the operator's proxy does not speak HTTP") from error
        if not isinstance(event, h11.Response) or not 200 <= event.status_code <= 299 or spoken.trailing_data[0]:
            status = event.status_code if isinstance(event, h11.Response) else "nothing"
            raise ProxyRefusedError(f"the operator's proxy answers {status} for {target}")


def proxy_for(scheme: str) -> Proxy | None:
    """Return the operator's proxy for `https` or `http`; None if there is none.

    Raises:
        ProxyRefusedError: it is none that is known here.
    """
    url = next((os.environ[name] for name in _NAMES[scheme] if os.environ.get(name)), "")
    if not url:
        return None
    none = ProxyRefusedError(f"{_NAMES[scheme][0]} of the operator names no HTTP proxy")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise none from None
    if not host or parts.scheme not in _PORTS:
        raise none
    headers: tuple[tuple[str, str], ...] = ()
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = (("Proxy-Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"),)
    return Proxy(host, port or _PORTS[parts.scheme], parts.scheme == "https", headers)


def is_excepted(host: str) -> bool:
    """Tell whether the operator's `NO_PROXY` names a host, by its name or a suffix of it."""
    excepted = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return bool(excepted) and bool(proxy_bypass_environment(host, {"no": excepted}))
