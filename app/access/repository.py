"""Every select of API keys. Never commits."""

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.access.models import ApiKey
from app.core.ids import new_id

_BOOTSTRAP_LOCK = 0x534B4559  # "SKEY"


async def by_hash(session: AsyncSession, key_hash: str) -> ApiKey | None:
    """Return the key with this hash."""
    return (await session.execute(select(ApiKey).where(col(ApiKey.key_hash) == key_hash))).scalar_one_or_none()


async def count(session: AsyncSession) -> int:
    """Return how many keys there are."""
    return (await session.execute(select(func.count()).select_from(ApiKey))).scalar_one()


async def replace(session: AsyncSession, project_id: str, name: str, key_hash: str) -> None:
    """Let `name` be the key with this hash, and no other one; a hash that is there already stays as it is."""
    await session.execute(delete(ApiKey).where(col(ApiKey.name) == name, col(ApiKey.key_hash) != key_hash))
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    values = {"id": new_id("key"), "project_id": project_id, "name": name, "key_hash": key_hash}
    await session.execute(dialect.insert(ApiKey).values(**values).on_conflict_do_nothing())


async def lock(session: AsyncSession) -> None:
    """Let one process at a time make the first key; on SQLite a writing transaction is alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _BOOTSTRAP_LOCK})
