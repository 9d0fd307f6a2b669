"""Inputs to render, drawn by Hypothesis or written out, and readers of what came out."""

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import BaseModel

from app.clusters.schemas import (
    AccessSpec,
    AddonSpec,
    ClusterSpec,
    EncryptionSpec,
    EndpointsSpec,
    LoggingSpec,
    NetworkSpec,
    Subnets,
)
from app.clusters.template import cluster_stack
from app.clusters.view import ClusterView
from app.kinds.addon.kind import ADDONS
from app.kinds.nodegroup.spec import NodegroupSpec, ScalingSpec, SshSpec, TaintSpec, UpdateSpec
from app.kinds.nodegroup.template import nodegroup_stack
from app.kinds.registry.spec import GranteesSpec, RegistryAccessSpec, RegistryEncryptionSpec, RegistrySpec
from app.kinds.registry.template import template as registry_template
from app.kinds.scope import AccountView
from app.stacks.network import GivenNetwork, Network, OwnNetwork
from app.stacks.taints import Taint
from app.stacks.template import StackTemplate

ULID = "01jdzz4c8k2m9q7v5x3wtr6hbn"
ROLE = "arn:aws:iam::123456789012:role/slipway"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0f1e2d3c-4b5a-4678-9abc-def012345678"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d", "us-east-1e", "us-east-1f")
VPC = "vpc-0123456789abcdef0"
GROUP = "sg-0123456789abcdef0"
ACCOUNT = AccountView("prj", "acc", "us-east-1")
GIVEN = GivenNetwork(VPC, ("subnet-0aaaaaaaaaaaaaaaa",), ("subnet-0bbbbbbbbbbbbbbbb", "subnet-0cccccccccccccccc"))

examples = settings(max_examples=30, deadline=None)
"""Enough to meet every branch, in the seconds that a unit test may take."""


@dataclass(frozen=True)
class ClusterInput:
    """All that the stack of a cluster is made from; its tags are those here, whatever callers may send."""

    resource_id: str
    spec: ClusterSpec
    facts: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)


def cluster_template(given: ClusterInput) -> StackTemplate:
    return cluster_stack(given.resource_id, given.spec.model_copy(update={"tags": given.tags}), given.facts)


def cluster(
    network: Network | None = None,
    *,
    resource_id: str = f"clu_{ULID}",
    role: str | None = None,
    bootstrap: bool = False,
    ip_family: str = "ipv4",
    service_cidr: str | None = None,
    tags: dict[str, str] | None = None,
    **changes: Any,
) -> ClusterInput:
    """Return a cluster; `changes` of its spec are taken as they are, whatever callers may send."""
    network = network or OwnNetwork(ZONES[:3])
    facts: dict[str, Any] = {"slipway_role_arn": role, "bootstrap_creator": bootstrap}
    layout: dict[str, Any] = {"ip_family": ip_family, "service_cidr": service_cidr}
    if isinstance(network, OwnNetwork):
        facts |= {"zones": network.zones, "control_plane_zone": network.control_plane_zone}
        layout |= {"cidr": network.cidr, "nat": network.nat}
    else:
        named = Subnets(public=list(network.public_subnet_ids), private=list(network.private_subnet_ids))
        layout |= {"vpc_id": network.vpc_id, "subnets": named}
    spec = ClusterSpec(name="prod", region="us-east-1")
    spec = spec.model_copy(update={"network": NetworkSpec.model_construct(**layout), **changes})
    return ClusterInput(resource_id, spec, facts, tags or {})


def view(name: str = "prod", *, ip_family: str = "ipv4", tags: dict[str, str] | None = None) -> ClusterView:
    return ClusterView(
        id=f"clu_{ULID}",
        name=name,
        project_id="",
        account_id="",
        region="us-east-1",
        phase="active",
        version="1.34",
        ip_family=ip_family,
        outputs={"vpc_id": VPC, "security_group_id": GROUP},
        facts={},
        tags=tags or {},
    )


@dataclass(frozen=True)
class NodegroupInput:
    """All that the stack of a node group is made from; its tags are those here, whatever callers may send."""

    resource_id: str
    spec: NodegroupSpec
    cluster: ClusterView
    desired: int | None
    tags: dict[str, str] = field(default_factory=dict)


def nodegroup_template(given: NodegroupInput) -> StackTemplate:
    spec = given.spec.model_copy(update={"tags": given.tags})
    return nodegroup_stack(given.resource_id, spec, given.cluster, desired=given.desired)


def nodegroup(
    cluster: ClusterView | None = None, desired: int | None = 2, tags: dict[str, str] | None = None, **changes: Any
) -> NodegroupInput:
    """Return a node group; `changes` of its spec are taken as they are, whatever callers may send."""
    spec = NodegroupSpec(cluster="prod", name="workers", subnets=["subnet-0bbbbbbbbbbbbbbbb"])
    return NodegroupInput(f"ng_{ULID}", spec.model_copy(update=changes), cluster or view(), desired, tags or {})


