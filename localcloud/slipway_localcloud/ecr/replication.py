"""Replication: an image that is pushed is copied to the regions and accounts that the registry's rules name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import ecr

from . import repositories
from .records import Image, Record, arn, contents, contents_of, image, invalid, registry, within


def configure(given: Record) -> Record:
    """PutReplicationConfiguration. No registry is its own destination, and each is named once."""
    places = [(d["region"], d["registryId"]) for rule in given["rules"] for d in rule["destinations"]]
    if (get_region(), get_account_id()) in places:
        raise invalid("replicationConfiguration", "Source registry cannot be a replication destination")
    for rule in given["rules"]:
        if not rule["destinations"]:
            raise invalid("replicationConfiguration", "A replication rule must have at least one destination")
    registry().replication = given
    return {"replicationConfiguration": given}


def _destinations(name: str) -> Iterator[tuple[str, str]]:
    for rule in registry().replication["rules"]:
        filters = rule.get("repositoryFilters")
        if not filters or any(name.startswith(f["filter"]) for f in filters):
            yield from ((d["registryId"], d["region"]) for d in rule["destinations"])


def replicate(name: str, pushed: Image) -> None:
    """Copies an image with its tags and blobs, and notes on it how that went."""
    source, origin = contents_of(name), get_account_id()
    pushed.replicas = []
    for account, region in dict.fromkeys(_destinations(name)):
        state: Record = {"region": region, "registryId": account, "status": "COMPLETE"}
        with within(account, region):
            if account != origin and not _permitted(origin, name):
                state.update(status="FAILED", failureCode="AccessDeniedException")
            else:
                _copy(name, source.blobs, pushed)
        pushed.replicas.append(state)


def _permitted(origin: str, name: str) -> bool:
    """Whether the policy of this registry lets the other account in, also to make what is missing."""
    policy = registry().policy
    actions = ["ecr:ReplicateImage"] if name in ecr._repositories else ["ecr:ReplicateImage", "ecr:CreateRepository"]
    root = f"arn:aws:iam::{origin}:root"
    return bool(policy) and all(
        iam_evaluator.evaluate_resource_policy(
            json.loads(policy), iam_evaluator.EvalContext(root, "Root", origin, action, arn(name), get_region())
        ).decision
        == "Allow"
        for action in actions
    )


def _copy(name: str, blobs: dict[str, bytes], pushed: Image) -> None:
    if name not in ecr._repositories:
        repositories.create({"repositoryName": name})
    target = contents[name]
    target.blobs.update({blob["digest"]: blobs[blob["digest"]] for blob in pushed.blobs if blob["digest"] in blobs})
    copied = target.images.setdefault(
        pushed.digest, replace(pushed, tags=[], scanned_at=None, pulled_at=None, replicas=[])
    )
    for tag in pushed.tags:
        target.tag(copied, tag)


def status(name: str, body: Record) -> Record:
    """DescribeImageReplicationStatus."""
    found = image(name, body["imageId"])
    return {"repositoryName": name, "imageId": body["imageId"], "replicationStatuses": found.replicas}
