"""The command line and a real server: what an operator does, with real sockets and signals."""

import json
import logging
import os
import pty
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.demo.processes import free_port

WAIT_SECONDS = 120.0
KEY = "a-key-of-the-processes-0123456789-xyz"
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_EC2_METADATA_DISABLED": "true",
}

Start = Callable[..., subprocess.Popen[str]]


def environment(url: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLIPWAY_", "AWS_"))}
    return kept | AWS | {"SLIPWAY_DATABASE_URL": url} | more


@pytest.fixture
def slipway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run a command that ends by itself, in this process: starting one takes seconds."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def run(url: str, *arguments: str, **more: str) -> Result:
        for name, value in environment(url, **more).items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(cli, arguments)

    yield run
    root.handlers[:] = before[0]
    root.setLevel(before[1])


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `slipway …`; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(url: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(url, **more),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until_ready(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", verify=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate())


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors
    return errors


@pytest.mark.calendar
def test_serve_on_sqlite_from_nothing(start: Start, tmp_path: Path) -> None:
    url, port = f"sqlite:///{tmp_path / 'new' / 'slipway.db'}", free_port()
    process = start(url, "serve", "--port", str(port))
    wait_until_ready(process, port)
    _upload_without_an_end(port)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()}
    assert {"slipway.db", "slipway.db-wal", "slipway.db-shm", "slipway.key", "slipway-admin.key"} == set(files)
    assert set(files.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    first = end(process)
    path = tmp_path / "new" / "slipway-admin.key"
    key = path.read_text().strip()
    assert key not in first  # stderr is no terminal, so it is a log
    said = [json.loads(line)["message"] for line in first.splitlines()]
    assert [line for line in said if str(path) in line] == [
        f"SLIPWAY_ADMIN_KEY is not set: the first API key was made, it is in {path}"
    ]

    port = free_port()
    process = start(url, "serve", "--port", str(port), "--no-worker")
    wait_until_ready(process, port)
    assert _asks(port, key) == 200
    assert str(path) not in end(process)

    port = free_port()
    set_file = tmp_path / "admin-key"
    set_file.write_text(f"{KEY}\n")
    process = start(url, "serve", "--port", str(port), "--no-worker", SLIPWAY_ADMIN_KEY_FILE=str(set_file))
    wait_until_ready(process, port)
    assert (_asks(port, KEY), _asks(port, key)) == (200, 401)
    assert not path.exists()
    said = end(process)
    assert f"{path} is removed" in said
    assert key not in said
    assert KEY not in said


def _asks(port: int, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"http://127.0.0.1:{port}/operations", headers=headers, timeout=WAIT_SECONDS).status_code


ALONE = ["unshare", "--pid", "--fork", "--kill-child"]
"""Makes what it starts the first process of a container, as far as that can tell."""


@pytest.mark.parametrize("runner", [[], ALONE], ids=["by hand", "as a container"])
def test_a_key_that_is_made_is_shown_at_a_terminal(runner: list[str], tmp_path: Path) -> None:
    if runner and subprocess.run([*runner, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may make no process namespaces")
    port, (terminal, its_end) = free_port(), pty.openpty()
    url = f"sqlite:///{tmp_path / 'slipway.db'}"
    command = [*runner, sys.executable, "-m", "app", "serve", "--port", str(port), "--no-worker"]
    env = environment(url, TMPDIR=str(tmp_path))  # it sweeps folders of processes that it cannot see
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=its_end, env=env)
    os.close(its_end)
    shown, deadline = b"", time.monotonic() + WAIT_SECONDS
    try:
        while b"Application startup complete" not in shown:
            assert select.select([terminal], [], [], deadline - time.monotonic())[0], shown
            shown += os.read(terminal, 65536)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    key = (tmp_path / "slipway-admin.key").read_text().strip()
    lines = shown.decode().splitlines()
    assert [line for line in lines if key in line] == ([] if runner else [f"    {key}"])


@pytest.mark.parametrize("key", ["", "hunter2", "k" * 32, "a-key-with-ümlauts-hunter2-0123456789"])
def test_an_admin_key_that_is_none_is_refused_in_a_sentence(
    slipway: Callable[..., Result], tmp_path: Path, key: str
) -> None:
    result = slipway(f"sqlite:///{tmp_path / 'slipway.db'}", "serve", "--port", "0", SLIPWAY_ADMIN_KEY=key)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("SLIPWAY_ADMIN_KEY ")
    assert "hunter2" not in result.stderr


def test_files_that_others_could_read_are_taken_from_them(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    for name in ("slipway.db", "slipway.key"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o664)
    (tmp_path / "slipway.key").write_text(f"{KEY}\n")
    tmp_path.chmod(0o755)
    port = free_port()
    process = start(sqlite_url, "serve", "--port", str(port), "--no-worker", SLIPWAY_ADMIN_KEY=KEY)
    wait_until_ready(process, port)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert set(files.values()) == {0o600}, files
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755  # a folder that was there may be meant for others, too
    said = end(process)
    for name in ("slipway.db", "slipway.key"):
        assert said.count(f"{tmp_path / name} holds ") == 1


def _upload_without_an_end(port: int) -> None:
    """A chunked body that never ends, without a key: refused at once, and the connection closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(
            b"POST /operations/x/cancel HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_chunked_bodies_over_the_limit(start: Start, sqlite_url: str) -> None:
    port = free_port()
    process = start(sqlite_url, "serve", "--port", str(port), "--no-worker", SLIPWAY_ADMIN_KEY=KEY)
    wait_until_ready(process, port)
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as connection:
        head = f"POST /operations/x/cancel HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:
                connection.sendall(chunk)
                sent += len(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 32 * 1024 * 1024
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(head.encode() + b"Content-Length: 99999999\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
    end(process)


def test_logs_of_a_server_are_json(start: Start, sqlite_url: str) -> None:
    port = free_port()
    process = start(sqlite_url, "serve", "--port", str(port), SLIPWAY_ADMIN_KEY=KEY)
    wait_until_ready(process, port)
    url = f"http://127.0.0.1:{port}/operations?secret=hunter2"
    httpx.get(url, headers={"X-Request-ID": "abc"}, timeout=WAIT_SECONDS)
    errors = end(process)
    lines = [json.loads(line) for line in errors.splitlines()]
    line = next(line for line in lines if line["logger"] == "slipway.access")
    assert (line["path"], line["status"], line["request_id"]) == ("/operations", 401, "abc")
    assert "hunter2" not in errors
    assert KEY not in errors


def test_postgresql_is_migrated_by_hand(start: Start, slipway: Callable[..., Result], empty_postgres_url: str) -> None:
    refused = slipway(empty_postgres_url, "serve", "--port", str(free_port()))
    assert refused.exit_code == 1
    assert "run `slipway migrate` first" in refused.stderr
    assert slipway(empty_postgres_url, "worker").exit_code == 1

    for _ in range(2):
        done = slipway(empty_postgres_url, "migrate")
        assert (done.exit_code, done.stdout) == (0, "")
    keyless = slipway(empty_postgres_url, "serve", "--port", str(free_port()))
    assert (keyless.exit_code, keyless.stderr.split(" ")[0]) == (1, "SLIPWAY_ADMIN_KEY")
    keyless = slipway(empty_postgres_url, "serve", "--port", str(free_port()), SLIPWAY_ADMIN_KEY=KEY)
    assert (keyless.exit_code, keyless.stderr.split(" ")[0]) == (1, "SLIPWAY_ENCRYPTION_KEY")
    short = slipway(empty_postgres_url, "worker", SLIPWAY_ENCRYPTION_KEY="hunter2")
    assert short.exit_code == 1
    assert "hunter2" not in short.stderr
    port = free_port()
    process = start(empty_postgres_url, "serve", "--port", str(port), SLIPWAY_ENCRYPTION_KEY=KEY, SLIPWAY_ADMIN_KEY=KEY)
    wait_until_ready(process, port)
    assert _asks(port, KEY) == 200
    end(process)
    with psycopg.connect(empty_postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)


def test_a_worker_ends_on_sigterm(start: Start, sqlite_url: str) -> None:
    process = start(sqlite_url, "worker")
    assert process.stderr is not None
    assert any("the worker runs" in line for line in process.stderr)
    end(process)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/x", "cannot be used"),
        ("mysql://me:hunter2@127.0.0.1/x", "not supported"),
        ("nonsense", "SLIPWAY_DATABASE_URL"),
        ("sqlite:////proc/none/x.db", "SLIPWAY_DATABASE_URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_in_a_sentence(
    slipway: Callable[..., Result], url: str, said: str
) -> None:
    for command in (["serve"], ["migrate"], ["keys", "status"]):
        result = slipway(url, *command)
        assert result.exit_code == 1
        assert said in result.stderr
        assert "hunter2" not in result.stderr


@pytest.mark.parametrize(("name", "value"), [("SLIPWAY_LEASE_SECONDS", "-1"), ("SLIPWAY_LOG_LEVEL", "loud")])
def test_wrong_settings_are_told_in_a_sentence(
    slipway: Callable[..., Result], sqlite_url: str, name: str, value: str
) -> None:
    result = slipway(sqlite_url, "migrate", **{name: value})
    assert result.exit_code == 1
    assert name in result.stderr


def test_the_local_cloud_takes_no_day_that_it_does_not_know(start: Start, sqlite_url: str) -> None:
    process = start(sqlite_url, "localcloud", "up", "--port", "0", "--day", "2031-01-01")
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 2
    assert "2031-01-01 is not from 2025-10-02 to 2028-03-27" in errors


def test_help_lists_the_commands(slipway: Callable[..., Result], sqlite_url: str) -> None:
    result = slipway(sqlite_url, "--help")
    assert result.exit_code == 0
    for command in ("serve", "worker", "migrate", "openapi", "localcloud", "demo", "keys"):
        assert command in result.stdout
