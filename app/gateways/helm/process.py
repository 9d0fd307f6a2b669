"""One process with everything bounded: memory, files, output, time; and it is gone when the call returns.

The chain is `prlimit … setpriv --pdeathsig KILL … sh … helm …`, each exec'ing the next (no fork), so one pid leads its
own session and process group. The kernel kills it with the thread that started it: a helm that outlived its parent
would go on writing to a release that somebody else takes over, and take the end of its input for no values at all. A
parent that died before `setpriv` had said so is seen by `sh`, which then executes nothing. Where the two tools of
util-linux are missing (macOS) the process runs without them.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_CHUNK = 64 * 1024
_LINE_LIMIT = 64 * 1024
_ERROR_LINES = 60
_UNLESS_ORPHANED = 'test "$PPID" = "$0" && exec "$@"'
"""For `sh -c`: executes its arguments if the process that it is given is still its parent."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one process.

    Attributes:
        memory_bytes: Heap and other private memory (RLIMIT_DATA; RLIMIT_AS would count Go's reservations).
        file_bytes: Largest file that it may write.
        output_bytes: What is kept of its standard output; the rest is read and dropped.
        grace_seconds: Between SIGTERM and SIGKILL. Helm needs one call of the API server to mark a release failed.
    """

    memory_bytes: int = 512 * 1024 * 1024
    file_bytes: int = 128 * 1024 * 1024
    output_bytes: int = 16 * 1024 * 1024
    grace_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended.

    Attributes:
        exit_code: Negative for a signal.
        stdout: At most `Limits.output_bytes`.
        truncated: Whether there was more.
        stderr: The lines that `on_line` did not take: the first and the last ones.
        expired: Whether it was stopped because its deadline had passed.
    """

    exit_code: int
    stdout: bytes
    truncated: bool
    stderr: str
    expired: bool = False


async def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    stdin: bytes = b"",
    limits: Limits,
    deadline_seconds: float,
    on_line: Callable[[str], bool] | None = None,
) -> Finished:
    """Run a program to its end, or end it.

    Args:
        arguments: Program and arguments; no shell reads them.
        environment: All of it; nothing of ours is inherited.
        folder: Working directory.
        stdin: What the program reads.
        limits: Its bounds.
        deadline_seconds: After this it is stopped: SIGTERM, `limits.grace_seconds`, SIGKILL.
        on_line: Called with every line of standard error; True keeps the line out of `Finished.stderr`.

    Raises:
        CancelledError: The caller was cancelled; the process group is dead by then.
        OSError: The program can't be started.
    """
    process = await _spawn([*_bounded(limits), *arguments], environment, folder)
    reader = _Reader(process, limits.output_bytes, on_line)
    work = asyncio.create_task(reader.communicate(stdin), name=f"helm-{process.pid}")
    expired = False
    try:
        async with asyncio.timeout(deadline_seconds):
            await asyncio.shield(work)
    except TimeoutError:
        expired = True
        await _to_the_end(_end(process, work, limits.grace_seconds))
    except BaseException:
        await _to_the_end(_end(process, work, limits.grace_seconds))
        raise
    return reader.finished(expired=expired)


@cache
def _tools() -> tuple[str | None, str | None]:
    return shutil.which("prlimit"), shutil.which("setpriv")


def _bounded(limits: Limits) -> list[str]:
    prlimit, setpriv = _tools()
    chain: list[str] = []
    if prlimit:
        chain += [prlimit, f"--data={limits.memory_bytes}", f"--fsize={limits.file_bytes}", "--core=0", "--"]
    if setpriv:
        chain += [setpriv, "--pdeathsig", "KILL", "--", "/bin/sh", "-c", _UNLESS_ORPHANED, str(os.getpid())]
    return chain


async def _spawn(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> asyncio.subprocess.Process:
    """Start the process; a cancellation meanwhile doesn't leave it running."""
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _to_the_end(_abandon(starting))
        raise


async def _abandon(starting: asyncio.Task[asyncio.subprocess.Process]) -> None:
    with contextlib.suppress(OSError):
        _signal(process := await starting, signal.SIGKILL)
        await process.wait()


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end even if we are cancelled (again) meanwhile; then let the cancellation go on."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


async def _end(process: asyncio.subprocess.Process, work: asyncio.Task[None], grace_seconds: float) -> None:
    """SIGTERM, grace, SIGKILL. The pipes are read meanwhile: a full one would keep helm from ending by itself."""
    if _signal(process, signal.SIGTERM):
        await asyncio.wait([work], timeout=grace_seconds)
    _signal(process, signal.SIGKILL)
    await work


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> bool:
    """Signal the whole group; only while its leader isn't reaped, after which the number may be another's."""
    if process.returncode is not None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        return True
    return False


class _Reader:
    """Feeds a process and keeps what it writes, within bounds."""

    def __init__(
        self, process: asyncio.subprocess.Process, output_bytes: int, on_line: Callable[[str], bool] | None
    ) -> None:
        self._process = process
        self._room = output_bytes
        self._on_line = on_line
        self._stdout = bytearray()
        self._truncated = False
        self._first: list[str] = []
        self._last: list[str] = []

    async def communicate(self, stdin: bytes) -> None:
        await asyncio.gather(self._feed(stdin), self._read_stdout(), self._read_stderr())
        await self._process.wait()

    def finished(self, *, expired: bool) -> Finished:
        code = self._process.returncode
        stderr = "\n".join([*self._first, *self._last])
        return Finished(-1 if code is None else code, bytes(self._stdout), self._truncated, stderr, expired)

    async def _feed(self, data: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.is_closing():  # it has ended already: uvloop's write would raise RuntimeError
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(data)
            await stdin.drain()
        stdin.close()

    async def _read_stdout(self) -> None:
        stdout = self._process.stdout
        while stdout is not None and (chunk := await stdout.read(_CHUNK)):
            self._stdout += chunk[: self._room]
            self._truncated |= len(chunk) > self._room
            self._room -= min(len(chunk), self._room)

    async def _read_stderr(self) -> None:
        stderr = self._process.stderr
        pending = b""
        while stderr is not None and (chunk := await stderr.read(_CHUNK)):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._take(line)
            pending = pending[:_LINE_LIMIT]
        if pending:
            self._take(pending)

    def _take(self, raw: bytes) -> None:
        line = raw[:_LINE_LIMIT].decode(errors="replace").rstrip()
        if not line or (self._on_line is not None and self._on_line(line)):
            return
        if len(self._first) < _ERROR_LINES:
            self._first.append(line)
            return
        self._last.append(line)
        del self._last[:-_ERROR_LINES]
