"""The guarded connection: one look-up, every address checked, and one of the checked addresses connected to.

Webhooks are sent and charts fetched (`helm/gate.py`) through this backend alone, so that nothing can go around it: who
wants a connection gives a name, and gets a connection to an address that was checked. TLS is then made for the name, so
the certificate must be the name's. There is no second look-up and no proxy.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore

from app.core.outbound import Address, Rules, address_of

CONNECT_SECONDS = 5.0
"""For each address but the last one of a name that has several."""

_RESOLVER_THREADS = 32


class AddressRefusedError(Exception):
    """A name has an address that may not be connected to."""


class NameNotResolvedError(Exception):
    """A name has no address."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._inner = httpcore.AnyIOBackend()
        # Threads of our own: a name server that hangs must not take those that everything else shares.
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="guarded-dns")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that answers.

        Raises:
            AddressRefusedError: one of its addresses is not allowed.
            NameNotResolvedError: it has none.
            httpcore.ConnectError: none of them answers.
        """
        addresses = await self.checked(host, port)
        for address in addresses[:-1]:
            try:
                return await self._connect(address, port, CONNECT_SECONDS, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connect(addresses[-1], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_args: Any, **_kwargs: Any) -> httpcore.AsyncNetworkStream:
        """Refuse: no URL means a file."""
        raise AddressRefusedError("a socket file is no endpoint")

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

    async def checked(self, host: str, port: int) -> list[Address]:
        """Look a host up, once, and return its addresses if every one of them is allowed."""
        literal = address_of(host)
        addresses = [literal] if literal else await self._resolve(host, port)
        for address in addresses:
            if not self._rules.allows(address):
                raise AddressRefusedError(f"{host} has the address {address}, which is not public")
        return addresses

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _look_up, host, port)
        except (OSError, UnicodeError) as error:
            raise NameNotResolvedError(f"{host} cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found))
        if not addresses:
            raise NameNotResolvedError(f"{host} has no address")
        return addresses

    async def _connect(
        self,
        address: Address,
        port: int,
        timeout: float | None,  # noqa: ASYNC109
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> httpcore.AsyncNetworkStream:
        return await self._inner.connect_tcp(
            str(address), port, timeout=timeout, local_address=local_address, socket_options=socket_options
        )


def _look_up(host: str, port: int) -> list[Any]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
