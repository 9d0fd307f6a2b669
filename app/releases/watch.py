"""Tells which objects of a release become ready while helm waits: helm itself only says when all of them are."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from app.gateways.helm.errors import HelmError
from app.gateways.helm.progress import Progress
from app.gateways.helm.release import PENDING, Release
from app.gateways.helm.repair import decode_record
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.errors import KubernetesError
from app.gateways.kubernetes.objects import Json, ManifestError, mapping, parse_manifest, ref_of
from app.gateways.kubernetes.resources import Resource, read_resources
from app.releases.activity import Tell

WATCH_SECONDS = 1.5
"""How often what is not ready yet is looked at."""

_SLOW = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job", "Pod", "PersistentVolumeClaim"})
"""What takes its time; the rest is ready as soon as it is there."""


async def watched(work: Awaitable[Release], kubernetes: Kubernetes, name: str, namespace: str, tell: Tell) -> Release:
    """Await helm's work on a release, and tell meanwhile which of its objects are ready.

    Args:
        work: What helm does.
        kubernetes: The cluster.
        name: Of the release.
        namespace: Of the release.
        tell: Hears of each object, as often as it has something new.

    Raises:
        Exception: what the work raises.
    """
    watching = asyncio.create_task(_watch(kubernetes, name, namespace, tell), name="release-watch")
    try:
        release = await work
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    for item in await _slow(release.manifest):  # whatever became ready since the last look
        ref = ref_of(item).within(namespace)
        tell(Progress("ready", ref.kind, ref.namespace, ref.name))
    return release


async def _watch(kubernetes: Kubernetes, name: str, namespace: str, tell: Tell) -> None:
    waiting: list[Json] | None = None
    while waiting is None or waiting:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            if waiting is None:
                waiting = await _objects(kubernetes, name, namespace)
            else:
                found = await read_resources(kubernetes, waiting, namespace=namespace, with_pods=False)
                _tell(found, tell)
                ready = {resource.ref for resource in found if resource.readiness.ready}
                waiting = [item for item in waiting if ref_of(item).within(namespace) not in ready]
        except (KubernetesError, HelmError):
            continue  # helm says what is wrong, if it lasts


async def _objects(kubernetes: Kubernetes, name: str, namespace: str) -> list[Json] | None:
    """Return the objects that helm waits for; None while it has not written them down yet."""
    labels = f"owner=helm,name={name},status in ({','.join(sorted(PENDING))})"
    for secret in await kubernetes.list("v1", "Secret", namespace=namespace, labels=labels, limit=1):
        record: dict[str, Any] = await asyncio.to_thread(
            decode_record, str(mapping(secret.get("data")).get("release") or "")
        )
        return await _slow(str(record.get("manifest") or ""))
    return None


async def _slow(manifest: str) -> list[Json]:
    try:
        objects = await asyncio.to_thread(parse_manifest, manifest)
    except ManifestError:
        return []
    return [item for item in objects if item.get("kind") in _SLOW]


def _tell(found: list[Resource], tell: Tell) -> None:
    for resource in found:
        ref, readiness = resource.ref, resource.readiness
        status = "" if readiness.ready else f"{readiness.reason}: {readiness.message}".removesuffix(": ")
        tell(Progress("ready" if readiness.ready else "waiting", ref.kind, ref.namespace, ref.name, status))
