"""What webhooks need of other features; roots wire it."""

from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession


class ResourceTags(Protocol):
    """Knows the tags of every kind of resource."""

    async def of(self, session: AsyncSession, resource_type: str, resource_id: str) -> dict[str, str]:
        """Return the tags of a resource, also of a deleted one; none for a type that has no tags."""
        ...
