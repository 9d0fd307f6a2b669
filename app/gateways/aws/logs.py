"""CloudWatch Logs: the log group of a control plane, which lives outside its stack.

EKS writes to `/aws/eks/CLUSTER/cluster` and creates it again when it is missing, also in the minutes after a delete.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.errors import AlreadyExists, NotFound, translate

if TYPE_CHECKING:
    from types_aiobotocore_logs import CloudWatchLogsClient

RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
"""What PutRetentionPolicy takes (its API reference)."""


def control_plane_log_group(cluster: str) -> str:
    """Return the name of the log group that EKS writes a cluster's control plane logs to."""
    return f"/aws/eks/{cluster}/cluster"


class Logs:
    """Calls to CloudWatch Logs in one account and region. Methods raise `AwsError`."""

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self._clients = clients
        self._account = account
        self._region = region

    async def ensure_log_group(
        self, name: str, retention_days: int | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """Create the log group if it is missing, and set its retention either way.

        Args:
            name: Name.
            retention_days: One of `RETENTION_DAYS`; None keeps events for ever.
            tags: Given to a new group; those of an existing one are left alone.
        """
        client = await self._client()
        extra: dict[str, Any] = {"tags": dict(tags)} if tags else {}
        try:
            with translate("logs:CreateLogGroup"):
                await client.create_log_group(logGroupName=name, **extra)
        except AlreadyExists:
            await self.set_retention(name, retention_days)
        else:
            if retention_days is not None:
                await self.set_retention(name, retention_days)

    async def set_retention(self, name: str, retention_days: int | None) -> None:
        """Set for how many days events are kept; None keeps them for ever.

        Raises:
            NotFound: There is no such log group.
            InvalidRequest: Not one of `RETENTION_DAYS`.
        """
        client = await self._client()
        if retention_days is None:
            with translate("logs:DeleteRetentionPolicy"):
                await client.delete_retention_policy(logGroupName=name)
            return
        with translate("logs:PutRetentionPolicy"):
            await client.put_retention_policy(logGroupName=name, retentionInDays=retention_days)

    async def delete_log_group(self, name: str) -> None:
        """Delete the log group with all its events; one that doesn't exist is fine."""
        client = await self._client()
        try:
            with translate("logs:DeleteLogGroup"):
                await client.delete_log_group(logGroupName=name)
        except NotFound:
            return

    async def exists(self, name: str) -> bool:
        """Return whether there is a log group of exactly that name."""
        client = await self._client()
        pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
        with translate("logs:DescribeLogGroups"):
            async for page in pages:
                if any(group.get("logGroupName") == name for group in page["logGroups"]):
                    return True
        return False

    async def _client(self) -> "CloudWatchLogsClient":
        return await self._clients.client(self._account, self._region, "logs")
