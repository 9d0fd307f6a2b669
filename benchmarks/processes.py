"""The processes that are measured: the local cloud, `slipway serve`, PostgreSQL; and what the kernel says of them."""

import contextlib
import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.demo.processes import free_port

ROOT = Path(__file__).resolve().parent.parent
ADMIN_KEY = "admin-key-of-the-benchmarks-0123456789"
LOGIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
READY_SECONDS = 90.0
STOP_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process with all that it has started, running or ended (proc(5), fields 14 to 17)."""
    own = _times(pid)
    return (sum(own) + sum(sum(_times(child)) for child in children(pid))) / _TICKS


def _times(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended: its parent has its time now
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return [int(field) for field in fields[11:15]]
    return []


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in MB: all pages (`rss`), and with shared pages divided by who shares them (`pss`)."""

    rss: float
    pss: float


def memory(pid: int) -> Memory:
    """Return what a process, with all that it has started, has in memory now."""
    rss = pss = 0.0
    for each in (pid, *children(pid)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:]
            sizes = {name.rstrip(":"): int(size) / 1024 for name, size, *_ in map(str.split, lines)}
            rss, pss = rss + sizes["Rss"], pss + sizes["Pss"]
    return Memory(rss, pss)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, theirs included."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        direct = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [*direct, *(grandchild for child in direct for grandchild in children(child))]
    return []


@dataclass
class Process:
    """A process of ours: started on a free port, killed and started again at will, stopped at the end."""

    command: Sequence[str]
    env: dict[str, str]
    log: Path
    cwd: Path = ROOT
    running: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it; does not wait until it is ready."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        """Return the id of the running process."""
        if self.running is None:
            raise RuntimeError("not started")
        return self.running.pid

    def kill(self) -> None:
        """Kill it as the kernel does when memory is short: no handler runs, nothing is flushed."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    def stop(self) -> None:
        """Ask it to stop, and see to it."""
        if self.running is None:
            return
        self.running.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.running.wait(STOP_SECONDS)
        self.kill()


@dataclass
class Slipway(Process):
    """One `slipway serve`."""

    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        """Return once `/readyz` says 200."""
        wait_for(self.url + "/readyz", self)

    def client(self) -> httpx.Client:
        """Return a client with the admin key."""
        return httpx.Client(base_url=self.url, headers=LOGIN, timeout=60, trust_env=False)


def wait_for(url: str, process: Process, *, every: float = 0.02) -> None:
    """Return once the URL answers 200.

    Raises:
        RuntimeError: the process has ended, or it took too long; with the end of its log.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(url):
        ended = process.running is None or process.running.poll() is not None
        if ended or time.monotonic() > deadline:
            raise RuntimeError(f"{url} does not answer:\n{process.log.read_text(errors='replace')[-4000:]}")
        time.sleep(every)


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


@dataclass
class LocalCloud:
    """A running local cloud; its control routes are those of the README in `localcloud/`."""

    endpoint: str
    env: dict[str, str]

    def rules(self, *rules: dict[str, Any]) -> None:
        """Put rules on delays and failures in force."""
        httpx.put(f"{self.endpoint}/_localcloud/rules", json=rules, trust_env=False).raise_for_status()

    def calls(self) -> dict[str, int]:
        """Return how often each API operation was called since `forget_calls`."""
        return dict(httpx.get(f"{self.endpoint}/_localcloud/calls", trust_env=False).raise_for_status().json())

    def forget_calls(self) -> None:
        """Count from zero."""
        httpx.delete(f"{self.endpoint}/_localcloud/calls", trust_env=False).raise_for_status()

    def aws(self, service: str) -> Any:
        """Return a botocore client: the benchmarks' own eye on what there is in the account."""
        import botocore.session

        return botocore.session.get_session().create_client(
            service,
            region_name=self.env["AWS_REGION"],
            endpoint_url=self.endpoint,
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )

    def stacks(self) -> list[dict[str, Any]]:
        """Return the summaries of all stacks that ever were, the deleted ones included."""
        pages = self.aws("cloudformation").get_paginator("list_stacks").paginate()
        return [stack for page in pages for stack in page["StackSummaries"]]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a folder for databases and logs; it goes at the end."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def local_cloud(where: Path) -> Iterator[LocalCloud]:
    """Run a local cloud."""
    port = free_port()
    python = ROOT / "localcloud" / ".venv" / "bin" / "python"
    command = [
        str(python),
        "-m",
        "slipway_localcloud",
        "up",
        "--port",
        str(port),
        "--dir",
        str(where / f"cloud-{port}"),
    ]
    process = Process(command, environment(), where / f"cloud-{port}.log", cwd=ROOT / "localcloud")
    process.start()
    try:
        wait_for(f"http://127.0.0.1:{port}/_localcloud/calls", process)
        yield LocalCloud(f"http://127.0.0.1:{port}", _ready_line(process.log)["env"])
    finally:
        process.stop()


def slipway(where: Path, database_url: str, cloud: LocalCloud | None = None, **settings: object) -> Slipway:
    """Return a `slipway serve` that is not started yet; `settings` are those of `Settings`."""
    port = free_port()
    env = environment() | (cloud.env if cloud else {})
    env |= {
        "SLIPWAY_DATABASE_URL": database_url,
        "SLIPWAY_ADMIN_KEY": ADMIN_KEY,
        "SLIPWAY_ENCRYPTION_KEY": "encryption-key-of-the-benchmarks-0123",
    }
    env |= {f"SLIPWAY_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    return Slipway(command, env, where / f"slipway-{port}.log", port=port)


@contextlib.contextmanager
def serving(where: Path, database_url: str, cloud: LocalCloud | None = None, **settings: object) -> Iterator[Slipway]:
    """Run a `slipway serve` until the block ends; it is ready when the block begins."""
    service = slipway(where, database_url, cloud, **settings)
    service.start()
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


@contextlib.contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """Run a PostgreSQL of the tests' kind; gives the URL of a migrated database and the server's process id."""
    from tests.postgres import PostgresServer

    server = PostgresServer()
    try:
        server.start()
        with server.database() as url:
            migrate(url)
            assert server.process is not None
            yield url, server.process.pid
    finally:
        server.stop()


def migrate(url: str) -> None:
    """Bring a database to the newest schema."""
    env = environment() | {"SLIPWAY_DATABASE_URL": url}
    command = [sys.executable, "-m", "app", "migrate"]
    subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)


def environment() -> dict[str, str]:
    """Return ours without what would send an SDK, or Slipway, somewhere else."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLIPWAY_"))}


def _ready_line(log: Path) -> dict[str, Any]:
    line = next(line for line in log.read_text().splitlines() if line.startswith("{"))
    return dict(json.loads(line))


def _die_with_parent() -> None:
    """Have the kernel end it if we are killed (Linux: prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
