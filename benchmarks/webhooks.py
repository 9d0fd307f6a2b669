"""10,000 deliveries to 100 endpoints: does one that hangs slow the others down, and does kill -9 lose any?

One `slipway serve` on SQLite. The receiver is a process of its own: it answers `/good/…` at once and `/hang/…` never,
so that each delivery to the latter takes the whole time-out of 20 s. The receiver's share of the two cores is in the
figures; CPU seconds are Slipway's alone.
"""

import argparse
import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import endings, processes, table
from benchmarks.processes import Slipway

ENDPOINTS, EVENTS, HANGING = 100, 100, 10
KILL_AT = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Parts of all deliveries that have arrived when the service is killed; 0: the first are written, none has arrived."""

PATIENCE_SECONDS = 600.0  # what two kills hit waits five minutes and a fifth for its third try
RECEIVER = "receive"
SETTINGS: dict[str, object] = {"allow_http": "true", "allow_private_addresses": "true", "log_level": "WARNING"}


@dataclass
class Run:
    """A service, its database and a receiver."""

    service: Slipway
    database: Path
    receiver: str

    def counts(self) -> tuple[int, int]:
        """Return how many deliveries have arrived, and how many of them were different ones."""
        counts = httpx.get(f"{self.receiver}/counts", timeout=30, trust_env=False).json()
        return counts["all"], counts["distinct"]

    def wait(self, distinct: int) -> None:
        """Return once so many different ones have arrived, or after PATIENCE_SECONDS."""
        self.until(lambda: self.counts()[1] >= distinct, every=0.05)

    def pending(self) -> int:
        """Return how many deliveries are written, and not known to have arrived."""
        query = "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'"
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            return int(connection.execute(query).fetchone()[0])

    def until(self, holds: Callable[[], bool], *, every: float) -> None:
        """Return once something holds, or after PATIENCE_SECONDS."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds() and time.monotonic() < deadline:
            time.sleep(every)

    def register(self, hanging: int) -> None:
        """Register the endpoints, `hanging` of them among those that never answer."""
        with self.service.client() as client:
            for number in range(ENDPOINTS):
                kind = "hang" if number < hanging else "good"
                client.post("/webhooks", json={"url": f"{self.receiver}/{kind}/{number}"}).raise_for_status()

    def begin(self) -> None:
        """Let EVENTS operations end."""
        endings.begin(f"sqlite:///{self.database}", EVENTS)


def run(options: argparse.Namespace) -> bool:
    """Measure and print; False if something was lost."""
    del options
    rows: list[tuple[object, ...]] = []
    rates: list[float] = []
    lost = 0
    for hanging in (0, HANGING):
        good = (ENDPOINTS - hanging) * EVENTS
        with _running() as one:
            one.register(hanging)
            cpu, began = processes.cpu_seconds(one.service.pid), time.perf_counter()
            one.begin()
            one.wait(good)
            seconds = time.perf_counter() - began
            cpu = processes.cpu_seconds(one.service.pid) - cpu
            came, distinct = one.counts()
        lost += good - distinct
        rates.append(distinct / seconds)
        rows.append((f"{hanging} hang", good, seconds, rates[-1], cpu, good - distinct, came - distinct))
    head = ("", "good deliveries", "seconds", "a second", "CPU seconds", "lost", "twice")
    table.show(f"{ENDPOINTS * EVENTS:,} deliveries to {ENDPOINTS} endpoints", head, rows)
    print(f"  The good ones while {HANGING} hang: {rates[1] / rates[0]:.2f} of their rate while none does")
    lost_by_kills, twice = _kill()
    title = f"kill -9, {len(KILL_AT)} times in the course of {ENDPOINTS * EVENTS:,} deliveries"
    table.show(title, ("", "lost", "twice"), [("deliveries", lost_by_kills, twice)])
    return lost + lost_by_kills == 0


def _kill() -> tuple[int, int]:
    total = ENDPOINTS * EVENTS
    with _running(webhook_timeout_seconds=2) as one:
        one.register(0)
        one.begin()
        for part in KILL_AT:
            if part:
                one.wait(int(part * total))
            else:
                one.until(lambda: one.pending() > 0, every=0.001)  # committed: to kill now is to kill before delivery
            one.service.kill()
            one.service.start()
            one.service.wait_until_ready()
        one.wait(total)
        one.until(lambda: one.pending() == 0, every=0.1)  # what was being sent when it was killed is sent again
        came, distinct = one.counts()
    return total - distinct, came - distinct


@contextlib.contextmanager
def _running(**settings: object) -> Iterator[Run]:
    command = [sys.executable, "-m", "benchmarks.webhooks", RECEIVER]
    with processes.folder() as where:
        database = where / "slipway.db"
        receiver = subprocess.Popen(command, cwd=processes.ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert receiver.stdout is not None
            url = receiver.stdout.readline().strip()
            with processes.serving(where, f"sqlite:///{database}", None, **(SETTINGS | settings)) as service:
                yield Run(service, database, url)
        finally:
            receiver.kill()
            receiver.wait()


async def _receive() -> None:
    came: Counter[tuple[str, str]] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                path = head.split(" ")[1]
                fields = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
                await reader.readexactly(int(fields.get("content-length", "0")))
                body = b""
                if path == "/counts":
                    body = json.dumps({"all": came.total(), "distinct": len(came)}).encode()
                elif path.startswith("/hang"):
                    await reader.read()
                else:
                    came[path, fields["webhook-id"]] += 1
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__" and sys.argv[1:] == [RECEIVER]:
    asyncio.run(_receive())
