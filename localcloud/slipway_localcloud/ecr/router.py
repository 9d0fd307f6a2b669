"""The JSON API: operations by the name in X-Amz-Target."""

from __future__ import annotations

import json
from collections.abc import Callable

from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id

from ..errors import AwsError
from . import access, images, layers, lifecycle, parameters, registries, replication, repositories, scans, tokens
from .records import Record, host, registry, within

Response = tuple[int, dict[str, str], bytes]

# Operations of a registry, and of a repository by name; the latter's answers name it.
_REGISTRY: dict[str, Callable[[Record], Record]] = {
    "CreateRepository": lambda body: {"repository": repositories.public(repositories.create(body))},
    "DescribeRepositories": repositories.describe,
    "ListTagsForResource": lambda body: {"tags": repositories.by_arn(body["resourceArn"])["tags"]},
    "TagResource": lambda body: repositories.add_tags(body["resourceArn"], body["tags"]) or {},
    "UntagResource": lambda body: repositories.remove_tags(body["resourceArn"], body["tagKeys"]) or {},
    "DescribeRegistry": lambda body: {"replicationConfiguration": registry().replication},
    "PutReplicationConfiguration": lambda body: replication.configure(body["replicationConfiguration"]),
    "PutRegistryPolicy": lambda body: registries.set_policy(body["policyText"]),
    "GetRegistryPolicy": lambda body: registries.policy(),
    "DeleteRegistryPolicy": lambda body: registries.delete_policy(),
    "GetRegistryScanningConfiguration": lambda body: {"scanningConfiguration": registry().scanning},
    "PutRegistryScanningConfiguration": registries.set_scanning,
    "BatchGetRepositoryScanningConfiguration": lambda body: registries.scanning_of(body["repositoryNames"]),
    "GetAccountSetting": lambda body: registries.account_setting(body["name"]),
    "PutAccountSetting": registries.set_account_setting,
    "CreatePullThroughCacheRule": registries.create_cache_rule,
    "DescribePullThroughCacheRules": registries.cache_rules,
    "UpdatePullThroughCacheRule": registries.update_cache_rule,
    "DeletePullThroughCacheRule": registries.delete_cache_rule,
    "ValidatePullThroughCacheRule": registries.validate_cache_rule,
}
_REPOSITORY: dict[str, Callable[[str, Record], Record]] = {
    "DeleteRepository": lambda name, body: {
        "repository": repositories.public(repositories.delete(name, body.get("force", False)))
    },
    "PutImageTagMutability": repositories.set_mutability,
    "PutImageScanningConfiguration": lambda name, body: repositories.set_scanning(
        name, body["imageScanningConfiguration"]
    ),
    "SetRepositoryPolicy": lambda name, body: repositories.set_policy(name, body["policyText"]),
    "GetRepositoryPolicy": lambda name, body: repositories.policy(name),
    "DeleteRepositoryPolicy": lambda name, body: repositories.delete_policy(name),
    "PutLifecyclePolicy": lambda name, body: lifecycle.put(name, body["lifecyclePolicyText"]),
    "GetLifecyclePolicy": lambda name, body: lifecycle.get(name),
    "DeleteLifecyclePolicy": lambda name, body: lifecycle.delete(name),
    "StartLifecyclePolicyPreview": lifecycle.start_preview,
    "GetLifecyclePolicyPreview": lifecycle.preview,
    "PutImage": images.put_by_api,
    "ListImages": images.listed,
    "DescribeImages": images.describe,
    "BatchGetImage": images.batch_get,
    "BatchDeleteImage": images.batch_delete,
    "ListImageReferrers": images.list_referrers,
    "DescribeImageReplicationStatus": replication.status,
    "StartImageScan": scans.start,
    "DescribeImageScanFindings": scans.findings,
    "InitiateLayerUpload": layers.initiate,
    "UploadLayerPart": layers.upload_part,
    "CompleteLayerUpload": layers.complete,
    "BatchCheckLayerAvailability": layers.availability,
    "GetDownloadUrlForLayer": layers.download_url,
}


async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]) -> Response:
    """Answers a request to ECR."""
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    caller = access.Principal(extract_access_key_id(headers, query), get_account_id(), get_region())
    try:
        document = _document(body)
        if not parameters.known(operation):
            raise AwsError("UnknownOperationException", "", service="Ecr")
        parameters.check(operation, document)
        return _json(200, _answer(operation, document, caller))
    except AwsError as error:
        return _json(error.status, {"__type": error.code, "message": error.message})


def _json(status: int, document: Record) -> Response:
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()


def _document(body: bytes) -> Record:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", f"the body is not JSON: {error}", service="Ecr") from error
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "the body must be an object", service="Ecr")
    return document


def _answer(operation: str, body: Record, caller: access.Principal) -> Record:
    if operation == "GetAuthorizationToken":
        return {"authorizationData": [tokens.issue(caller) for _ in body.get("registryIds") or [""]]}
    owner = body.get("registryId") or caller.account
    name = body.get("repositoryName", "")
    if owner != caller.account:
        access.check(caller, f"ecr:{operation}", owner, name or "*")
    with within(owner, caller.region):
        if operation in _REPOSITORY:
            return {"registryId": owner, "repositoryName": name, **_REPOSITORY[operation](name, body)}
        if operation in _REGISTRY:
            return {"registryId": owner, **_REGISTRY[operation](body)}
    message = f"{operation} is not part of the local cloud at {host()}"
    raise AwsError("UnsupportedCommandException", message, service="Ecr")
