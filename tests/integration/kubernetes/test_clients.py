"""Clients that operations of one cluster share, on a real API server."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.gateways.kubernetes.client import KINDS_SECONDS, Kubernetes
from app.gateways.kubernetes.clients import KubernetesClients
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.errors import KindNotAvailable
from app.gateways.kubernetes.objects import Ref

Json = dict[str, Any]


class Tokens:
    """Makes the tokens of a connection, and counts them."""

    def __init__(self, connection: Connection) -> None:
        self.made = 0
        self._token = connection.token
        self.connection = replace(connection, token=self)

    async def __call__(self) -> str:
        self.made += 1
        return await self._token()


async def test_those_of_one_api_server_share_a_client_and_its_token(connection: Connection) -> None:
    tokens, clients = Tokens(connection), KubernetesClients()
    async with clients.of(tokens.connection) as one, clients.of(tokens.connection) as other:
        assert one is other
        await asyncio.gather(*(client.version() for client in (one, other)))
    async with clients.of(tokens.connection) as later:
        assert later is one
        await later.version()
    async with clients.of(tokens.connection, request_seconds=1) as hasty:
        assert hasty is not one  # its calls end sooner
    await clients.aclose()
    assert tokens.made == 1


async def test_new_tokens_come_from_who_asked_last(connection: Connection) -> None:
    before, after, clients = Tokens(connection), Tokens(connection), KubernetesClients()
    async with clients.of(before.connection), clients.of(after.connection) as client:
        await client.version()
    await clients.aclose()
    assert (before.made, after.made) == (0, 1)


async def test_a_client_is_closed_once_nobody_has_used_it_for_a_while(connection: Connection) -> None:
    tokens, clients = Tokens(connection), KubernetesClients(idle_seconds=0)
    async with clients.of(tokens.connection) as first:
        await first.version()
        async with clients.of(tokens.connection) as same:
            assert same is first
        await first.version()  # it is still used
    async with clients.of(tokens.connection) as second:
        assert second is not first
        await second.version()
    await clients.aclose()
    assert tokens.made == 2


async def test_a_kind_that_comes_later_is_found(kubernetes: Kubernetes) -> None:
    # Somebody else's kind in that group, so that the group itself is known before.
    await kubernetes.apply(definition("Early"))
    await until_known(kubernetes, "Early")
    with pytest.raises(KindNotAvailable):
        await kubernetes.path(Ref("Late", "default", "one", "slipway.example/v1"))
    await kubernetes.apply(definition("Late"))
    await until_known(kubernetes, "Late")
    assert await kubernetes.get(Ref("Late", "default", "one", "slipway.example/v1")) is None


def definition(kind: str) -> Json:
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.slipway.example"},
        "spec": {"group": "slipway.example", "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def until_known(kubernetes: Kubernetes, kind: str) -> None:
    """The API server takes a moment to serve a new kind; so does a client to look again."""
    for _ in range(60):
        try:
            await kubernetes.path(Ref(kind, "default", "", "slipway.example/v1"))
        except KindNotAvailable:
            await asyncio.sleep(KINDS_SECONDS / 2)
        else:
            return
    raise AssertionError(f"the API server does not serve {kind}")