@dataclass(frozen=True)
class AddonInput:
    """All that the stack of an addon is made from: the spec, what the cluster is called and tagged, and facts."""

    resource_id: str
    cluster_name: str
    addon: AddonSpec
    tags: dict[str, str] = field(default_factory=dict)
    taints: Sequence[Taint] = ()


def addon_template(given: AddonInput) -> StackTemplate:
    facts = {"taints": [asdict(taint) for taint in given.taints]}
    return ADDONS.template(given.resource_id, given.addon, view(given.cluster_name, tags=given.tags), facts)


def document(template: StackTemplate) -> dict[str, Any]:
    return json.loads(template.body)


def of_type(doc: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Properties by logical id."""
    return {name: body["Properties"] for name, body in doc["Resources"].items() if body["Type"] == kind}


def references(value: Any) -> Iterator[str]:
    """Every logical id or pseudo parameter that something in `value` refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            elif key == "Fn::Sub":
                yield from (name.split(".")[0] for name in re.findall(r"\$\{([^}]+)\}", inner))
            elif key == "DependsOn":
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def schema(kind: str) -> dict[str, Any]:
    """AWS's own resource schema, as cfn-lint carries it."""
    return PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema


def create_only(resource: dict[str, Any]) -> dict[str, Any]:
    """Those properties of a resource that AWS can only replace, by their path."""
    found = {}
    for path in schema(resource["Type"]).get("createOnlyProperties", ()):
        value: Any = resource["Properties"]
        for step in path.split("/")[2:]:
            value = value.get(step) if isinstance(value, dict) else None
        found[path] = value
    return found


names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,98}[A-Za-z0-9]\Z")
short_names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,60}[A-Za-z0-9]\Z")
ulids = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=26, max_size=26)
tags = st.dictionaries(
    st.from_regex(r"\A[A-Z][A-Za-z0-9 /=+@.:-]{0,20}\Z"), st.from_regex(r"\A[A-Za-z0-9 /=+@.:-]{1,30}\Z"), max_size=4
)


@st.composite
def own_networks(draw: st.DrawFn) -> OwnNetwork:
    zones = tuple(draw(st.lists(st.sampled_from(ZONES), min_size=1, max_size=6, unique=True)))
    prefix = draw(st.integers(16, 25 if len(zones) < 5 else 24))
    host = draw(st.integers(0, 2**16 - 1)) >> (32 - prefix) << (32 - prefix) if prefix > 16 else 0
    return OwnNetwork(
        zones=zones,
        cidr=f"10.{draw(st.integers(0, 255))}.{host >> 8}.{host & 255}/{prefix}",
        nat=draw(st.sampled_from(["none", "single", "per_zone"])),
        control_plane_zone=next(zone for zone in ZONES if zone not in zones) if len(zones) == 1 else None,
    )


taints = st.builds(
    Taint,
    st.from_regex(r"\A[a-z]{1,10}(\.[a-z]{1,10}/[a-z]{1,10})?\Z"),
    st.sampled_from(["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"]),
    st.none() | st.from_regex(r"\A[a-z0-9]{1,10}\Z"),
)

modes = st.sampled_from(["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"])
cluster_inputs = st.builds(
    lambda mode, moved_on, oidc, **given: cluster(
        access=AccessSpec(mode=mode, oidc=oidc), bootstrap=moved_on or mode == "CONFIG_MAP", **given
    ),
    modes,
    st.booleans(),
    st.booleans(),
    network=own_networks() | st.just(GIVEN),
    resource_id=ulids.map("clu_{}".format),
    role=st.sampled_from([None, ROLE]),
    name=names,
    version=st.sampled_from([None, "1.34", "1.35"]),
    endpoints=st.builds(EndpointsSpec, private=st.booleans(), public_cidrs=st.sampled_from([[], ["203.0.113.0/24"]])),
    logging=st.builds(
        LoggingSpec,
        types=st.lists(
            st.sampled_from(["api", "audit", "authenticator", "controllerManager", "scheduler"]), unique=True
        ),
    ),
    encryption=st.sampled_from([None, EncryptionSpec(), EncryptionSpec(kms_key=KEY)]),
    ip_family=st.sampled_from(["ipv4", "ipv6"]),
    service_cidr=st.sampled_from([None, "172.20.0.0/16"]),
    deletion_protection=st.booleans(),
    upgrade_policy=st.sampled_from([None, "STANDARD", "EXTENDED"]),
    zonal_shift=st.sampled_from([None, True, False]),
    addons=st.sampled_from(
        [
            None,
            [
                AddonSpec(
                    name="vpc-cni",
                    version="v1.20.0-eksbuild.1",
                    configuration={"env": {"ENABLE_PREFIX_DELEGATION": "true"}},
                )
            ],
        ]
    ),
    tags=tags,
)

