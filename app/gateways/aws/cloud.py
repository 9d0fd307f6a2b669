"""AWS as one account and region see it: the clients of each service, made when first asked for."""

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from app.core.errors import FieldError, InvalidError
from app.core.validation import did_you_mean
from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.ec2 import Ec2
from app.gateways.aws.ecr import Ecr
from app.gateways.aws.ecr_account import EcrAccount
from app.gateways.aws.eks import Eks
from app.gateways.aws.elb import Elb
from app.gateways.aws.logs import Logs
from app.gateways.aws.secrets_manager import SecretsManager
from app.gateways.aws.sts import Identity, Sts

HOMES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""By partition, a region that every account of it can ask."""


def no_such_region(region: str, others: Sequence[str], pointer: str = "/region") -> InvalidError:
    """Return the error of a region that AWS does not have; `others` are those that it has."""
    detail = f"AWS has no region {region}{did_you_mean(region, others)}; it has {', '.join(others)}"
    return InvalidError("The region does not exist.", [FieldError(pointer, detail)])


class Cloud:
    """The services of one account + region; the connections behind them are shared by the whole process."""

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self.account = account
        self.region = region
        self._clients = clients
        self._sts = Sts(clients, region)

    @cached_property
    def cloudformation(self) -> CloudFormation:
        """Stacks."""
        return CloudFormation(self._clients, self.account, self.region)

    @cached_property
    def eks(self) -> Eks:
        """Clusters and what belongs to them."""
        return Eks(self._clients, self.account, self.region)

    @cached_property
    def ec2(self) -> Ec2:
        """Networks, key pairs, instance types."""
        return Ec2(self._clients, self.account, self.region)

    @cached_property
    def ecr(self) -> Ecr:
        """Repositories and their images."""
        return Ecr(self._clients, self.account, self.region)

    @cached_property
    def ecr_account(self) -> EcrAccount:
        """What ECR keeps for the whole account."""
        return EcrAccount(self._clients, self.account, self.region)

    @cached_property
    def elb(self) -> Elb:
        """Load balancers."""
        return Elb(self._clients, self.account, self.region)

    @cached_property
    def logs(self) -> Logs:
        """Log groups."""
        return Logs(self._clients, self.account, self.region)

    @cached_property
    def secrets_manager(self) -> SecretsManager:
        """Secrets."""
        return SecretsManager(self._clients, self.account, self.region)

    async def other_regions(self) -> list[str] | None:
        """Return None if there is such a region, else the regions that there are, by name.

        What the SDK does not know may be newer than the SDK: that is asked of EC2, where the partition is at home.

        Raises:
            AwsError: AWS could not be asked.
        """
        partition, known = await self._clients.partition(self.region)
        if known or partition not in HOMES:
            return None
        found = await Ec2(self._clients, self.account, HOMES[partition]).regions()
        return None if self.region in found else found

    async def has_region(self, region: str) -> bool:
        """Tell whether there is such a region in this one's partition, as `other_regions` finds out.

        Raises:
            AwsError: AWS could not be asked.
        """
        return await Cloud(self._clients, self.account, region).other_regions() is None

    async def identity(self) -> Identity:
        """Return who Slipway is in this account; asked for once."""
        return await self._sts.caller_identity(self.account)


class Clouds(Protocol):
    """Finds the AWS of an account that Slipway knows."""

    async def of(self, account_id: str, region: str) -> Cloud:
        """Return the services of an account (its Slipway id) in a region."""
        ...
