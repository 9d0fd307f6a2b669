"""The chain of revisions, on both databases: up, down, up again, and no difference from the models."""

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app import migrate
from app.accounts.models import Account, Project
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.db.session import Database, async_url
from app.models import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


def sync_engine(url: str) -> sa.Engine:
    parsed = async_url(url)
    if parsed.get_backend_name() == "sqlite":
        parsed = parsed.set(drivername="sqlite")
    return sa.create_engine(parsed, poolclass=sa.NullPool)


def tables(url: str) -> set[str]:
    with sync_engine(url).connect() as connection:
        return set(sa.inspect(connection).get_table_names()) - {"alembic_version"}


def test_chain_goes_up_down_and_up_again(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    assert tables(empty_url) == set(metadata.tables)
    migrate.downgrade(empty_url, "base")
    assert tables(empty_url) == set()
    migrate.upgrade(empty_url)
    assert tables(empty_url) == set(metadata.tables)


def test_models_and_schema_do_not_differ(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    with sync_engine(empty_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        inspector = sa.inspect(connection)
        partial = {
            index["name"]: (index["unique"], index["dialect_options"][f"{connection.dialect.name}_where"])
            for table in metadata.tables
            for index in inspector.get_indexes(table)
            if index.get("dialect_options", {}).get(f"{connection.dialect.name}_where") is not None
        }
    expected = {
        str(index.name): bool(index.unique)
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }
    assert {name: bool(unique) for name, (unique, _) in partial.items()} == expected
    assert "uq_operations_live_lock" in expected


def test_keys_of_before_are_ended(empty_url: str) -> None:
    migrate.upgrade(empty_url, "0005")
    engine = sync_engine(empty_url)
    with engine.begin() as connection:
        for name in ("admin", "first", "mine"):
            values = {"id": f"key_{name}", "project": DEFAULT_PROJECT, "name": name, "hash": name}
            insert = "INSERT INTO api_keys (id, project_id, name, key_hash, created_at) VALUES "
            connection.execute(sa.text(insert + "(:id, :project, :name, :hash, CURRENT_TIMESTAMP)"), values)
    migrate.upgrade(empty_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT name FROM api_keys")).scalars().all() == ["mine"]


def test_two_migrators_at_once_make_one_schema(empty_url: str) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            migrate.upgrade(empty_url)
        except BaseException as error:
            errors.append(error)

    # Alembic's `context` is one per process: the second migrator must be another process.
    code = f"from app import migrate; migrate.upgrade({empty_url!r})"
    threads = [threading.Thread(target=run), threading.Thread(target=_subprocess, args=(code, errors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert tables(empty_url) == set(metadata.tables)


def _subprocess(code: str, errors: list[BaseException]) -> None:
    import subprocess
    import sys

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if result.returncode:
        errors.append(RuntimeError(result.stderr))


def test_a_new_file_that_somebody_else_just_writes(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ends = threading.Timer(0.5, lambda: other.execute("COMMIT"))
    ends.start()
    migrate.upgrade(f"sqlite:///{tmp_path / 'new.db'}")
    ends.join()
    other.close()


async def test_default_project_and_account_are_there(database: Database) -> None:
    async with database.read() as session:
        project = await session.get(Project, DEFAULT_PROJECT)
        account = await session.get(Account, DEFAULT_ACCOUNT)
    assert project is not None
    assert project.name == "default"
    assert project.created_at.tzinfo is not None
    assert account is not None
    assert (account.name, account.project_id, account.role_arn) == ("default", DEFAULT_PROJECT, None)


async def test_current_revision(database: Database, tmp_path: Path) -> None:
    async with database.read() as session:
        assert await migrate.current(session) == migrate.newest()
    bare = Database(f"sqlite:///{tmp_path / 'bare.db'}")
    async with bare.read() as session:
        assert await migrate.current(session) is None
    await bare.close()


def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    folder = tmp_path / "50% of it"
    migrate.upgrade(f"sqlite:///{folder / 'slipway.db'}")
    with sqlite3.connect(folder / "slipway.db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (migrate.newest(),)
    connection.close()
