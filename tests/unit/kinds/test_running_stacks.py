"""Templates of stacks that run: a version that renders them otherwise would update every one of them.

`running_stacks.json` was rendered by the version that first made them. Who changes a template on purpose writes it anew
and says in CHANGELOG.md what becomes of stacks that are there.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from app.clusters.schemas import ClusterSpec
from app.clusters.template import cluster_stack
from app.clusters.view import ClusterView
from app.kinds.all import KINDS
from app.kinds.registry.spec import RegistrySpec
from app.kinds.registry.template import emptying_template
from app.kinds.registry.template import template as registry_template
from app.kinds.scope import AccountView
from app.stacks.template import StackTemplate

RENDERED = json.loads((Path(__file__).parent / "running_stacks.json").read_text())

ULID = "01jdzz4c8k2m9q7v5x3wtr6hbn"
CLUSTER_ID, NODEGROUP_ID, ADDON_ID = f"clu_{ULID}", f"ng_{ULID}", f"add_{ULID}"
REGISTRY_ID = f"reg_{ULID}"
ROLE = "arn:aws:iam::123456789012:role/slipway"
SUBNETS = {"public": ["subnet-b4cf9ef3", "subnet-a5d3bcfe"], "private": ["subnet-c5a3bdf0", "subnet-1f5c79df"]}
DEMO = {
    "name": "eksdemo",
    "region": "us-west-2",
    "version": "1.34",
    "network": {"vpc_id": "vpc-a6e6f4e9", "subnets": SUBNETS},
}
FULL = {
    "name": "shop",
    "region": "us-west-2",
    "version": "1.34",
    "network": {"cidr": "10.20.0.0/16", "zones": 3, "nat": "per_zone", "service_cidr": "172.20.0.0/16"},
    "endpoints": {"public": True, "private": True, "public_cidrs": ["203.0.113.0/24"]},
    "logging": {"types": ["audit", "api"], "retention_days": 30},
    "encryption": {},
    "access": {"mode": "API", "oidc": True},
    "addons": [{"name": "vpc-cni", "version": "v1.20.0-eksbuild.1", "configuration": {"env": {"A": "b"}}}],
    "deletion_protection": True,
    "upgrade_policy": "STANDARD",
    "zonal_shift": True,
    "tags": {"team": "shop"},
}
SMALL = {
    "name": "small",
    "region": "us-west-2",
    "version": "1.35",
    "network": {"zones": 1, "nat": "none", "ip_family": "ipv6"},
    "access": {"mode": "CONFIG_MAP"},
}
CLUSTERS: dict[str, Any] = {
    "demo": (DEMO, {"subnet_zones": {}, "slipway_role_arn": ROLE, "bootstrap_creator": False}),
    "full": (
        FULL,
        {
            "zones": ["us-west-2a", "us-west-2b", "us-west-2c"],
            "slipway_role_arn": ROLE,
            "addon_versions": {"vpc-cni": "v9", "kube-proxy": "v1.35.0-eksbuild.2"},
        },
    ),
    "small": (
        SMALL,
        {
            "zones": ["us-west-2a"],
            "control_plane_zone": "us-west-2b",
            "slipway_role_arn": ROLE,
            "bootstrap_creator": True,
        },
    ),
}
VIEW: dict[str, Any] = {
    "id": CLUSTER_ID,
    "name": "eksdemo",
    "project_id": "prj",
    "account_id": "acc",
    "region": "us-west-2",
    "phase": "active",
    "version": "1.34",
    "ip_family": "ipv4",
    "outputs": {"arn": "arn", "vpc_id": "vpc-a6e6f4e9", "security_group_id": "sg-0123456789abcdef0"},
    "facts": {
        "public_subnet_ids": SUBNETS["public"],
        "private_subnet_ids": SUBNETS["private"],
        "node_subnet_ids": SUBNETS["private"],
    },
    "tags": {},
}
NODEGROUPS: dict[str, Any] = {
    "demo": (
        {
            "cluster": "eksdemo",
            "name": "standard-workers",
            "instance_types": ["m5.large"],
            "scaling": {"min": 2, "max": 2, "desired": 2},
            "ssh": {},
            "version": "1.34",
            "labels": {"role": "worker"},
            "taints": [{"key": "dedicated", "value": "worker", "effect": "NO_SCHEDULE"}],
            "tags": {"nodegroup-type": "demo"},
        },
        {"desired": 2},
        {},
    ),
    "second": (
        {"cluster": "eksdemo", "name": "second", "instance_types": ["p5.48xlarge"], "scaling": {"min": 1, "max": 1}},
        {"desired": 1},
        {},
    ),
    "full": (
        {
            "cluster": "eksdemo",
            "name": "full",
            "version": "1.34",
            "instance_types": ["m7g.large", "c7g.large"],
            "scaling": {"min": 0, "max": 5},
            "capacity_type": "SPOT",
            "ami_type": "BOTTLEROCKET_ARM_64",
            "disk_size_gib": 100,
            "labels": {"b": "c", "a": ""},
            "taints": [{"key": "soft", "effect": "PREFER_NO_SCHEDULE"}],
            "subnet_type": "public",
            "ssh": {"public_key": "ssh-ed25519 AAAA someone", "source_security_groups": ["sg-0fedcba9876543210"]},
            "update": {"max_unavailable_percent": 30},
            "tags": {"team": "shop"},
        },
        {},
        {},
    ),
    "ipv6": (
        {
            "cluster": "eksdemo",
            "name": "six",
            "ssh": {"key_name": "mine"},
            "update": {"max_unavailable": 2},
            "tags": {"team": "shop"},
        },
        {"desired": 3},
        {"ip_family": "ipv6"},
    ),
}
HARD = [{"key": "dedicated", "effect": "NO_SCHEDULE", "value": "worker"}]
ADDONS: dict[str, Any] = {
    "coredns": ({"name": "coredns"}, {}, {}),
    "coredns on tainted nodes": ({"name": "coredns"}, {"taints": HARD}, {"team": "shop"}),
    "metrics-server after an upgrade": ({"name": "metrics-server"}, {"version": "v0.8.0-eksbuild.2"}, {}),
    "a pinned one": (
        {"name": "coredns", "version": "v1.12.1-eksbuild.2", "configuration": {"replicaCount": 3, "a": {"b": 1}}},
        {"version": "v9"},
        {},
    ),
    "with a role": ({"name": "aws-ebs-csi-driver"}, {"taints": HARD}, {"team": "shop"}),
}
REGISTRY: dict[str, Any] = {
    "name": "shop/sock-shop",
    "region": "us-west-2",
    "tag_mutability": "IMMUTABLE_WITH_EXCLUSION",
    "tag_mutability_exclusions": ["latest", "dev-*"],
    "scan_on_push": False,
    "encryption": {"kms_key": "alias/ecr"},
    "lifecycle": {
        "rules": [
            {
                "rule_priority": 2,
                "selection": {
                    "tag_status": "tagged",
                    "tag_pattern_list": ["v*"],
                    "count_type": "imageCountMoreThan",
                    "count_number": 10,
                },
            },
            {
                "rule_priority": 1,
                "description": "old",
                "selection": {"tag_status": "untagged", "count_type": "sinceImagePushed", "count_number": 14},
            },
        ]
    },
    "access": {
        "pull": {"accounts": ["222222222222", "111122223333"], "organizations": ["o-a1b2c3d4e5"]},
        "push": {"roles": [ROLE]},
    },
    "tags": {"team": "shop"},
}
REGISTRIES: dict[str, Any] = {
    "plain": {"name": "shop", "region": "us-west-2", "encryption": {}},
    "full": REGISTRY,
}


def owned(type_: str, resource_id: str, spec: Any, facts: Any, **view: Any) -> StackTemplate:
    kind = KINDS[type_]
    return kind.template(resource_id, kind.spec.model_validate(spec), ClusterView(**{**VIEW, **view}), facts)


def stacks() -> dict[str, StackTemplate]:
    found = {
        f"cluster {name}": cluster_stack(CLUSTER_ID, ClusterSpec.model_validate(spec), facts)
        for name, (spec, facts) in CLUSTERS.items()
    }
    for name, (spec, facts, view) in NODEGROUPS.items():
        found[f"nodegroup {name}"] = owned("nodegroup", NODEGROUP_ID, spec, facts, **view)
    for name, (spec, facts, tags) in ADDONS.items():
        found[f"addon {name}"] = owned("addon", ADDON_ID, spec, facts, tags=tags)
    for name, spec in REGISTRIES.items():
        parsed, owner = RegistrySpec.model_validate(spec), AccountView("prj", "acc", "us-west-2")
        found[f"registry {name}"] = registry_template(REGISTRY_ID, parsed, owner, {})
        found[f"registry {name}, about to be emptied"] = emptying_template(REGISTRY_ID, parsed, owner)
    return found


STACKS = stacks()


@pytest.mark.parametrize("name", STACKS)
def test_a_running_stack_is_rendered_as_it_was(name: str) -> None:
    stack, before = STACKS[name], RENDERED[name]
    assert json.loads(stack.body) == before["body"]
    body = json.dumps(before["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert (stack.name, list(stack.capabilities), dict(stack.tags)) == (
        before["name"],
        before["capabilities"],
        before["tags"],
    )
    assert stack.body == body


def test_every_one_is_looked_at() -> None:
    assert STACKS.keys() == RENDERED.keys()
