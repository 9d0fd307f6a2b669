"""`slipway keys` as an operator runs it, and a service that lacks a key; real processes on both databases."""

import asyncio
import logging
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from integration.keys.conftest import NEW, OLD, OTHER, fill, read, vault_of, webhook
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import cli
from app.core.settings import Settings
from app.db.session import Database
from app.main import create_app

WAIT_SECONDS = 120.0
ADMIN = "an-admin-key-of-these-tests-0123456789"


Run = Callable[..., Awaitable[tuple[int, list[str], list[str]]]]


def environment(url: str, keys: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLIPWAY_", "AWS_"))}
    return kept | {"SLIPWAY_DATABASE_URL": url, "SLIPWAY_ENCRYPTION_KEY": keys}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run `slipway keys …` in this process (starting one takes seconds): exit code, lines of output, of complaints."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    async def run(url: str, keys: str, *arguments: str) -> tuple[int, list[str], list[str]]:
        for name, value in environment(url, keys).items():
            monkeypatch.setenv(name, value)
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["keys", *arguments])
        assert OLD not in done.output
        return done.exit_code, done.stdout.splitlines(), done.stderr.splitlines()

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_from_one_key_to_the_next(run: Run, database_url: str, filled: Database) -> None:
    written = await read(filled, vault_of(OLD))
    new, old = vault_of(NEW, OLD).key_ids
    code, said, _ = await run(database_url, f"{NEW},{OLD}", "status")
    assert code == 0
    assert f"key {old}: {len(written)} secrets" in said
    code, said, errors = await run(database_url, f"{NEW},{OLD}", "rotate")
    assert (code, errors) == (0, [])
    assert "webhooks.secrets: 64 secrets, 64 under the first key, 32 rows rewritten" in said
    assert said[-2:] == [
        f"key {new}, the first: {len(written)} secrets",
        f"key {old}: 0 secrets, so it can be taken out of SLIPWAY_ENCRYPTION_KEY",
    ]
    assert await read(filled, vault_of(NEW)) == written
    code, said, _ = await run(database_url, NEW, "status")
    assert (code, said[-1]) == (0, f"key {new}, the first: {len(written)} secrets")


async def test_a_key_that_was_dropped_too_early(run: Run, database_url: str, database: Database) -> None:
    async with database.write() as session:
        hook = webhook(vault_of(OTHER).encrypt, "lost")
        session.add(hook)
        await fill(session, vault_of(OLD).encrypt, "bound")
    for command in ("status", "rotate"):
        code, said, errors = await run(database_url, f"{NEW},{OLD}", command)
        assert code == 1
        assert len(errors) == 1
        assert errors[0].startswith(
            f"webhooks.secrets of {hook.id} was encrypted with the key {vault_of(OTHER).key_ids[0]}"
        )
        assert "can be taken out" not in str(said)
    code, _, errors = await run(database_url, f"{NEW},{OTHER}", "rotate")  # given back
    assert (code, errors) == (0, [])
    found = await read(database, vault_of(NEW))
    assert (len(found), "lost" in found) == (16, True)


async def test_killed_at_any_moment_all_stays_readable(run: Run, database_url: str, database: Database) -> None:
    async with database.write() as session:
        await fill(session, vault_of(OLD).encrypt, "bound", rows=5)
        session.add_all([webhook(vault_of(OLD).encrypt, f"one {number}", f"two {number}") for number in range(800)])
    written = await read(database, vault_of(OLD))
    chance, done = random.Random(), 0
    for _ in range(3):
        process = await asyncio.to_thread(start, environment(database_url, f"{NEW},{OLD}"))
        enough = done + chance.randint(1, 150)
        async with asyncio.timeout(WAIT_SECONDS):
            while await under_the_new_key(database) < enough and process.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(chance.random() / 30)
        process.kill()
        process.wait()
        before, done = done, await under_the_new_key(database)
        assert before < done < 800, "it was not killed half-way"
        assert await read(database, vault_of(NEW, OLD)) == written
    code, _, errors = await run(database_url, f"{NEW},{OLD}", "rotate")
    assert (code, errors) == (0, [])
    assert await read(database, vault_of(NEW)) == written


def start(env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "app", "keys", "rotate"], env=env, stdout=subprocess.DEVNULL)


async def under_the_new_key(database: Database) -> int:
    pattern = f'%"s2.{vault_of(NEW).key_ids[0]}.%'
    async with database.read() as session:
        query = text("SELECT count(*) FROM webhooks WHERE CAST(secrets AS VARCHAR) LIKE :pattern")
        return int((await session.execute(query, {"pattern": pattern})).scalar_one())


@pytest.mark.parametrize("url", ["sqlite:///{}/none.db", "nonsense"])
def test_a_database_that_is_not_there(run: Run, url: str, tmp_path: Path) -> None:
    code, said, errors = asyncio.run(run(url.format(tmp_path), OLD, "rotate"))
    assert (code, said, len(errors)) == (1, [], 1)
    assert errors[0].startswith("SLIPWAY_DATABASE_URL: ")
    assert not list(tmp_path.iterdir())


async def test_a_service_without_the_key_says_which_one_it_lacks(database_url: str, database: Database) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"url": "https://hooks.example.com/x"}
    for keys, status, problem in ((NEW, 201, None), (OLD, 409, "answer_lost"), (f"{OLD},{NEW}", 201, None)):
        settings = Settings(database_url=database_url, admin_key=ADMIN, encryption_key=keys)
        app = create_app(settings, with_worker=False)
        headers = {"Authorization": f"Bearer {ADMIN}"}
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://slipway.test", headers=headers) as client,
        ):
            answer = await client.post("/webhooks", json=body, headers=key)
            assert (answer.status_code, answer.json().get("code")) == (status, problem)
            if problem:
                assert vault_of(NEW).key_ids[0] in answer.json()["detail"]
            else:
                assert answer.json()["secret"].startswith("whsec_")
