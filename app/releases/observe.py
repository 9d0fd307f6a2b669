"""What is there of a release: how to reach it, and why it is not ready, read from the live objects."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from app.gateways.helm import errors as helm
from app.gateways.helm.release import Hook, Release
from app.gateways.helm.releases import Releases
from app.gateways.kubernetes.access import Access, access_of
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.diagnosis import Diagnosis, diagnose, diagnose_job
from app.gateways.kubernetes.errors import KubernetesError
from app.gateways.kubernetes.objects import ManifestError, Ref, parse_manifest, ref_of
from app.gateways.kubernetes.resources import read_resources

DIAGNOSIS_SECONDS = 20.0
"""How long it may take to find out why something is not ready."""

CLEAR_SECONDS = 5.0
"""How long a reason that tells little is looked at again: what was made just now says a moment later what it lacks."""

_SERVING = ("Service", "Ingress")
_NOT_READY = (helm.WaitTimeout, helm.WorkloadFailed, helm.HookFailed)


async def seen_of(kubernetes: Kubernetes, release: Release) -> dict[str, Any]:
    """Return what a release's row keeps of its live objects: `serving` (which to look at again) and `access`.

    Raises:
        KubernetesError: the cluster cannot be asked.
    """
    try:
        objects = await asyncio.to_thread(parse_manifest, release.manifest)
    except ManifestError:
        return {}
    serving = [asdict(ref_of(item)) for item in objects if item.get("kind") in _SERVING]
    return {"serving": serving, "access": await access(kubernetes, serving, release.namespace)}


async def access(kubernetes: Kubernetes, serving: Sequence[dict[str, str]], namespace: str) -> dict[str, Any]:
    """Return how to reach what a release serves, as JSON.

    Args:
        kubernetes: The cluster.
        serving: The services and ingresses of its manifest.
        namespace: Of the release.

    Raises:
        KubernetesError: the cluster cannot be asked.
    """
    items = [
        {"apiVersion": ref["api_version"], "kind": ref["kind"], "metadata": {k: ref[k] for k in ("name", "namespace")}}
        for ref in serving
    ]
    resources = await read_resources(kubernetes, items, namespace=namespace, with_pods=False)
    return _as_json(access_of(resources))


def _as_json(found: Access) -> dict[str, Any]:
    return {**asdict(found), "port_forward": found.port_forward, "observed_at": datetime.now(UTC).isoformat()}


async def root_cause(
    releases: Releases, kubernetes: Kubernetes, name: str, namespace: str, error: helm.HelmError
) -> Diagnosis | None:
    """Return why a release did not become ready, down to the pod; None if that is not known, or not the question."""
    if not isinstance(error, _NOT_READY):
        return None
    try:
        async with asyncio.timeout(DIAGNOSIS_SECONDS):
            release = await releases.get(name, namespace=namespace)
            if isinstance(error, helm.HookFailed):
                return await hook_cause(kubernetes, release.hooks, namespace)
            objects = await asyncio.to_thread(parse_manifest, release.manifest)
            return await _clear_cause(kubernetes, objects, namespace)
    except (helm.HelmError, KubernetesError, ManifestError, TimeoutError):
        return None


async def _clear_cause(kubernetes: Kubernetes, objects: list[dict[str, Any]], namespace: str) -> Diagnosis | None:
    until = time.monotonic() + CLEAR_SECONDS
    while True:
        resources = await read_resources(kubernetes, objects, namespace=namespace)
        found = await diagnose(kubernetes, resources, namespace=namespace)
        if found is None or found.hint or time.monotonic() > until:
            return found
        await asyncio.sleep(0.5)


async def hook_cause(kubernetes: Kubernetes, hooks: Sequence[Hook], namespace: str) -> Diagnosis | None:
    """Return why a hook or test failed: the one that ran last, of those that did not succeed.

    Raises:
        KubernetesError: the cluster cannot be asked.
    """
    ran = [hook for hook in hooks if hook.phase not in ("", "Succeeded") and hook.kind in ("Job", "Pod")]
    for hook in sorted(ran, key=lambda hook: hook.started_at or datetime.min.replace(tzinfo=UTC), reverse=True):
        ref = Ref(hook.kind, namespace, hook.name, "batch/v1" if hook.kind == "Job" else "v1")
        found = await diagnose_job(kubernetes, ref)
        if found is not None:
            return found
    return None
