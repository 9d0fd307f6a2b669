"""What may be changed is held against AWS's own schemas: an allowed change never replaces anything."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stack_samples import (
    GIVEN,
    KEY,
    PUBLIC_KEY,
    ROLE,
    ULID,
    ZONES,
    cluster,
    cluster_template,
    create_only,
    document,
    examples,
    schema,
    view,
)

from app.clusters.schemas import AccessSpec, EncryptionSpec, EndpointsSpec, LoggingSpec
from app.kinds.nodegroup.kind import NODEGROUPS
from app.kinds.nodegroup.spec import NodegroupSpec
from app.kinds.nodegroup.template import nodegroup_stack
from app.stacks.immutable import cluster_violations
from app.stacks.network import GivenNetwork, OwnNetwork
from app.stacks.template import REPLACEABLE_TYPES

NODEGROUP = {
    "cluster": "prod",
    "name": "workers",
    "instance_types": ["m5.large"],
    "scaling": {"min": 1, "max": 3, "desired": 2},
    "capacity_type": "ON_DEMAND",
    "ami_type": None,
    "disk_size_gib": 80,
    "labels": {},
    "tags": {},
    "subnets": ["subnet-0bbbbbbbbbbbbbbbb"],
    "ssh": None,
}
CLUSTER = {
    "name": "prod",
    "region": "us-east-1",
    "account": "acc_1",
    "version": "1.34",
    "network": {"cidr": "10.0.0.0/16", "zones": list(ZONES[:3]), "nat": "single", "ip_family": "ipv4"},
    "endpoints": {"public": True, "private": False, "public_cidrs": []},
    "logging": {"types": []},
    "encryption": None,
    "access": {"mode": "API_AND_CONFIG_MAP"},
    "tags": {},
}

nodegroup_specs = st.fixed_dictionaries(
    {
        "cluster": st.sampled_from(["prod", "prod", "test"]),
        "name": st.sampled_from(["workers", "workers", "others"]),
        "instance_types": st.sampled_from([["m5.large"], ["c5.large"], ["m7g.large"], ["m5.large", "c5.large"]]),
        "scaling": st.sampled_from([{"min": 1, "max": 3, "desired": 2}, {"min": 2, "max": 4, "desired": None}]),
        "capacity_type": st.sampled_from(["ON_DEMAND", "ON_DEMAND", "SPOT"]),
        "ami_type": st.sampled_from([None, None, "BOTTLEROCKET_x86_64"]),
        "disk_size_gib": st.sampled_from([80, 100]),
        "labels": st.sampled_from([{}, {"tier": "web"}]),
        "tags": st.sampled_from([{}, {"team": "a"}]),
        "subnets": st.sampled_from(
            [["subnet-0bbbbbbbbbbbbbbbb"], ["subnet-0bbbbbbbbbbbbbbbb", "subnet-0cccccccccccccccc"]]
        ),
        "ssh": st.sampled_from(
            [
                None,
                {},
                {"key_name": "mine"},
                {"public_key": PUBLIC_KEY},
                {"source_security_groups": ["sg-0123456789abcdef0"]},
            ]
        ),
    }
)
cluster_specs = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["prod", "prod", "test"]),
        "region": st.just("us-east-1"),
        "account": st.just("acc_1"),
        "version": st.sampled_from(["1.34", "1.35"]),
        "network": st.sampled_from(
            [
                CLUSTER["network"],
                CLUSTER["network"],
                CLUSTER["network"] | {"zones": list(ZONES[:2])},
                CLUSTER["network"] | {"ip_family": "ipv6"},
                CLUSTER["network"] | {"service_cidr": "172.20.0.0/16"},
                {"vpc_id": GIVEN.vpc_id, "subnets": {"public": [], "private": list(GIVEN.private_subnet_ids)}},
            ]
        ),
        "endpoints": st.sampled_from([CLUSTER["endpoints"], {"public": True, "private": True, "public_cidrs": []}]),
        "logging": st.sampled_from([{"types": []}, {"types": ["audit"]}]),
        "encryption": st.sampled_from([None, None, {"kms_key": KEY}, {"kms_key": None}]),
        "access": st.sampled_from([{"mode": mode} for mode in ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")]),
        "tags": st.sampled_from([{}, {"team": "a"}]),
    }
)


def render_nodegroup(document):
    spec = NodegroupSpec.model_validate(document)
    return nodegroup_stack(f"ng_{ULID}", spec, view(spec.cluster), desired=spec.scaling.desired)


def nodegroup_violations(before, after):
    return tuple(NODEGROUPS.violations(NodegroupSpec.model_validate(before), NodegroupSpec.model_validate(after)))


def render_cluster(spec, created_in_mode):
    network = spec["network"]
    own = OwnNetwork(tuple(network.get("zones", ())), network.get("cidr", ""), network.get("nat", "single"))
    given_ = GivenNetwork(network.get("vpc_id", ""), (), tuple(network.get("subnets", {}).get("private", ())))
    encryption = spec["encryption"]
    return cluster_template(
        cluster(
            network=given_ if "vpc_id" in network else own,
            name=spec["name"],
            version=spec["version"],
            role=ROLE,
            bootstrap=created_in_mode == "CONFIG_MAP",
            endpoints=EndpointsSpec(**spec["endpoints"]),
            access=AccessSpec(mode=spec["access"]["mode"]),
            logging=LoggingSpec(types=spec["logging"]["types"]),
            encryption=None if encryption is None else EncryptionSpec(**encryption),
            ip_family=network.get("ip_family", "ipv4"),
            service_cidr=network.get("service_cidr"),
            tags=spec["tags"],
        )
    )


def replaced(before, after):
    """Types of those resources that the change from one template to the other makes AWS replace."""
    old, new = document(before)["Resources"], document(after)["Resources"]
    common = [name for name in old if name in new]
    assert all(old[name]["Type"] == new[name]["Type"] for name in common)
    return {old[name]["Type"] for name in common if create_only(old[name]) != create_only(new[name])}


@examples
@given(nodegroup_specs, nodegroup_specs, st.sets(st.sampled_from(sorted(NODEGROUP))))
def test_an_allowed_change_of_a_node_group_replaces_nothing_of_worth(before, other, keys):
    after = before | {key: other[key] for key in keys}
    arm = [name for spec in (before, after) for name in spec["instance_types"] if name.startswith("m7g")]
    assume(not (arm and "BOTTLEROCKET_x86_64" in (before["ami_type"], after["ami_type"])))
    refused = nodegroup_violations(before, after)
    changes = replaced(render_nodegroup(before), render_nodegroup(after)) - REPLACEABLE_TYPES
    assert not changes or refused


@examples
@given(cluster_specs, cluster_specs, st.sets(st.sampled_from(sorted(CLUSTER))))
def test_an_allowed_change_of_a_cluster_replaces_nothing_of_worth(before, other, keys):
    after = before | {key: other[key] for key in keys}
    mode = before["access"]["mode"]
    changes = replaced(render_cluster(before, mode), render_cluster(after, mode)) - REPLACEABLE_TYPES
    assert not changes or cluster_violations(before, after)


@pytest.mark.parametrize(
    "change",
    [
        {"disk_size_gib": 100},
        {"ssh": {}},
        {"labels": {"a": "b"}, "tags": {"a": "b"}},
        {"scaling": {"min": 0, "max": 9, "desired": None}},
        {"instance_types": ["c6i.xlarge"]},
        {"version": "1.35", "taints": [{"key": "a", "effect": "NO_SCHEDULE"}]},
        {"ssh": None},
    ],
)
def test_what_a_node_group_can_take(change):
    assert nodegroup_violations(NODEGROUP, NODEGROUP | change) == ()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"cluster": "other"}, "/cluster"),
        ({"name": "other"}, "/name"),
        ({"capacity_type": "SPOT"}, "/capacity_type"),
        ({"ami_type": "BOTTLEROCKET_x86_64"}, "/ami_type"),
        ({"subnets": ["subnet-0cccccccccccccccc"]}, "/subnets"),
        ({"instance_types": ["m5.large", "c5.large"]}, "/instance_types"),
        ({"instance_types": ["m7g.large"]}, "/instance_types"),
        ({"instance_types": ["g5.xlarge"]}, "/instance_types"),
    ],
)
def test_what_a_node_group_cannot_take(change, pointer):
    assert [found.pointer for found in nodegroup_violations(NODEGROUP, NODEGROUP | change)] == [pointer]
    assert [found.pointer for found in nodegroup_violations(NODEGROUP | change, NODEGROUP)] == [pointer]


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.35", "tags": {"a": "b"}, "endpoints": {"public": False, "private": True}},
        {"access": {"mode": "API"}},
        {"deletion_protection": True, "upgrade_policy": "EXTENDED", "logging": {"types": ["api"]}},
        {"addons": [{"name": "coredns"}]},
    ],
)
def test_what_a_cluster_can_take(change):
    assert cluster_violations(CLUSTER, CLUSTER | change) == ()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": "other"}, "/name"),
        ({"region": "eu-central-1"}, "/region"),
        ({"account": "acc_2"}, "/account"),
        ({"network": CLUSTER["network"] | {"cidr": "10.1.0.0/16"}}, "/network/cidr"),
        ({"network": CLUSTER["network"] | {"nat": "none"}}, "/network/nat"),
        ({"network": CLUSTER["network"] | {"service_cidr": "172.20.0.0/16"}}, "/network/service_cidr"),
        ({"encryption": {"kms_key": KEY}}, "/encryption"),
        ({"access": {"mode": "CONFIG_MAP"}}, "/access/mode"),
    ],
)
def test_what_a_cluster_cannot_take(change, pointer):
    assert [found.pointer for found in cluster_violations(CLUSTER, CLUSTER | change)] == [pointer]


def test_missing_and_null_are_the_same():
    without = {key: value for key, value in CLUSTER.items() if value is not None}
    assert cluster_violations(CLUSTER, without) == ()


def test_the_schemas_still_say_what_the_rules_rest_on():
    assert "/properties/EncryptionConfig" in schema("AWS::EKS::Cluster")["createOnlyProperties"]
    assert "/properties/InstanceTypes" in schema("AWS::EKS::Nodegroup")["createOnlyProperties"]
    assert "/properties/LaunchTemplate" not in schema("AWS::EKS::Nodegroup")["createOnlyProperties"]
