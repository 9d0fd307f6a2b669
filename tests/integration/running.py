"""The whole service as its callers meet it: the app with its worker, on the local cloud, with a client that may all."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import FastAPI
from integration.conftest import LocalCloud
from sqlalchemy import text

from app.core.settings import Settings
from app.db.base import DEFAULT_ACCOUNT
from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.cloud import Cloud
from app.main import create_app

KEY = "running-admin-key-0123456789-abcdefg"
REGION = "us-west-2"
WAIT_SECONDS = 300.0
TERMINAL = ("succeeded", "failed", "cancelled")
WORKERS = {"name": "workers", "scaling": {"min": 1, "max": 3, "desired": 1}}

Json = dict[str, Any]


class Slipway:
    """A running service."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, cloud: LocalCloud, clients: AwsClients) -> None:
        self.app = app
        self.client = client
        self.cloud = cloud
        self.name = f"c-{uuid.uuid4().hex[:8]}"
        """A cluster name that no other test has."""
        self._clients = clients

    async def aws(self, service: str) -> Any:
        """Return an SDK client, for what is done behind Slipway's back."""
        return await self._clients.client(PROCESS, REGION, service)

    async def gateway(self) -> Cloud:
        """Return AWS as Slipway sees it."""
        found: Cloud = await self.app.state.clusters.clouds.of(DEFAULT_ACCOUNT, REGION)
        return found

    async def get(self, path: str, **query: Any) -> Json:
        answer = await self.client.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def change(self, method: str, path: str, body: Any = None, **options: Any) -> Json:
        """Begin a change that must be accepted; return its operation."""
        answer = await self.client.request(method, path, json=body, **options)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def refused(self, method: str, path: str, body: Any = None, **options: Any) -> Json:
        """Send what must be refused; return the problem."""
        answer = await self.client.request(method, path, json=body, **options)
        assert answer.status_code >= 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        return dict(answer.json())

    async def wait(self, operation: Json | str) -> Json:
        """Return an operation once it has ended."""
        name = operation if isinstance(operation, str) else operation["id"]
        return await self.until(f"/operations/{name}", lambda found: found["status"] in TERMINAL)

    async def until(self, path: str, holds: Any) -> Json:
        """Return what a path answers once something holds for it."""
        deadline = time.monotonic() + WAIT_SECONDS
        pause = 0.02
        while True:
            found = await self.get(path)
            if holds(found):
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(pause)
            pause = min(0.2, pause * 1.2)  # asking costs the service, which works in this very process, its time

    async def do(self, method: str, path: str, body: Any = None) -> Json:
        """Make a change that must succeed; return its ended operation."""
        ended = await self.wait(await self.change(method, path, body))
        assert ended["status"] == "succeeded", ended
        return ended

    async def fail(self, method: str, path: str, body: Any = None) -> Json:
        """Make a change that must fail; return its error."""
        ended = await self.wait(await self.change(method, path, body))
        assert ended["status"] == "failed", ended
        return dict(ended["error"])

    async def child(self, parent: Json, kind: str, name: str | None = None) -> Json:
        """Return an operation of a parent's children."""
        found = await self.get(f"/operations/{parent['id']}")
        ids = [c["id"] for c in found["children"] if c["kind"] == kind and name in (None, c["resource"]["name"])]
        assert ids, found["children"]
        return await self.get(f"/operations/{ids[-1]}")

    async def count(self, table: str) -> int:
        async with self.app.state.database.read() as session:
            return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())

    async def leftovers(self) -> dict[str, list[str]]:
        """Return the ids of all that is in the account."""
        async with httpx.AsyncClient(verify=False) as client:
            return dict((await client.get(f"{self.cloud.endpoint}/_localcloud/leftovers", timeout=60)).json())

    async def cluster(self, name: str, *groups: Json, **spec: Any) -> Json:
        """Create a cluster, with node groups if there are any, and return it once it is there."""
        body = {"name": name, "region": REGION, "addons": [], "network": {"zones": 2, "nat": "none"}, **spec}
        await self.do("POST", "/clusters", {**body, "nodegroups": list(groups)})
        return await self.get(f"/clusters/{name}")


@contextlib.asynccontextmanager
async def running(url: str, cloud: LocalCloud, *, with_worker: bool = True) -> AsyncIterator[Slipway]:
    """Run the service; the environment must point at the local cloud (fixture `aws_environment`)."""
    settings = Settings(
        database_url=url, admin_key=KEY, tick_seconds=0.5, poll_min_seconds=0.1, poll_max_seconds=0.3, drain_seconds=3
    )
    app = create_app(settings, with_worker=with_worker)
    headers = {"Authorization": f"Bearer {KEY}"}
    transport = httpx.ASGITransport(app)
    async with (
        AwsClients() as clients,
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://slipway.test", headers=headers, timeout=30) as client,
    ):
        yield Slipway(app, client, cloud, clients)


def pointers(problem: Json) -> list[str]:
    """Return the places that a problem names."""
    return [error["pointer"] for error in problem["errors"]]
