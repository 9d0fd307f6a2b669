"""STS: who we are to AWS."""

import re
from dataclasses import dataclass

from app.gateways.aws.clients import AwsAccount, AwsClients, Credentials
from app.gateways.aws.errors import translate

_ASSUMED_ROLE = re.compile(r"^arn:(?P<partition>[\w-]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/")


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller as AWS sees it.

    Attributes:
        account: Twelve digits.
        arn: As GetCallerIdentity says it; of a role it is the session's (`arn:…:assumed-role/NAME/SESSION`).
    """

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        return self.arn.split(":")[1] if self.arn.startswith("arn:") else "aws"

    @property
    def role_arn(self) -> str:
        """The ARN of the user or role, as access entries of EKS want it; see `role_arn()` for what is lost."""
        return role_arn(self.arn)


def role_arn(arn: str) -> str:
    """Turn the ARN of an assumed role's session into the role's; every other ARN is returned as it is.

    A session's ARN doesn't hold the role's path: `role/teams/a/Admin` comes back as `role/Admin`. A caller that knows
    the configured `role_arn` should use that.
    """
    match = _ASSUMED_ROLE.match(arn)
    return f"arn:{match['partition']}:iam::{match['account']}:role/{match['role']}" if match else arn


class Sts:
    """Calls to STS in one region; identities are kept per account, since they can't change under us."""

    def __init__(self, clients: AwsClients, region: str) -> None:
        self._clients = clients
        self._region = region
        self._known: dict[Credentials, Identity] = {}

    async def caller_identity(self, account: AwsAccount) -> Identity:
        """Return who `account`'s calls are made as; asked once per account.

        Raises:
            CredentialsError: The role can't be assumed, or the credentials are wrong.
        """
        if (known := self._known.get(account.credentials)) is not None:
            return known
        client = await self._clients.client(account, self._region, "sts")
        with translate("sts:GetCallerIdentity"):
            answer = await client.get_caller_identity()
            identity = Identity(answer["Account"], answer["Arn"])
        self._known[account.credentials] = identity
        return identity
