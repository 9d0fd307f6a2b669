"""The app with its worker on both databases, receivers on loopback, and operations that end by themselves."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from standardwebhooks.webhooks import Webhook as StandardWebhook

from app.clusters.models import Cluster
from app.core.caller import Caller
from app.core.ids import new_id
from app.core.settings import Settings
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.main import create_app
from app.operations.group_kinds import CLUSTER_APPLY
from app.operations.service import Plan, Target

KEY = "test-admin-key-0123456789-abcdefghij"
WAIT_SECONDS = 120.0
CALLER = Caller(DEFAULT_PROJECT, "key_test")

Json = dict[str, Any]


@dataclass
class Received:
    """One request that a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return dict(httpx.Response(200, content=self.body).json())

    def verified(self, secret: str) -> Json:
        """Return the payload once Standard Webhooks' own library has verified it."""
        return dict(StandardWebhook(secret).verify(self.body, self.headers))


Behaviour = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def answers(status: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Return the behaviour of an endpoint that answers at once."""

    async def behave(_received: Received, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return behave


async def hangs(_received: Received, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def closes_mid_body(_received: Received, writer: asyncio.StreamWriter) -> None:
    """Promise more than is sent, and close."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    await writer.drain()
    writer.close()


@dataclass
class Receiver:
    """A real HTTP endpoint on loopback, which does what it is told to."""

    behaviour: Behaviour = field(default_factory=lambda: answers(204))
    received: list[Received] = field(default_factory=list)
    port: int = 0
    open: int = 0
    most_open: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def types(self) -> list[str]:
        return [received.json["type"] for received in self.received]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    await self._one(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        received = Received(request.split(" ")[1], headers, body)
        self.received.append(received)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self.behaviour(received, writer)
            await writer.drain()
        finally:
            self.open -= 1


async def until(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.01)


@pytest.fixture
async def receivers() -> AsyncIterator[Callable[..., Awaitable[Receiver]]]:
    """Make receivers; all of them end with the test."""
    made: list[Receiver] = []

    async def make(behaviour: Behaviour | None = None) -> Receiver:
        receiver = Receiver(behaviour or answers(204))
        await receiver.start()
        made.append(receiver)
        return receiver

    yield make
    for receiver in made:
        await receiver.stop()


@pytest.fixture
async def receiver(receivers: Callable[..., Awaitable[Receiver]]) -> Receiver:
    return await receivers()


class Service:
    """The running app and a client of it."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client
        self.database = app.state.database

    async def webhook(self, url: str, **fields: Any) -> Json:
        answer = await self.client.post("/webhooks", json={"url": url, **fields})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def get(self, path: str, **query: Any) -> Json:
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def post(self, path: str, body: Any = None) -> Json:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def deliveries(self, webhook_id: str, **query: Any) -> list[Json]:
        return list((await self.get(f"/webhooks/{webhook_id}/deliveries", **query))["items"])

    async def delivery(self, webhook_id: str, holds: Callable[[Json], Any]) -> Json:
        """Return the newest delivery of a webhook once something holds for it."""
        path = f"/webhooks/{webhook_id}/deliveries"
        page = await self.until(path, lambda found: found["items"] and holds(found["items"][0]))
        return dict(page["items"][0])

    async def cluster(self, **tags: str) -> Cluster:
        """Write a cluster row."""
        row = Cluster(
            id=new_id("clu"),
            project_id=DEFAULT_PROJECT,
            account_id=DEFAULT_ACCOUNT,
            region="eu-central-1",
            name=new_id("c").replace("_", "-"),
            spec={},
            tags=tags,
            phase="active",
        )
        async with self.database.write() as session:
            session.add(row)
        return row

    async def operate(self, cluster: Cluster, callback_url: str | None = None, children: int = 0) -> str:
        """Begin an operation that ends by itself; return its id."""
        target = Target("cluster", cluster.id, cluster.name, DEFAULT_PROJECT, DEFAULT_ACCOUNT, cluster.region)
        async with self.database.write() as session:
            plan = Plan(CLUSTER_APPLY, holds_lock=False, callback_url=callback_url)
            parent = await self.app.state.ledger.begin(session, CALLER, target, plan)
            for _ in range(children):
                plan = Plan(CLUSTER_APPLY, holds_lock=False, parent_id=parent.id)
                await self.app.state.ledger.begin(session, CALLER, target, plan)
        return str(parent.id)

    async def until(self, path: str, holds: Callable[[Json], Any]) -> Json:
        """Return what a path answers once something holds for it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = await self.get(path)
            if holds(found):
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.02)

    async def ended(self, operation_id: str) -> Json:
        return await self.until(f"/operations/{operation_id}", lambda found: found["finished_at"])


@contextlib.asynccontextmanager
async def serving(url: str, *, with_worker: bool = True, **settings: Any) -> AsyncIterator[Service]:
    """Run the app."""
    usual: dict[str, Any] = {
        "admin_key": KEY,
        "tick_seconds": 0.05,
        "allow_http": True,
        "allow_private_addresses": True,
        "webhook_timeout_seconds": 60,
        "drain_seconds": 3,
        "encryption_key": "an-encryption-key-of-32-characters-or-more",
    }
    app = create_app(Settings(database_url=url, **(usual | settings)), with_worker=with_worker)
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://slipway.test", headers=headers, timeout=30) as client,
    ):
        if with_worker:
            app.state.worker._deliverer._waits = (3600.0,) * 9  # what fails is tried again when a test says so
        yield Service(app, client)


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """The app with its worker, on each database."""
    async with serving(database_url) as running:
        yield running


@pytest.fixture
async def idle(database_url: str) -> AsyncIterator[Service]:
    """The app without a worker: nothing is sent."""
    async with serving(database_url, with_worker=False) as running:
        yield running
