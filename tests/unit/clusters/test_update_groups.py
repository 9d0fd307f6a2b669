"""The row of stack updates that leads from one spec to another."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.clusters.schemas import ClusterSpec
from app.clusters.update_groups import LAST, UPGRADE, stages_of_create, stages_of_update


def spec(**values: Any) -> dict[str, Any]:
    return ClusterSpec(name="shop", region="us-west-2", **{"version": "1.34", **values}).model_dump(mode="json")


CHANGES: dict[str, Any] = {
    "logging": {"types": ["api"]},
    "endpoints": {"private": True},
    "access": {"mode": "API"},
    "upgrade_policy": "STANDARD",
    "zonal_shift": True,
    "deletion_protection": True,
    "version": "1.35",
    "tags": {"a": "b"},
    "addons": [{"name": "vpc-cni", "version": "v1.20.0"}],
}


@given(st.sets(st.sampled_from(sorted(CHANGES))), st.sets(st.sampled_from(sorted(CHANGES))))
def test_each_stage_changes_one_kind_of_setting_and_the_last_one_arrives(old: set[str], new: set[str]) -> None:
    before, after = (spec(**{name: CHANGES[name] for name in names}) for names in (old, new))
    stages = stages_of_update(before, after)
    assert stages[-1][1] == after
    assert len({step for step, _ in stages}) == len(stages)
    here = before
    for step, there in stages:
        changed = {name for name in here if here[name] != there[name]}
        assert len(changed) == 1 or step == LAST
        assert changed <= {"tags", "addons"} or step == f"update_{changed.pop()}"
        here = there


def test_nothing_to_change_is_one_step() -> None:
    assert [step for step, _ in stages_of_update(spec(), spec())] == [LAST]


def test_an_upgrade_is_followed_by_the_addons_of_the_stack() -> None:
    assert [step for step, _ in stages_of_update(spec(), spec(version="1.35"))] == [UPGRADE, LAST]


def test_a_cluster_is_protected_only_once_it_is_there() -> None:
    stages = stages_of_create(spec(deletion_protection=True))
    assert [(step, document["deletion_protection"]) for step, document in stages] == [
        ("create_stack", False),
        ("update_deletion_protection", True),
    ]
    assert [step for step, _ in stages_of_create(spec())] == ["create_stack"]
