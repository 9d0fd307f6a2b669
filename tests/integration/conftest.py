"""The local cloud for integration tests: one process per xdist worker, on a free port, with the real wire protocols."""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from app import main
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.errors import Unreachable

PROJECT = Path(__file__).parents[2] / "localcloud"
START_SECONDS = 120.0
BUILD_SECONDS = 40 * 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class LocalCloud:
    """A running local cloud; `env` is what a process needs to use it (endpoint, keys, region, …)."""

    endpoint: str
    env: dict[str, str]

    def rules(self, rules: list[dict[str, Any]]) -> None:
        """Replace the rules on delays, failures and API faults (CONTRACT.md, control routes)."""
        self._control("PUT", "rules", rules)

    def day(self, day: str) -> None:
        """Make it a day, "2027-12-03", for EKS's support of Kubernetes versions."""
        self._control("PUT", "day", {"day": day})

    def calls(self) -> dict[str, int]:
        """Return how often each API operation was called since the test began: {"cloudformation:ListStacks": 2}."""
        return dict(self._control("GET", "calls").json())

    def reset(self) -> None:
        """Forget rules, counts and the day."""
        self.rules([])
        self._control("DELETE", "day")
        self._control("DELETE", "calls")

    def _control(self, method: str, what: str, body: Any = None) -> httpx.Response:
        answer = httpx.request(method, f"{self.endpoint}/_localcloud/{what}", json=body, timeout=60, verify=False)
        answer.raise_for_status()
        return answer


@pytest.fixture(scope="session", autouse=True)
def _cold() -> Iterator[None]:
    """Leave out what a service does for the first requests of a long life; tests of processes start real ones."""

    async def warm(_clients: Any) -> None:
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "_warm", warm)
        yield


@pytest.fixture(scope="session")
def kubernetes_programs(request: pytest.FixtureRequest) -> Path:
    """The folder of the programs that control planes of the local cloud need.

    Built once per user, in minutes: whoever comes second waits for the build that goes on, and shows how far it is.
    """
    command = [str(_python()), "-m", "slipway_localcloud", "build"]
    # What pytest holds back until a test has failed would not be seen while everybody waits for it.
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        done = subprocess.run(
            command, cwd=PROJECT, env=_clean_environment(), stdout=subprocess.PIPE, timeout=BUILD_SECONDS, check=False
        )
    if done.returncode:
        pytest.fail("The Kubernetes programs can't be built: `.venv/bin/slipway localcloud build` says why")
    return Path(done.stdout.decode().splitlines()[-1])


@pytest.fixture(scope="session")
def localcloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A local cloud of this worker's own; rules and counts are reset before each test that uses it."""
    folder = tmp_path_factory.mktemp("localcloud")
    with (folder / "stderr.log").open("wb") as stderr:
        command = [str(_python()), "-m", "slipway_localcloud", "up", "--port", "0", "--dir", str(folder)]
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=_clean_environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        ready = _ready_line(process, folder / "stderr.log")
        yield LocalCloud(ready["endpoint"].rstrip("/"), {key: str(value) for key, value in ready["env"].items()})
    finally:
        _stop(process)


@pytest.fixture(autouse=True)
def _fresh_localcloud(request: pytest.FixtureRequest) -> None:
    if "localcloud" in request.fixturenames:
        request.getfixturevalue("localcloud").reset()


@pytest.fixture
def aws_environment(localcloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> LocalCloud:
    """This process's environment points every AWS SDK at the local cloud."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in localcloud.env.items():
        monkeypatch.setenv(name, value)
    return localcloud


async def until_it_answers(connection: Connection) -> None:
    """Wait for the control plane, which starts at the first connection: longer than a client waits to be connected."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            async with Kubernetes(connection) as client:
                await client.version()
        except Unreachable:
            assert time.monotonic() < deadline
        else:
            return


def _python() -> Path:
    """The local cloud's own environment."""
    python = PROJECT / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.fail("The local cloud isn't installed: run `make install`")
    return python


def _clean_environment() -> dict[str, str]:
    """Ours without what would send the local cloud's own SDK, or its settings, somewhere else."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLIPWAY_DATABASE"))}


def _die_with_parent() -> None:
    """Have the kernel stop the cloud if pytest is killed (Linux: prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _ready_line(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    for line in _lines(process.stdout, deadline):
        if line.startswith(b"{"):
            return dict(json.loads(line))
    pytest.fail(f"The local cloud did not become ready (exit {process.poll()}):\n{log.read_text()[-4000:]}")


def _lines(stream: IO[bytes], deadline: float) -> Iterator[bytes]:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            if not (line := stream.readline()):
                return
            yield line


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    # Whatever it started and left: the whole session, which is only its own.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
