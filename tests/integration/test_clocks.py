"""All that tests start has one time, also where `clocks.py` has moved it: else a moved run would prove nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from integration.conftest import LocalCloud
from sqlalchemy import select

from app.db.session import Database
from app.db.types import utcnow
from app.gateways.aws.clients import PROCESS, AwsClients

pytestmark = pytest.mark.calendar


async def test_the_databases_and_the_local_cloud_agree_with_this_process(
    database: Database, aws_environment: LocalCloud
) -> None:
    async with database.read() as session:
        at_the_database = (await session.execute(select(utcnow()))).scalar_one()
    async with AwsClients() as clients:
        ecr = await clients.client(PROCESS, "us-west-2", "ecr")
        [token] = (await ecr.get_authorization_token())["authorizationData"]
    for clock in (at_the_database, token["expiresAt"] - timedelta(hours=12)):
        assert abs((datetime.now(UTC) - clock).total_seconds()) < 600
