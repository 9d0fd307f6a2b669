"""A cluster's endpoint: a port that is there from the start, and a plane behind it when somebody connects.

Bytes go through unseen: TLS ends at the API server. So the plane can be exchanged for one of another
version while its clients keep their address.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable

_LOG = logging.getLogger(__name__)
_CHUNK = 64 * 1024


class Front:
    """Listens on a loopback port; `backend` gives the port to pass each connection on to."""

    def __init__(self, backend: Callable[[], Awaitable[int]]) -> None:
        self._backend = backend
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(128)
        self.port: int = self._socket.getsockname()[1]
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._starting = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._socket)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            port = await self._backend()
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
            finally:
                inner_writer.transport.abort()
        except OSError as error:
            _LOG.debug("connection to %s: %s", self.port, error)
        except Exception as error:
            _LOG.warning("no control plane behind port %s: %s", self.port, error)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def close(self) -> None:
        """Closes the port and all connections."""
        await self._starting
        if self._server:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
