"""Lifecycle policies: what ECR refuses, and what a preview says would expire."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import Cloud
from .oci import Registry
from .test_stacks import refused

FAILURE = (
    "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "
)
NO_SCHEMA = "instance failed to match exactly one schema (matched 0 out of 2)"
ANY_LAST = "Rule for tagStatus=ANY must have the lowest priority per storage class"
ONE_UNTAGGED = "Only one rule can select Untagged images per storage class"
EXPIRE = {"type": "expire"}
ARCHIVE = {"type": "transition", "targetStorageClass": "archive"}


def rule(priority: int, count: int, tags: Any = "any", action: Any = EXPIRE, **more: Any) -> dict[str, Any]:
    """A rule; `tags` is a status, or the patterns of tagged images."""
    status: dict[str, Any] = {"tagStatus": tags}
    if not isinstance(tags, str):
        status = {"tagStatus": "tagged", "tagPatternList": tags}
    selection = {**status, "countType": "imageCountMoreThan", "countNumber": count, **more}
    return {"rulePriority": priority, "description": "what it is for", "selection": selection, "action": action}


def days(priority: int, count: int, tags: Any = "any", **more: Any) -> dict[str, Any]:
    """A rule about days since the push."""
    return rule(priority, count, tags, **{"countType": "sinceImagePushed", "countUnit": "days", **more})


def text(*rules: Any) -> str:
    """A policy."""
    return json.dumps({"rules": rules}, indent=2)


@pytest.fixture
def name(repository: Callable[..., str]) -> str:
    """A repository."""
    return repository("life/app")


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("[" + " " * 100 + "]", "Could not map policyString into LifecyclePolicy."),
        (json.dumps({"rule": "x" * 100}), 'object has missing required properties (["rules"])'),
        (text({**rule(1, 1), "name": "x"}), 'properties which are not allowed by the schema: (["name"])'),
        (text({"rulePriority": 1, "description": "x" * 60, "action": EXPIRE}), 'properties (["selection"])'),
        (text(rule(0, 1)), "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
        (text(rule(1, 0)), "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
        (text(rule(1, 1, "some")), 'instance value ("some") not found in enum'),
        (text(rule(1, 1, countUnit="days")), NO_SCHEMA),
        (text(rule(1, 1, countType="sinceImagePushed")), NO_SCHEMA),
        (text(rule(1, 1, countUnit=None)), NO_SCHEMA),
        (text(rule(1, 1, "tagged")), "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."),
        (text(rule(1, 1, ["a"], tagPrefixList=["b"])), "Cannot specify both tagPrefixList and tagPatternList."),
        (text(rule(1, 1, "untagged", tagPrefixList=["b"])), "Cannot specify tagPrefixList when tagStatus=UNTAGGED."),
        (text(rule(1, 1, ["*a*b*c*d*"])), "tagPatternList can have a maximum of 4 wildcards"),
        (text(rule(1, 1, action={"type": "delete"})), 'instance value ("delete") not found in enum'),
        (text(rule(1, 1, action={"type": "transition"})), NO_SCHEMA),
        (text(days(1, 9, countType="sinceImagePulled")), "action type must be transition"),
        (text(rule(1, 1, ["a"]), rule(1, 1, ["b"])), "rulePriority must be unique"),
        (text(rule(1, 1), rule(2, 1, "untagged")), ANY_LAST),
        (text(rule(1, 1, "untagged"), days(2, 1, "untagged")), ONE_UNTAGGED),
        (text(*(rule(n, 1, [f"t{n}"]) for n in range(1, 52))), "1 to 50 elements"),
    ],
)  # fmt: skip
def test_policies_are_checked(cloud: Cloud, name: str, policy: str, says: str) -> None:
    """Shapes in the words of the JSON schema's validator, then what rules must not be together."""
    ecr = cloud.client("ecr")
    for refuses in (ecr.put_lifecycle_policy, ecr.start_lifecycle_policy_preview):
        with pytest.raises(ecr.exceptions.InvalidParameterException) as error:
            refuses(repositoryName=name, lifecyclePolicyText=policy)
        assert refused(error)[1].startswith(FAILURE) and says in refused(error)[1]


def test_a_policy_is_kept_as_it_was_put(cloud: Cloud, name: str) -> None:
    """Put, got, deleted; then there is none."""
    ecr, policy = cloud.client("ecr"), text(rule(1, 5))
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException) as error:
        ecr.get_lifecycle_policy(repositoryName=name)
    assert refused(error)[1] == (
        f"Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '123456789012'"
    )
    assert ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=policy)["lifecyclePolicyText"] == policy
    assert ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"] == policy
    ecr.delete_lifecycle_policy(repositoryName=name)
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.start_lifecycle_policy_preview(repositoryName=name)


def aged(registry: Registry, name: str, old: float, *tags: str) -> str:
    """Pushes an image that is so many days old."""
    when = (datetime.now(UTC) - timedelta(days=old)).isoformat()
    annotations = {"localcloud.pushed-at": when}
    digest = registry.image(name, tags[0] if tags else "", annotations=annotations)
    for tag in tags[1:]:
        found = registry.call("GET", f"/v2/{name}/manifests/{digest}")
        registry.call("PUT", f"/v2/{name}/manifests/{tag}", found.body, Content_Type=found.headers["Content-Type"])
    return digest


