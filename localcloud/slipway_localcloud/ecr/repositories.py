"""Repositories: made, described, changed and deleted. CloudFormation calls the same functions."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from ministack.core.responses import get_account_id, get_region
from ministack.services import ecr, kms

from . import policies
from .parameters import page
from .records import (
    Contents,
    Record,
    arn,
    contents,
    contents_of,
    host,
    in_registry,
    invalid,
    now,
    refuse,
    repository,
)

_SHOWN = (
    "repositoryArn", "registryId", "repositoryName", "repositoryUri", "createdAt", "imageTagMutability",
    "imageTagMutabilityExclusionFilters", "imageScanningConfiguration", "encryptionConfiguration",
)  # fmt: skip
_MOST_TAGS = 50


def public(record: Record) -> Record:
    """A repository as the API shows it."""
    return {key: record[key] for key in _SHOWN if key in record}


def create(body: Record, system: bool = False) -> Record:
    """Makes a repository and returns its record. `system` lets tags of CloudFormation in."""
    name = body["repositoryName"]
    if name in ecr._repositories:
        raise refuse("RepositoryAlreadyExists", f"The repository with name '{name}' already exists {in_registry()}")
    encryption = _encryption(body.get("encryptionConfiguration"))
    record = {
        "repositoryArn": arn(name),
        "registryId": get_account_id(),
        "repositoryName": name,
        "repositoryUri": f"{host()}/{name}",
        "createdAt": now(),
        "imageScanningConfiguration": _scanning(body.get("imageScanningConfiguration")),
        "encryptionConfiguration": encryption,
        "tags": _tags(body.get("tags") or [], system),
        **_mutability(body),
    }
    ecr._repositories[name] = record
    contents[name] = Contents()
    return record


def _scanning(given: Record | None) -> Record:
    return {"scanOnPush": bool((given or {}).get("scanOnPush", False))}


def _encryption(given: Record | None) -> Record:
    """The configuration with the ARN of the key, which must be there and enabled."""
    given = given or {"encryptionType": "AES256"}
    kind, key = given["encryptionType"], given.get("kmsKey")
    if kind == "AES256":
        if key:
            raise invalid("encryptionConfiguration", "kmsKey cannot be specified with encryptionType AES256")
        return {"encryptionType": kind}
    if key in (None, "alias/aws/ecr"):
        registry = f"{get_region()}:{get_account_id()}"
        return {"encryptionType": kind, "kmsKey": f"arn:aws:kms:{registry}:key/{uuid5(NAMESPACE_DNS, registry)}"}
    found = kms._resolve_key(key)
    if found is None or found["KeyState"] != "Enabled":
        raise refuse("Kms", f"KMS key '{key}' does not exist or is not enabled (Service: Kms, Status Code: 400)")
    return {"encryptionType": kind, "kmsKey": found["Arn"]}


def _mutability(body: Record) -> Record:
    """Whether tags may move, and which are the exception. Filters go with the settings that name exclusions."""
    setting = body.get("imageTagMutability") or "MUTABLE"
    filters = body.get("imageTagMutabilityExclusionFilters") or []
    excludes = setting.endswith("_WITH_EXCLUSION")
    if excludes and not filters:
        raise invalid("imageTagMutabilityExclusionFilters", f"must not be empty when imageTagMutability is {setting}")
    if filters and not excludes:
        raise invalid("imageTagMutabilityExclusionFilters", f"must be empty when imageTagMutability is {setting}")
    if any(given["filter"].count("*") > 2 for given in filters):
        raise invalid("imageTagMutabilityExclusionFilters", "a filter can have at most two wildcards")
    return {
        "imageTagMutability": setting,
        **({"imageTagMutabilityExclusionFilters": filters} if filters else {}),
    }


def set_mutability(name: str, body: Record) -> Record:
    """Changes whether tags may move."""
    record, new = repository(name), _mutability(body)
    record.pop("imageTagMutabilityExclusionFilters", None)
    record.update(new)
    return new


def set_scanning(name: str, given: Record | None) -> Record:
    """Changes whether images are scanned on push."""
    record = repository(name)
    record["imageScanningConfiguration"] = _scanning(given)
    return {"imageScanningConfiguration": record["imageScanningConfiguration"]}


def describe(body: Record) -> Record:
    """The repositories named, or pages of all."""
    names = body.get("repositoryNames")
    if names:
        if body.get("nextToken") or body.get("maxResults"):
            raise refuse("InvalidParameter", "Paging is not allowed when 'repositoryNames' is given")
        return {"repositories": [public(repository(name)) for name in names]}
    return page(body, "repositories", [public(record) for _, record in sorted(ecr._repositories.items())])


def delete(name: str, force: bool) -> Record:
    """Takes a repository away; one with images only by force."""
    record = repository(name)
    if contents_of(name).images and not force:
        raise refuse(
            "RepositoryNotEmpty",
            f"The repository with name '{name}' in registry with id '{get_account_id()}' cannot be deleted "
            "because it still contains images",
        )
    del ecr._repositories[name]
    del contents[name]
    ecr._repo_policies.pop(name, None)
    return record


def set_policy(name: str, text: str) -> Record:
    """Puts a policy on a repository."""
    repository(name)
    policies.check(text, "repository")
    ecr._repo_policies[name] = text
    return {"policyText": text}


def policy(name: str) -> Record:
    """The policy of a repository."""
    repository(name)
    if name not in ecr._repo_policies:
        raise refuse(
            "RepositoryPolicyNotFound",
            f"Repository policy does not exist for the repository with name '{name}' {in_registry()}",
        )
    return {"policyText": ecr._repo_policies[name]}


def delete_policy(name: str) -> Record:
    """Takes the policy of a repository away."""
    found = policy(name)
    del ecr._repo_policies[name]
    return found


def by_arn(resource_arn: str) -> Record:
    """The repository with this ARN."""
    head = arn("")
    if not resource_arn.startswith("arn:") or ":repository/" not in resource_arn:
        raise invalid("resourceArn", "Invalid ARN")
    name = resource_arn.partition(":repository/")[2]
    if resource_arn != head + name:
        raise refuse("RepositoryNotFound", f"The repository with name '{name}' does not exist {in_registry()}")
    return repository(name)


def _tags(tags: list[Record], system: bool) -> list[Record]:
    """Tags as given, if ECR takes them. Those of CloudFormation don't count."""
    own = [tag for tag in tags if not (system and tag["Key"].startswith("aws:cloudformation:"))]
    for tag in own:
        if tag["Key"].lower().startswith("aws:"):
            raise refuse("InvalidTagParameter", "Tag keys starting with 'aws:' are reserved for system use")
        if not 1 <= len(tag["Key"]) <= 128 or len(tag["Value"]) > 256:
            raise refuse("InvalidTagParameter", "A tag key has 1 to 128 characters and a tag value at most 256")
    if len(own) > _MOST_TAGS:
        raise refuse("TooManyTags", f"The repository has more than {_MOST_TAGS} tags")
    return [{"Key": tag["Key"], "Value": tag["Value"]} for tag in tags]


def replace_tags(name: str, tags: list[Record]) -> None:
    """Puts these tags, CloudFormation's among them, in the place of all others."""
    repository(name)["tags"] = _tags(tags, system=True)


def add_tags(resource_arn: str, tags: list[Record]) -> None:
    """Adds tags, or gives them new values."""
    record = by_arn(resource_arn)
    _tags(tags, system=False)
    merged: dict[str, Any] = {tag["Key"]: tag for tag in [*record["tags"], *tags]}
    record["tags"] = _tags(list(merged.values()), system=True)


def remove_tags(resource_arn: str, keys: list[str]) -> None:
    """Takes tags away."""
    record = by_arn(resource_arn)
    record["tags"] = [tag for tag in record["tags"] if tag["Key"] not in keys]
