"""`/docs` on this server's own files, the headers of every answer, and what an operator can close."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.core.settings import Settings
from app.main import create_app


@asynccontextmanager
async def asking(url: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        Settings(database_url=url, admin_key="a-key-of-the-documentation-0123456789abc", **settings), with_worker=False
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://slipway.test") as client,
    ):
        yield client


async def test_the_page_and_all_that_it_loads_come_from_here(sqlite_url: str) -> None:
    async with asking(sqlite_url) as client:
        root = await client.get("/")
        assert (root.status_code, root.headers["location"]) == (307, "docs")
        page = await client.get("/docs")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(loaded) == 4
        assert "<script>" not in page.text
        policy = page.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "://" not in page.text + policy
        for path in [*loaded, "openapi.json"]:
            answer = await client.get(f"/{path}")
            assert answer.status_code == 200, path
            assert answer.content


async def test_every_answer_forbids_frames_scripts_and_guessing(sqlite_url: str) -> None:
    async with asking(sqlite_url) as client:
        for path, status in (("/healthz", 200), ("/clusters", 401), ("/none", 404), ("/metrics", 200)):
            answer = await client.get(path)
            assert answer.status_code == status
            assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert "strict-transport-security" not in answer.headers
        answer = await client.get("https://slipway.test/healthz")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_documentation_and_figures_can_be_closed(sqlite_url: str) -> None:
    async with asking(sqlite_url, docs=False, metrics=False) as client:
        for path in ("/", "/docs", "/docs/swagger-ui-bundle.js", "/openapi.json", "/metrics"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert (await client.get("/healthz")).status_code == 200
