"""AWS::ECR::Repository, on the functions that the API calls."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import ecr

from ..ecr import lifecycle, parameters, repositories
from ..ecr.records import Record, contents_of
from .registry import Attributes, Properties, Work


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _filters(properties: Properties) -> list[Record]:
    """The exclusion filters, whose members have longer names here than in the API."""
    prefix = "ImageTagMutabilityExclusionFilter"
    return [
        {"filterType": given[f"{prefix}Type"], "filter": given[f"{prefix}Value"]}
        for given in properties.get(f"{prefix}s") or []
    ]


def _mutability(properties: Properties) -> Record:
    filters = _filters(properties)
    given = {"imageTagMutability": properties.get("ImageTagMutability") or "MUTABLE"}
    return {**given, **({"imageTagMutabilityExclusionFilters": filters} if filters else {})}


def _flag(value: Any) -> bool:
    """A boolean of a template, which may be a string."""
    return str(value).lower() == "true"


def _scanning(properties: Properties) -> Record:
    return {"scanOnPush": _flag((properties.get("ImageScanningConfiguration") or {}).get("ScanOnPush", False))}


def _policy(properties: Properties) -> str:
    policy = properties.get("RepositoryPolicyText") or ""
    return policy if isinstance(policy, str) else json.dumps(policy)


def _lifecycle(properties: Properties) -> str:
    return str((properties.get("LifecyclePolicy") or {}).get("LifecyclePolicyText") or "")


class Repository:
    """Ref is the name."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Makes the repository, then its policies, as CloudFormation does: one call after another."""
        name = properties.get("RepositoryName") or f"{work.stack_name}-{work.generated_name()}".lower()
        encryption = {_lower(key): value for key, value in (properties.get("EncryptionConfiguration") or {}).items()}
        body = {
            "repositoryName": name,
            "imageScanningConfiguration": _scanning(properties),
            "tags": properties.get("Tags") or [],
            **_mutability(properties),
            **({"encryptionConfiguration": encryption} if encryption else {}),
        }
        parameters.check("CreateRepository", body)
        record = repositories.create(body, system=True)
        work.initiated(name)
        self._put_policies(name, {}, properties)
        await work.wait()
        return {"Arn": record["repositoryArn"], "RepositoryUri": record["repositoryUri"]}

    @staticmethod
    def _put_policies(name: str, old: Properties, new: Properties) -> None:
        if text := _policy(new):
            repositories.set_policy(name, text)
        elif _policy(old) and name in ecr._repo_policies:
            repositories.delete_policy(name)
        if text := _lifecycle(new):
            parameters.check("PutLifecyclePolicy", {"repositoryName": name, "lifecyclePolicyText": text})
            lifecycle.put(name, text)
        elif _lifecycle(old) and contents_of(name).lifecycle:
            lifecycle.delete(name)

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes all but name and encryption. What only the template knows, as EmptyOnDelete, changes nothing."""
        await work.wait()
        body = {"repositoryName": physical_id, **_mutability(new)}
        parameters.check("PutImageTagMutability", body)
        repositories.set_mutability(physical_id, body)
        repositories.set_scanning(physical_id, _scanning(new))
        repositories.replace_tags(physical_id, new.get("Tags") or [])
        self._put_policies(physical_id, old, new)
        return {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes the repository; with its images only if EmptyOnDelete says so."""
        await work.wait()
        if physical_id in ecr._repositories:
            repositories.delete(physical_id, _flag(properties.get("EmptyOnDelete", False)))


HANDLERS = {"AWS::ECR::Repository": Repository()}
