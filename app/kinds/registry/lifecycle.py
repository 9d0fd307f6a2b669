"""Lifecycle policies: AWS's own structure, in snake_case or as AWS spells it, checked by AWS's own rules. Pure.

Sources: AmazonECR/latest/userguide/lifecycle_policy_parameters.html and, for rules that depend on each other,
LifecyclePolicies.html ("Lifecycle policy evaluation rules").
"""

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import AliasChoices, AliasGenerator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.core.errors import FieldError, InvalidError
from app.core.fields import Spec

LONGEST_POLICY = 30_720
"""Characters of a policy's text (PutLifecyclePolicy `lifecyclePolicyText`)."""

MOST_WILDCARDS = 4

_AGES = ("sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned")


class _AwsForm(Spec):
    """Takes AWS's spelling of a field beside ours, so that a policy's own document can be sent as it is."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda name: AliasChoices(name, to_camel(name)))
    )


class LifecycleSelection(_AwsForm):
    """Which images a rule is about."""

    tag_status: Literal["tagged", "untagged", "any"]
    tag_pattern_list: list[str] | None = Field(
        default=None, description="For `tagged`: images with a tag for each pattern; `*` stands for anything."
    )
    tag_prefix_list: list[str] | None = Field(default=None, description="For `tagged`, instead of patterns.")
    storage_class: Literal["standard", "archive"] | None = None
    count_type: Literal["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"]
    count_unit: Literal["days"] | None = Field(default=None, description="For the three `since…`; days.")
    count_number: int = Field(ge=1, le=2_147_483_647)


class LifecycleAction(_AwsForm):
    """What happens to them."""

    type: Literal["expire", "transition"] = "expire"
    target_storage_class: Literal["archive"] | None = Field(default=None, description="For `transition`.")


class LifecycleRule(_AwsForm):
    """One rule; the one with the lowest priority number that selects an image decides on it."""

    rule_priority: int = Field(ge=1, le=2_147_483_647)
    description: str | None = Field(default=None, max_length=256)
    selection: LifecycleSelection
    action: LifecycleAction = LifecycleAction()


class LifecycleSpec(_AwsForm):
    """A lifecycle policy: what ECR expires or archives by itself."""

    rules: list[LifecycleRule] = Field(min_length=1, max_length=50)


def violations(policy: LifecycleSpec, pointer: str = "") -> list[FieldError]:
    """Return each place of a policy that ECR would refuse it for.

    Args:
        policy: The policy.
        pointer: Where it stands in the request.
    """
    found: list[FieldError] = []
    for index, rule in enumerate(policy.rules):
        place = f"{pointer}/rules/{index}"
        found += _of_selection(rule.selection, f"{place}/selection")
        found += _of_action(rule, f"{place}/action")
    return [*found, *_of_priorities(policy.rules, pointer), *_of_selections(policy.rules, pointer)]


def aws_document(policy: LifecycleSpec) -> dict[str, Any]:
    """Return the policy as AWS spells it, with what follows from its rules filled in."""
    return {"rules": [_aws_rule(rule) for rule in policy.rules]}


def policy_text(policy: LifecycleSpec) -> str:
    """Return the policy as ECR takes it; ECR itself keeps rules in the order of their priorities."""
    rules = sorted(aws_document(policy)["rules"], key=lambda rule: rule["rulePriority"])
    return json.dumps({"rules": rules}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def check_policy(policy: LifecycleSpec, pointer: str) -> None:
    """Refuse what ECR would refuse.

    Raises:
        InvalidError: each place has its pointer.
    """
    errors, length = violations(policy, pointer), len(policy_text(policy))
    if not errors and length > LONGEST_POLICY:
        errors = [FieldError(pointer, f"has {length} characters as ECR takes it; at most {LONGEST_POLICY}")]
    if errors:
        raise InvalidError("ECR would refuse the lifecycle policy.", errors)


def _aws_rule(rule: LifecycleRule) -> dict[str, Any]:
    selection = _aws_names(rule.selection)
    if rule.selection.count_type in _AGES:
        selection["countUnit"] = "days"
    made: dict[str, Any] = {
        "rulePriority": rule.rule_priority,
        "selection": selection,
        "action": _aws_names(rule.action),
    }
    if rule.description:
        made["description"] = rule.description
    return made


def _aws_names(part: _AwsForm) -> dict[str, Any]:
    return {to_camel(name): value for name, value in part.model_dump(exclude_none=True).items()}


def _of_selection(selection: LifecycleSelection, pointer: str) -> Iterator[FieldError]:
    yield from _of_tags(selection, pointer)
    is_age, unit = selection.count_type in _AGES, selection.count_unit
    if unit and not is_age:
        yield FieldError(f"{pointer}/count_unit", f"must be left out for {selection.count_type}: it counts images")
    transitioned = selection.count_type == "sinceImageTransitioned"
    if transitioned and selection.storage_class != "archive":
        yield FieldError(f"{pointer}/storage_class", "must be archive for sinceImageTransitioned")
    if not transitioned and selection.storage_class == "archive":
        yield FieldError(f"{pointer}/storage_class", f"must be standard for {selection.count_type}")


def _of_tags(selection: LifecycleSelection, pointer: str) -> Iterator[FieldError]:
    lists = {"tag_pattern_list": selection.tag_pattern_list, "tag_prefix_list": selection.tag_prefix_list}
    given = [name for name, values in lists.items() if values is not None]
    if selection.tag_status != "tagged":
        for name in given:
            yield FieldError(f"{pointer}/{name}", "must be left out unless tag_status is tagged")
        return
    if not given:
        yield FieldError(f"{pointer}/tag_pattern_list", "tagged needs tag_pattern_list or tag_prefix_list")
    if len(given) > 1:
        yield FieldError(f"{pointer}/tag_prefix_list", "cannot stand beside tag_pattern_list")
    for name in given:
        yield from _of_words(lists[name] or [], f"{pointer}/{name}", is_pattern=name == "tag_pattern_list")


def _of_words(words: list[str], pointer: str, *, is_pattern: bool) -> Iterator[FieldError]:
    if not words:
        yield FieldError(pointer, "must not be empty")
    for index, word in enumerate(words):
        if not 1 <= len(word) <= 128:
            yield FieldError(f"{pointer}/{index}", "must have 1 to 128 characters")
        if word in words[:index]:
            yield FieldError(f"{pointer}/{index}", f"{word[:80]!r} stands twice")
        if is_pattern and word.count("*") > MOST_WILDCARDS:
            yield FieldError(f"{pointer}/{index}", f"has more than {MOST_WILDCARDS} wildcards (*)")
        if not is_pattern and "*" in word:
            yield FieldError(f"{pointer}/{index}", "a prefix takes no wildcard (*); use tag_pattern_list")


def _of_action(rule: LifecycleRule, pointer: str) -> Iterator[FieldError]:
    action = rule.action
    if action.type == "transition" and action.target_storage_class is None:
        yield FieldError(f"{pointer}/target_storage_class", "transition needs target_storage_class: archive")
    if action.type == "expire" and action.target_storage_class is not None:
        yield FieldError(f"{pointer}/target_storage_class", "must be left out for expire")
    if action.type == "transition" and rule.selection.count_type == "sinceImageTransitioned":
        yield FieldError(f"{pointer}/type", "must be expire: what sinceImageTransitioned selects is archived already")


def _of_priorities(rules: list[LifecycleRule], pointer: str) -> Iterator[FieldError]:
    priorities = [rule.rule_priority for rule in rules]
    last: dict[str, int] = {}  # the highest number in each storage class, of the rules that are not for any image
    for rule in rules:
        if rule.selection.tag_status != "any":
            last[_class_of(rule)] = max(rule.rule_priority, last.get(_class_of(rule), 0))
    for index, rule in enumerate(rules):
        place = f"{pointer}/rules/{index}/rule_priority"
        if rule.rule_priority in priorities[:index]:
            yield FieldError(place, f"{rule.rule_priority} stands twice: each rule has a priority of its own")
        elif rule.selection.tag_status == "any" and rule.rule_priority < last.get(_class_of(rule), 0):
            yield FieldError(place, "the rule for any must have the highest priority number, to come last")


def _of_selections(rules: list[LifecycleRule], pointer: str) -> Iterator[FieldError]:
    """One rule each for `any` and `untagged` in a storage class, and no two rules for the same tags."""
    seen: dict[tuple[Any, ...], int] = {}
    for index, rule in enumerate(rules):
        selection = rule.selection
        words = selection.tag_pattern_list or selection.tag_prefix_list or []
        key = (
            selection.tag_status,
            _class_of(rule),
            selection.tag_pattern_list is not None,
            *sorted(words),
        )
        if key in seen:
            what = "the same tags" if selection.tag_status == "tagged" else f"{selection.tag_status} images"
            field = "tag_status"
            if selection.tag_status == "tagged":
                field = "tag_prefix_list" if selection.tag_pattern_list is None else "tag_pattern_list"
            detail = f"rule {seen[key]} is for {what} already"
            yield FieldError(f"{pointer}/rules/{index}/selection/{field}", detail)
        seen.setdefault(key, index)


def _class_of(rule: LifecycleRule) -> str:
    return rule.selection.storage_class or "standard"
