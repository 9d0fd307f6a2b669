"""Slow, many and ambiguous callers of a real server, byte by byte; `/healthz` answers all the time."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from integration.http.test_processes import WAIT_SECONDS, Start, end, environment, start, wait_until_ready

from app.demo.processes import free_port

__all__ = ["start"]

KEY = "a-key-of-the-bounds-0123456789-abcdefghi"
HEAD = "GET /healthz HTTP/1.1\r\nHost: x\r\n"
LOGIN = f"Authorization: Bearer {KEY}\r\n"
POST = f"POST /clusters HTTP/1.1\r\nHost: x\r\n{LOGIN}Content-Type: application/json\r\n"
SHORT = {
    "SLIPWAY_HTTP_HEADER_SECONDS": "1",
    "SLIPWAY_HTTP_BODY_SECONDS": "3",
    "SLIPWAY_HTTP_STALL_SECONDS": "1.5",
    "SLIPWAY_HTTP_KEEP_ALIVE_SECONDS": "1",
}


@dataclass
class Served:
    process: subprocess.Popen[str]
    port: int

    def open(self, sent: str = "") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS)
        connection.sendall(sent.encode("latin-1"))
        return connection

    def healthy(self) -> bool:
        """Ask on a connection of its own, as the kubelet does."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5)
        return answer.status_code == 200

    def figure(self, name: str) -> float:
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=WAIT_SECONDS).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def until(self, name: str, least: float) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while self.figure(name) < least:
            assert time.monotonic() < deadline, name
            assert self.healthy()
            time.sleep(0.1)


def served(start: Start, url: str, **settings: str) -> Served:
    port = free_port()
    process = start(url, "serve", "--port", str(port), "--no-worker", SLIPWAY_ADMIN_KEY=KEY, **(SHORT | settings))
    wait_until_ready(process, port)
    return Served(process, port)


@pytest.fixture
def service(start: Start, sqlite_url: str) -> Served:
    return served(start, sqlite_url)


def all_of(connection: socket.socket) -> bytes:
    """Read until the server closes; a reset ends it likewise."""
    found = b""
    with connection, contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def problem_in(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    found = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {found['status']} ".encode())
    return found["status"], found["code"]


@contextlib.contextmanager
def dripping(connection: socket.socket, part: bytes) -> Iterator[None]:
    """Send a byte now and then, often enough for every pause, until the server has had enough."""
    connection.settimeout(0.2)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if connection.recv(1, socket.MSG_PEEK) is not None:
                break
        except TimeoutError:
            pass
        except ConnectionResetError:
            break
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(part)
    else:
        raise AssertionError("it may go on for ever")
    connection.settimeout(WAIT_SECONDS)
    yield


@pytest.mark.slow
def test_whoever_is_too_slow_is_told_so_and_cut_off(service: Served) -> None:
    """Times are the settings'; each caller here would else be kept for ever."""
    nothing, half = service.open(), service.open(HEAD + "X-A: ")
    stalled = service.open(POST + "Content-Length: 100\r\n\r\n{")
    for connection in (nothing, half, stalled):
        assert problem_in(all_of(connection)) == (408, "request_timeout")
        assert service.healthy()
    for slow, part in (
        (service.open(HEAD + "X-A: "), b"a"),
        (service.open(POST + "Content-Length: 1000\r\n\r\n"), b" "),
        (service.open(POST + "Transfer-Encoding: chunked\r\n\r\n"), b"1\r\n \r\n"),
    ):
        with dripping(slow, part):
            assert problem_in(all_of(slow)) == (408, "request_timeout")
        assert service.healthy()
    idle = service.open(HEAD + "\r\n")
    assert b'{"status":"ok"}' in all_of(idle)  # answered, kept for a while, closed without a word
    refused = service.open("POST /clusters HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert all_of(refused).startswith(b"HTTP/1.1 401 ")  # whose body is not waited for longer than others'
    assert service.figure('slipway_http_connections_closed_total{reason="header"}') >= 3
    assert service.figure('slipway_http_connections_closed_total{reason="body"}') >= 3
    end(service.process)


@pytest.mark.slow
def test_who_takes_nothing_of_an_answer_is_cut_off(service: Served) -> None:
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", service.port))
        reader.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        service.until('slipway_http_connections_closed_total{reason="answer"}', 1)
    end(service.process)


FEW_DESCRIPTORS = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300)); "
    "os.execv(sys.executable, [sys.executable, '-m', 'app', *sys.argv[1:]])"
)


@pytest.fixture
def crowded(sqlite_url: str) -> Iterator[Served]:
    """A service with 300 descriptors and the ordinary times."""
    port = free_port()
    command = [sys.executable, "-c", FEW_DESCRIPTORS, "serve", "--port", str(port), "--no-worker"]
    env = environment(sqlite_url, SLIPWAY_ADMIN_KEY=KEY, SLIPWAY_HTTP_HEADER_SECONDS="60")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        wait_until_ready(process, port)
        yield Served(process, port)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("sent", ["", HEAD + "X-A: ", HEAD + "\r\n"], ids=["nothing", "half", "idle"])
