"""The objects of a manifest as they are now: ready or not, and the pods of each."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.errors import KindNotAvailable
from app.gateways.kubernetes.objects import Json, Ref, entries, label_selector, mapping, metadata_of, ref_of
from app.gateways.kubernetes.readiness import Readiness, readiness_of

T = TypeVar("T")

AT_ONCE = 10
"""Requests at once for one manifest."""
MOST_PODS = 200
"""Pods of one workload that are looked at."""

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"})


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod in short.

    Attributes:
        name: Of the pod.
        ready: Whether it is.
        phase: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
        reason: Why it isn't ready; "".
        message: A sentence on that; "".
        node: Where it runs; "" while it is not scheduled.
        restarts: Of its containers, together.
    """

    name: str
    ready: bool
    phase: str
    reason: str = ""
    message: str = ""
    node: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Resource:
    """An object of a manifest, as it is now.

    Attributes:
        ref: Which.
        readiness: Whether it is ready.
        item: The object itself, None if it isn't there. Secrets come without their data.
        pods: Its pods as objects, newest first, if it is a workload.
    """

    ref: Ref
    readiness: Readiness
    item: Json | None = field(default=None, repr=False)
    pods: tuple[Json, ...] = field(default=(), repr=False)

    @property
    def pod_states(self) -> tuple[PodState, ...]:
        """The pods in short."""
        return tuple(pod_state(pod) for pod in self.pods)


async def read_resources(
    kubernetes: Kubernetes, objects: Sequence[Json], *, namespace: str, with_pods: bool = True
) -> list[Resource]:
    """Return the objects of a manifest as they are now, in its order.

    Args:
        kubernetes: The cluster.
        objects: Of the manifest (`parse_manifest`).
        namespace: Of the release, for those that name none.
        with_pods: Whether the pods of workloads are read too.

    Raises:
        KubernetesError: As every call.
    """
    turn = asyncio.Semaphore(AT_ONCE)

    async def read(ref: Ref) -> Resource:
        async with turn:
            return await _read(kubernetes, ref, namespace, with_pods)

    return await together(read(ref) for ref in dict.fromkeys(ref_of(item) for item in objects))


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await everything at once, and return what came of it, in order.

    Raises:
        Exception: The first one, as itself (a TaskGroup makes a group of it); the others are cancelled.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def pods_of(kubernetes: Kubernetes, workload: Json) -> list[dict[str, Any]]:
    """Return a workload's pods, newest first; those that it does not own are left out.

    Args:
        kubernetes: The cluster.
        workload: A Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController or Job.

    Raises:
        KubernetesError: As every call.
    """
    spec = mapping(workload.get("spec"))
    selector = mapping(spec.get("selector"))
    if workload.get("kind") == "ReplicationController":
        selector = {"matchLabels": selector}
    if not (labels := label_selector(selector)):
        return []
    namespace = str(metadata_of(workload).get("namespace") or "")
    pods = await kubernetes.list("v1", "Pod", namespace=namespace, labels=labels, limit=MOST_PODS)
    return sorted(pods, key=lambda pod: str(metadata_of(pod).get("creationTimestamp")), reverse=True)


def pod_state(pod: Json) -> PodState:
    """Return a pod in short."""
    status, readiness = mapping(pod.get("status")), readiness_of(pod)
    restarts = (container.get("restartCount") for container in entries(status.get("containerStatuses")))
    return PodState(
        name=str(metadata_of(pod).get("name", "")),
        ready=readiness.ready,
        phase=str(status.get("phase") or "Pending"),
        reason=readiness.reason,
        message=readiness.message,
        node=str(mapping(pod.get("spec")).get("nodeName") or ""),
        restarts=sum(count for count in restarts if isinstance(count, int)),
    )


def not_ready(resources: Iterable[Resource]) -> list[Resource]:
    """Return what isn't ready, in order."""
    return [resource for resource in resources if not resource.readiness.ready]


async def _read(kubernetes: Kubernetes, ref: Ref, namespace: str, with_pods: bool) -> Resource:
    try:
        ref = ref.within(namespace) if await kubernetes.is_namespaced(ref) else ref
    except KindNotAvailable as error:
        return Resource(ref, Readiness(ready=False, reason="KindNotAvailable", message=error.message))
    item = await kubernetes.get(ref)
    if item is not None and ref.kind == "Secret" and ref.api_version == "v1":
        item = {key: value for key, value in item.items() if key not in ("data", "stringData")}
    pods: list[dict[str, Any]] = []
    if with_pods and item is not None and ref.kind in _WORKLOADS:
        pods = await pods_of(kubernetes, item)
    elif with_pods and item is not None and ref.kind == "Pod":
        pods = [item]
    return Resource(ref, readiness_of(item), item, tuple(pods))
