"""One try of one delivery: sign, connect through the guard, POST, read the beginning of the answer."""

import asyncio
import ipaddress
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import httpcore
import httpx
from standardwebhooks.webhooks import Webhook as StandardWebhook

from app.core.errors import InvalidError
from app.core.outbound import Destination, Rules, destination
from app.gateways.network import AddressRefusedError, GuardedBackend, NameNotResolvedError

MOST_READ = 16 * 1024
"""Bytes of an answer that are read at most."""

KEPT_CHARACTERS = 1024
"""Of these, what the log keeps."""

_USER_AGENT = f"Slipway/{version('slipway')} (+webhooks)"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: `id` is the event's, the same in every try and for every endpoint."""

    id: str
    url: str
    body: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status_code: None when there was no answer.
        error: Why it does not count as delivered; None for a whole answer with 2xx.
    """

    at: datetime
    latency_ms: int
    status_code: int | None = None
    error: str | None = None
    response: str | None = None
    retry_after: str | None = None


class _CutOffError(Exception):
    """The endpoint closed in the middle of its answer."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(detail)
        self.status_code = status_code


def signed_headers(message: Message, secrets: list[str], at: datetime) -> list[tuple[str, str]]:
    """Return Standard Webhooks' headers; every secret signs, so that one can be rotated without a gap."""
    signatures = [StandardWebhook(secret).sign(message.id, at, message.body) for secret in secrets]
    return [
        ("webhook-id", message.id),
        ("webhook-timestamp", str(int(at.timestamp()))),
        ("webhook-signature", " ".join(signatures)),
    ]


class Sender:
    """Sends, each try over a connection of its own, so that each is checked anew.

    No pool: httpcore's looks at every connection for every request, which with a hundred endpoints took three quarters
    of all that a delivery costs (`benchmarks/webhooks.py`); a handshake costs less.
    """

    def __init__(self, rules: Rules, *, timeout_seconds: float, ssl_context: ssl.SSLContext | None = None) -> None:
        self._rules = rules
        self._seconds = timeout_seconds
        self._backend = GuardedBackend(rules)
        self._ssl_context = ssl_context or httpx.create_ssl_context()

    async def send(self, message: Message, secrets: list[str]) -> Answer:
        """Try once; never raises but when it is cancelled."""
        at, began = datetime.now(UTC), time.perf_counter()
        status: int | None = None
        try:
            place = destination(message.url, self._rules)
            async with asyncio.timeout(self._seconds):
                return await self._post(message, place, signed_headers(message, secrets, at), at, began)
        except TimeoutError:
            error = f"no whole answer within {self._seconds:g} s"
        except _CutOffError as failure:
            status, error = failure.status_code, str(failure)
        except (InvalidError, AddressRefusedError, NameNotResolvedError) as failure:
            error = str(failure)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as failure:
            error = _sentence(failure)
        return Answer(at, _milliseconds(began), status, error)

    def close(self) -> None:
        """Free what look-ups use; when nothing is being sent any more."""
        self._backend.close()

    async def _post(
        self, message: Message, place: Destination, signed: list[tuple[str, str]], at: datetime, began: float
    ) -> Answer:
        headers = [
            ("Host", _host_header(place)),
            ("Content-Type", "application/json"),
            ("User-Agent", _USER_AGENT),
            ("Accept", "*/*"),
            ("Content-Length", str(len(message.body.encode()))),
            ("Connection", "close"),
            *signed,
        ]
        url = httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target)
        limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)}
        connection = httpcore.AsyncHTTPConnection(url.origin, self._ssl_context, network_backend=self._backend)
        async with (
            connection,
            connection.stream(
                "POST", url, headers=headers, content=message.body.encode(), extensions=limits
            ) as response,
        ):
            body = await _beginning(response)
            retry_after = {name.lower(): value for name, value in response.headers}.get(b"retry-after")
            return Answer(
                at,
                _milliseconds(began),
                response.status,
                _complaint(response.status),
                _text(body),
                _text(retry_after) if retry_after else None,
            )


async def _beginning(response: httpcore.Response) -> bytes:
    """Return up to `MOST_READ` bytes of the body; what is longer is not read, and its connection is closed."""
    body = bytearray()
    try:
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > MOST_READ:
                break
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise _CutOffError(response.status, f"answered {response.status} and broke off: {_sentence(error)}") from error
    return bytes(body[:MOST_READ])


def _complaint(status: int) -> str | None:
    match status // 100:
        case 2:
            return None
        case 3:
            return f"answered {status}; redirects are not followed"
        case _:
            return f"answered {status}"


def _host_header(place: Destination) -> str:
    try:
        host = f"[{place.host}]" if ipaddress.ip_address(place.host).version == 6 else place.host
    except ValueError:
        host = place.host
    return host if place.port == {"https": 443, "http": 80}[place.scheme] else f"{host}:{place.port}"


def _sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:300]


def _text(raw: bytes) -> str:
    """Return the beginning as text that every database takes: no NUL, no broken characters."""
    return raw[: KEPT_CHARACTERS * 4].decode("utf-8", "replace").replace("\0", "�")[:KEPT_CHARACTERS]


def _milliseconds(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)
