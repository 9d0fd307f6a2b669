"""A scope for every test, as every request and operation has one."""

from collections.abc import Iterator

import pytest

from app.core.secrets.scope import Scope, entered


@pytest.fixture(autouse=True)
def scope() -> Iterator[Scope]:
    with entered() as opened:
        yield opened
