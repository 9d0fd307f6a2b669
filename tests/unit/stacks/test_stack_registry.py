"""The stack of a registry: what stands in it, and what AWS can only replace."""

import json

from hypothesis import given
from stack_samples import (
    KEY,
    LIFECYCLE,
    ROLE,
    ULID,
    create_only,
    document,
    examples,
    of_type,
    registry_inputs,
    schema,
)

from app.stacks.immutable import REGISTRY, registry_violations
from app.stacks.registry import PULL, PUSH, Encryption, Grantees, RegistryInput, registry_template
from app.stacks.template import StackTemplate

SPEC = {"name": "shop", "region": "us-west-2", "account": "default", "encryption": None, "tags": {}}


def repository(template: StackTemplate) -> dict:
    return of_type(document(template), "AWS::ECR::Repository")["Repository"]


def test_lifecycle_rules_are_one_text_in_the_order_of_their_priorities():
    made = repository(registry_template(RegistryInput(f"reg_{ULID}", "shop", lifecycle=LIFECYCLE)))
    rules = json.loads(made["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rules == LIFECYCLE["rules"][::-1]


def test_the_policy_names_who_may_pull_and_who_may_push():
    made = repository(
        registry_template(
            RegistryInput(
                f"reg_{ULID}",
                "shop",
                pull=Grantees(("222222222222", "111111111111"), (ROLE,), ("o-a1b2c3d4e5",)),
                push=Grantees(("111111111111",)),
            )
        )
    )
    pull, organization, push = made["RepositoryPolicyText"]["Statement"]
    assert pull["Principal"] == {"AWS": ["111111111111", "222222222222", ROLE]}
    assert pull["Action"] == sorted(PULL)
    assert organization["Principal"] == "*"
    assert organization["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": ["o-a1b2c3d4e5"]}}
    assert push["Action"] == sorted({*PULL, *PUSH})
    assert "RepositoryPolicyText" not in repository(registry_template(RegistryInput(f"reg_{ULID}", "shop")))


def test_encryption_is_by_kms_only_when_it_is_asked_for():
    for asked, made in (
        (None, None),
        (Encryption(), {"EncryptionType": "KMS"}),
        (Encryption(KEY), {"EncryptionType": "KMS", "KmsKey": KEY}),
    ):
        found = repository(registry_template(RegistryInput(f"reg_{ULID}", "shop", encryption=asked)))
        assert found.get("EncryptionConfiguration") == made


@examples
@given(registry_inputs, registry_inputs)
def test_what_aws_can_only_replace_is_what_a_patch_may_not_change(before: RegistryInput, after: RegistryInput):
    resources = [document(registry_template(spec))["Resources"]["Repository"] for spec in (before, after)]
    changed = create_only(resources[0]) != create_only(resources[1])
    specs = [
        {**SPEC, "name": spec.name, "encryption": spec.encryption and {"kms_key": spec.encryption.kms_key}}
        for spec in (before, after)
    ]
    assert bool(registry_violations(*specs)) == changed


def test_every_property_that_aws_can_only_replace_is_known():
    paths = {path.split("/")[2] for path in schema("AWS::ECR::Repository")["createOnlyProperties"]}
    assert paths == {"RepositoryName", "EncryptionConfiguration"}
    assert {rule.pointer for rule in REGISTRY} == {"/name", "/region", "/account", "/encryption"}
    assert registry_violations(SPEC, {**SPEC, "tags": {"a": "b"}}) == ()
    [found] = registry_violations(SPEC, {**SPEC, "region": "eu-west-1"})
    assert found.pointer == "/region"
