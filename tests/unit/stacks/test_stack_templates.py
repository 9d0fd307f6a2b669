"""What holds for every template, whatever it was made from."""

import json
from typing import Any

import pytest
from cfnlint.api import lint
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stack_samples import (
    ACCOUNT,
    GIVEN,
    KEY,
    LIFECYCLE,
    PUBLIC_KEY,
    ROLE,
    TOLERATING,
    ULID,
    ZONES,
    addon_inputs,
    cluster,
    cluster_inputs,
    document,
    examples,
    nodegroup,
    nodegroup_inputs,
    references,
    registry,
    registry_specs,
    registry_stack,
    schema,
    with_tags,
)

from app.kinds.registry.template import emptying_template
from app.stacks.addon import POD_IDENTITIES, AddonInput, AddonSpec, addon_template
from app.stacks.cluster import Access, Encryption, Endpoints, cluster_template
from app.stacks.network import OwnNetwork
from app.stacks.nodegroup import ClusterFacts, Ssh, Update, nodegroup_template
from app.stacks.taints import Taint
from app.stacks.template import (
    MAX_BODY_BYTES,
    DynamicReferenceError,
    TemplateTooLargeError,
    dynamic_references,
)

LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
MANY_TAGS = {f"platform.example.com/tag-{number:02}": "v" * 60 for number in range(45)}
EVERYTHING = cluster(
    network=OwnNetwork(ZONES, nat="per_zone"),
    version="1.34",
    endpoints=Endpoints(True, True, ("203.0.113.0/24",)),
    access=Access("API_AND_CONFIG_MAP", ROLE),
    log_types=LOGS,
    encryption=Encryption(),
    ip_family="ipv6",
    deletion_protection=True,
    support_type="STANDARD",
    zonal_shift=True,
    with_oidc=True,
    tags=MANY_TAGS,
)
REPRESENTATIVE = {
    "cluster-default": cluster_template(cluster()),
    "cluster-everything": cluster_template(EVERYTHING),
    "cluster-one-zone-no-nat": cluster_template(
        cluster(network=OwnNetwork(ZONES[:1], nat="none", control_plane_zone=ZONES[1]))
    ),
    "cluster-given-vpc-config-map": cluster_template(
        cluster(network=GIVEN, access=Access("CONFIG_MAP", ROLE, bootstrap_creator=True), encryption=Encryption(KEY))
    ),
    "nodegroup-default": nodegroup_template(nodegroup()),
    "nodegroup-everything": nodegroup_template(
        nodegroup(
            instance_types=("m7g.large", "c7g.large"),
            capacity_type="SPOT",
            ami_type="BOTTLEROCKET_ARM_64",
            version="1.34",
            release_version="1.50.0-abcdef01",
            labels={"tier": "web"},
            taints=(Taint("dedicated", "NO_SCHEDULE", "web"),),
            ssh=Ssh(public_key=PUBLIC_KEY),
            update=Update(None, 30),
            node_repair=True,
            tags=MANY_TAGS,
        )
    ),
    "nodegroup-ipv6-aws-key": nodegroup_template(
        nodegroup(cluster=ClusterFacts("prod", "vpc-0123456789abcdef0", "sg-0123456789abcdef0", "ipv6"), ssh=Ssh())
    ),
    "addon-tolerating": addon_template(AddonInput(f"add_{ULID}", "prod", TOLERATING)),
    "registry-default": registry_stack(registry()),
    "registry-everything": emptying_template(
        f"reg_{ULID}",
        registry(
            name="shop/sock-shop",
            tag_mutability="IMMUTABLE_WITH_EXCLUSION",
            tag_mutability_exclusions=["latest", "dev-*"],
            encryption={"kms_key": KEY},
            lifecycle=LIFECYCLE,
            access={
                "pull": {"accounts": ["111122223333"], "roles": [ROLE], "organizations": ["o-a1b2c3d4e5"]},
                "push": {"roles": [ROLE]},
            },
            tags=MANY_TAGS,
        ),
        ACCOUNT,
    ),
    "addon-csi": addon_template(
        AddonInput(
            f"add_{ULID}",
            "prod",
            AddonSpec("aws-ebs-csi-driver", pod_identities=(POD_IDENTITIES["aws-ebs-csi-driver"],)),
            MANY_TAGS,
        )
    ),
}

