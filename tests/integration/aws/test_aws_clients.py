"""Shared clients, and what a call becomes when AWS, or the way to it, is broken."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.clusters.live import LiveChecks
from app.gateways.aws import clients as clients_module
from app.gateways.aws.clients import PROCESS, AwsAccount, AwsClients
from app.gateways.aws.cloud import Cloud
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.eks import Eks
from app.gateways.aws.errors import (
    AccessDenied,
    AwsUnavailable,
    CredentialsError,
    CredentialsExpired,
    Throttled,
    UnexpectedAnswer,
    translate,
)
from app.gateways.aws.sts import Sts

REGION = "us-east-1"


@pytest.fixture
async def other(clients: AwsClients, iam: Any, name: str) -> AwsAccount:
    """An account that is entered through a role with a path and an ExternalId."""
    identity = await Sts(clients, REGION).caller_identity(PROCESS)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{identity.account}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "external"}},
            }
        ],
    }
    made = await iam.create_role(RoleName=name, Path="/teams/", AssumeRolePolicyDocument=json.dumps(trust))
    await iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    return AwsAccount("team-a", made["Role"]["Arn"], "external")


@pytest.fixture
async def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[AwsClients]:
    """Clients with keys and nothing that answers."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    clients = AwsClients()
    yield clients
    await clients.aclose()


async def test_a_hundred_callers_share_one_client(offline: AwsClients) -> None:
    found = await asyncio.gather(*(offline.client(PROCESS, REGION, "cloudformation") for _ in range(100)))

    assert len({id(client) for client in found}) == 1
    assert await offline.client(AwsAccount("same-credentials"), REGION, "cloudformation") is found[0]
    assert await offline.client(PROCESS, "eu-west-1", "cloudformation") is not found[0]


async def test_a_caller_that_is_cancelled_takes_the_client_from_nobody(offline: AwsClients) -> None:
    first = asyncio.create_task(offline.client(PROCESS, REGION, "eks"))
    second = asyncio.create_task(offline.client(PROCESS, REGION, "eks"))
    await asyncio.sleep(0)
    first.cancel()

    client = await second

    assert client.meta.region_name == REGION
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_after_aclose_there_are_no_clients(offline: AwsClients) -> None:
    await offline.client(PROCESS, REGION, "sts")

    await offline.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await offline.client(PROCESS, REGION, "sts")


async def test_an_unknown_service_is_a_mistake_of_the_program(offline: AwsClients) -> None:
    with pytest.raises(ValueError, match="no service 'eek'"):
        await offline.client(PROCESS, REGION, "eek")


async def test_clients_have_short_time_outs_and_one_retry(offline: AwsClients) -> None:
    client = await offline.client(PROCESS, REGION, "cloudformation")

    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 8)
    assert (config.retries["mode"], config.retries["total_max_attempts"]) == ("standard", 2)
    assert config.max_pool_connections == 50


async def test_connection_refused_is_unavailable(offline: AwsClients) -> None:
    with pytest.raises(AwsUnavailable) as raised:
        await CloudFormation(offline, PROCESS, REGION).describe("any")

    assert raised.value.operation == "cloudformation:DescribeStacks"
    assert raised.value.retryable
    assert raised.value.as_failure().code == "aws_unavailable"


