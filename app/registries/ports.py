"""What registries need of other features; a root wires it."""

from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession


class Accounts(Protocol):
    """Knows the project's AWS accounts."""

    async def account_id(self, session: AsyncSession, project_id: str, reference: str) -> str:
        """Return the id of an account, by id or name."""
        ...
