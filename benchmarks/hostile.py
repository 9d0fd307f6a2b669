"""`/healthz` while the worst that callers may send is worked on, against none: slow callers, charts, many secrets.

Each load goes on for `SECONDS`, and `/healthz` is asked all the while by one caller on a connection of its own. All is
on one machine, so what a load costs the processor is in the figures, too.
"""

import argparse
import contextlib
import io
import json
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from app.demo.processes import free_port
from benchmarks import processes
from benchmarks.processes import Slipway
from benchmarks.table import quantile, show

SECONDS = 15.0
PAUSE = 0.01
CONNECTIONS = 400
WORST_SECONDS = 2.0
"""More is a fault: the chart's liveness probe gives up after 3 s, three times in a row."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


def run(_options: argparse.Namespace) -> bool:
    """Measure each load, print."""
    with processes.folder() as where, processes.local_cloud(where) as cloud:
        url = f"sqlite:///{where / 'slipway.db'}"
        processes.migrate(url)
        with _repository(where / "charts") as repository, processes.serving(where, url, cloud) as service:
            with service.client() as client:
                body = {"name": "bench", "region": cloud.env["AWS_REGION"], "network": {"nat": "none"}, "addons": []}
                operation = client.post("/clusters", json=body).raise_for_status().json()
                while not client.get(f"/operations/{operation['id']}").json()["finished_at"]:
                    time.sleep(0.1)
            loads: dict[str, Callable[[Slipway, threading.Event], int]] = {
                "none": _nothing,
                f"{CONNECTIONS} half-sent requests (F9)": _half_sent,
                "charts with 5 MB of schema (F8)": partial(_charts, repository=repository),
                "1,000 secrets of 65 characters (F7)": partial(_secrets, repository=repository, number=1000),
                "20,000 secrets, which are too many (F7)": partial(_secrets, repository=repository, number=20_000),
            }
            rows = [_measured(service, name, load) for name, load in loads.items()]
    none = rows[0][1]
    show(
        f"/healthz under load, ms; {SECONDS:.0f} s each",
        ("load", "median", "to none", "p99", "worst", "asked", "load's requests"),
        [(name, median, median / none, p99, worst, asked, sent) for name, median, p99, worst, asked, sent in rows],
    )
    return all(row[3] < WORST_SECONDS * 1000 for row in rows)


def _measured(
    service: Slipway, name: str, load: Callable[[Slipway, threading.Event], int]
) -> tuple[str, float, float, float, int, int]:
    stop, sent = threading.Event(), [0]

    def work() -> None:
        sent[0] = load(service, stop)

    worker = threading.Thread(target=work)
    worker.start()
    taken: list[float] = []
    end = time.monotonic() + SECONDS
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
        while time.monotonic() < end:
            began = time.perf_counter()
            client.get("/healthz").raise_for_status()
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE)
    stop.set()
    worker.join()
    return name, quantile(taken, 0.5), quantile(taken, 0.99), max(taken), len(taken), sent[0]


def _nothing(_service: Slipway, stop: threading.Event) -> int:
    stop.wait()
    return 0


def _half_sent(service: Slipway, stop: threading.Event) -> int:
    """Keep many connections open that have sent half a request; one that is closed is opened anew."""
    opened = 0
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        while not stop.wait(0.05):
            sockets = [each for each in sockets if _is_open(each)]
            for _ in range(CONNECTIONS - len(sockets)):
                with contextlib.suppress(OSError):
                    made = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=5))
                    made.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ")
                    made.setblocking(False)
                    sockets.append(made)
                    opened += 1
    return opened


def _is_open(made: socket.socket) -> bool:
    try:
        return made.recv(4096) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _charts(service: Slipway, stop: threading.Event, *, repository: str) -> int:
    """Ask for a release of a chart that unpacks to 5 MB of empty lists, over and over."""
    return _releases(service, stop, {"repository": repository, "name": "lists", "version": "1.0.0"}, {})


def _secrets(service: Slipway, stop: threading.Event, *, repository: str, number: int) -> int:
    values = {"secrets": {f"password{index}": f'{index:0>32}"\\\n{index:0>30}' for index in range(number)}}
    return _releases(service, stop, {"repository": repository, "name": "plain", "version": "1.0.0"}, values)


def _releases(service: Slipway, stop: threading.Event, chart: dict[str, str], values: dict[str, object]) -> int:
    body = {"cluster": "bench", "namespace": "bench", "chart": chart, "values": values}
    sent = 0
    with service.client() as client:
        while not stop.is_set():
            answer = client.post("/releases", json={**body, "name": f"r{sent}-{free_port()}"})
            if answer.status_code not in (202, 422):
                raise RuntimeError(answer.text)
            sent += 1
    return sent


@contextlib.contextmanager
def _repository(where: Path) -> Iterator[str]:
    """Serve two charts: `plain`, and `lists`, whose schema is 5 MB of empty lists in 5 kB."""
    where.mkdir()
    for name, schema in (("plain", b"{}"), ("lists", b"[" + b"[]," * 1_700_000 + b"[]]")):
        with tarfile.open(where / f"{name}-1.0.0.tgz", "w:gz") as archive:
            about = f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n".encode()
            for file, content in (("Chart.yaml", about), ("values.schema.json", schema)):
                member = tarfile.TarInfo(f"{name}/{file}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    entries = {
        name: [{"apiVersion": "v2", "name": name, "version": "1.0.0", "urls": [f"{name}-1.0.0.tgz"]}]
        for name in ("plain", "lists")
    }
    (where / "index.yaml").write_text(json.dumps({"apiVersion": "v1", "entries": entries}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(where)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
