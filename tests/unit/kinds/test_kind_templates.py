"""Each kind's template, from its own example: as CloudFormation takes it, and never replaced by what may be changed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from app.cloudformation.plan import changes_between
from app.clusters.view import ClusterView
from app.core.merge_patch import merge_patch
from app.kinds.all import KINDS
from app.kinds.kind import Kind
from app.stacks.template import REPLACEABLE_TYPES, StackTemplate

VIEW = ClusterView(
    id="clu_01jdzz4c8k2m9q7v5x3wtr6hbn",
    name="shop",
    project_id="prj",
    account_id="acc",
    region="us-west-2",
    phase="active",
    version="1.34",
    ip_family="ipv4",
    outputs={"arn": "arn", "vpc_id": "vpc-0123456789abcdef0", "security_group_id": "sg-0123456789abcdef0"},
    facts={
        "private_subnet_ids": ["subnet-0bbbbbbbbbbbbbbbb", "subnet-0cccccccccccccccc"],
        "node_subnet_ids": ["subnet-0bbbbbbbbbbbbbbbb", "subnet-0cccccccccccccccc"],
    },
    tags={},
)


def owner(kind: Kind[Any]) -> Any:
    return kind.scope.beside(VIEW)


every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def template(kind: Kind[Any], document: Any, of: Any = None) -> StackTemplate:
    spec: Any = kind.spec.model_validate(document)
    return kind.template(f"{kind.prefix}_01jdzz4c8k2m9q7v5x3wtr6hbn", spec, of or owner(kind), {})


@pytest.mark.slow
@every_kind
def test_cfn_lint_finds_nothing(kind: Kind[Any]) -> None:
    assert [str(match) for match in lint(template(kind, kind.example).body)] == []


@every_kind
def test_equal_specs_are_equal_bytes_and_the_name_does_not_change(kind: Kind[Any]) -> None:
    once, again = template(kind, kind.example), template(kind, kind.example)
    assert once == again
    assert once.name == kind.stack_name(
        f"{kind.prefix}_01jdzz4c8k2m9q7v5x3wtr6hbn", owner(kind), kind.name_of(kind.spec.model_validate(kind.example))
    )
    assert template(kind, merge_patch(dict(kind.example), dict(kind.patch_example))).name == once.name


@every_kind
def test_tags_reach_the_stack_and_what_it_names_itself(kind: Kind[Any]) -> None:
    # What its cluster manages has the cluster's tags.
    document, of = kind.example, replace(VIEW, tags={"team": "shop"})
    if not kind.managed:
        document, of = {**kind.example, "tags": {"team": "shop"}}, owner(kind)
    tagged = template(kind, document, of)
    assert tagged.tags["team"] == "shop"
    assert tagged.tags["slipway:id"].startswith(kind.prefix)
    assert "team" in tagged.body


@every_kind
def test_a_change_that_is_let_through_replaces_nothing(kind: Kind[Any]) -> None:
    """Neither the kind's own patch, nor anything that `fixed` and `rules` do not refuse: AWS's schema is the judge."""
    before, after = kind.example, merge_patch(dict(kind.example), dict(kind.patch_example))
    old, new = (kind.spec.model_validate(document) for document in (before, after))
    assert list(kind.violations(old, new)) == []
    resources = json.loads(template(kind, after).body)["Resources"]
    for change in changes_between(template(kind, before), template(kind, after)):
        if change.type not in REPLACEABLE_TYPES:
            changed = {f"/properties/{each.name}" for each in change.properties}
            assert not changed & only_at_creation(change.type), (change, resources)


@every_kind
def test_what_aws_can_only_replace_cannot_be_changed(kind: Kind[Any]) -> None:
    """Each property that AWS can only replace, and that comes from a field of the spec alone, is a fixed field."""
    stack = json.loads(template(kind, kind.example).body)["Resources"]
    fixed = {rule.strip("/") for rule in kind.fixed}
    for resource in stack.values():
        if not resource["Type"].startswith("AWS::EKS::"):
            continue
        for path in only_at_creation(resource["Type"]):
            field = snake(path.rpartition("/")[2])
            assert field not in kind.spec.model_fields or field in fixed or field in UNDER_RULES, (kind.type, path)


UNDER_RULES = {"instance_types", "disk_size"}
"""Node groups: rules of their own, and what stands in the launch template."""


def only_at_creation(type_: str) -> set[str]:
    found: Any = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
    return set(found.get("createOnlyProperties", ()))


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
