"""Lifecycle policies: what ECR takes for one, and which images one would expire."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from .parameters import page
from .records import Contents, Image, Record, contents_of, find, in_registry, invalid, now, refuse, repository

_COUNTS = ("imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned")
_RULE = {"rulePriority", "selection", "action"}
_SELECTION = {"tagStatus", "countType", "countNumber"}
_MOST_RULES, _MOST_WILDCARDS = 50, 4
_DAY = 86_400


def _wrong(why: str) -> Exception:
    return invalid("LifecyclePolicyText", f"Lifecycle policy validation failure: {why}")


def rules_of(text: str) -> list[Record]:
    """The rules of a policy, by priority; raises what is wrong with it.

    Shapes are checked as by a JSON schema, whose messages ECR passes on.
    """
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise _wrong("Could not map policyString into LifecyclePolicy.")
    _check_keys(document, {"rules"}, set())
    rules = document["rules"]
    if not isinstance(rules, list):
        raise _wrong('instance type (object) does not match any allowed primitive type (allowed: ["array"])')
    if not 1 <= len(rules) <= _MOST_RULES:
        raise _wrong(f"array must have 1 to {_MOST_RULES} elements, found {len(rules)}")
    for rule in rules:
        _check_rule(rule)
    _check_together(rules)
    return sorted(rules, key=lambda rule: int(rule["rulePriority"]))


def _check_keys(found: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(found, dict):
        kind = type(found).__name__
        raise _wrong(f'instance type ({kind}) does not match any allowed primitive type (allowed: ["object"])')
    if lacking := sorted(required - set(found)):
        raise _wrong(f"object has missing required properties ({json.dumps(lacking)})")
    if unknown := sorted(set(found) - required - optional):
        raise _wrong(f"object instance has properties which are not allowed by the schema: ({json.dumps(unknown)})")


def _check_choice(value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise _wrong(f"instance value ({json.dumps(value)}) not found in enum (possible values: {json.dumps(choices)})")


def _check_number(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(
            f'instance type ({type(value).__name__}) does not match any allowed primitive type (allowed: ["integer"])'
        )
    if value < 1:
        raise _wrong(f"numeric instance is lower than the required minimum (minimum: 1, found: {value})")


def _check_rule(rule: Any) -> None:
    _check_keys(rule, _RULE, {"description"})
    _check_number(rule["rulePriority"])
    if not isinstance(rule.get("description", ""), str):
        raise _wrong('instance type does not match any allowed primitive type (allowed: ["string"])')
    _check_selection(rule["selection"])
    _check_action(rule["action"], rule["selection"]["countType"])


def _check_selection(selection: Any) -> None:
    _check_keys(selection, _SELECTION, {"countUnit", "tagPrefixList", "tagPatternList", "storageClass"})
    _check_choice(selection["tagStatus"], ("any", "tagged", "untagged"))
    _check_number(selection["countNumber"])
    kind = selection["countType"]
    # One schema is for counts, one for ages; the validator says only that neither matched.
    ages = kind != "imageCountMoreThan"
    if kind not in _COUNTS or ages != (selection.get("countUnit") == "days") or (not ages and "countUnit" in selection):
        raise _wrong("instance failed to match exactly one schema (matched 0 out of 2)")
    wanted = "archive" if kind == "sinceImageTransitioned" else "standard"
    if selection.get("storageClass", "standard") != wanted:
        raise _wrong(f"storageClass must be {wanted} when countType={kind}")
    if kind == "sinceImageTransitioned" and selection["countNumber"] < 90:
        raise _wrong("numeric instance is lower than the required minimum (minimum: 90)")
    _check_tags(selection)


def _check_tags(selection: Record) -> None:
    lists = [key for key in ("tagPrefixList", "tagPatternList") if key in selection]
    if selection["tagStatus"] != "tagged":
        if lists:
            raise _wrong(f"Cannot specify {lists[0]} when tagStatus={selection['tagStatus'].upper()}.")
        return
    if not lists:
        raise _wrong("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.")
    if len(lists) == 2:
        raise _wrong("Cannot specify both tagPrefixList and tagPatternList.")
    values = selection[lists[0]]
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
        raise _wrong("array is too short: must have at least 1 elements but instance has 0 elements")
    if lists == ["tagPatternList"] and any(value.count("*") > _MOST_WILDCARDS for value in values):
        raise _wrong(f"tagPatternList can have a maximum of {_MOST_WILDCARDS} wildcards (*) per string")


def _check_action(action: Any, kind: str) -> None:
    _check_keys(action, {"type"}, {"targetStorageClass"})
    _check_choice(action["type"], ("expire", "transition"))
    moves = action["type"] == "transition"
    if moves != (action.get("targetStorageClass") == "archive") or (not moves and "targetStorageClass" in action):
        raise _wrong("instance failed to match exactly one schema (matched 0 out of 2)")
    allowed = {"sinceImagePulled": "transition", "sinceImageTransitioned": "expire"}.get(kind, action["type"])
    if action["type"] != allowed:
        raise _wrong(f"action type must be {allowed} when countType={kind}")


def _check_together(rules: list[Record]) -> None:
    counts = Counter(rule["rulePriority"] for rule in rules)
    if twice := sorted(priority for priority, count in counts.items() if count > 1):
        raise _wrong(f"rulePriority must be unique, found more than once: {twice}")
    for storage in ("standard", "archive"):
        same = [rule for rule in rules if rule["selection"].get("storageClass", "standard") == storage]
        if sum(rule["selection"]["tagStatus"] == "untagged" for rule in same) > 1:
            raise _wrong("Only one rule can select Untagged images per storage class")
        highest = max((rule["rulePriority"] for rule in same), default=0)
        if any(rule["selection"]["tagStatus"] == "any" and rule["rulePriority"] != highest for rule in same):
            raise _wrong("Rule for tagStatus=ANY must have the lowest priority per storage class")


def _selects(selection: Record, found: Image) -> bool:
    """Whether the image has the tags that a rule is about. All patterns or prefixes must find a tag of their own."""
    status = selection["tagStatus"]
    if status != "tagged":
        return status == "any" or not found.tags
    patterns = selection.get("tagPatternList") or [f"{prefix}*" for prefix in selection["tagPrefixList"]]
    return all(any(fnmatchcase(tag, pattern) for tag in found.tags) for pattern in patterns)


def _affected(selection: Record, images: list[Image]) -> list[Image]:
    """Which of the selected images, youngest first, are too many or too old."""
    kind, number = selection["countType"], selection["countNumber"]
    if kind == "imageCountMoreThan":
        return images[number:]
    if kind == "sinceImageTransitioned":
        return []
    before = now() - number * _DAY
    pulled = kind == "sinceImagePulled"
    return [one for one in images if ((pulled and one.pulled_at) or one.pushed_at) < before]


def evaluate(inside: Contents, rules: list[Record]) -> Iterator[tuple[Image, Record]]:
    """The images that a policy acts on, with the rule that does.

    Each rule looks at all images that its tags select, whether another one expires them or not. One that
    the tags of a rule select is not acted on by a rule of lower priority, and one that belongs to an index
    stays as long as that.
    """
    young = sorted(inside.images.values(), key=lambda one: one.pushed_at, reverse=True)
    held = {child for one in young for child in one.children}
    settled: set[str] = set()
    for rule in rules:
        selected = [one for one in young if _selects(rule["selection"], one)]
        for one in reversed(_affected(rule["selection"], selected)):
            if one.digest not in settled and one.digest not in held:
                yield one, rule
        settled.update(one.digest for one in selected)


def put(name: str, text: str) -> Record:
    """PutLifecyclePolicy. Nothing expires by itself here."""
    inside = contents_of(name)
    rules_of(text)
    inside.lifecycle = text
    return {"lifecyclePolicyText": text}


def get(name: str) -> Record:
    """GetLifecyclePolicy."""
    text = contents_of(name).lifecycle
    if not text:
        raise refuse(
            "LifecyclePolicyNotFound",
            f"Lifecycle policy does not exist for the repository with name '{name}' {in_registry()}",
        )
    return {"lifecyclePolicyText": text, "lastEvaluatedAt": now()}


def delete(name: str) -> Record:
    """DeleteLifecyclePolicy."""
    found = get(name)
    contents_of(name).lifecycle = ""
    return found


def start_preview(name: str, body: Record) -> Record:
    """StartLifecyclePolicyPreview, of the policy given or the one in force."""
    inside = contents_of(name)
    text = body.get("lifecyclePolicyText") or get(name)["lifecyclePolicyText"]
    if inside.preview and now() < inside.preview["ready_at"]:
        raise refuse(
            "LifecyclePolicyPreviewInProgress",
            f"The lifecycle policy preview for the repository with name '{name}' {in_registry()} is in progress",
        )
    results = [_result(one, rule) for one, rule in evaluate(inside, rules_of(text))]
    inside.preview = {"text": text, "ready_at": now() + 0.05, "results": results}
    return {"lifecyclePolicyText": text, "status": "IN_PROGRESS"}


def _result(one: Image, rule: Record) -> Record:
    expires = rule["action"]["type"] == "expire"
    action = {"type": "EXPIRE"} if expires else {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
    return {
        **({"imageTags": list(one.tags)} if one.tags else {}),
        "imageDigest": one.digest,
        "imagePushedAt": one.pushed_at,
        "action": action,
        "appliedRulePriority": rule["rulePriority"],
        "storageClass": "STANDARD",
    }


def preview(name: str, body: Record) -> Record:
    """GetLifecyclePolicyPreview."""
    repository(name)
    inside = contents_of(name)
    found = inside.preview
    if found is None:
        raise refuse(
            "LifecyclePolicyPreviewNotFound",
            f"There is no dry run for the repository with name '{name}' {in_registry()}",
        )
    answer = {"lifecyclePolicyText": found["text"], "status": "IN_PROGRESS"}
    if now() < found["ready_at"]:
        return answer
    results = _filtered(inside, found["results"], body)
    kinds = Counter(result["action"]["type"] for result in found["results"])
    moved = [{"targetStorageClass": "ARCHIVE", "imageTotalCount": kinds["TRANSITION"]}]
    summary = {
        "expiringImageTotalCount": kinds["EXPIRE"],
        "transitioningImageTotalCounts": moved if kinds["TRANSITION"] else [],
    }
    return {**answer, "status": "COMPLETE", "summary": summary, **page(body, "previewResults", results)}


def _filtered(inside: Contents, results: list[Record], body: Record) -> list[Record]:
    if body.get("imageIds"):
        asked = {one.digest for image_id in body["imageIds"] if (one := find(inside, image_id))}
        results = [result for result in results if result["imageDigest"] in asked]
    status = (body.get("filter") or {}).get("tagStatus", "ANY")
    return [result for result in results if status == "ANY" or ("imageTags" in result) == (status == "TAGGED")]