nodegroup_specs = st.builds(
    NodegroupSpec,
    cluster=st.just("prod"),
    name=short_names,
    subnets=st.sampled_from([list(GIVEN.private_subnet_ids), list(GIVEN.public_subnet_ids)]),
    scaling=st.builds(ScalingSpec, min=st.integers(0, 2), max=st.integers(3, 9)),
    instance_types=st.sampled_from(
        [["m5.large"], ["m7g.large"], ["m5.large", "m6i.large"], ["c7gn.large", "t4g.nano"]]
    ),
    capacity_type=st.sampled_from(["ON_DEMAND", "SPOT"]),
    ami_type=st.sampled_from([None, "BOTTLEROCKET_x86_64"]),
    version=st.sampled_from([None, "1.34"]),
    disk_size_gib=st.integers(20, 2000),
    labels=st.dictionaries(st.from_regex(r"\A[a-z]{1,9}\Z"), st.from_regex(r"\A[a-z0-9]{0,9}\Z"), max_size=3),
    taints=st.lists(taints, max_size=3, unique_by=lambda taint: (taint.key, taint.effect)).map(
        lambda found: [TaintSpec(**asdict(taint)) for taint in found]
    ),
    ssh=st.sampled_from(
        [
            None,
            SshSpec(),
            SshSpec(key_name="mine"),
            SshSpec(public_key=PUBLIC_KEY, source_security_groups=[GROUP]),
        ]
    ),
    update=st.sampled_from([UpdateSpec(), UpdateSpec(max_unavailable=2), UpdateSpec(max_unavailable_percent=30)]),
)
nodegroup_inputs = st.builds(
    NodegroupInput,
    ulids.map("ng_{}".format),
    nodegroup_specs,
    st.builds(view, names, ip_family=st.sampled_from(["ipv4", "ipv6"])),
    st.none() | st.just(2),
    tags,
)

addon_specs = st.builds(
    AddonSpec,
    name=st.sampled_from(["coredns", "metrics-server", "aws-ebs-csi-driver", "eks-pod-identity-agent", "adot"]),
    version=st.sampled_from([None, "v1.2.3-eksbuild.1"]),
    configuration=st.sampled_from([None, {}, {"replicaCount": 3}, {"controller": {"replicaCount": 1}}]),
)
addon_inputs = st.builds(
    AddonInput, ulids.map("add_{}".format), names, addon_specs, tags, st.lists(taints, max_size=3).map(tuple)
)

LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 2,
            "description": "the newest ten",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["v*"],
                "countType": "imageCountMoreThan",
                "countNumber": 10,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": {"type": "expire"},
        },
    ]
}
grantees = st.builds(
    GranteesSpec,
    accounts=st.lists(st.from_regex(r"\A[0-9]{12}\Z"), max_size=2, unique=True),
    roles=st.sampled_from([[], [ROLE]]),
    organizations=st.sampled_from([[], ["o-a1b2c3d4e5"], ["o-a1b2c3d4e5", "o-0123456789"]]),
)
mutabilities = st.sampled_from(
    [
        ("MUTABLE", []),
        ("IMMUTABLE", []),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest", "dev-*"]),
        ("MUTABLE_WITH_EXCLUSION", ["v*"]),
    ]
)
registry_specs = st.builds(
    lambda mutability, tags, **rest: RegistrySpec(
        region="us-east-1", tag_mutability=mutability[0], tag_mutability_exclusions=mutability[1], **rest
    ).model_copy(update={"tags": tags}),
    mutabilities,
    tags,
    name=st.from_regex(r"\A[a-z0-9]{2,20}([._-][a-z0-9]{1,9})?(/[a-z0-9]{1,20}){0,3}\Z"),
    scan_on_push=st.booleans(),
    encryption=st.sampled_from([None, RegistryEncryptionSpec(), RegistryEncryptionSpec(kms_key=KEY)]),
    lifecycle=st.sampled_from([None, LIFECYCLE]),
    access=st.builds(RegistryAccessSpec, pull=grantees, push=grantees),
)
"""Tags are those of the other templates, which the spec would not all take."""


def registry(**changes: Any) -> RegistrySpec:
    return RegistrySpec(**{"name": "shop", "region": "us-east-1"} | changes)


def registry_stack(spec: RegistrySpec) -> StackTemplate:
    return registry_template(f"reg_{ULID}", spec, ACCOUNT, {})


def with_tags(spec: Any, tags: dict[str, str]) -> Any:
    """The same input with other tags."""
    if isinstance(spec, BaseModel):
        return spec.model_copy(update={"tags": tags})
    return dataclasses.replace(spec, tags=tags)


HARD = (Taint("dedicated", "NO_SCHEDULE", "gpu"), Taint("spot", "NO_EXECUTE"))
