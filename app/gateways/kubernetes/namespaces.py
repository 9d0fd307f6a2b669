"""Namespaces: made with labels, and with a quota and a default-deny policy if that is asked for."""

import asyncio
from collections.abc import Mapping
from typing import Any

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.objects import Ref, mapping

QUOTA_LOOKS = 100
"""Looks at a new quota, 0.1 s apart, before we go on without it."""

NAME = "slipway"
"""Name of the objects that we put into a namespace."""
MANAGED_BY = {"app.kubernetes.io/managed-by": "slipway"}


def namespace_objects(
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    quota: Mapping[str, str] | None = None,
    default_deny: bool = False,
) -> list[dict[str, Any]]:
    """Return a namespace and what belongs into it. Pure.

    Args:
        name: Of the namespace.
        labels: Of the namespace, `pod-security.kubernetes.io/enforce` for instance.
        annotations: Of the namespace.
        quota: Hard limits as a ResourceQuota has them: {"requests.cpu": "4", "pods": "20"}.
        default_deny: Whether pods may only be reached from their own namespace, by a NetworkPolicy. What goes out stays
            allowed: almost nothing works without DNS and AWS.
    """
    metadata: dict[str, Any] = {"name": name, "labels": MANAGED_BY | dict(labels or {})}
    if annotations:
        metadata["annotations"] = dict(annotations)
    objects: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}]
    inside = {"name": NAME, "namespace": name, "labels": MANAGED_BY}
    if quota:
        objects.append({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": inside, "spec": {"hard": dict(quota)}})
    if default_deny:
        policy = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}
        objects.append(
            {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": inside, "spec": policy}
        )
    return objects


async def apply_namespace(
    kubernetes: Kubernetes,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    quota: Mapping[str, str] | None = None,
    default_deny: bool = False,
    is_new: bool = False,
) -> None:
    """Make a namespace, or bring one into line; what others put on it stays, what we had put and don't want goes.

    Args:
        kubernetes: The cluster.
        name: As for `namespace_objects`.
        labels: Likewise.
        annotations: Likewise.
        quota: Likewise.
        default_deny: Likewise.
        is_new: Whether there was none, so that nothing in it has to go.

    Raises:
        Conflict: Another tool manages one of the labels.
        Forbidden: We may not, or the namespace is being deleted.
        KubernetesError: As every call.
    """
    objects = namespace_objects(name, labels=labels, annotations=annotations, quota=quota, default_deny=default_deny)
    for item in objects:
        await kubernetes.apply(item)
    if quota:
        await _until_quota_counts(kubernetes, name)
    if is_new:
        return
    kinds = {item["kind"] for item in objects}
    for kind, api_version in (("ResourceQuota", "v1"), ("NetworkPolicy", "networking.k8s.io/v1")):
        if kind not in kinds:
            await kubernetes.delete(Ref(kind, name, NAME, api_version))


async def _until_quota_counts(kubernetes: Kubernetes, name: str) -> None:
    """Wait, but not for ever: a quota counts once a controller has taken it over into its status."""
    for _ in range(QUOTA_LOOKS):
        found = await kubernetes.get(Ref("ResourceQuota", name, NAME)) or {}
        if mapping(found.get("spec")).get("hard") == mapping(found.get("status")).get("hard"):
            return
        await asyncio.sleep(0.1)


async def namespace_phase(kubernetes: Kubernetes, name: str) -> str | None:
    """Return `Active` or `Terminating`, or None if there is no such namespace.

    Raises:
        KubernetesError: As every call.
    """
    found = await kubernetes.get(Ref("Namespace", "", name))
    return None if found is None else str((found.get("status") or {}).get("phase", "Active"))
