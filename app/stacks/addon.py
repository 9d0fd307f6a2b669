"""EKS addons in a template: one of their own, or the cluster's for vpc-cni and kube-proxy.

Also here: what lets an addon run where every node is tainted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from troposphere import GetAtt, Template, eks, iam

from app.stacks.naming import slug
from app.stacks.taints import Taint, merge_tolerations, tolerations_for
from app.stacks.template import Value, managed_policy, tag_list, trust


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


def add_addon(
    template: Template,
    name: str,
    cluster_name: Value,
    tags: Mapping[str, str],
    *,
    version: str | None = None,
    configuration: Mapping[str, Any] | None = None,
    pod_identities: Sequence[PodIdentity] = (),
    title: str = "Addon",
) -> eks.Addon:
    """Add one addon, and the roles that it needs, to a template; return its resource.

    It takes over what somebody else installed or changed (`ResolveConflicts: OVERWRITE`).

    Args:
        template: Where it is added.
        name: AWS's name (`coredns`).
        cluster_name: The EKS cluster's.
        tags: The caller's.
        version: `v1.12.1-eksbuild.2`, or None for AWS's default for the cluster's version.
        configuration: By the addon's own schema (DescribeAddonConfiguration).
        pod_identities: Roles of its service accounts; see `POD_IDENTITIES` for the usual ones.
        title: Of the resource.
    """
    properties: dict[str, Any] = {"ResolveConflicts": "OVERWRITE"}
    if version:
        properties["AddonVersion"] = version
    if configuration:
        properties["ConfigurationValues"] = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
    if pod_identities:
        properties["PodIdentityAssociations"] = [
            eks.PodIdentityAssociationProperty(
                ServiceAccount=identity.service_account, RoleArn=_role_arn(template, identity, title)
            )
            for identity in sorted(pod_identities, key=lambda identity: identity.service_account)
        ]
    if tags:
        properties["Tags"] = tag_list(tags)
    return template.add_resource(eks.Addon(title, ClusterName=cluster_name, AddonName=name, **properties))


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
