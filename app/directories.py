"""Each class answers a port of one feature, which says what it needs, with another feature."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import repository as accounts
from app.db.session import Database
from app.gateways.aws.cloud import Cloud
from app.registries import live as registries_live
from app.registries import repository as registry_rows
from app.registries import service as registries
from app.registries.schemas import RegistrySpec
from app.registries.service import RegistryService


class AccountDirectory:
    """Accounts, as clusters ask for them."""

    async def account_id(self, session: AsyncSession, project_id: str, reference: str) -> str:
        """Return the id of an account, by id or name."""
        return await accounts.account_id(session, project_id, reference)


class RegistryDirectory:
    """Registries, as clusters ask for them."""

    def __init__(self, database: Database, service: RegistryService) -> None:
        self._database = database
        self.retry = service.retry
        self.begin_create = service.create_with_cluster

    def parse(self, raw: Sequence[dict[str, Any]], *, region: str, account: str) -> list[RegistrySpec]:
        """Check the registries of a cluster spec."""
        specs = registries.parse(raw, region=region, account=account)
        for index, spec in enumerate(specs):
            registries_live.check_form(spec, f"/registries/{index}")
        return specs

    async def check(self, cloud: Cloud, specs: Sequence[RegistrySpec]) -> None:
        """Ask AWS what can be known before anything begins; of names that Slipway has, the transaction says so."""
        async with self._database.read() as session:
            known = [await registry_rows.named(session, cloud.account.id, cloud.region, spec.name) for spec in specs]
        for spec, existing in zip(specs, known, strict=True):
            if existing is None:
                await registries_live.check_new(cloud, spec)