def test_more_connections_than_descriptors_take_nobodys_place(crowded: Served, sent: str) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(320):
            stack.enter_context(contextlib.suppress(OSError))
            stack.enter_context(crowded.open(sent))
            if number % 20 == 0:
                assert crowded.healthy()
        for _ in range(50):
            assert crowded.healthy()
            assert httpx.get(f"http://127.0.0.1:{crowded.port}/readyz", timeout=5).status_code == 200
        assert crowded.figure("slipway_http_connections") <= 150
        assert crowded.figure('slipway_http_connections_closed_total{reason="room"}') > 0
        # Not only probes: who has something to ask gets a place.
        answer = httpx.get(f"http://127.0.0.1:{crowded.port}/clusters", headers={"Authorization": f"Bearer {KEY}"})
        assert answer.status_code == 200
    end(crowded.process)


@pytest.mark.slow
def test_connections_that_are_in_use_keep_their_places_and_the_next_one_may_ask_for_a_probe_alone(
    start: Start, sqlite_url: str
) -> None:
    service = served(start, sqlite_url, SLIPWAY_HTTP_MAX_CONNECTIONS="4", SLIPWAY_HTTP_MAX_CONNECTIONS_PER_ADDRESS="0")
    follow = f"GET /events HTTP/1.1\r\nHost: x\r\n{LOGIN}Accept: text/event-stream\r\n\r\n"
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(service.open(follow)) for _ in range(4)]
        for stream in streams:
            assert stream.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert service.healthy()
        answer = httpx.get(f"http://127.0.0.1:{service.port}/clusters", timeout=5)
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_connections")
        assert answer.headers["retry-after"] == "1"
        streams[0].close()
        deadline = time.monotonic() + WAIT_SECONDS
        while httpx.get(f"http://127.0.0.1:{service.port}/clusters", timeout=5).status_code != 401:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    errors = end(service.process)
    assert "connections were refused (1 by total)" in errors


@pytest.mark.slow
def test_streams_are_bounded_for_a_key_and_take_no_place_of_calls(start: Start, sqlite_url: str) -> None:
    settings = {"SLIPWAY_MAX_STREAMS_PER_KEY": "3", "SLIPWAY_HTTP_MAX_REQUESTS": "1"}
    service = served(start, sqlite_url, **settings)
    follow = f"GET /events HTTP/1.1\r\nHost: x\r\n{LOGIN}Accept: text/event-stream\r\n\r\n"
    with contextlib.ExitStack() as stack:
        streams = []
        for _ in range(3):
            streams.append(stack.enter_context(service.open(follow)))
            assert streams[-1].recv(65536).startswith(b"HTTP/1.1 200 ")
        url = f"http://127.0.0.1:{service.port}"
        headers = {"Authorization": f"Bearer {KEY}"}
        more = httpx.get(f"{url}/events", headers=headers | {"Accept": "text/event-stream"}, timeout=5)
        assert (more.status_code, more.json()["code"], more.headers["retry-after"]) == (429, "too_many_streams", "5")
        assert httpx.get(f"{url}/events", headers=headers, timeout=5).status_code == 200
        # The one place is taken by a body that does not come; probes need none.
        body = stack.enter_context(service.open(POST + "Content-Length: 100\r\n\r\n{"))
        deadline = time.monotonic() + WAIT_SECONDS
        while (busy := httpx.get(f"{url}/clusters", headers=headers, timeout=5)).status_code != 503:
            assert time.monotonic() < deadline
        assert (busy.json()["code"], busy.headers["retry-after"]) == ("overloaded", "1")
        assert service.healthy()
        assert problem_in(all_of(body)) == (408, "request_timeout")
        assert httpx.get(f"{url}/clusters", headers=headers, timeout=5).status_code == 200
        streams[0].close()
        again = b""
        while not again.startswith(b"HTTP/1.1 200 "):
            assert time.monotonic() < deadline
            again = stack.enter_context(service.open(follow)).recv(65536)
    end(service.process)


@pytest.mark.slow
def test_sigterm_ends_streams_and_leaves_nothing_waiting(service: Served) -> None:
    follow = f"GET /events HTTP/1.1\r\nHost: x\r\n{LOGIN}Accept: text/event-stream\r\n\r\n"
    stream = service.open(follow)
    assert stream.recv(65536).startswith(b"HTTP/1.1 200 ")
    half, idle = service.open(HEAD), service.open(HEAD + "\r\n")
    assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
    unfinished = service.open(POST + "Content-Length: 100\r\n\r\n{")
    end(service.process)
    assert all_of(stream).endswith(b"0\r\n\r\n")
    for connection in (half, idle, unfinished):
        all_of(connection)


