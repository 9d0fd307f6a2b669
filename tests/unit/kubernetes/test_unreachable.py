"""API servers that cannot be asked, and answers that say too much."""

import socket

import pytest

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.errors import Invalid, Unreachable, error_for


async def token() -> str:
    return "k8s-aws-v1.x"


async def test_what_takes_connections_and_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with Kubernetes(Connection(endpoint, "", token), request_seconds=0.5) as client:
            with pytest.raises(Unreachable) as caught:
                await client.version()
    assert caught.value.retryable
    assert caught.value.as_failure().hint


@pytest.mark.parametrize("endpoint", ["https://cluster.invalid", "https://127.0.0.1:1"])
async def test_what_is_not_there(endpoint: str) -> None:
    async with Kubernetes(Connection(endpoint, "", token), request_seconds=5) as client:
        with pytest.raises(Unreachable) as caught:
            await client.version()
    assert caught.value.as_failure().code == "cluster_unreachable"


def test_values_that_are_quoted_are_not_passed_on() -> None:
    said = (
        "failed to create typed patch object (a/s; /v1, Kind=Secret): .stringData.password: expected string, "
        "got &value.valueUnstructured{Value:12345678}"
    )
    error = error_for(500, said, reason="", call="PATCH /x")
    assert type(error) is Invalid
    assert ".stringData.password: expected string" in error.message
    assert "12345678" not in str(error) + error.message
