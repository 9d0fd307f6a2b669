"""Managed node groups: what cannot change, what the cluster decides, and how many nodes there should be.

Sources: "Update requires" in the CloudFormation reference of AWS::EKS::Nodegroup
(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-eks-nodegroup.html), and
UpdateNodegroupVersion for the version rules (https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupVersion.html).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.clusters.view import ClusterView
from app.core.errors import FieldError, InvalidError
from app.core.merge_patch import merge_patch
from app.gateways.aws.cloud import Cloud
from app.kinds.kind import Codes, Facts, Kind, Looking, Patch, Stage
from app.kinds.nodegroup.checks import check
from app.kinds.nodegroup.models import Nodegroup
from app.kinds.nodegroup.spec import NODEGROUP_EXAMPLE, NodegroupOutputs, NodegroupSpec
from app.kinds.nodegroup.template import nodegroup_stack, subnets_of
from app.stacks.machine import default_ami_type
from app.stacks.template import StackTemplate

_NETWORK = "the network of a node group cannot be changed"
_NOT_THERE_YET = {"vpc_id": "vpc-00000000", "security_group_id": "sg-00000000"}
"""For the form of the stack of a group whose cluster has no outputs yet."""


def _template(resource_id: str, spec: NodegroupSpec, cluster: ClusterView, facts: Facts) -> StackTemplate:
    cluster = replace(cluster, outputs={**_NOT_THERE_YET, **cluster.outputs})
    return nodegroup_stack(resource_id, spec, cluster, desired=facts.get("desired", spec.scaling.desired))


def _complete(spec: NodegroupSpec, cluster: ClusterView, before: NodegroupSpec | None) -> NodegroupSpec:
    """Fill in the cluster's version; refuse one that the group cannot have, and a group that has no subnet."""
    if spec.version is None:
        spec = spec.model_copy(update={"version": before.version if before else cluster.version})
    elif _minor(spec.version) > _minor(cluster.version):
        detail = f"is newer than the cluster's {cluster.version}: upgrade the cluster first"
        raise InvalidError("The version is newer than the cluster's.", [FieldError("/version", detail)])
    elif before and before.version and _minor(spec.version) < _minor(before.version):
        detail = f"is older than the group's {before.version}: nodes cannot go back"
        raise InvalidError("The version is older than the group's.", [FieldError("/version", detail)])
    if cluster.is_there and not subnets_of(spec, cluster):
        pointer = "/zones" if spec.zones else "/subnet_type"
        detail = f"the cluster has no {spec.subnet_type or 'fitting'} subnet there"
        raise InvalidError("There is no subnet for the node group.", [FieldError(pointer, detail)])
    return spec


def _rules(before: NodegroupSpec, after: NodegroupSpec) -> Sequence[FieldError]:
    """Tell which change of the instance types is not possible.

    One type may become another one (it stands in the launch template and rolls the nodes), if the AMI type stays:
    neither the other way of several types nor another architecture is possible without a new group.
    """
    old, new = before.instance_types, after.instance_types
    if old == new:
        return ()
    if len(old) > 1 or len(new) > 1:
        reason = "AWS can only replace a node group to change several instance types"
    elif not after.ami_type and _image(old) != _image(new):
        reason = "the new instance type needs another AMI type, for which AWS can only replace the node group"
    else:
        return ()
    return (FieldError("/instance_types", reason),)


def _image(instance_types: list[str]) -> str | None:
    try:
        return default_ami_type(instance_types)
    except InvalidError:
        return None


async def _observe(cloud: Cloud, spec: NodegroupSpec, cluster: ClusterView, looking: Looking) -> Facts:
    """Tell how many nodes there should be: as sent, or as many as live (an autoscaler may have changed it)."""
    asked, live = spec.scaling.desired, None
    if looking.exists and (looking.said.get("keep_desired") or asked is None):
        live = await cloud.eks.describe_nodegroup(cluster.name, looking.name)
    number = live.desired if live else asked if asked is not None else max(1, spec.scaling.min)
    return {"desired": min(spec.scaling.max, max(spec.scaling.min, number))}


def _patch(spec: dict[str, Any], patch: dict[str, Any]) -> Patch:
    """Keep the live number of nodes unless the patch names one; what is written down then fits the new limits."""
    document, scaling = merge_patch(spec, patch), patch.get("scaling")
    keep = not (isinstance(scaling, dict) and scaling.get("desired") is not None)
    merged = document.get("scaling")
    if keep and isinstance(merged, dict) and isinstance(merged.get("desired"), int):
        low, high, number = merged.get("min"), merged.get("max"), merged["desired"]
        if isinstance(low, int) and isinstance(high, int):
            document = {**document, "scaling": {**merged, "desired": min(high, max(low, number))}}
    return Patch(document, {"keep_desired": keep})


def _minor(version: str) -> int:
    return int(version.split(".")[1])


NODEGROUPS = Kind(
    type="nodegroup",
    plural="nodegroups",
    prefix="ng",
    title="node group",
    about="A managed node group",
    codes=Codes(not_found="nodegroup_not_found", exists="nodegroup_exists", deleting="nodegroup_deleting"),
    spec=NodegroupSpec,
    outputs=NodegroupOutputs,
    # Not among them: `instance_types`, which has rules of its own, `disk_size_gib` and `ssh`, which are in the launch
    # template and roll the nodes.
    fixed={
        "/cluster": "a node group cannot move to another cluster",
        "/name": "AWS can only replace a node group to rename it",
        "/capacity_type": "AWS can only replace a node group to change its capacity type",
        "/ami_type": "AWS can only replace a node group to change its AMI type",
        "/subnets": "AWS can only replace a node group to change its subnets",
        "/subnet_type": _NETWORK,
        "/zones": _NETWORK,
    },
    stage=Stage.NODES,
    example=NODEGROUP_EXAMPLE,
    example_outputs={"arn": "arn:aws:eks:us-west-2:111122223333:nodegroup/shop/workers/0ac1"},
    patch_example={"scaling": {"max": 6, "desired": 3}},
    template=_template,
    check=check,
    complete=_complete,
    rules=_rules,
    observe=_observe,
    patch=_patch,
    says={
        "update": "Change a node group: a JSON merge patch (RFC 7396) of its spec; a `desired` not sent keeps the live "
        "one."
    },
    table=Nodegroup,
)