async def test_an_endpoint_that_never_answers_is_unavailable(
    offline: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "READ_TIMEOUT", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")

        with pytest.raises(AwsUnavailable):
            await Eks(offline, PROCESS, REGION).describe_cluster("any")


@contextlib.asynccontextmanager
async def answering(monkeypatch: pytest.MonkeyPatch, status: str, type_: str, body: bytes) -> AsyncIterator[None]:
    """Put a server in AWS's place that says one thing, which neither AWS nor the local cloud can be made to say."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Type: {type_}\r\nConnection: close\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable"])
async def test_a_proxy_that_answers_with_a_page_is_unavailable(
    offline: AwsClients, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    async with answering(monkeypatch, status, "text/html", b"<html><body>no</body></html>"):
        with pytest.raises(AwsUnavailable) as raised:
            await Eks(offline, PROCESS, REGION).describe_cluster("any")

    assert raised.value.status == int(status[:3])


@pytest.mark.parametrize(
    ("body", "ask", "missing"),
    [
        (b'{"clusterVersions": []}', lambda cloud: LiveChecks().versions(cloud), "Kubernetes version for new clusters"),
        (b'{"authorizationData": []}', lambda cloud: cloud.ecr.authorize(), "token"),
        (b'{"repositories": []}', lambda cloud: cloud.ecr.repository("any"), "repository"),
    ],
)
async def test_an_answer_without_what_it_must_have(
    offline: AwsClients,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
    ask: Callable[[Cloud], Awaitable[object]],
    missing: str,
) -> None:
    async with answering(monkeypatch, "200 OK", "application/json", body):
        with pytest.raises(UnexpectedAnswer, match=missing) as raised:
            await ask(Cloud(offline, PROCESS, REGION))

    failure = raised.value.as_failure()
    assert (failure.code, failure.retryable) == ("aws_answer_unexpected", True)


async def test_no_credentials_are_looked_for_again_by_the_next_call(
    offline: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CredentialsError):
        await offline.client(PROCESS, REGION, "sts")

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    assert await offline.frozen_credentials(PROCESS, REGION) == ("test", "test", None)


async def test_a_profile_that_does_not_exist_is_a_matter_of_credentials(
    offline: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(CredentialsError, match="nobody"):
        await offline.client(PROCESS, REGION, "sts")


async def test_the_region_of_the_profile_counts_when_the_environment_names_none(
    offline: AwsClients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")

    assert await offline.default_region() == "eu-north-1"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert await offline.default_region() == "us-west-2"


async def test_throttling_is_told_and_tried_twice(clients: AwsClients, localcloud: Any) -> None:
    localcloud.rules(
        [{"api": "cloudformation:DescribeStacks", "status": 400, "code": "Throttling", "message": "Rate exceeded"}]
    )

    with pytest.raises(Throttled) as raised:
        await CloudFormation(clients, PROCESS, REGION).describe("any")

    assert raised.value.as_failure().retryable
    assert localcloud.calls()["cloudformation:DescribeStacks"] == 2


async def test_one_blip_is_not_seen(clients: AwsClients, localcloud: Any) -> None:
    localcloud.rules(
        [{"api": "cloudformation:DescribeStacks", "status": 503, "code": "ServiceUnavailable", "times": 1}]
    )

    assert await CloudFormation(clients, PROCESS, REGION).describe("no-such-stack") is None


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "InvalidClientTokenId", CredentialsError),
        (403, "SignatureDoesNotMatch", CredentialsError),
        (403, "AccessDenied", AccessDenied),
        (500, "InternalFailure", AwsUnavailable),
    ],
)
async def test_refusals_on_the_wire_become_classes(
    clients: AwsClients, localcloud: Any, status: int, code: str, expected: type[Exception]
) -> None:
    localcloud.rules([{"api": "sts:GetCallerIdentity", "status": status, "code": code}])

    with pytest.raises(expected):
        await Sts(clients, REGION).caller_identity(PROCESS)


async def test_an_identity_is_asked_for_once(clients: AwsClients, localcloud: Any) -> None:
    sts = Sts(clients, REGION)

    identity = await sts.caller_identity(PROCESS)

    assert identity == await sts.caller_identity(AwsAccount("same credentials"))
    assert len(identity.account) == 12
    assert localcloud.calls()["sts:GetCallerIdentity"] == 1


@pytest.mark.calendar
async def test_a_role_is_assumed_once_for_all_its_clients(
    clients: AwsClients, localcloud: Any, other: AwsAccount, name: str
) -> None:
    identity = await Sts(clients, REGION).caller_identity(other)
    await CloudFormation(clients, other, REGION).describe("none")
    await asyncio.gather(*(CloudFormation(clients, other, "eu-west-1").describe("none") for _ in range(10)))

    _, _, session_token = await clients.frozen_credentials(other, REGION)
    assert session_token
    assert identity.arn.endswith("/slipway")
    assert identity.role_arn == f"arn:aws:iam::{identity.account}:role/{name}"  # AWS keeps the path to itself
    assert other.role_arn == f"arn:aws:iam::{identity.account}:role/teams/{name}"
    assert localcloud.calls()["sts:AssumeRole"] == 1


async def test_a_role_that_refuses_is_a_matter_of_credentials(
    clients: AwsClients, localcloud: Any, other: AwsAccount
) -> None:
    message = (
        "User: arn:aws:iam::1:user/a is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::2:role/b"
    )
    localcloud.rules([{"api": "sts:AssumeRole", "status": 403, "code": "AccessDenied", "message": message}])

    with pytest.raises(CredentialsError) as raised:
        await CloudFormation(clients, other, REGION).describe("any")

    assert raised.value.as_failure().code == "role_not_assumable"

    localcloud.rules([])
    assert await CloudFormation(clients, other, REGION).describe("any") is None


async def test_wrong_keys_are_a_matter_of_credentials(aws_environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHIS0")

    async with AwsClients() as clients:
        with pytest.raises(CredentialsError) as raised:
            await CloudFormation(clients, PROCESS, REGION).in_progress()

    assert raised.value.as_failure().code == "credentials_invalid"


async def test_expired_credentials_are_looked_for_again_where_they_came_from(
    aws_environment: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = aws_environment.env["AWS_SECRET_ACCESS_KEY"]
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    def put(key: str) -> None:
        text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        (tmp_path / "credentials").write_text(text)

    async def account() -> str:
        client = await clients.client(PROCESS, REGION, "sts")
        with translate("sts:GetCallerIdentity"):
            return str((await client.get_caller_identity())["Account"])

    put("111111111111")  # the local cloud takes a key of twelve digits for an account
    async with AwsClients() as clients:
        assert await account() == "111111111111"
        kept = await clients.client(PROCESS, REGION, "sts")
        aws_environment.rules([{"api": "sts:*", "status": 403, "code": "ExpiredToken", "times": 2}])
        for _ in range(2):  # nobody has put others there yet
            with pytest.raises(CredentialsExpired):
                await account()
        assert await clients.client(PROCESS, REGION, "sts") is kept
        aws_environment.rules([{"api": "sts:*", "status": 403, "code": "ExpiredToken", "times": 1}])
        put("222222222222")
        with pytest.raises(CredentialsExpired):
            await account()
        assert await account() == "222222222222"
