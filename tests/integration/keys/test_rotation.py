"""Everything at rest under a new key, on both databases."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from integration.keys.conftest import KINDS, NEW, OLD, OTHER, before, fill, read, vault_of, webhook
from sqlalchemy import Column, String, Table, select, update
from sqlalchemy.exc import StatementError
from sqlmodel import col

from app import keys
from app.core.crypto import UndecryptableError
from app.db.base import metadata
from app.db.sealed import MarkedText, SealedText, place, place_in, sealed_columns
from app.db.session import Database
from app.http.models import IdempotencyKey
from app.releases.models import Release
from app.webhooks.models import Webhook


async def test_everything_is_encrypted_anew_and_nothing_else_changes(filled: Database) -> None:
    written = await read(filled, vault_of(OLD))
    updated = await times(filled)
    vault = vault_of(NEW, OLD)
    first_id, old_id = vault.key_ids

    first = await keys.status(filled, vault)
    assert len(first) == KINDS
    assert sum(count.newest for count in first) == 0
    assert sum(count.older[old_id] for count in first) == len(written)

    done = await keys.rotate(filled, vault)
    assert sum(count.newest for count in done) == len(written)
    assert all(count.rewritten and not count.older and not count.lost for count in done)
    assert await read(filled, vault_of(NEW)) == written
    assert await times(filled) == updated
    report = keys.report(done, vault.key_ids)
    assert f"key {first_id}, the first: {len(written)} secrets" in report
    assert f"key {old_id}: 0 secrets, so it can be taken out of SLIPWAY_ENCRYPTION_KEY" in report

    assert [count.rewritten for count in await keys.rotate(filled, vault)] == [0] * KINDS


async def times(database: Database) -> list[object]:
    async with database.read() as session:
        return list((await session.execute(select(Release.id, Release.updated_at).order_by(Release.id))).all())


async def test_secrets_of_before_are_bound_to_their_rows_with_the_same_key(database: Database) -> None:
    async with database.write() as session:
        await fill(session, before(OLD), "before")
    written = await read(database, vault_of(OLD))
    await keys.rotate(database, vault_of(OLD))
    assert await read(database, vault_of(OLD)) == written
    assert {count.newest > 0 for count in await keys.status(database, vault_of(OLD))} == {True}


async def test_what_cannot_be_decrypted_is_named_and_stays(filled: Database) -> None:
    async with filled.write() as session:
        lost = webhook(vault_of(OTHER).encrypt, "lost")
        half = webhook(vault_of(OLD).encrypt, "kept")
        half.secrets = [*half.secrets, *lost.secrets]
        session.add_all([lost, half])
        await session.flush()
        stays = [lost.secrets, half.secrets]
        ids = [lost.id, half.id]
    vault = vault_of(NEW, OLD)
    (count,) = [each for each in await keys.rotate(filled, vault) if each.column == "webhooks.secrets"]
    missing = vault_of(OTHER).key_ids[0]
    assert count.lost[0] == (
        f"webhooks.secrets of {ids[0]} was encrypted with the key {missing}, which is not among those of "
        f"SLIPWAY_ENCRYPTION_KEY ({', '.join(vault.key_ids)})"
    )
    assert len(count.lost) == 2
    assert count.newest == 64
    assert "it can be taken out" not in str(keys.report([count], vault.key_ids))
    async with filled.read() as session:
        rows = [await session.get(Webhook, webhook_id) for webhook_id in ids]
    assert [row and row.secrets for row in rows] == stays


async def test_secrets_that_were_swapped_between_rows_are_not_decrypted(database: Database) -> None:
    vault = vault_of(OLD)
    async with database.write() as session:
        await fill(session, vault.encrypt, "bound")
    async with database.write() as session:
        one, two = (await session.execute(select(Release).order_by(Release.id))).scalars()
        one.sealed_values, two.sealed_values = two.sealed_values, one.sealed_values
    with pytest.raises(UndecryptableError, match="was encrypted for another row"):
        vault.decrypt(one.sealed_values, place(Release, "sealed_values", one.id))
    (count,) = [each for each in await keys.rotate(database, vault) if each.column == "releases.sealed_values"]
    assert [one.id in count.lost[0], two.id in count.lost[1]] == [True, True]


@pytest.fixture
async def planted(database: Database) -> AsyncIterator[Table]:
    """A table that nobody told the rotation of."""
    table = Table(
        "planted",
        metadata,
        Column("b", String(40), primary_key=True),
        Column("a", String(40), primary_key=True),
        Column("hidden", SealedText),
        Column("updated_at", String(40), onupdate="changed"),
    )
    async with database.engine.begin() as connection:
        await connection.run_sync(table.create)
    yield table
    metadata.remove(table)
    async with database.engine.begin() as connection:
        await connection.run_sync(table.drop)


async def test_a_new_table_is_found(database: Database, planted: Table) -> None:
    old, both = vault_of(OLD), vault_of(NEW, OLD)
    names = [(f"b{number // 7}", f"a{number}") for number in range(50)]
    async with database.write() as session:
        for name in names:
            sealed = old.encrypt(f"text {name}", place_in(planted, "hidden", name))
            values = {"b": name[0], "a": name[1], "hidden": sealed, "updated_at": "then"}
            await session.execute(planted.insert().values(values))
        await session.execute(planted.insert().values(b="none", a="none"))
    assert "planted" in {table.name for table, _, _ in sealed_columns(metadata)}
    (count,) = [each for each in await keys.rotate(database, both) if each.column == "planted.hidden"]
    assert (count.newest, count.rewritten) == (50, 50)
    async with database.read() as session:
        rows = (await session.execute(planted.select().where(planted.c.hidden.is_not(None)))).all()
    new = vault_of(NEW)
    assert {new.decrypt(row.hidden, place_in(planted, "hidden", (row.b, row.a))) for row in rows} == {
        f"text {name}" for name in names
    }
    assert {row.updated_at for row in rows} == {"then"}


async def test_clear_text_has_no_way_into_such_a_column(database: Database) -> None:
    async with database.write() as session:
        await fill(session, vault_of(OLD).encrypt, "bound", rows=1)
    for change in (
        update(Release).values(sealed_values="hunter2"),
        update(Webhook).values(secrets=[{"secret": "hunter2", "expires_at": None}]),
        update(IdempotencyKey).values(body=MarkedText.MARK + "hunter2"),
    ):
        with pytest.raises(StatementError, match="clear text was given"):
            async with database.write() as session:
                await session.execute(change)
    with pytest.raises(TypeError, match="not declared to hold secrets"):
        place(Release, "name", "rel_1")
    with pytest.raises(TypeError, match="primary key of 1 columns"):
        place(Release, "sealed_values", "rel_1", 2)


async def test_writers_beside_a_rotation_lose_nothing(database_url: str, database: Database) -> None:
    """Replicas, some of which encrypt with the old key still, write again and again what the rotation rewrites."""
    replicas = [vault_of(NEW, OLD), vault_of(OLD, NEW)]
    latest: dict[str, str] = {}
    async with database.write() as session:
        for number in range(60):
            hook = webhook(replicas[1].encrypt, f"first {number}")
            session.add(hook)
            latest[hook.id] = f"first {number}"
    over = asyncio.Event()
    chance = random.Random(7)
    mine = Database(database_url)

    async def write() -> int:
        changes = 0
        while not over.is_set():
            vault = chance.choice(replicas)
            async with mine.write() as session:
                for name in sorted(chance.sample(sorted(latest), 3)):
                    query = select(Webhook).where(col(Webhook.id) == name).with_for_update()
                    hook = (await session.execute(query)).scalar_one()
                    at = place(Webhook, "secrets", name)
                    assert vault.decrypt(hook.secrets[0]["secret"], at) == latest[name]
                    latest[name] = f"{changes} {name}"
                    hook.secrets = [{"secret": vault.encrypt(latest[name], at), "expires_at": None}]
                    await session.flush()
            changes += 1
        return changes

    writer = asyncio.create_task(write())
    rewritten = 0
    for _ in range(8):
        rewritten += sum(count.rewritten for count in await keys.rotate(database, vault_of(NEW, OLD)))
    over.set()
    assert await writer > 3
    await mine.close()
    assert rewritten > 60  # what was written with the old key meanwhile was rewritten again
    await keys.rotate(database, vault_of(NEW, OLD))
    assert await read(database, vault_of(NEW)) == sorted(latest.values())


async def test_a_row_that_is_locked_is_waited_for_and_its_new_value_counts(
    database_url: str, database: Database
) -> None:
    old = vault_of(OLD)
    async with database.write() as session:
        hooks = [webhook(old.encrypt, f"first {number}") for number in range(3)]
        session.add_all(hooks)
    mine = Database(database_url)
    async with mine.write() as session:
        query = select(Webhook).where(col(Webhook.id) == hooks[0].id).with_for_update()
        hook = (await session.execute(query)).scalar_one()
        rotation = asyncio.create_task(keys.rotate(database, vault_of(NEW, OLD)))
        if not database.is_sqlite:  # where one writes at a time, it waits for its very first row
            await until_rewritten(database, [hooks[1].id, hooks[2].id])
        hook.secrets = [{"secret": old.encrypt("second", place(Webhook, "secrets", hook.id)), "expires_at": None}]
        await session.flush()
        assert not rotation.done()
    await rotation
    await mine.close()
    assert await read(database, vault_of(NEW)) == ["first 1", "first 2", "second"]


async def until_rewritten(database: Database, ids: list[str]) -> None:
    async with asyncio.timeout(60):
        while True:
            async with database.read() as session:
                rows = (await session.execute(select(Webhook).where(col(Webhook.id).in_(ids)))).scalars()
                if all(row.secrets[0]["secret"].startswith(f"s2.{vault_of(NEW).key_ids[0]}.") for row in rows):
                    return
            await asyncio.sleep(0.01)
