"""From an account's record to its AWS."""

from app.accounts.models import Account
from app.db.session import Database
from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.cloud import Cloud


class AccountClouds:
    """Finds accounts in the database and keeps one `Cloud` for each account + region."""

    def __init__(self, database: Database, clients: AwsClients) -> None:
        self._database = database
        self._clients = clients
        self._clouds: dict[tuple[str, str], Cloud] = {}

    async def of(self, account_id: str, region: str) -> Cloud:
        """Return the services of an account in a region, by its record as it is now: a role may have been changed.

        Raises:
            LookupError: the account's record is gone.
        """
        async with self._database.read() as session:
            row = await session.get(Account, account_id)
        if row is None:
            raise LookupError(f"there is no account {account_id}")
        account = AwsAccount(id=row.id, role_arn=row.role_arn, external_id=row.external_id)
        cloud = self._clouds.get((account_id, region))
        if cloud is None or cloud.account != account:
            cloud = self._clouds[account_id, region] = Cloud(self._clients, account, region)
        return cloud