any_template = st.one_of(
    cluster_inputs.map(lambda spec: (cluster_template, spec)),
    nodegroup_inputs.map(lambda spec: (nodegroup_template, spec)),
    addon_inputs.map(lambda spec: (addon_template, spec)),
    registry_specs.map(lambda spec: (registry_stack, spec)),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_cfn_lint_finds_neither_errors_nor_warnings(name):
    assert [str(match) for match in lint(REPRESENTATIVE[name].body)] == []


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_the_largest_templates_fit_into_a_request(name):
    assert len(REPRESENTATIVE[name].body.encode()) < MAX_BODY_BYTES


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(any_template)
def test_cfn_lint_finds_nothing_in_templates_of_any_input(made):
    render, spec = made
    assert [str(match) for match in lint(render(spec).body)] == []


def test_cfn_lint_would_have_found_something():
    broken = REPRESENTATIVE["nodegroup-default"].body.replace('"ON_DEMAND"', '"ONDEMAND"')
    assert "E3030" in {match.rule.id for match in lint(broken)}


@examples
@given(any_template)
def test_every_reference_resolves(made):
    render, spec = made
    doc = document(render(spec))
    known = {*doc["Resources"], "AWS::Partition", "AWS::AccountId", "AWS::URLSuffix"}
    assert set(references(doc)) <= known


@examples
@given(any_template)
def test_the_same_input_gives_the_same_bytes(made):
    render, spec = made
    shuffled = with_tags(spec, dict(reversed(spec.tags.items())))
    assert render(spec) == render(shuffled)
    assert render(spec).body == json.dumps(
        document(render(spec)), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert render(spec).tags == dict(sorted(render(spec).tags.items()))


@examples
@given(any_template)
def test_tags_of_the_stack_never_reach_what_aws_can_only_replace_for_them(made):
    render, spec = made
    template = render(spec)
    constant = {key for key in template.tags if not key.startswith("slipway:")} == set()
    for resource in document(template)["Resources"].values():
        if "/properties/Tags" in schema(resource["Type"]).get("createOnlyProperties", ()):
            assert constant
            assert "Tags" not in resource["Properties"]


def resolved(value: Any) -> Any:
    """What CloudFormation makes of a value: a map with one key that is a function's is no map any more."""
    if isinstance(value, list):
        return [resolved(each) for each in value]
    if not isinstance(value, dict):
        return value
    [*keys] = value
    if len(keys) == 1 and (keys[0] in ("Ref", "Condition") or keys[0].startswith("Fn::")):
        return FUNCTION
    return {key: resolved(each) for key, each in value.items()}


FUNCTION = "what a function gives"
function_keys = st.sampled_from(["Ref", "Condition", "Fn::ImportValue", "Fn::GetAtt"])
odd_tags = st.dictionaries(
    st.text("RefFn:Condition ", min_size=1, max_size=9) | function_keys, st.text("Aws:", max_size=9)
)


@examples
@given(any_template, odd_tags)
@example((nodegroup_template, nodegroup(ssh=None)), {"Ref": "AWS::AccountId"})
@example((nodegroup_template, nodegroup(ssh=Ssh())), {"Fn::ImportValue": "other-stack"})
def test_tags_are_what_was_asked_for_and_no_function(made, tags):
    render, spec = made
    template = render(with_tags(spec, tags))
    told = 0
    for resource in document(template)["Resources"].values():
        found = resolved(resource["Properties"].get("Tags", {}))
        assert found != FUNCTION
        if isinstance(found, list):
            found = {tag["Key"]: tag["Value"] for tag in found}
        told += tags.items() <= found.items()
    assert told
    for resource in document(template)["Resources"].values():
        assert resolved(resource["Properties"].get("Labels", {})) != FUNCTION


def test_a_dynamic_reference_is_refused_wherever_it_stands():
    secret = "{{resolve:secretsmanager:somebody-elses}}"
    inputs = [
        (nodegroup_template, nodegroup(labels={"a": secret})),
        (nodegroup_template, nodegroup(ssh=Ssh(public_key=secret))),
        (cluster_template, cluster(tags={"a": secret})),
        (addon_template, AddonInput(f"add_{ULID}", "prod", AddonSpec("coredns", None, {"corefile": secret}))),
    ]
    for render, spec in inputs:
        with pytest.raises(DynamicReferenceError):
            render(spec)


def test_dynamic_references_are_pointed_at():
    spec = {"tags": {"a/b": "{{resolve:ssm:x}}"}, "list": ["fine", {"{{resolve:ssm:y}}": 1}], "number": 3}
    assert list(dynamic_references(spec)) == ["/tags/a~1b", "/list/1/{{resolve:ssm:y}}"]


def test_a_template_that_aws_would_not_take_is_refused_here():
    with pytest.raises(TemplateTooLargeError) as caught:
        nodegroup_template(nodegroup(tags={f"{number:0128}": "v" * 256 for number in range(50)}))
    assert caught.value.facts["size"] > MAX_BODY_BYTES
