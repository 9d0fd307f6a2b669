"""How Alembic reaches the database: one connection, one transaction for all revisions, one migrator at a time.

Run by `app/migrate.py`, which puts the URL into `config.attributes["url"]`; `alembic` on the command line (to write a
new revision) takes it from `SLIPWAY_DATABASE_URL`.
"""

import sqlite3
import time
from typing import Any

import sqlalchemy as sa
from alembic import context
from sqlalchemy import event

from app.core.settings import Settings
from app.db import files
from app.db.session import async_url
from app.models import metadata

BUSY_SECONDS = 60
"""How long another migrator is waited for."""

LOCK = 0x534C4950  # "SLIP": the advisory lock of migrators on PostgreSQL


def _engine() -> sa.Engine:
    given = context.config.attributes.get("url") or Settings().database_url
    url = async_url(given)
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, poolclass=sa.NullPool)
    files.prepare(given)
    engine = sa.create_engine(url.set(drivername="sqlite"), poolclass=sa.NullPool)

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, below: sqlite3's own does not cover CREATE TABLE
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        _use_wal(connection)
        connection.execute("PRAGMA foreign_keys=OFF")  # batch mode drops and renames tables that others refer to

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # a second migrator waits here, then finds nothing to do

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Wait for whoever makes a new file at the same moment: SQLite's own time-out does not hold for this change."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def run() -> None:
    """Run the revisions that the command asks for."""
    engine = _engine()
    with engine.connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            transactional_ddl=True,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


if context.is_offline_mode():
    raise SystemExit("offline mode is not supported: a revision may look at the database")
run()
