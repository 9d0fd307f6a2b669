"""What belongs to a registry as a whole: its policy, scanning rules, settings and pull-through cache rules."""

from __future__ import annotations

import re

from ministack.core.responses import get_account_id

from ..errors import AwsError
from . import policies
from .parameters import page
from .records import Record, arn, in_registry, now, refuse, registry, repository

# What an upstream is called, by its address, and whether it asks for credentials.
_UPSTREAMS = (
    (r"public\.ecr\.aws", "ecr-public", False), (r"quay\.io", "quay", False), (r"registry\.k8s\.io", "k8s", False),
    (r"registry-1\.docker\.io", "docker-hub", True), (r"ghcr\.io", "github-container-registry", True),
    (r"[a-z0-9]+\.azurecr\.io", "azure-container-registry", True), (r"cgr\.dev", "chainguard", True),
    (r"registry\.gitlab\.com", "gitlab-container-registry", True),
    (r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com", "ecr", False),
)  # fmt: skip
_MOST_CACHE_RULES = 50

# As users quote them: goharbor/harbor#20174, aws-controllers-k8s/community#2589.
_UNKNOWN = "The upstream registry URL {} is invalid. Specify a valid upstream registry URL and try again"
_NO_LOGIN = "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN"


def set_policy(text: str) -> Record:
    """PutRegistryPolicy."""
    policies.check(text, "registry")
    registry().policy = text
    return {"policyText": text}


def policy() -> Record:
    """GetRegistryPolicy."""
    if not registry().policy:
        raise refuse("RegistryPolicyNotFound", f"Registry policy does not exist {in_registry()}")
    return {"policyText": registry().policy}


def delete_policy() -> Record:
    """DeleteRegistryPolicy."""
    found = policy()
    registry().policy = ""
    return found


def set_scanning(body: Record) -> Record:
    """PutRegistryScanningConfiguration."""
    kind, rules = body.get("scanType", "BASIC"), body.get("rules") or []
    if kind == "BASIC" and any(rule["scanFrequency"] == "CONTINUOUS_SCAN" for rule in rules):
        raise refuse("InvalidParameter", "CONTINUOUS_SCAN is not supported with scanType BASIC")
    registry().scanning = {"scanType": kind, "rules": rules}
    return {"registryScanningConfiguration": registry().scanning}


def scanning_of(names: list[str]) -> Record:
    """BatchGetRepositoryScanningConfiguration."""
    found, failures = [], []
    for name in names:
        try:
            record = repository(name)
        except AwsError as error:
            failures.append(
                {"repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND", "failureReason": error.message}
            )
            continue
        on_push = record["imageScanningConfiguration"]["scanOnPush"]
        found.append(
            {
                "repositoryArn": arn(name), "repositoryName": name, "scanOnPush": on_push,
                "scanFrequency": "SCAN_ON_PUSH" if on_push else "MANUAL", "appliedScanFilters": [],
            }
        )  # fmt: skip
    return {"scanningConfigurations": found, "failures": failures}


def set_account_setting(body: Record) -> Record:
    """PutAccountSetting."""
    registry().settings[body["name"]] = body["value"]
    return {"name": body["name"], "value": body["value"]}


def account_setting(name: str) -> Record:
    """GetAccountSetting."""
    defaults = {"BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE", "REGISTRY_POLICY_SCOPE": "V2", "BLOB_MOUNTING": "DISABLED"}
    if name not in {**defaults, **registry().settings}:
        raise refuse("Validation", f"Invalid account setting name '{name}'")
    return {"name": name, "value": registry().settings.get(name, defaults.get(name))}


def _cache_rule(prefix: str) -> Record:
    found = registry().cache_rules.get(prefix)
    if found is None:
        raise refuse(
            "PullThroughCacheRuleNotFound",
            f"Pull through cache rule with prefix '{prefix}' does not exist {in_registry()}",
        )
    return found


def create_cache_rule(body: Record) -> Record:
    """CreatePullThroughCacheRule. What needs credentials must name a secret; whether that is there is not looked at."""
    prefix, url, rules = body["ecrRepositoryPrefix"], body["upstreamRegistryUrl"], registry().cache_rules
    if prefix in rules:
        raise refuse(
            "PullThroughCacheRuleAlreadyExists",
            f"A pull through cache rule with prefix '{prefix}' already exists {in_registry()}",
        )
    known = next(((name, secret) for host, name, secret in _UPSTREAMS if re.fullmatch(host, url)), None)
    if known is None or body.get("upstreamRegistry", known[0]) != known[0]:
        raise refuse("UnsupportedUpstreamRegistry", _UNKNOWN.format(url))
    if known[1] and not body.get("credentialArn"):
        raise refuse("UnsupportedUpstreamRegistry", _NO_LOGIN)
    if len(rules) >= _MOST_CACHE_RULES:
        raise refuse("LimitExceeded", f"The registry has {_MOST_CACHE_RULES} pull through cache rules, the most it can")
    kept = ("credentialArn", "customRoleArn")
    rule = {
        "ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": url, "upstreamRegistry": known[0], "createdAt": now(),
        "upstreamRepositoryPrefix": body.get("upstreamRepositoryPrefix", "ROOT"), "registryId": get_account_id(),
        **{key: body[key] for key in kept if body.get(key)},
    }  # fmt: skip
    rules[prefix] = rule
    return rule


def cache_rules(body: Record) -> Record:
    """DescribePullThroughCacheRules."""
    prefixes = body.get("ecrRepositoryPrefixes")
    if prefixes:
        return {"pullThroughCacheRules": [_cache_rule(prefix) for prefix in prefixes]}
    return page(body, "pullThroughCacheRules", [rule for _, rule in sorted(registry().cache_rules.items())])


def update_cache_rule(body: Record) -> Record:
    """UpdatePullThroughCacheRule."""
    rule = _cache_rule(body["ecrRepositoryPrefix"])
    given = {key: body[key] for key in ("credentialArn", "customRoleArn") if body.get(key)}
    if not given:
        raise refuse("InvalidParameter", "One of credentialArn and customRoleArn must be given")
    rule.update(given, updatedAt=now())
    return rule


def delete_cache_rule(body: Record) -> Record:
    """DeletePullThroughCacheRule."""
    rule = _cache_rule(body["ecrRepositoryPrefix"])
    del registry().cache_rules[body["ecrRepositoryPrefix"]]
    return rule


def validate_cache_rule(body: Record) -> Record:
    """ValidatePullThroughCacheRule: no upstream can be reached from here, so one with credentials is not valid."""
    rule = _cache_rule(body["ecrRepositoryPrefix"])
    secret = rule.get("credentialArn")
    failure = {"failure": f"The secret '{secret}' could not be used: the upstream cannot be reached"} if secret else {}
    return {**rule, "isValid": not secret, **failure}
