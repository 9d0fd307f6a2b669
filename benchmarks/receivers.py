"""Receivers as they are in life: what came to each, how often, in what order, and what the log of deliveries says.

Every receiver is registered with one `slipway serve` on SQLite and told of the same three operations of one cluster,
after which it is right again. The schedule is the real one: the first retry comes after 5 s (4 to 6 s, jittered); the
time-out is 2 s instead of 20 s.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks import endings, processes, table
from benchmarks.processes import LOGIN

OPERATIONS = 3
TIMEOUT_SECONDS = 2
PAUSE_SECONDS = 8
SLOW_SECONDS = 1.0
PATIENCE_SECONDS = 60.0

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answers(status: int, *headers: str) -> Behaviour:
    """Return the behaviour that answers at once."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join([f"HTTP/1.1 {status} X", "Content-Length: 0", *headers, "", ""]).encode())

    return behave


async def _slowly(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(SLOW_SECONDS)
    await answers(204)(writer)


async def _never(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(TIMEOUT_SECONDS * 2)


async def _half(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    writer.close()


GOOD = answers(204)
CASES: dict[str, tuple[Behaviour | None, int]] = {
    "good": (GOOD, 0),
    "down, then up": (None, OPERATIONS),
    f"slow: {SLOW_SECONDS:g} s each": (_slowly, 99),
    "hangs, then good": (_never, OPERATIONS),
    "500, then good": (answers(500), OPERATIONS),
    "410": (answers(410), 1),
    f"429 for {PAUSE_SECONDS} s, then good": (answers(429, f"Retry-After: {PAUSE_SECONDS}"), 1),
    "302 to metadata, then good": (answers(302, "Location: http://169.254.169.254/latest/meta-data/"), OPERATIONS),
    "closes mid-body, then good": (_half, OPERATIONS),
}
"""What each does (None: nobody listens), and with how many requests before it is good."""


@dataclass
class Receiver:
    """One of them, on a port of its own.

    Attributes:
        wrong: What it does at first.
        turns: Requests until it is good.
        came: Seconds and `webhook-id` of each request.
    """

    wrong: Behaviour | None
    turns: int
    port: int = field(default_factory=processes.free_port)
    came: list[tuple[float, str]] = field(default_factory=list)
    webhook_id: str = ""

    async def listen(self) -> None:
        """Answer until the loop ends."""
        await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                fields = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
                await reader.readexactly(int(fields["content-length"]))
                self.came.append((time.monotonic(), fields["webhook-id"]))
                await (self.wrong if self.wrong and len(self.came) <= self.turns else GOOD)(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):  # it left, or all is measured
            writer.close()


def run(options: argparse.Namespace) -> bool:
    """Show the table; False if one of them was not told as it should be."""
    del options
    with processes.folder() as where:
        url = f"sqlite:///{where / 'slipway.db'}"
        settings = {"allow_http": "true", "allow_private_addresses": "true", "webhook_timeout_seconds": TIMEOUT_SECONDS}
        with processes.serving(where, url, None, **settings) as service:
            return asyncio.run(_tell(service.url, url))


async def _tell(service_url: str, database_url: str) -> bool:
    receivers = {name: Receiver(*case) for name, case in CASES.items()}
    for receiver in receivers.values():
        if receiver.wrong is not None:
            await receiver.listen()
    async with httpx.AsyncClient(base_url=service_url, headers=LOGIN, timeout=30, trust_env=False) as client:
        for receiver in receivers.values():
            answer = await client.post("/webhooks", json={"url": f"http://127.0.0.1:{receiver.port}/"})
            receiver.webhook_id = answer.raise_for_status().json()["id"]
        began = time.monotonic()
        await asyncio.to_thread(endings.begin, database_url, OPERATIONS, of_one_resource=True)
        down = receivers["down, then up"]
        await _until(client, down, lambda log: sum(len(one["attempts"]) for one in log) >= OPERATIONS)
        await down.listen()
        logs = {}
        for name, receiver in receivers.items():
            logs[name] = await _until(client, receiver, lambda log: all(one["status"] != "pending" for one in log))
        rows = [_row(name, receiver, logs[name], began) for name, receiver in receivers.items()]
    head = ("receiver", "arrivals by sequence", "at second", "tries in the log, by delivery", "end")
    table.show(f"{OPERATIONS} events of one cluster, told to each", head, rows)
    return all(("failed" in row[4]) == (row[0] == "410") for row in rows)


async def _until(client: httpx.AsyncClient, receiver: Receiver, holds: Callable[[list[Any]], bool]) -> list[Any]:
    """Return the deliveries of a receiver, oldest first, once something holds of them."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            answer = await client.get(f"/webhooks/{receiver.webhook_id}/deliveries")
            log = list(reversed(answer.raise_for_status().json()["items"]))
            if len(log) == OPERATIONS and holds(log):
                return log
            await asyncio.sleep(0.1)


def _row(name: str, receiver: Receiver, log: list[Any], began: float) -> tuple[str, str, str, str, str]:
    numbers = {delivery["event_id"]: delivery["sequence"] for delivery in log}
    arrivals = " ".join(str(numbers[event]) for _, event in receiver.came)
    times = " ".join(f"{at - began:.0f}" for at, _ in receiver.came)
    tries = "; ".join(
        " ".join(str(attempt["status_code"] or "–") for attempt in one["attempts"]) or "none" for one in log
    )
    statuses = [delivery["status"] for delivery in log]
    end = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return name, arrivals, times, tries, end
