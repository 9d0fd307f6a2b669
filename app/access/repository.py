"""Every select of API keys. Never commits."""

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.access.models import ApiKey


async def by_hash(session: AsyncSession, key_hash: str) -> ApiKey | None:
    """Return the key with this hash."""
    return (await session.execute(select(ApiKey).where(col(ApiKey.key_hash) == key_hash))).scalar_one_or_none()


async def count(session: AsyncSession) -> int:
    """Return how many keys there are."""
    return (await session.execute(select(func.count()).select_from(ApiKey))).scalar_one()


async def end(session: AsyncSession, key_id: str) -> None:
    """End a key, if it is there."""
    await session.execute(delete(ApiKey).where(col(ApiKey.id) == key_id))
