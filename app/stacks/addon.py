"""EKS addons: one stack each, except vpc-cni and kube-proxy, which stand in the cluster's stack.

Also here: what lets an addon run where every node is tainted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from troposphere import GetAtt, Template, eks, iam

from app.stacks.naming import slug, stack_name
from app.stacks.taints import Taint, merge_tolerations, tolerations_for
from app.stacks.template import (
    CAPABILITY_IAM,
    StackTemplate,
    Value,
    add_outputs,
    managed_policy,
    new_template,
    render,
    stack_tags,
    tag_list,
    trust,
)

ResolveConflicts = Literal["NONE", "OVERWRITE", "PRESERVE"]


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """An IAM role for one service account of an addon; the cluster needs the addon `eks-pod-identity-agent` for it.

    Attributes:
        service_account: Its name in the addon's namespace.
        role_arn: A role that exists, or None: then the stack makes one with `managed_policies`.
        managed_policies: Paths of AWS managed policies below `policy/`.
    """

    service_account: str
    role_arn: str | None = None
    managed_policies: tuple[str, ...] = ()


POD_IDENTITIES: Mapping[str, PodIdentity] = {
    "aws-ebs-csi-driver": PodIdentity("ebs-csi-controller-sa", None, ("service-role/AmazonEBSCSIDriverPolicy",)),
    "aws-efs-csi-driver": PodIdentity("efs-csi-controller-sa", None, ("service-role/AmazonEFSCSIDriverPolicy",)),
}
"""What DescribeAddonConfiguration recommends (`podIdentityConfiguration`) for the addons that cannot work without."""


@dataclass(frozen=True, slots=True)
class AddonSpec:
    """One addon as a caller wants it.

    Attributes:
        name: AWS's name (`coredns`).
        version: `v1.12.1-eksbuild.2`, or None for AWS's default for the cluster's version.
        configuration: The addon's configuration values, by its own schema (DescribeAddonConfiguration).
        service_account_role_arn: A role for IAM roles for service accounts (needs the cluster's OIDC provider).
        pod_identities: Roles by pod identity; see `POD_IDENTITIES` for the usual ones.
        resolve_conflicts: What happens to fields that someone else changed; OVERWRITE takes over a self-managed addon
            at creation, too.
    """

    name: str
    version: str | None = None
    configuration: Mapping[str, Any] | None = None
    service_account_role_arn: str | None = None
    pod_identities: tuple[PodIdentity, ...] = ()
    resolve_conflicts: ResolveConflicts = "OVERWRITE"


@dataclass(frozen=True, slots=True)
class AddonInput:
    """All that the stack of one addon is made from.

    Attributes:
        resource_id: `add_…`.
        cluster_name: The EKS cluster's name.
        addon: The addon.
        tags: The caller's tags.
    """

    resource_id: str
    cluster_name: str
    addon: AddonSpec
    tags: Mapping[str, str] = field(default_factory=dict)


def addon_stack_name(resource_id: str, cluster_name: str, addon_name: str) -> str:
    """Return the name of an addon's stack."""
    return stack_name("addon", resource_id, f"{cluster_name}/{addon_name}")


def addon_template(spec: AddonInput) -> StackTemplate:
    """Return the stack of one addon. Outputs: `Arn`, `AddonName`, and `RoleArn` if the stack makes a role.

    Raises:
        InvalidError: See `app.stacks.template.render`.
    """
    template = new_template("Slipway: an EKS addon")
    resource = add_addon(template, spec.addon, spec.cluster_name, spec.tags)
    outputs: dict[str, Value] = {"Arn": GetAtt(resource, "Arn"), "AddonName": spec.addon.name}
    roles = [title for title, value in template.resources.items() if isinstance(value, iam.Role)]
    if roles:
        outputs["RoleArn"] = GetAtt(roles[0], "Arn")
    add_outputs(template, outputs)
    return StackTemplate(
        name=addon_stack_name(spec.resource_id, spec.cluster_name, spec.addon.name),
        body=render(template),
        capabilities=(CAPABILITY_IAM,) if roles else (),
        tags=stack_tags(spec.resource_id, spec.cluster_name, spec.tags),
    )


def add_addon(
    template: Template, addon: AddonSpec, cluster_name: Value, tags: Mapping[str, str], title: str = "Addon"
) -> eks.Addon:
    """Add one addon, and the roles that it needs, to a template; return its resource."""
    properties: dict[str, Any] = {"ResolveConflicts": addon.resolve_conflicts}
    if addon.version:
        properties["AddonVersion"] = addon.version
    if addon.configuration:
        properties["ConfigurationValues"] = json.dumps(addon.configuration, sort_keys=True, separators=(",", ":"))
    if addon.service_account_role_arn:
        properties["ServiceAccountRoleArn"] = addon.service_account_role_arn
    if addon.pod_identities:
        properties["PodIdentityAssociations"] = [
            eks.PodIdentityAssociationProperty(
                ServiceAccount=identity.service_account, RoleArn=_role_arn(template, identity, title)
            )
            for identity in sorted(addon.pod_identities, key=lambda identity: identity.service_account)
        ]
    if tags:
        properties["Tags"] = tag_list(tags)
    return template.add_resource(eks.Addon(title, ClusterName=cluster_name, AddonName=addon.name, **properties))


def _role_arn(template: Template, identity: PodIdentity, title: str) -> Value:
    if identity.role_arn:
        return identity.role_arn
    words = slug(identity.service_account).split("-")
    role = iam.Role(
        f"{title}Role{''.join(word.capitalize() for word in words)}",
        AssumeRolePolicyDocument=trust("pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession"),
        ManagedPolicyArns=[managed_policy(path) for path in identity.managed_policies],
    )
    template.add_resource(role)
    return GetAtt(role, "Arn")


_CRITICAL = {"key": "CriticalAddonsOnly", "operator": "Exists"}
_CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
_EXECUTING = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
_EVERYTHING = {"operator": "Exists"}


@dataclass(frozen=True, slots=True)
class _Tolerating:
    """Where an addon's schema keeps its tolerations, and which ones it has by itself (a value given replaces them)."""

    path: tuple[str, ...]
    own: tuple[Mapping[str, Any], ...] = ()
    everything: bool = False


_TOLERATING: Mapping[str, _Tolerating] = {
    "coredns": _Tolerating(("tolerations",), (_CRITICAL, _CONTROL_PLANE)),
    "metrics-server": _Tolerating(("tolerations",), (_CRITICAL,)),
    "snapshot-controller": _Tolerating(("tolerations",)),
    "aws-ebs-csi-driver": _Tolerating(("controller", "tolerations"), (_CRITICAL, _EXECUTING)),
    "aws-efs-csi-driver": _Tolerating(("controller", "tolerations"), (_CRITICAL, _EXECUTING)),
    "eks-pod-identity-agent": _Tolerating(("tolerations",), (_EVERYTHING,), everything=True),
}


def tolerating(
    addon_name: str, configuration: Mapping[str, Any] | None, taints: Sequence[Taint]
) -> Mapping[str, Any] | None:
    """Return the addon's configuration with tolerations for `taints` merged in; equal to the input if none is needed.

    The places come from each addon's own configuration schema (`aws eks describe-addon-configuration`): coredns,
    metrics-server, snapshot-controller and eks-pod-identity-agent have `tolerations`, the EBS and EFS drivers
    `controller.tolerations` (their node pods tolerate everything: `node.tolerateAllTaints`). vpc-cni and kube-proxy
    tolerate everything by themselves, and of an addon that is not in this list the schema is not known: both come
    back as they were. A list that is given replaces the addon's own one, so that its own tolerations are repeated
    here when the caller gives none. eks-pod-identity-agent runs on every node and so gets one for every taint.

    Args:
        addon_name: AWS's name of the addon.
        configuration: What the caller wants, or None.
        taints: `taints.unavoidable(…)` of the cluster's node groups.
    """
    place = _TOLERATING.get(addon_name)
    if place is None or not taints:
        return configuration
    wanted = [_EVERYTHING] if place.everything else tolerations_for(taints)
    return _merged(dict(configuration or {}), place.path, wanted, place.own)


def needs_toleration(addon_name: str) -> bool:
    """Tell whether `tolerating` knows how to make an addon run on tainted nodes."""
    return addon_name in _TOLERATING


def _merged(
    values: dict[str, Any], path: Sequence[str], wanted: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    head, *rest = path
    if rest:
        values[head] = _merged(dict(values.get(head) or {}), rest, wanted, own)
    else:
        values[head] = merge_tolerations(values.get(head) or own, wanted)
    return values
