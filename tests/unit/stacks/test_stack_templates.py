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
    HARD,
    KEY,
    LIFECYCLE,
    PUBLIC_KEY,
    ROLE,
    ULID,
    ZONES,
    AddonInput,
    addon_inputs,
    addon_template,
    cluster,
    cluster_inputs,
    cluster_template,
    document,
    examples,
    nodegroup,
    nodegroup_inputs,
    nodegroup_template,
    references,
    registry,
    registry_specs,
    registry_stack,
    schema,
    view,
    with_tags,
)

from app.clusters.schemas import AccessSpec, AddonSpec, EncryptionSpec, EndpointsSpec, LoggingSpec
from app.kinds.nodegroup.spec import SshSpec, TaintSpec, UpdateSpec
from app.kinds.registry.template import emptying_template
from app.stacks.network import OwnNetwork
from app.stacks.template import (
    MAX_BODY_BYTES,
    DynamicReferenceError,
    TemplateTooLargeError,
    dynamic_references,
)

LOGS = LoggingSpec(types=["api", "audit", "authenticator", "controllerManager", "scheduler"])
MANY_TAGS = {f"platform.example.com/tag-{number:02}": "v" * 60 for number in range(45)}
EVERYTHING = cluster(
    network=OwnNetwork(ZONES, nat="per_zone"),
    version="1.34",
    role=ROLE,
    endpoints=EndpointsSpec(private=True, public_cidrs=["203.0.113.0/24"]),
    access=AccessSpec(oidc=True),
    logging=LOGS,
    encryption=EncryptionSpec(),
    ip_family="ipv6",
    deletion_protection=True,
    upgrade_policy="STANDARD",
    zonal_shift=True,
    tags=MANY_TAGS,
)
REPRESENTATIVE = {
    "cluster-default": cluster_template(cluster()),
    "cluster-everything": cluster_template(EVERYTHING),
    "cluster-one-zone-no-nat": cluster_template(
        cluster(network=OwnNetwork(ZONES[:1], nat="none", control_plane_zone=ZONES[1]))
    ),
    "cluster-given-vpc-config-map": cluster_template(
        cluster(
            network=GIVEN,
            role=ROLE,
            bootstrap=True,
            access=AccessSpec(mode="CONFIG_MAP"),
            encryption=EncryptionSpec(kms_key=KEY),
        )
    ),
    "nodegroup-default": nodegroup_template(nodegroup()),
    "nodegroup-everything": nodegroup_template(
        nodegroup(
            instance_types=["m7g.large", "c7g.large"],
            capacity_type="SPOT",
            ami_type="BOTTLEROCKET_ARM_64",
            version="1.34",
            labels={"tier": "web"},
            taints=[TaintSpec(key="dedicated", effect="NO_SCHEDULE", value="web")],
            ssh=SshSpec(public_key=PUBLIC_KEY),
            update=UpdateSpec(max_unavailable_percent=30),
            tags=MANY_TAGS,
        )
    ),
    "nodegroup-ipv6-aws-key": nodegroup_template(nodegroup(cluster=view(ip_family="ipv6"), ssh=SshSpec())),
    "addon-tolerating": addon_template(AddonInput(f"add_{ULID}", "prod", AddonSpec(name="coredns"), taints=HARD)),
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
    "addon-csi": addon_template(AddonInput(f"add_{ULID}", "prod", AddonSpec(name="aws-ebs-csi-driver"), MANY_TAGS)),
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
@example((nodegroup_template, nodegroup(ssh=SshSpec())), {"Fn::ImportValue": "other-stack"})
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
        (nodegroup_template, nodegroup(ssh=SshSpec.model_construct(public_key=secret))),
        (cluster_template, cluster(tags={"a": secret})),
        (
            addon_template,
            AddonInput(f"add_{ULID}", "prod", AddonSpec(name="coredns", configuration={"corefile": secret})),
        ),
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
