"""A changed record of an AWS account counts at once, in every process."""

from integration.conftest import LocalCloud
from sqlalchemy import text

from app.accounts.clouds import AccountClouds
from app.core.settings import Settings
from app.db.base import DEFAULT_ACCOUNT
from app.db.session import Database
from app.gateways.aws.clients import AwsClients
from app.main import create_app


async def test_a_changed_role_is_taken_up(sqlite_url: str, aws_environment: LocalCloud) -> None:
    app = create_app(
        Settings(database_url=sqlite_url, admin_key="k-of-the-tests-0123456789-abcdefghi"), with_worker=False
    )
    async with app.router.lifespan_context(app), AwsClients() as clients:
        database: Database = app.state.database
        clouds = AccountClouds(database, clients)
        own = await clouds.of(DEFAULT_ACCOUNT, "us-west-2")
        assert await clouds.of(DEFAULT_ACCOUNT, "us-west-2") is own
        role = "arn:aws:iam::111122223333:role/slipway"
        async with database.write() as session:
            await session.execute(
                text("UPDATE accounts SET role_arn = :role WHERE id = :id"), {"role": role, "id": DEFAULT_ACCOUNT}
            )
        changed = await clouds.of(DEFAULT_ACCOUNT, "us-west-2")
        assert changed.account.role_arn == role
        assert await clouds.of(DEFAULT_ACCOUNT, "us-west-2") is changed
