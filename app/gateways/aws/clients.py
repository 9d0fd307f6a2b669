"""Shared connections to AWS: one client per account, region and service for the whole process.

A client costs 4 to 15 ms and a connection pool, its service model up to 100 ms more (EC2) and the SDK itself seconds
on a cold disk. So clients are kept, sessions share one loader, and what reads files happens in a thread.
"""

import asyncio
import functools
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from app.gateways.aws.errors import EXPIRED, translate

if TYPE_CHECKING:
    from types_aiobotocore_cloudformation import CloudFormationClient
    from types_aiobotocore_ec2 import EC2Client
    from types_aiobotocore_ecr import ECRClient
    from types_aiobotocore_eks import EKSClient
    from types_aiobotocore_elbv2 import ElasticLoadBalancingv2Client
    from types_aiobotocore_logs import CloudWatchLogsClient
    from types_aiobotocore_sts import STSClient

CONNECT_TIMEOUT = 3.0
"""Seconds to reach AWS. With `READ_TIMEOUT`, one try stays under the 15 s lease of an operation."""
READ_TIMEOUT = 8.0
"""Seconds between bytes of an answer."""
TOTAL_ATTEMPTS = 2
"""Tries of one call. The engine backs off by itself, so the SDK only rides over one blip."""

SESSION_NAME = "slipway"
"""RoleSessionName of assumed roles: what CloudTrail and access entries show as the caller."""


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """An AWS account and how to get into it.

    Attributes:
        id: Name of the account's record, for people; what decides who shares a client is the other two.
        role_arn: Role to assume in it; None means the process's own credentials (environment, profile, role).
        external_id: ExternalId that the role's trust policy asks for, if it does.
    """

    id: str
    role_arn: str | None = None
    external_id: str | None = None

    @property
    def credentials(self) -> "Credentials":
        """What the account's calls are signed with; accounts that share it share their clients."""
        return self.role_arn, self.external_id


Credentials = tuple[str | None, str | None]
"""Role and ExternalId; (None, None) is the process itself."""

PROCESS = AwsAccount("process")
"""The account that the process's own credentials belong to."""


