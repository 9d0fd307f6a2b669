"""What callers send and see of ECR's settings of a whole account and region: cache rules and replication."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from app.core.errors import FieldError
from app.core.fields import AwsAccountId, Region, RoleArn, Spec
from app.gateways.aws.ecr_account import CacheRule, EcrAccount, ReplicationRule
from app.operations.errors import ImmutableFieldError
from app.registries.images import refusals

PREFIX = r"^((?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*/?|ROOT)$"
"""Of CreatePullThroughCacheRule's `ecrRepositoryPrefix`; 2 to 30 characters."""

_FILTER = r"^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$"

SecretArn = Annotated[
    str,
    Field(
        pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:ecr-pullthroughcache/[\w/+=.@-]+$",
        max_length=612,
    ),
]
Prefix = Annotated[str, Field(pattern=PREFIX, min_length=2, max_length=30)]


class CacheRuleSpec(Spec):
    """Has ECR fetch, and keep, what another registry holds when it is pulled through a prefix."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"upstream_url": "public.ecr.aws"}]})

    upstream_url: str = Field(min_length=1, max_length=255, description="Host of the other registry.")
    upstream: str | None = Field(
        default=None, max_length=64, description="AWS's word for its kind, `docker-hub`; None: told by its host."
    )
    upstream_prefix: Prefix | None = Field(default=None, description="Only what is below it there; ROOT is all.")
    credential_arn: SecretArn | None = Field(default=None, description="The secret that ECR logs in with there.")
    role_arn: RoleArn | None = Field(default=None, description="The role that ECR takes for an ECR of another account.")


class CacheRuleOut(CacheRuleSpec):
    """A pull-through cache rule."""

    model_config = ConfigDict(
        title="PullThroughCacheRule",
        json_schema_extra={
            "examples": [
                {
                    "prefix": "ecr-public",
                    "upstream_url": "public.ecr.aws",
                    "upstream": "ecr-public",
                    "upstream_prefix": None,
                    "credential_arn": None,
                    "role_arn": None,
                    "created_at": "2026-11-23T08:00:00Z",
                }
            ]
        },
    )

    prefix: str
    created_at: datetime | None


class ReplicationDestination(Spec):
    """Where images are copied to."""

    region: Region
    account: AwsAccountId | None = Field(default=None, description="Id of an AWS account; None is the same one.")


class ReplicationRuleSpec(Spec):
    """Copies what is pushed."""

    destinations: list[ReplicationDestination] = Field(min_length=1, max_length=25)
    prefixes: list[Annotated[str, Field(pattern=_FILTER, min_length=2, max_length=256)]] = Field(
        default=[], max_length=100, description="Only repositories whose names begin with one of these; none is all."
    )


class ReplicationSpec(Spec):
    """All rules of replication of an account and region; none ends it. What was copied stays."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"rules": [{"destinations": [{"region": "eu-west-1"}], "prefixes": ["shop/"]}]}]
        }
    )

    rules: list[ReplicationRuleSpec] = Field(max_length=10)

    @model_validator(mode="after")
    def _few_destinations(self) -> "ReplicationSpec":
        places = {(each.region, each.account) for rule in self.rules for each in rule.destinations}
        if len(places) > 25:  # the quota of PutReplicationConfiguration
            raise ValueError("at most 25 destinations in all rules together")
        return self


def cache_rule_out(rule: CacheRule) -> CacheRuleOut:
    """Return what callers see of a cache rule."""
    return CacheRuleOut.model_construct(
        prefix=rule.prefix,
        upstream_url=rule.upstream_url,
        upstream=rule.upstream,
        upstream_prefix=rule.upstream_prefix,
        credential_arn=rule.credential_arn,
        role_arn=rule.role_arn,
        created_at=rule.created_at,
    )


def cache_rule_of(prefix: str, spec: CacheRuleSpec) -> CacheRule:
    """Return the rule as the gateway takes it."""
    return CacheRule(
        prefix=prefix,
        upstream_url=spec.upstream_url,
        upstream=spec.upstream,
        credential_arn=spec.credential_arn,
        upstream_prefix=spec.upstream_prefix,
        role_arn=spec.role_arn,
    )


async def put_cache_rule(ecr: EcrAccount, rule: CacheRule) -> CacheRule:
    """Make a rule, or give one that is there another secret or role: all that ECR can change of it; return it.

    Raises:
        ImmutableFieldError: ECR could only make it anew.
        SlipwayError: ECR refuses it.
    """
    existing = await ecr.cache_rule(rule.prefix)
    with refusals():
        if existing is None:
            await ecr.create_cache_rule(rule)
        else:
            check_mutable(existing, rule)
            if (rule.credential_arn, rule.role_arn) not in ((None, None), (existing.credential_arn, existing.role_arn)):
                await ecr.update_cache_rule(rule)
    return await ecr.cache_rule(rule.prefix) or rule


def check_mutable(before: CacheRule, after: CacheRule) -> None:
    """Refuse what ECR can only make anew: the other registry, and what of it is fetched.

    Raises:
        ImmutableFieldError: with pointers.
    """
    errors = [
        FieldError(f"/{field}", "cannot be changed: delete the rule and make it anew")
        for field in ("upstream_url", "upstream", "upstream_prefix")
        if getattr(after, field) not in (None, getattr(before, field))
    ]
    if errors:
        raise ImmutableFieldError("ECR can only make the rule anew to change this.", errors)


def replication_out(rules: list[ReplicationRule]) -> ReplicationSpec:
    """Return what callers see of replication."""
    return ReplicationSpec.model_construct(
        rules=[
            ReplicationRuleSpec.model_construct(
                destinations=[
                    ReplicationDestination.model_construct(region=region, account=account)
                    for region, account in rule.destinations
                ],
                prefixes=list(rule.prefixes),
            )
            for rule in rules
        ]
    )


def replication_of(spec: ReplicationSpec, own_account: str) -> list[ReplicationRule]:
    """Return the rules as the gateway takes them; `own_account` is the AWS account's id."""
    return [
        ReplicationRule(
            tuple((each.region, each.account or own_account) for each in rule.destinations), tuple(rule.prefixes)
        )
        for rule in spec.rules
    ]
