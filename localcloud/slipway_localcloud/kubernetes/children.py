"""The processes of a control plane: started, started again when they end by themselves, and stopped for good."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable
from pathlib import Path

from . import launch

_LOG = logging.getLogger(__name__)
# Below the range from which Linux takes the ports of outgoing connections: none can take one away in between.
_PORTS = range(20000, 32000)
_PATIENCE = (0.2, 10.0)  # seconds before the first and the last of several starts
_STEADY = 30.0  # a program that ran so long may start at once again

_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nothing listens on, and that no other call gets."""
    for port in random.sample(_PORTS, 1000):
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise OSError("no free port between 20000 and 32000")


def give_back(*ports: int) -> None:
    """Lets other calls have these ports again."""
    _given.difference_update(ports)


class Child:
    """One program, kept running. It writes its log to `log`, and dies with this process.

    `before` runs before each start, the first one included.
    """

    def __init__(self, command: list[str], log: Path, before: Callable[[], Awaitable[None]] | None = None) -> None:
        self._command = command
        self._log = log
        self._before = before
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process id; None while it is not running."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    def start(self) -> None:
        """Starts the program and keeps it running."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        delay = _PATIENCE[0]
        while True:
            if self._before:
                await self._before()
            started = time.monotonic()
            with self._log.open("ab") as log:
                # A session of its own: Ctrl-C in the terminal is for the local cloud, which then stops its children.
                self._process = await asyncio.create_subprocess_exec(
                    *launch.command(self._command), stdin=DEVNULL, stdout=log, stderr=STDOUT, start_new_session=True
                )
            code = await self._process.wait()
            delay = _PATIENCE[0] if time.monotonic() - started > _STEADY else min(delay * 2, _PATIENCE[1])
            _LOG.warning(
                "%s ended with %s, see %s; again in %.1f s", Path(self._command[0]).name, code, self._log, delay
            )
            await asyncio.sleep(delay)
            self.restarts += 1

    async def stop(self, patience: float = 0.0) -> None:
        """Ends the program: at once, or with a time to finish what it does, in seconds."""
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if patience:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), patience)
            if process.returncode is None:
                process.kill()
        await process.wait()

    def last_words(self, size: int = 2000) -> str:
        """The end of its log."""
        try:
            return self._log.read_bytes()[-size:].decode(errors="replace")
        except FileNotFoundError:
            return ""
