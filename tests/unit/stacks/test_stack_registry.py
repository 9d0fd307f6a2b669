"""The stack of a registry: what stands in it, and what AWS can only replace."""

import json

from hypothesis import given
from stack_samples import (
    KEY,
    LIFECYCLE,
    ROLE,
    create_only,
    document,
    examples,
    of_type,
    registry,
    registry_specs,
    registry_stack,
    schema,
)

from app.kinds.registry.kind import REGISTRIES
from app.kinds.registry.spec import RegistrySpec
from app.kinds.registry.template import PULL, PUSH
from app.stacks.template import StackTemplate


def repository(template: StackTemplate) -> dict:
    return of_type(document(template), "AWS::ECR::Repository")["Repository"]


def test_lifecycle_rules_are_one_text_in_the_order_of_their_priorities():
    made = repository(registry_stack(registry(lifecycle=LIFECYCLE)))
    rules = json.loads(made["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rules == LIFECYCLE["rules"][::-1]


def test_the_policy_names_who_may_pull_and_who_may_push():
    pull = {"accounts": ["222222222222", "111111111111"], "roles": [ROLE], "organizations": ["o-a1b2c3d4e5"]}
    access = {"pull": pull, "push": {"accounts": ["111111111111"]}}
    made = repository(registry_stack(registry(access=access)))
    pull, organization, push = made["RepositoryPolicyText"]["Statement"]
    assert pull["Principal"] == {"AWS": ["111111111111", "222222222222", ROLE]}
    assert pull["Action"] == sorted(PULL)
    assert organization["Principal"] == "*"
    assert organization["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": ["o-a1b2c3d4e5"]}}
    assert push["Action"] == sorted({*PULL, *PUSH})
    assert "RepositoryPolicyText" not in repository(registry_stack(registry()))


def test_encryption_is_by_kms_only_when_it_is_asked_for():
    for asked, made in (
        (None, None),
        ({}, {"EncryptionType": "KMS"}),
        ({"kms_key": KEY}, {"EncryptionType": "KMS", "KmsKey": KEY}),
    ):
        found = repository(registry_stack(registry(encryption=asked)))
        assert found.get("EncryptionConfiguration") == made


@examples
@given(registry_specs, registry_specs)
def test_what_aws_can_only_replace_is_what_a_patch_may_not_change(before: RegistrySpec, after: RegistrySpec):
    resources = [document(registry_stack(spec))["Resources"]["Repository"] for spec in (before, after)]
    changed = create_only(resources[0]) != create_only(resources[1])
    assert bool(REGISTRIES.violations(before, after)) == changed


def test_every_property_that_aws_can_only_replace_is_known():
    paths = {path.split("/")[2] for path in schema("AWS::ECR::Repository")["createOnlyProperties"]}
    assert paths == {"RepositoryName", "EncryptionConfiguration"}
    assert REGISTRIES.fixed.keys() == {"/name", "/region", "/account", "/encryption"}
    assert not REGISTRIES.violations(registry(), registry(tags={"a": "b"}))
    [found] = REGISTRIES.violations(registry(), registry(region="eu-west-1"))
    assert found.pointer == "/region"
