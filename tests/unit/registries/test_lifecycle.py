"""Lifecycle policies: AWS's rules, each violation with its place, and AWS's own spelling."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidError
from app.core.validation import validate
from app.kinds.registry.lifecycle import LifecycleSpec, aws_document, check_policy, violations


def rule(priority: int, tag_status: str, **selection: Any) -> dict[str, Any]:
    base = {"tag_status": tag_status, "count_type": "imageCountMoreThan", "count_number": 3}
    return {"rule_priority": priority, "selection": {**base, **selection}}


def found(*rules: dict[str, Any]) -> list[str]:
    return [each.pointer for each in violations(validate(LifecycleSpec, {"rules": list(rules)}), "/lifecycle")]


V = {"tag_pattern_list": ["v*"]}
AGE = {"count_type": "sinceImagePushed"}
ARCHIVED = {"count_type": "sinceImageTransitioned", "storage_class": "archive"}
SELECTION = "/lifecycle/rules/{}/selection/{}"


@pytest.mark.parametrize(
    ("rules", "places"),
    [
        ([rule(1, "untagged"), rule(2, "tagged", **V), rule(3, "any")], []),
        ([rule(2, "untagged"), rule(1, "tagged", tag_prefix_list=["v", "w"])], []),
        ([rule(1, "tagged", **V), rule(2, "tagged", tag_pattern_list=["v*", "w*"])], []),
        ([rule(1, "untagged"), rule(2, "untagged", **ARCHIVED)], []),
        ([rule(1, "untagged"), rule(1, "any")], ["/lifecycle/rules/1/rule_priority"]),
        ([rule(1, "any"), rule(2, "untagged")], ["/lifecycle/rules/0/rule_priority"]),
        ([rule(1, "any"), rule(2, "untagged", **ARCHIVED)], []),
        ([rule(1, "untagged"), rule(2, "any"), rule(3, "any")], [SELECTION.format(2, "tag_status")]),
        ([rule(1, "untagged"), rule(2, "untagged", **AGE)], [SELECTION.format(1, "tag_status")]),
        ([rule(1, "tagged", **V), rule(2, "tagged", **V, **AGE)], [SELECTION.format(1, "tag_pattern_list")]),
        ([rule(1, "tagged")], [SELECTION.format(0, "tag_pattern_list")]),
        ([rule(1, "tagged", tag_pattern_list=[])], [SELECTION.format(0, "tag_pattern_list")]),
        ([rule(1, "tagged", **V, tag_prefix_list=["v"])], [SELECTION.format(0, "tag_prefix_list")]),
        ([rule(1, "untagged", **V)], [SELECTION.format(0, "tag_pattern_list")]),
        ([rule(1, "any", tag_prefix_list=["v"])], [SELECTION.format(0, "tag_prefix_list")]),
        ([rule(1, "tagged", tag_pattern_list=["*test*1*2*3", "test*1*2*3*"])], []),
        ([rule(1, "tagged", tag_pattern_list=["ok", "t*1*2*3*4*"])], [SELECTION.format(0, "tag_pattern_list/1")]),
        ([rule(1, "tagged", tag_prefix_list=["v*"])], [SELECTION.format(0, "tag_prefix_list/0")]),
        (
            [rule(1, "tagged", tag_prefix_list=["", "v", "v"])],
            [SELECTION.format(0, "tag_prefix_list/0"), SELECTION.format(0, "tag_prefix_list/2")],
        ),
        ([rule(1, "any", count_unit="days")], [SELECTION.format(0, "count_unit")]),
        ([rule(1, "any", count_unit="days", **AGE)], []),
        ([rule(1, "any", count_type="sinceImageTransitioned")], [SELECTION.format(0, "storage_class")]),
        ([rule(1, "any", storage_class="archive")], [SELECTION.format(0, "storage_class")]),
        ([rule(1, "any", **ARCHIVED)], []),
        ([{**rule(1, "any", **AGE), "action": {"type": "transition", "target_storage_class": "archive"}}], []),
        ([{**rule(1, "any"), "action": {"type": "transition"}}], ["/lifecycle/rules/0/action/target_storage_class"]),
        (
            [{**rule(1, "any"), "action": {"type": "expire", "target_storage_class": "archive"}}],
            ["/lifecycle/rules/0/action/target_storage_class"],
        ),
        (
            [{**rule(1, "any", **ARCHIVED), "action": {"type": "transition", "target_storage_class": "archive"}}],
            ["/lifecycle/rules/0/action/type"],
        ),
    ],
)  # fmt: skip
def test_each_rule_of_aws(rules: list[dict[str, Any]], places: list[str]) -> None:
    assert found(*rules) == places


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ({"rules": []}, "/rules"),
        ({"rules": [rule(n, "any") for n in range(1, 52)]}, "/rules"),
        ({"rules": [rule(0, "any")]}, "/rules/0/rule_priority"),
        ({"rules": [rule(1, "some")]}, "/rules/0/selection/tag_status"),
        ({"rules": [rule(1, "any", count_number=0)]}, "/rules/0/selection/count_number"),
        ({"rules": [rule(1, "any", count_unit="weeks")]}, "/rules/0/selection/count_unit"),
        ({"rules": [{**rule(1, "any"), "description": "d" * 257}]}, "/rules/0/description"),
        ({"rules": [{**rule(1, "any"), "action": {"type": "delete"}}]}, "/rules/0/action/type"),
        ({"rules": [{**rule(1, "any"), "colour": "red"}]}, "/rules/0/colour"),
    ],
)
def test_what_no_rule_can_be(policy: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidError) as caught:
        validate(LifecycleSpec, policy)
    assert [error.pointer for error in caught.value.errors] == [place]


def test_aws_own_document_is_taken_and_given_back_as_it_is() -> None:
    document = {
        "rules": [
            {
                "rulePriority": 1,
                "description": "Expire images older than 14 days",
                "selection": {
                    "tagStatus": "tagged",
                    "tagPatternList": ["prod*"],
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": 14,
                },
                "action": {"type": "expire"},
            }
        ]
    }
    policy = validate(LifecycleSpec, document)
    assert aws_document(policy) == document
    assert validate(LifecycleSpec, policy.model_dump(mode="json")) == policy


def test_days_are_filled_in_where_aws_wants_them() -> None:
    policy = validate(LifecycleSpec, {"rules": [rule(1, "any", **AGE)]})
    assert aws_document(policy)["rules"][0]["selection"]["countUnit"] == "days"


def test_a_policy_that_is_too_long_is_refused() -> None:
    patterns = [[f"{n}-{m}-" + "x" * 100 for m in range(8)] for n in range(45)]
    rules = [rule(n + 1, "tagged", tag_pattern_list=words) for n, words in enumerate(patterns)]
    with pytest.raises(InvalidError) as caught:
        check_policy(validate(LifecycleSpec, {"rules": rules}), "/lifecycle")
    assert [error.pointer for error in caught.value.errors] == ["/lifecycle"]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4), st.sampled_from(["any", "untagged", "tagged"]), st.sampled_from([None, ["a"], ["b*"]])
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_passes_keeps_the_rules_that_hold_for_all(drawn: list[tuple[int, str, list[str] | None]]) -> None:
    rules = [rule(priority, status, tag_pattern_list=words) for priority, status, words in drawn]
    if found(*rules):
        return
    priorities = [priority for priority, _, _ in drawn]
    assert len(set(priorities)) == len(priorities)
    statuses = [status for _, status, _ in sorted(drawn)]
    assert statuses.count("untagged") <= 1
    assert "any" not in statuses[:-1]
    assert all((status == "tagged") == bool(words) for _, status, words in drawn)
