"""One client for each API server, kept while it is used: its TLS sessions, its token, and what it learned of kinds."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.gateways.kubernetes.client import REQUEST_SECONDS, Kubernetes
from app.gateways.kubernetes.connection import Connection

IDLE_SECONDS = 60.0
"""How long a client that nobody uses is kept. Its connections end sooner: aiohttp keeps an idle one for 15 s."""

_Key = tuple[str, str, float]


@dataclass(slots=True)
class _Kept:
    client: Kubernetes
    users: int = 0
    used_at: float = field(default_factory=time.monotonic)


class KubernetesClients:
    """The clients of this process; belongs to one event loop."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._kept: dict[_Key, _Kept] = {}

    @asynccontextmanager
    async def of(
        self, connection: Connection, *, request_seconds: float = REQUEST_SECONDS
    ) -> AsyncIterator[Kubernetes]:
        """Give the client of an API server for the block; others may use it at the same time.

        Args:
            connection: To the API server; tokens are made by the newest one.
            request_seconds: As for `Kubernetes`.
        """
        key = (connection.endpoint, connection.certificate_authority, request_seconds)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept(Kubernetes(connection, request_seconds=request_seconds))
        kept.client.connection = connection
        kept.users += 1
        try:
            yield kept.client
        finally:
            kept.users -= 1
            kept.used_at = time.monotonic()
            await asyncio.shield(self._close_idle())

    async def aclose(self) -> None:
        """Close every client."""
        kept, self._kept = self._kept, {}
        for each in kept.values():
            await each.client.aclose()

    async def _close_idle(self) -> None:
        """Close what nobody has used for a while; looked at whenever one is given back."""
        before = time.monotonic() - self._idle_seconds
        idle = [key for key, kept in self._kept.items() if not kept.users and kept.used_at <= before]
        for each in [self._kept.pop(key) for key in idle]:
            await each.client.aclose()
