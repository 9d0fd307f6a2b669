"""`/docs` on this server's own files, the headers of every answer, and what an operator can close."""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration.http.test_processes import WAIT_SECONDS, Start, end, start, wait_until_ready

from app.core.settings import Settings
from app.demo.processes import free_port
from app.main import create_app

__all__ = ["start"]

KEY = "a-key-of-the-documentation-0123456789abc"


@asynccontextmanager
async def asking(url: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(database_url=url, admin_key=KEY, **settings), with_worker=False)
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


@pytest.mark.slow
def test_a_browser_shows_the_operations_and_objects_to_nothing(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    loads = subprocess.run(
        [sys.executable, "-c", "import PyQt6.QtWebEngineCore"], capture_output=True, text=True, check=False
    )
    if loads.returncode and not os.environ.get("CI"):
        pytest.skip(f"Chromium misses a library of this system: {loads.stderr.strip().splitlines()[-1]}")
    port = free_port()
    process = start(sqlite_url, "serve", "--port", str(port), "--no-worker", SLIPWAY_ADMIN_KEY=KEY)
    wait_until_ready(process, port)
    command = [sys.executable, str(Path(__file__).with_name("browser.py")), f"http://127.0.0.1:{port}/docs"]
    env = os.environ | {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1", "HOME": str(tmp_path)}
    seen = subprocess.run(command, capture_output=True, text=True, env=env, timeout=WAIT_SECONDS, check=False)
    assert seen.returncode == 0, seen.stderr
    found = json.loads(seen.stdout.splitlines()[-1])
    document = httpx.get(f"http://127.0.0.1:{port}/openapi.json").json()
    methods = {"get", "put", "post", "delete", "patch", "head", "options"}
    assert found["operations"] >= sum(len(methods & item.keys()) for item in document["paths"].values())
    assert found["said"] == []
    assert found["ran"] == 0
    assert "Content Security Policy" in " ".join(found["forbidden"])  # so it would have been heard above
    end(process)
