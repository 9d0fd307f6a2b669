"""ECR's settings of a whole account and region: pull-through cache rules, and replication."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.errors import NotFound, translate

if TYPE_CHECKING:
    from types_aiobotocore_ecr import ECRClient


@dataclass(frozen=True, slots=True)
class CacheRule:
    """A rule that has ECR fetch, and keep, what another registry holds.

    Attributes:
        prefix: What the names of the repositories begin with that it makes; `ROOT` is none.
        upstream_url: Host of the other registry.
        upstream: AWS's word for its kind (`docker-hub`, `ecr-public`, …).
        credential_arn: The secret in Secrets Manager that ECR logs in with there.
        upstream_prefix: Only what is below it there.
        role_arn: The role that ECR takes for an ECR of another account.
    """

    prefix: str
    upstream_url: str
    upstream: str | None = None
    credential_arn: str | None = None
    upstream_prefix: str | None = None
    role_arn: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReplicationRule:
    """Where images are copied to when they are pushed.

    Attributes:
        destinations: Region and AWS account id of each.
        prefixes: Only repositories whose names begin with one of these; none is all.
    """

    destinations: tuple[tuple[str, str], ...]
    prefixes: tuple[str, ...] = ()


class EcrAccount:
    """Calls to ECR about one account and region. Methods raise `AwsError`."""

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self._clients = clients
        self._account = account
        self._region = region

    async def cache_rules(self) -> list[CacheRule]:
        """Return the pull-through cache rules, by prefix; all pages."""
        client = await self._client()
        found: list[CacheRule] = []
        with translate("ecr:DescribePullThroughCacheRules"):
            async for page in client.get_paginator("describe_pull_through_cache_rules").paginate():
                found.extend(_cache_rule(entry) for entry in page["pullThroughCacheRules"])
        return sorted(found, key=lambda rule: rule.prefix)

    async def cache_rule(self, prefix: str) -> CacheRule | None:
        """Return the rule of a prefix, or None."""
        client = await self._client()
        try:
            with translate("ecr:DescribePullThroughCacheRules"):
                answer = await client.describe_pull_through_cache_rules(ecrRepositoryPrefixes=[prefix])
                return next((_cache_rule(entry) for entry in answer["pullThroughCacheRules"]), None)
        except NotFound:
            return None

    async def create_cache_rule(self, rule: CacheRule) -> None:
        """Make a rule.

        Raises:
            AlreadyExists: the prefix has one.
            InvalidRequest: ECR knows no such registry, or cannot read the secret.
        """
        client = await self._client()
        optional = {
            "upstreamRegistry": rule.upstream,
            "credentialArn": rule.credential_arn,
            "upstreamRepositoryPrefix": rule.upstream_prefix,
            "customRoleArn": rule.role_arn,
        }
        given: dict[str, Any] = {name: value for name, value in optional.items() if value is not None}
        with translate("ecr:CreatePullThroughCacheRule"):
            await client.create_pull_through_cache_rule(
                ecrRepositoryPrefix=rule.prefix, upstreamRegistryUrl=rule.upstream_url, **given
            )

    async def update_cache_rule(self, rule: CacheRule) -> None:
        """Give a rule another secret or role, all that ECR can change of one.

        Raises:
            NotFound: the prefix has no rule, or the secret is not there.
            InvalidRequest: ECR cannot read the secret.
        """
        client = await self._client()
        optional = {"credentialArn": rule.credential_arn, "customRoleArn": rule.role_arn}
        given: dict[str, Any] = {name: value for name, value in optional.items() if value is not None}
        with translate("ecr:UpdatePullThroughCacheRule"):
            await client.update_pull_through_cache_rule(ecrRepositoryPrefix=rule.prefix, **given)

    async def delete_cache_rule(self, prefix: str) -> bool:
        """Delete the rule of a prefix, and leave what it has fetched; False if there was none."""
        client = await self._client()
        try:
            with translate("ecr:DeletePullThroughCacheRule"):
                await client.delete_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
        except NotFound:
            return False
        return True

    async def replication(self) -> list[ReplicationRule]:
        """Return the rules of replication, in their order."""
        client = await self._client()
        with translate("ecr:DescribeRegistry"):
            answer = await client.describe_registry()
            rules = answer.get("replicationConfiguration", {"rules": []})["rules"]
            return [
                ReplicationRule(
                    tuple((entry["region"], entry["registryId"]) for entry in rule["destinations"]),
                    tuple(entry["filter"] for entry in rule.get("repositoryFilters") or ()),
                )
                for rule in rules
            ]

    async def put_replication(self, rules: list[ReplicationRule]) -> None:
        """Replace the rules of replication; none ends it, and leaves what was copied.

        Raises:
            InvalidRequest: ECR does not take them.
        """
        client = await self._client()
        document: list[Any] = []
        for rule in rules:
            entry: dict[str, Any] = {
                "destinations": [{"region": region, "registryId": account} for region, account in rule.destinations]
            }
            if rule.prefixes:
                entry["repositoryFilters"] = [
                    {"filter": prefix, "filterType": "PREFIX_MATCH"} for prefix in rule.prefixes
                ]
            document.append(entry)
        with translate("ecr:PutReplicationConfiguration"):
            await client.put_replication_configuration(replicationConfiguration={"rules": document})

    async def _client(self) -> "ECRClient":
        return await self._clients.client(self._account, self._region, "ecr")


def _cache_rule(entry: Any) -> CacheRule:
    return CacheRule(
        prefix=entry["ecrRepositoryPrefix"],
        upstream_url=entry["upstreamRegistryUrl"],
        upstream=entry.get("upstreamRegistry"),
        credential_arn=entry.get("credentialArn"),
        upstream_prefix=entry.get("upstreamRepositoryPrefix"),
        role_arn=entry.get("customRoleArn"),
        created_at=entry.get("createdAt"),
    )
