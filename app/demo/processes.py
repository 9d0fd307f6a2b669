"""The processes of the demo: started in sessions of their own, stopped with the demo unless they are to be kept."""

import contextlib
import ctypes
import json
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.core.processes import born

PIDS = "pids.json"
PORTS = range(12000, 20000)
START_SECONDS = 60.0
STOP_SECONDS = 8.0
_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A process did not come up."""


@dataclass(slots=True)
class Running:
    """A process that was started.

    Attributes:
        name: For people.
        process: The process itself.
        log: Where its output goes.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check_alive(self) -> None:
        """Raise StartError, with the end of its log, if the process has ended."""
        if (code := self.process.poll()) is not None:
            raise StartError(f"{self.name} ended with exit code {code}:\n{tail(self.log, 15)}")


class Processes:
    """Starts what the demo needs.

    Args:
        folder: Where their output and the list of their ids go.
        keep: They outlive the demo, so the kernel must not end them with it.
    """

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self._folder = folder
        self._keep = keep
        self._running: list[Running] = []

    def start(
        self, name: str, arguments: Sequence[str], env: Mapping[str, str], *, program: Sequence[str] = ("-m", "app")
    ) -> Running:
        """Start `slipway`, or another Python program, with `arguments`.

        Its output goes to `NAME.log`, standard output alone to `NAME.out`.
        """
        log = self._folder / f"{name}.log"
        with log.open("ab") as errors, (self._folder / f"{name}.out").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=self._folder,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops them in order
                preexec_fn=None if self._keep else _die_with_parent,
            )
        running = Running(name, process, log)
        self._running.append(running)
        self._write_ids()
        return running

    def first_line(self, running: Running) -> str:
        """Wait for the first whole line of a process's standard output and return it.

        Raises:
            StartError: the process ended, or said nothing for START_SECONDS.
        """
        output = self._folder / f"{running.name}.out"

        def line() -> str | None:
            text = output.read_text()
            return text.split("\n", 1)[0] if "\n" in text else None

        return wait_for(line, running)

    def stop(self) -> None:
        """Stop all, the youngest first."""
        for running in reversed(self._running):
            if running.process.poll() is None:
                running.process.terminate()
            try:
                running.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
        self._running.clear()
        (self._folder / PIDS).unlink(missing_ok=True)

    @property
    def bound(self) -> list[str]:
        """Return the option that ties the local cloud's life to the demo's, unless it is to be kept."""
        return [] if self._keep else ["--die-with-parent"]

    @property
    def ids(self) -> list[int]:
        """Return the ids of the processes that still run."""
        return [running.process.pid for running in self._running if running.process.poll() is None]

    def log_tail(self, name: str, lines: int) -> str:
        """Return the end of a process's log without the requests that it answered; empty if there is nothing else."""
        text = tail(self._folder / f"{name}.log", 10_000)
        return "\n".join([line for line in text.splitlines() if '"slipway.access"' not in line][-lines:])

    def _write_ids(self) -> None:
        rows = [{"pid": number, "born": born(number)} for number in self.ids]
        (self._folder / PIDS).write_text(json.dumps(rows))


def wait_for(look: Callable[[], str | None], running: Running) -> str:
    """Call `look` until it gives something.

    Raises:
        StartError: the process ended, or START_SECONDS have passed.
    """
    deadline = time.monotonic() + START_SECONDS
    while (found := look()) is None:
        running.check_alive()
        if time.monotonic() > deadline:
            raise StartError(f"{running.name} was not ready within {START_SECONDS:.0f} s:\n{tail(running.log, 15)}")
        time.sleep(0.1)
    return found


def answers(url: str, key: str) -> Callable[[], str | None]:
    """Return a look that tells whether Slipway at `url` is ready and knows `key` (another service would not)."""
    http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)

    def look() -> str | None:
        try:
            ready = all(http.get(path).status_code == httpx.codes.OK for path in ("/readyz", "/clusters"))
        except httpx.HTTPError:
            return None
        return url if ready else None

    return look


def free_port() -> int:
    """Return a port of this machine that nobody listens on, below those that the kernel gives to anybody meanwhile."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StartError(f"no port between {PORTS.start} and {PORTS.stop} is free")


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a file; empty if there is none."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def stop_recorded(folder: Path) -> list[int]:
    """Stop the processes that a kept demo recorded in `folder`; return the ids of those that still ran.

    An id that belongs to another process by now is left alone.
    """
    path = folder / PIDS
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    alive = [row for row in rows if row["born"] and born(row["pid"]) == row["born"]]
    for row in reversed(alive):
        _end(row["pid"], row["born"])
    path.unlink(missing_ok=True)
    return [row["pid"] for row in alive]


def _end(number: int, began: str) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGTERM)
        while born(number) == began:
            if time.monotonic() > deadline:
                os.kill(number, signal.SIGKILL)
                return
            time.sleep(0.05)


def _die_with_parent() -> None:
    """Have the kernel end the process if the demo is killed (Linux: prctl PR_SET_PDEATHSIG)."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
