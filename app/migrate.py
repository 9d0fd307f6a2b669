"""The schema: brings it to the newest revision, and tells whether it is there. Works from a checkout and a wheel.

Writing a revision, in a checkout: `.venv/bin/alembic -c migrations/alembic.ini revision --autogenerate -m …`.
"""

import functools
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

import migrations

FOLDER = Path(migrations.__file__).parent


def config(url: str) -> Config:
    """Return Alembic's configuration for a database, wherever the package is installed."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.attributes["url"] = url
    return made


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`; blocking. A second process that does the same waits, then finds it done."""
    command.upgrade(config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the schema back to `revision` (`base`: to nothing); blocking."""
    command.downgrade(config(url), revision)


@functools.cache  # a build's revisions don't change, and finding them reads and runs every file of them
def newest() -> str:
    """Return the newest revision that this build knows."""
    return ScriptDirectory(str(FOLDER)).get_current_head() or ""


async def current(session: AsyncSession) -> str | None:
    """Return the revision that the database is at, or None when it has no schema."""

    def read(session: Session) -> str | None:
        return MigrationContext.configure(session.connection()).get_current_revision()

    return await session.run_sync(read)


def is_ready(revision: str | None) -> bool:
    """Tell whether this build can work on a schema: at the newest revision it knows, or at one that is newer still.

    While replicas are replaced one by one, the old ones work on a schema that has already moved on.
    """
    return revision is not None and (revision == newest() or revision not in _known())


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions())
