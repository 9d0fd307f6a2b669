import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.cloudformation import CloudFormation


@pytest.fixture
async def clients(aws_environment: Any) -> AsyncIterator[AwsClients]:
    clients = AwsClients()
    yield clients
    await clients.aclose()


@pytest.fixture
async def iam(clients: AwsClients) -> Any:
    return await clients.client(PROCESS, "us-east-1", "iam")


@pytest.fixture
def cloudformation(clients: AwsClients) -> CloudFormation:
    return CloudFormation(clients, PROCESS, "us-east-1")


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"gw-{uuid.uuid4().hex[:12]}"