class AwsClients:
    """The clients of the process. Belongs to one event loop; `aclose()`, or `async with`, when that ends."""

    def __init__(self, *, max_pool_connections: int = 50) -> None:
        self._max_pool_connections = max_pool_connections
        self._loader: Any = None
        self._sdk: asyncio.Task[None] | None = None
        self._sessions: dict[Credentials, Any] = {}
        self._clients: dict[tuple[Credentials, str, str], asyncio.Task[Any]] = {}
        self._expired: set[Credentials] = set()
        self._open = AsyncExitStack()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @overload
    async def client(
        self, account: AwsAccount, region: str, service: Literal["cloudformation"]
    ) -> "CloudFormationClient": ...
    @overload
    async def client(self, account: AwsAccount, region: str, service: Literal["ec2"]) -> "EC2Client": ...
    @overload
    async def client(self, account: AwsAccount, region: str, service: Literal["ecr"]) -> "ECRClient": ...
    @overload
    async def client(self, account: AwsAccount, region: str, service: Literal["eks"]) -> "EKSClient": ...
    @overload
    async def client(
        self, account: AwsAccount, region: str, service: Literal["elbv2"]
    ) -> "ElasticLoadBalancingv2Client": ...
    @overload
    async def client(self, account: AwsAccount, region: str, service: Literal["logs"]) -> "CloudWatchLogsClient": ...
    @overload
    async def client(self, account: AwsAccount, region: str, service: Literal["sts"]) -> "STSClient": ...
    @overload
    async def client(self, account: AwsAccount, region: str, service: str) -> Any: ...

    async def client(self, account: AwsAccount, region: str, service: str) -> Any:
        """Return the shared client, made by the first caller; concurrent callers wait for that one.

        Raises:
            AwsError: The process has no usable configuration (`CredentialsError` for a missing profile).
            RuntimeError: After `aclose()`.
        """
        if self._closed:
            raise RuntimeError("AwsClients is closed")
        if account.credentials in self._expired:
            await self._take_up_new_credentials(account.credentials)
        key = (account.credentials, region, service)
        task = self._clients.get(key)
        if task is None:
            create = self._create(account, region, service)
            task = self._clients[key] = asyncio.create_task(create, name=f"aws-client-{service}-{region}")
            task.add_done_callback(lambda done: self._forget_failed(key, done))
        # Shielded: a caller that is cancelled must not take the client away from the others.
        return await asyncio.shield(task)

    async def warm(self, services: Iterable[str]) -> None:
        """Load the SDK and the models of `services` in a thread, so that the first calls don't pay for it."""
        await self._load_sdk()
        for service in services:
            await asyncio.to_thread(self._load_model, service)

    async def frozen_credentials(self, account: AwsAccount, region: str) -> tuple[str, str, str | None]:
        """Return (access key id, secret key, session token) as they hold now, refreshed if they are about to expire.

        For signing by hand (EKS tokens). They live for minutes to hours: ask again each time, keep nothing.

        Raises:
            CredentialsError: There are none, or the role can't be assumed.
        """
        await self._load_sdk()
        with translate("sts:AssumeRole" if account.role_arn else "sts:GetCredentials"):
            session = self._session(account, region)
            await self._find_credentials(session)
            frozen = await (await session.get_credentials()).get_frozen_credentials()
        return frozen.access_key, frozen.secret_key, frozen.token

    async def partition(self, region: str) -> tuple[str, bool]:
        """Return the partition that a region's name belongs to (`aws`, `aws-cn`), and whether the SDK knows the region.

        The SDK is older than AWS: it does not know the newest regions. A name of no known form is taken for `aws`.

        Raises:
            CredentialsError: The process's profile does not exist.
        """
        await self._load_sdk()
        from botocore.exceptions import UnknownRegionError

        with translate("sts:Configuration"):
            session = self._session(PROCESS, "")
            try:
                partition = session.get_partition_for_region(region)
            except UnknownRegionError:
                partition = "aws"
            return partition, region in await session.get_available_regions("eks", partition)

    async def aclose(self) -> None:
        """Close every connection. Calls that are under way fail."""
        self._closed = True
        tasks = [*self._clients.values(), *([self._sdk] if self._sdk else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._clients.clear()
        self._sessions.clear()
        await self._open.aclose()

    def _forget_failed(self, key: tuple[Credentials, str, str], task: asyncio.Task[Any]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._clients.get(key) is task:
            del self._clients[key]

    async def _load_sdk(self) -> None:
        if self._sdk is None or (self._sdk.done() and (self._sdk.cancelled() or self._sdk.exception())):
            self._sdk = asyncio.create_task(asyncio.to_thread(self._import_sdk), name="aws-sdk")
        with translate("sts:Configuration"):  # a profile that doesn't exist is found out here
            await asyncio.shield(self._sdk)

    def _import_sdk(self) -> None:
        from aiobotocore.session import AioSession

        self._loader = _loader(AioSession().get_config_variable("data_path"))

    def _load_model(self, service: str) -> None:
        # What create_client would read from disk, and the loader keeps.
        self._loader.load_service_model(service, "service-2")
        self._loader.load_service_model(service, "endpoint-rule-set-1")

    async def _create(self, account: AwsAccount, region: str, service: str) -> Any:
        from botocore.exceptions import UnknownServiceError

        await self._load_sdk()
        try:
            await asyncio.to_thread(self._load_model, service)
        except UnknownServiceError as error:
            raise ValueError(f"AWS has no service {service!r}") from error
        with translate(f"{service}:CreateClient"):
            session = self._session(account, region)
            await self._find_credentials(session)
            context = session.create_client(service, region_name=region, config=self._config())
            return await self._open.enter_async_context(context)

    async def _take_up_new_credentials(self, expired: Credentials) -> None:
        """Forget a session, and its clients, if others than its expired credentials are to be found now.

        A session reads a profile's file or the environment once, and keeps what it has found. The clients that are
        forgotten close with the process: calls that are under way still use them.
        """
        from aiobotocore.session import AioSession

        self._expired.discard(expired)  # if these have expired too, the next call says so again
        known = self._sessions.get(expired)
        if known is None or expired != PROCESS.credentials:  # those of a role refresh themselves
            return
        with translate("sts:GetCredentials"):
            old, new = await known.get_credentials(), await AioSession().get_credentials()
        if self._sessions.get(expired) is not known or new is None or new.access_key == old.access_key:
            return
        del self._sessions[expired]
        for key in [key for key in self._clients if key[0] == expired]:
            del self._clients[key]

    async def _find_credentials(self, session: Any) -> None:
        # A client made without credentials stays without them; this way the next caller looks again.
        from botocore.exceptions import NoCredentialsError

        if await session.get_credentials() is None:
            raise NoCredentialsError

    def _config(self) -> Any:
        from aiobotocore.config import AioConfig

        return AioConfig(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": TOTAL_ATTEMPTS},
            max_pool_connections=self._max_pool_connections,
            user_agent_extra="slipway",
        )

    def _session(self, account: AwsAccount, region: str) -> Any:
        from aiobotocore.credentials import AioDeferredRefreshableCredentials
        from aiobotocore.session import AioSession

        if (known := self._sessions.get(account.credentials)) is not None:
            return known
        session: Any = AioSession()
        session.register_component("data_loader", self._loader)
        session.register("after-call", functools.partial(self._heed, account.credentials))
        if account.role_arn is not None:
            # botocore has no public way to hand a session credentials that refresh themselves; its own providers set
            # this attribute too.
            session._credentials = AioDeferredRefreshableCredentials(
                refresh_using=lambda: self._assume_role(account, region), method="assume-role"
            )
        self._sessions[account.credentials] = session
        return session

    def _heed(self, credentials: Credentials, parsed: dict[str, Any], **_: Any) -> None:
        if parsed.get("Error", {}).get("Code") in EXPIRED:
            self._expired.add(credentials)

    async def _assume_role(self, account: AwsAccount, region: str) -> dict[str, str]:
        sts = await self.client(PROCESS, region, "sts")
        external_id: dict[str, Any] = {"ExternalId": account.external_id} if account.external_id else {}
        answer = await sts.assume_role(RoleArn=account.role_arn or "", RoleSessionName=SESSION_NAME, **external_id)
        credentials = answer["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }


@functools.cache
def _loader(data_path: str | None) -> Any:
    """Return the reader of the SDK's models, which keeps what it has read: one for the process."""
    from botocore.loaders import create_loader

    loader = create_loader(data_path)
    for data in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(data)
    return loader
