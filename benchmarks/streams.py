"""1,000 readers of `/events`: what they cost, and how long after an event they have it.

One `slipway serve` on SQLite, the readers in one other process on the same two cores. The delay is from the event's own
time (the database's clock) to when the reader's process has the line, and so holds the time that process takes to read
all the others' first. Readers wait until each has had a heartbeat, which proves that it follows.
"""

import argparse
import asyncio
import json
from datetime import UTC, datetime

from benchmarks import endings, processes, table
from benchmarks.processes import LOGIN, Slipway

READERS, ROUNDS = 1000, 20
PATIENCE_SECONDS = 120.0
HEARTBEAT_SECONDS = 1
"""So that all are soon known to follow; the default is 15 s."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run(options: argparse.Namespace) -> bool:
    """Measure and print."""
    del options
    with processes.folder() as where:
        url = f"sqlite:///{where / 'slipway.db'}"
        settings: dict[str, object] = {"log_level": "WARNING", "heartbeat_seconds": HEARTBEAT_SECONDS}
        settings |= {
            "max_streams_per_key": READERS,
            "http_max_connections_per_address": 0,
            "http_max_connections": 2 * READERS,
        }
        with processes.serving(where, url, None, **settings) as service:
            rows = [asyncio.run(_measure(service, url, readers)) for readers in (1, READERS)]
    head = ("readers", "MiB before", "MiB with", "KiB each", "events got", "median ms", "99 % ms", "left behind")
    table.show("Readers of /events", head, rows)
    return all(row[4] == row[0] * ROUNDS and row[7] == 0 for row in rows)


async def _measure(service: Slipway, url: str, readers: int) -> tuple[int, float, float, float, int, float, float, int]:
    before = processes.memory(service.pid).rss
    streams = [await _open(service) for _ in range(readers)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(reader.readuntil(b": still here\n") for reader, _ in streams))
        delays: list[float] = []
        reading = asyncio.gather(*(_read(reader, delays) for reader, _ in streams))
        for _ in range(ROUNDS):
            await asyncio.to_thread(endings.begin, url, 1)
            await asyncio.sleep(0.5)
        await reading
    during = processes.memory(service.pid).rss
    for _, writer in streams:
        writer.close()
    left = await _left_behind(service)
    each = (during - before) * 1024 / readers
    times = [table.quantile(delays, share) * 1000 for share in (0.5, 0.99)]
    return readers, before, during, each, len(delays), times[0], times[1], left


async def _open(service: Slipway) -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    login = "\r\n".join(f"{name}: {value}" for name, value in LOGIN.items())
    writer.write(f"GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{login}\r\n\r\n".encode())
    return reader, writer


async def _read(reader: asyncio.StreamReader, delays: list[float]) -> None:
    """Read the ends of ROUNDS operations."""
    ends = 0
    while ends < ROUNDS:
        line = await reader.readline()
        if line.startswith(b"data: "):
            event = json.loads(line.removeprefix(b"data: "))
            if event["type"] == "operation.succeeded":
                ends += 1
                delays.append((datetime.now(UTC) - datetime.fromisoformat(event["at"])).total_seconds())


async def _left_behind(service: Slipway) -> int:
    """Return how many streams are open once their readers have gone; waits until none is, for a while."""
    for _ in range(100):
        with service.client() as client:
            lines = client.get("/metrics").text.splitlines()
        count = next(int(float(line.split()[1])) for line in lines if line.startswith("slipway_event_streams "))
        if count == 0:
            break
        await asyncio.sleep(0.1)
    return count
