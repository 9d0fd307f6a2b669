"""Every select of registries. Never commits."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import resources
from app.operations.errors import AmbiguousNameError
from app.registries.errors import RegistryNotFoundError
from app.registries.models import Registry


async def get(session: AsyncSession, project_id: str, reference: str, *, lock: bool = False) -> Registry:
    """Return the registry that an id or name stands for.

    Raises:
        RegistryNotFoundError: there is none.
        AmbiguousNameError: registries of several accounts or regions have the name.
    """
    found = await resources.find(session, Registry, project_id, reference, lock=lock)
    if not found:
        raise RegistryNotFoundError(f"There is no registry {reference!r}.")
    if len(found) > 1:
        ids = sorted(registry.id for registry in found)
        raise AmbiguousNameError(f"{len(found)} registries are named {reference!r}; use an id.", ids=ids)
    return found[0]


async def by_id(session: AsyncSession, registry_id: str) -> Registry:
    """Return a registry by its id, also a deleted one: for the background, which works for every project."""
    return await session.get_one(Registry, registry_id)


async def named(session: AsyncSession, account_id: str, region: str, name: str) -> Registry | None:
    """Return the live registry of that name, whoever's it is."""
    query = select(Registry).where(
        col(Registry.account_id) == account_id,
        col(Registry.region) == region,
        col(Registry.name) == name,
        col(Registry.deleted_at).is_(None),
    )
    return (await session.execute(query)).scalar_one_or_none()