@pytest.mark.slow
def test_a_drain_outlasts_no_slow_caller_and_says_so(start: Start, sqlite_url: str) -> None:
    """With time-outs far beyond the drain, as the defaults are: what is half sent, and what nobody reads."""
    long = {"SLIPWAY_HTTP_BODY_SECONDS": "600", "SLIPWAY_HTTP_STALL_SECONDS": "600", "SLIPWAY_DRAIN_SECONDS": "2"}
    service = served(start, sqlite_url, **long)
    stalled = service.open(POST + "Content-Length: 100\r\n\r\n{")
    dripped = service.open(POST + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", service.port))
        reader.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        service.until("slipway_http_requests_in_progress", 4)  # two bodies, one answer, and the one that asks
        service.process.send_signal(signal.SIGTERM)
        with dripping(dripped, b"1\r\n \r\n"):
            assert problem_in(all_of(dripped)) == (503, "shutting_down")
        assert problem_in(all_of(stalled)) == (503, "shutting_down")
        said = end(service.process)
    assert said.count("a request that was under way for the whole drain is broken off") == 1


@pytest.fixture(scope="module")
def app_port(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[int]:
    """One server for the whole table."""
    path = tmp_path_factory.mktemp("table") / "slipway.db"
    path.write_bytes(sqlite_template.read_bytes())
    port = free_port()
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--no-worker"]
    env = environment(f"sqlite:///{path}", SLIPWAY_ADMIN_KEY=KEY)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        wait_until_ready(process, port)
        yield port
    finally:
        process.kill()
        process.communicate()


BODY = "a\r\n" + "x" * 10 + "\r\n0\r\n\r\n"
CANCEL = "POST /operations/x/cancel HTTP/1.1\r\nHost: x\r\n"
TABLE: list[tuple[str, str, int]] = [
    ("a plain request", HEAD + "\r\n", 200),
    ("the whole URL (RFC 9112, 3.2.2)", "GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    ("HTTP/1.0 without a host", "GET /healthz HTTP/1.0\r\n\r\n", 200),
    ("the same length twice", CANCEL + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 401),
    ("length and coding (6.3)", CANCEL + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, 400),
    ("coding and length", CANCEL + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + BODY, 400),
    ("a coding in HTTP/1.0 (6.1)", "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, 400),
    ("a coding twice", CANCEL + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    ("an unknown coding", CANCEL + "Transfer-Encoding: xchunked\r\n\r\n" + BODY, 501),
    ("a coding with a tab", CANCEL + "Transfer-Encoding:\tchunked, identity\r\n\r\n" + BODY, 501),
    ("two lengths (6.3)", CANCEL + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    ("a list of lengths", CANCEL + "Content-Length: 4, 5\r\n\r\nabcde", 400),
    ("a signed length", CANCEL + "Content-Length: +2\r\n\r\nab", 400),
    ("a length in hex", CANCEL + "Content-Length: 0x2\r\n\r\nab", 400),
    ("a bare LF (2.2)", "GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    ("a bare LF after a header", HEAD + "X-A: b\nX-B: c\r\n\r\n", 400),
    ("a bare LF at the end", HEAD + "\n", 400),
    ("a bare CR (2.2)", HEAD + "X-A: b\rX-B: c\r\n\r\n", 400),
    ("a folded line (5.2)", HEAD + "X-A: b\r\n c\r\n\r\n", 400),
    ("white space before the colon (5.1)", HEAD + "X-A : b\r\n\r\n", 400),
    ("white space before the first header (2.2)", "GET /healthz HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n", 400),
    ("a header without a colon", HEAD + "X-A\r\n\r\n", 400),
    ("a header without a name", HEAD + ": b\r\n\r\n", 400),
    ("NUL in a header", HEAD + "X-A: b\0c\r\n\r\n", 400),
    ("two hosts (3.2)", HEAD + "Host: y\r\n\r\n", 400),
    ("no host (3.2)", "GET /healthz HTTP/1.1\r\n\r\n", 400),
    ("a host that is none (3.2)", "GET /healthz HTTP/1.1\r\nHost: a b/c\r\n\r\n", 400),
    ("two spaces in the first line (3)", "GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("another protocol", "\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    ("a head of 40 kB", HEAD + "X-A: " + "b" * 40_000 + "\r\n\r\n", 431),
    ("a head without an end", HEAD + "X-A: " + "b" * 40_000, 431),
    ("a chunk that is none", POST + "Transfer-Encoding: chunked\r\n\r\nzz", 400),
    ("Authorization twice (RFC 9110, 5.3)", f"GET /clusters HTTP/1.1\r\nHost: x\r\n{LOGIN}{LOGIN}\r\n", 400),
]


@pytest.mark.parametrize(("sent", "status"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_one_way_to_read_a_request(app_port: int, sent: str, status: int) -> None:
    """What is refused is refused in a problem, and what stands behind it on the connection is not looked at."""
    behind = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    follows = sent if status == 431 else sent + behind
    with socket.create_connection(("127.0.0.1", app_port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(follows.encode("latin-1"))
        answer = all_of(connection)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    if status in (400, 431, 501) and LOGIN * 2 not in sent:
        assert problem_in(answer)[0] == status
        assert answer.count(b"HTTP/1.1 ") == 1
