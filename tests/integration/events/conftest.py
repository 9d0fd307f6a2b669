"""The app behind a real server on loopback, so that streams are cut, left and read slowly as they are in life."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from app.core.ids import new_id
from app.core.settings import Settings
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.db.session import Database
from app.engine.models import Operation, OperationEvent
from app.main import create_app

KEY = "test-admin-key-0123456789-abcdefghij"
LOGIN = {"Authorization": f"Bearer {KEY}"}
STREAM = {**LOGIN, "Accept": "text/event-stream"}
SECONDS = 120.0

Json = dict[str, Any]


class Server:
    """One replica."""

    def __init__(self, app: FastAPI, server: uvicorn.Server) -> None:
        self.app = app
        self.port = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.AsyncClient(base_url=self.url, headers=LOGIN, timeout=SECONDS)

    @property
    def database(self) -> Database:
        found: Database = self.app.state.database
        return found

    @property
    def readers(self) -> int:
        return int(self.app.state.feed.readers)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, **options: Any) -> AsyncIterator["Messages"]:
        headers = {**STREAM, **options.pop("headers", {})}
        async with self.client.stream("GET", path, headers=headers, **options) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield Messages(answer)


class Messages:
    """The messages of a stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.comments = 0

    async def next(self) -> Json | None:
        """Return the next message (`id`, `event`, `data`), or None at the end."""
        found: Json = {}
        async with asyncio.timeout(SECONDS):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    found[name] = json.loads(value) if name == "data" else value
                elif "data" in found:
                    return found
        return None

    async def take(self, count: int) -> list[str]:
        """Return the texts of the next events."""
        return [(await self.next() or {})["data"]["message"] for _ in range(count)]


@contextlib.asynccontextmanager
async def serving(url: str, **settings: Any) -> AsyncIterator[Server]:
    usual: dict[str, Any] = {
        "admin_key": KEY,
        "encryption_key": "an-encryption-key-of-32-characters-or-more",
        "tick_seconds": 0.05,
    }
    app = create_app(Settings(database_url=url, **(usual | settings)), with_worker=False)
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="on", log_config=None, timeout_graceful_shutdown=5))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), task.result()
        await asyncio.sleep(0.01)
    running = Server(app, server)
    try:
        yield running
    finally:
        await running.client.aclose()
        app.state.feed.close()
        server.should_exit = True
        await task


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serving(database_url) as running:
        yield running


def operation(**values: Any) -> Operation:
    usual: Json = {
        "id": new_id("op"),
        "project_id": DEFAULT_PROJECT,
        "account_id": DEFAULT_ACCOUNT,
        "region": "eu-central-1",
        "kind": "cluster.create",
        "resource_type": "cluster",
        "resource_id": new_id("clu"),
        "resource_name": "eksdemo",
        "status": "running",
        "phase": "begin",
    }
    return Operation(**(usual | values))


def event(of: Operation, message: str, kind: str = "operation.step") -> OperationEvent:
    return OperationEvent(
        project_id=of.project_id,
        operation_id=of.id,
        resource_type=of.resource_type,
        resource_id=of.resource_id,
        type=kind,
        message=message,
    )


async def save(database: Database, *rows: Any) -> None:
    """Write rows and tell of them, as the engine does."""
    async with database.write() as session:
        for row in rows:
            session.add(row)
            await session.flush()
        await database.notifier.notify(session, "slipway_events")


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.01)
