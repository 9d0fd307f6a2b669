"""The use cases of chart credentials: store, change, forget. Transactions are the caller's; no network."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.core.crypto import Place, Vault
from app.core.ids import new_id
from app.core.merge_patch import merge_patch
from app.core.validation import validate
from app.db import resources
from app.db.sealed import place
from app.releases import repository
from app.releases.errors import CredentialExistsError
from app.releases.models import ChartCredential
from app.releases.schemas_credentials import ChartCredentialPatch, ChartCredentialSpec


def password_place(credential_id: str) -> Place:
    """Return where the password of a credential is kept."""
    return place(ChartCredential, "sealed_password", credential_id)


class CredentialService:
    """Keeps what opens chart repositories and registries, encrypted."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def create(self, session: AsyncSession, caller: Caller, spec: ChartCredentialSpec) -> ChartCredential:
        """Store a credential.

        Raises:
            CredentialExistsError: the project has one for the host.
        """
        known = await repository.credential_for(session, caller.project_id, spec.host)
        if known is not None:
            raise CredentialExistsError(f"There is a credential for {spec.host}.", credential_id=known.id)
        credential_id = new_id("cred")
        row = ChartCredential(
            id=credential_id,
            project_id=caller.project_id,
            host=spec.host,
            username=spec.username,
            sealed_password=self._vault.encrypt(spec.password, password_place(credential_id)),
        )
        await resources.insert(session, row, CredentialExistsError(f"There is a credential for {spec.host}."))
        await session.refresh(row)  # the database fills in times
        return row

    async def update(self, session: AsyncSession, row: ChartCredential, patch: dict[str, Any]) -> ChartCredential:
        """Apply a merge patch of user name and password.

        Raises:
            InvalidError: the result is not valid.
        """
        spec = validate(ChartCredentialPatch, merge_patch({"username": row.username}, patch))
        row.username = spec.username
        if spec.password is not None:
            row.sealed_password = self._vault.encrypt(spec.password, password_place(row.id))
        row.generation += 1
        await session.flush()
        await session.refresh(row)
        return row

    async def delete(self, session: AsyncSession, row: ChartCredential) -> None:
        """Forget a credential; what was fetched with it stays installed."""
        await session.delete(row)
        await session.flush()
