"""Secrets Manager, over HTTP."""

import json
import uuid
from typing import Any

import pytest
from integration.conftest import LocalCloud

from app.clusters.view import ClusterView
from app.core.crypto import Vault
from app.core.secrets.scope import entered
from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.cloud import Cloud
from app.gateways.aws.errors import AccessDenied, AwsError, InvalidRequest, NotFound
from app.gateways.aws.secrets_manager import SecretsManager
from app.releases.references import references_in
from app.releases.resolve import Resolver
from app.releases.secrets.opened import Opened

REGION = "us-east-1"
CLUSTER = ClusterView("clu_1", "c", "prj", "acc", REGION, "active", "1.34", "ipv4", {}, {})


@pytest.fixture
def gateway(clients: AwsClients) -> SecretsManager:
    return SecretsManager(clients, PROCESS, REGION)


@pytest.fixture
async def sdk(clients: AwsClients) -> Any:
    return await clients.client(PROCESS, REGION, "secretsmanager")


async def made(sdk: Any, **content: Any) -> str:
    return str((await sdk.create_secret(Name=f"slipway/{uuid.uuid4().hex}", **content))["ARN"])


async def test_what_it_holds_now_as_text_or_bytes(gateway: SecretsManager, sdk: Any) -> None:
    arn = await made(sdk, SecretString="one")
    await sdk.put_secret_value(SecretId=arn, SecretString="two")
    assert await gateway.current(arn) == "two"
    assert await gateway.current(await made(sdk, SecretBinary=b"\x00\xff")) == b"\x00\xff"


@pytest.mark.parametrize(
    ("code", "message", "kind", "expected"),
    [
        ("DecryptionFailure", "Secrets Manager can't decrypt …", InvalidRequest, "secret_undecryptable"),
        ("AccessDeniedException", "Access to KMS is not allowed", AccessDenied, "secret_access_denied"),
        ("InternalServiceError", "An error occurred on the server side.", AwsError, "aws_unavailable"),
    ],
)
async def test_what_aws_refuses(
    localcloud: LocalCloud,
    gateway: SecretsManager,
    sdk: Any,
    code: str,
    message: str,
    kind: type[AwsError],
    expected: str,
) -> None:
    arn = await made(sdk, SecretString="one")
    localcloud.rules([{"api": "secretsmanager:GetSecretValue", "status": 400, "code": code, "message": message}])
    with pytest.raises(kind) as error:
        await gateway.current(arn)
    assert error.value.as_failure().code == expected


async def test_what_is_missing_going_or_foreign(gateway: SecretsManager, sdk: Any) -> None:
    arn = await made(sdk, SecretString="one")
    with pytest.raises(NotFound) as missing:
        await gateway.current(arn[:-6] + "AAAAAA")
    assert missing.value.as_failure().code == "secret_not_found"
    with pytest.raises(NotFound) as empty:
        await gateway.current(await made(sdk))
    assert empty.value.as_failure().code == "secret_not_found"
    with pytest.raises(AccessDenied) as foreign:
        await gateway.current(arn.replace("123456789012", "210987654321"))
    failure = foreign.value.as_failure()
    assert (failure.code, "resource policy" in str(failure.hint)) == ("secret_access_denied", True)
    await sdk.delete_secret(SecretId=arn)
    with pytest.raises(InvalidRequest) as going:
        await gateway.current(arn)
    assert going.value.as_failure().code == "secret_pending_deletion"


class OneCloud:
    """The clouds of one account."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients

    async def of(self, account_id: str, region: str) -> Cloud:
        return Cloud(self._clients, PROCESS, region)


async def test_each_secret_is_read_once_and_the_others_are_told_of(
    localcloud: LocalCloud, clients: AwsClients, sdk: Any
) -> None:
    arn = await made(sdk, SecretString=json.dumps({"a": "first", "b": 5432}))
    elsewhere = arn.replace(REGION, "xx-nowhere-1")
    values = {
        "a": {"from_secrets_manager": {"arn": arn, "key": "a"}},
        "list": [
            {"from_secrets_manager": {"arn": arn, "key": "b"}},
            {"from_secrets_manager": {"arn": arn, "key": "c"}},
        ],
        "none": {"from_secrets_manager": {"arn": elsewhere}},
        "later": {"from_secret": {"name": "db", "key": "k"}},
    }
    resolver = Resolver(OneCloud(clients), Vault(lambda: "k" * 40))
    localcloud.reset()
    with entered() as scope:
        found = await resolver.resolve(references_in(values), CLUSTER, "shop", None)
        whole = found.filled(Opened(values)).values
    assert scope.text("It is first.") == "It is (redacted)."
    assert localcloud.calls()["secretsmanager:GetSecretValue"] == 1
    assert found.found == {("a",): "first", ("list", 0): 5432}
    assert {each.reference.pointer: (each.state, each.failure.code) for each in found.missing} == {
        "/list/1": ("refused", "secret_key_not_found"),
        "/none": ("refused", "secret_not_found"),
        "/later": ("away", "cluster_not_ready"),
    }
    assert "first" not in repr(found)
    assert whole["list"][0] == 5432


async def test_more_than_can_be_hidden_is_refused(clients: AwsClients, sdk: Any) -> None:
    arn = await made(sdk, SecretString="x" * 60_000)
    values = {"x": [{"from_secrets_manager": {"arn": arn}}] * 2}
    resolver = Resolver(OneCloud(clients), Vault(lambda: "k" * 40))
    with entered():
        found = await resolver.resolve(references_in(values), CLUSTER, "shop", None)
    assert list(found.found) == [("x", 0)]
    assert found.missing[0].failure.code == "secrets_too_large"
