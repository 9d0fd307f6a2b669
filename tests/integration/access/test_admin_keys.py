"""Who may call with which settings, on both databases."""

import json
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.access import admin_keys
from app.access.admin_keys import AdminKeyError
from app.access.service import Access, hash_of
from app.core.errors import UnauthenticatedError
from app.core.logging import Formatter
from app.core.settings import Settings
from app.db.base import DEFAULT_PROJECT
from app.db.session import Database
from app.main import create_app

ONE, TWO = "one-admin-key-of-the-tests-0123456789", "two-admin-key-of-the-tests-0123456789"


async def start(database: Database, path: Path | None, *keys: str) -> tuple[Access, str | None]:
    """Start a process with these keys; return who may call, and the key that was made."""
    access = Access(database, keys)
    return access, await access.bootstrap(path)


async def counts(access: Access, key: str) -> bool:
    try:
        return (await access.authenticate(key, "req-1")).project_id == DEFAULT_PROJECT
    except UnauthenticatedError:
        return False


async def test_a_key_is_made_once_and_kept_as_a_hash(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "slipway-admin.key"
    access, made = await start(database, path)
    assert made is not None
    assert path.read_text() == f"{made}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    caller = await access.authenticate(made, "req-1")
    assert (caller.project_id, caller.request_id) == (DEFAULT_PROJECT, "req-1")
    async with database.read() as session:
        assert (await session.execute(text("SELECT key_hash FROM api_keys"))).scalars().all() == [hash_of(made)]
    path.unlink()  # whoever keeps it elsewhere
    access, again = await start(database, path)
    assert again is None
    assert not path.exists()
    assert await counts(access, made)


async def test_a_start_that_was_cut_off_before_its_commit_is_taken_up(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "slipway-admin.key"
    left = admin_keys.make(path)
    access, made = await start(database, path)
    assert made == left
    assert await counts(access, left)


async def test_the_keys_of_the_settings_are_those_that_count(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "slipway-admin.key"
    access, made = await start(database, path)
    assert made is not None

    access, nothing = await start(database, path, ONE)
    assert nothing is None
    assert not path.exists()
    assert (await counts(access, made), await counts(access, ONE)) == (False, True)

    access, _ = await start(database, path, TWO)
    assert (await counts(access, ONE), await counts(access, TWO)) == (False, True)

    access, again = await start(database, path)  # taken out again: the one that was set is gone, too
    assert again not in (None, made)
    assert (await counts(access, ONE), await counts(access, TWO), await counts(access, str(again))) == (
        False,
        False,
        True,
    )


async def test_replicas_that_are_replaced_one_by_one_end_nobodys_key(database: Database) -> None:
    old, _ = await start(database, None, ONE)
    both, _ = await start(database, None, TWO, ONE)
    restarted, _ = await start(database, None, ONE)
    for replica in (old, both, restarted):
        assert await counts(replica, ONE)
    assert await counts(both, TWO)
    assert (await both.authenticate(ONE)).key_id == (await old.authenticate(ONE)).key_id
    new, _ = await start(database, None, TWO)
    assert (await counts(new, ONE), await counts(new, TWO)) == (False, True)


async def test_a_file_that_cannot_be_removed_is_named(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "slipway-admin.key"
    path.mkdir()
    with caplog.at_level(logging.WARNING):
        await start(database, path, ONE)
    assert f"{path} holds a key that is not valid any more" in caplog.text


async def test_without_a_place_to_make_one_a_key_must_be_given(database: Database) -> None:
    with pytest.raises(AdminKeyError, match="is needed"):
        await start(database, None)


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    made = create_app(Settings(database_url=database_url, admin_key=f"{ONE}\n"), with_worker=False)
    async with made.router.lifespan_context(made):
        yield made


async def test_wrong_keys_are_told_with_their_number_and_without_themselves(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    transport = httpx.ASGITransport(app, client=("192.0.2.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://slipway.test") as client:
        before = await figure(client, "wrong")
        for key in (*["a-wrong-key-hunter2"] * 20, "x" * 5000):
            answer = await client.get("/operations", headers={"Authorization": f"Bearer {key}"})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        for key in (ONE, f"  {ONE} "):
            assert (await client.get("/operations", headers={"Authorization": f"Bearer {key}"})).status_code == 200
        assert await figure(client, "wrong") == before + 21
    app.state.authentication_failures.close()
    lines = [json.loads(Formatter().format(record)) for record in caplog.records]
    warnings = [(line["client"], line["failures"]) for line in lines if line["level"] == "WARNING"]
    assert warnings == [("192.0.2.9", 1), ("192.0.2.9", 20)]
    assert "hunter2" not in caplog.text
    assert ONE not in str(lines)


async def figure(client: httpx.AsyncClient, reason: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    name = f'slipway_authentication_failures_total{{reason="{reason}"}} '
    return float(next(line for line in lines if line.startswith(name)).removeprefix(name))