def preview(cloud: Cloud, name: str, *rules: Any, **more: Any) -> dict[str, Any]:
    """What a policy would do."""
    ecr = cloud.client("ecr")
    begun = ecr.start_lifecycle_policy_preview(repositoryName=name, lifecyclePolicyText=text(*rules))
    assert begun["status"] == "IN_PROGRESS"
    answer: dict[str, Any] = {"status": ""}
    while answer["status"] != "COMPLETE":
        time.sleep(0.02)
        answer = ecr.get_lifecycle_policy_preview(repositoryName=name, **more)
    return answer


def expired(answer: dict[str, Any]) -> dict[str, int]:
    """The images of a preview and the rule that took each."""
    return {found["imageDigest"]: found["appliedRulePriority"] for found in answer["previewResults"]}


def test_one_preview_at_a_time(cloud: Cloud, name: str) -> None:
    """It takes a moment; a second one that comes within it is refused."""
    ecr, end = cloud.client("ecr"), time.monotonic() + 30
    with pytest.raises(ecr.exceptions.LifecyclePolicyPreviewInProgressException):
        while time.monotonic() < end:  # on a busy machine the moment may have passed before the second comes
            ecr.start_lifecycle_policy_preview(repositoryName=name, lifecyclePolicyText=text(days(1, 10, "untagged")))


@pytest.mark.calendar
def test_a_preview_counts_and_ages(cloud: Cloud, name: str) -> None:
    """The oldest first; rules by priority; each image by one rule at most."""
    registry = Registry(cloud)
    images = [aged(registry, name, n * 10, f"v{n}") for n in range(4)]
    bare = [aged(registry, name, n * 10) for n in range(3)]
    assert expired(preview(cloud, name, rule(1, 3, ["v*"]))) == {images[3]: 1}
    assert expired(preview(cloud, name, days(1, 15, "untagged"))) == {bare[2]: 1}
    both = preview(cloud, name, days(1, 5, "untagged"), rule(2, 2))
    assert expired(both) == {bare[1]: 1, bare[2]: 1, images[2]: 2, images[1]: 2, images[3]: 2}
    assert both["summary"]["expiringImageTotalCount"] == 5
    first = both["previewResults"][0]
    assert first["action"] == {"type": "EXPIRE"} and first["imagePushedAt"] < datetime.now(UTC)
    prefixes = {"tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": 1}
    oldest = {"rulePriority": 7, "selection": prefixes, "action": EXPIRE}
    assert expired(preview(cloud, name, oldest)) == {image: 7 for image in images[1:]}


def test_a_rule_shields_what_its_tags_select(cloud: Cloud, name: str) -> None:
    """An image that a rule's tags match isn't expired by a rule of lower priority; all patterns must match."""
    registry = Registry(cloud)
    release = aged(registry, name, 90, "release-1", "prod")
    plain = aged(registry, name, 80, "release-2")
    young = aged(registry, name, 0, "dev")
    found = preview(cloud, name, rule(1, 100, ["release-*", "prod"]), days(2, 30))
    assert expired(found) == {plain: 2}
    assert release not in expired(found) and young not in expired(found)


def test_images_of_an_index_stay_with_it(cloud: Cloud, name: str) -> None:
    """They can't expire before it does."""
    registry = Registry(cloud)
    child = aged(registry, name, 50)
    lone = aged(registry, name, 50)
    registry.index(name, "multi", child)
    assert expired(preview(cloud, name, days(1, 10, "untagged"))) == {lone: 1}


def test_results_in_pages_and_by_filter(cloud: Cloud, name: str) -> None:
    """By tag status and image; archiving is an action, too."""
    registry, ecr = Registry(cloud), cloud.client("ecr")
    with pytest.raises(ecr.exceptions.LifecyclePolicyPreviewNotFoundException):
        ecr.get_lifecycle_policy_preview(repositoryName=name)
    tagged = [aged(registry, name, 20 + n, f"t{n}") for n in range(3)]
    bare = aged(registry, name, 30)
    assert len(expired(preview(cloud, name, days(1, 10)))) == 4
    pages = ecr.get_paginator("get_lifecycle_policy_preview").paginate(
        repositoryName=name, PaginationConfig={"PageSize": 3}
    )
    assert [len(page["previewResults"]) for page in pages] == [3, 1]
    found = ecr.get_lifecycle_policy_preview(repositoryName=name, filter={"tagStatus": "UNTAGGED"})
    assert list(expired(found)) == [bare]
    found = ecr.get_lifecycle_policy_preview(repositoryName=name, imageIds=[{"imageTag": "t1"}])
    assert list(expired(found)) == [tagged[1]] and found["previewResults"][0]["imageTags"] == ["t1"]
    moved = preview(cloud, name, days(1, 10, "untagged", countType="sinceImagePulled", action=ARCHIVE))
    assert moved["previewResults"][0]["action"] == {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
    assert moved["summary"]["transitioningImageTotalCounts"] == [
        {"targetStorageClass": "ARCHIVE", "imageTotalCount": 1}
    ]
