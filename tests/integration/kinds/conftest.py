"""The running service, on SQLite."""

from collections.abc import AsyncIterator

import pytest
from integration.conftest import LocalCloud
from integration.running import Slipway, running

from app.cloudformation import driver


@pytest.fixture
async def slipway(
    sqlite_url: str, aws_environment: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Slipway]:
    monkeypatch.setattr(driver, "CHANGE_SET_SECONDS", 0.1)  # AWS takes seconds, the local cloud none
    async with running(sqlite_url, aws_environment) as service:
        yield service
