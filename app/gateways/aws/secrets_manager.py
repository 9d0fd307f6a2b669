"""Secrets Manager: what a secret holds now. Nothing here keeps it."""

from typing import Any

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.errors import translate


class SecretsManager:
    """Calls to Secrets Manager in one account and region. Methods raise `AwsError`."""

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self._clients = clients
        self._account = account
        self._region = region

    async def current(self, arn: str) -> str | bytes:
        """Return the version of a secret that is staged as AWSCURRENT: text, or bytes if it was stored as SecretBinary.

        Args:
            arn: Of the secret; in another account if its resource policy lets us in.

        Raises:
            NotFound: There is no such secret, or it has no value yet.
            AccessDenied: IAM, the secret's resource policy or its KMS key says no.
            InvalidRequest: It is marked for deletion, or its KMS key cannot be used.
        """
        client: Any = await self._clients.client(self._account, self._region, "secretsmanager")
        with translate("secretsmanager:GetSecretValue"):
            answer = await client.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")
        text: str | None = answer.get("SecretString")
        return text if text is not None else bytes(answer.get("SecretBinary") or b"")
