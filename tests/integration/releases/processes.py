"""Processes that tests kill: Slipway itself, and the helm processes that it starts."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from integration.running import KEY

from app.demo.processes import free_port

ROOT = Path(__file__).parents[3]
START_SECONDS = 120.0


def helms(namespace: str) -> list[int]:
    """Return the helm processes that work in a namespace now."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if namespace.encode() in words and any(word.endswith(b"/helm") for word in words):
                    found.append(int(process.name))
    return found


def until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    """Wait until a function gives something."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


class Service:
    """Slipway as a process of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, env=environment, stdout=file, stderr=file, cwd=ROOT, start_new_session=True
            )
        until(self._is_ready, START_SECONDS)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()[-4000:]
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=2, verify=False).status_code == 200
        return False

    def kill(self) -> None:
        """End it as a power cut would."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it as an operator would."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request."""
        return httpx.request(
            method, self.url + path, headers={"Authorization": f"Bearer {KEY}"}, timeout=30, verify=False, **options
        )
