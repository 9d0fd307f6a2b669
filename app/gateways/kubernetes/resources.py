"""The objects of a manifest as they are now: ready or not, and the pods of each."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.errors import KindNotAvailable
from app.gateways.kubernetes.objects import Json, Ref, entries, label_selector, mapping, metadata_of, ref_of
from app.gateways.kubernetes.readiness import Readiness, readiness_of

T = TypeVar("T")
_Group = tuple[str, str, str]
"""API version, kind, namespace."""

AT_ONCE = 10
"""Requests at once for one manifest."""
MOST_PODS = 200
"""Pods of one workload that are looked at."""

LISTED_FROM = 3
"""From how many objects of one kind and namespace on they are listed, and not asked for one by one."""
MOST_LISTED = 500
"""Of a list; what it does not hold then is asked for by itself."""

_LARGE = frozenset({"Secret", "ConfigMap"})
"""Kinds whose lists hold what others keep there, megabytes of it."""
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
    refs = [await _located(kubernetes, ref, namespace) for ref in dict.fromkeys(ref_of(item) for item in objects)]
    kinds = Counter(_group(ref) for ref in refs if isinstance(ref, Ref))

    async def several(kind: _Group) -> dict[Ref, Json]:
        async with turn:
            found = await kubernetes.list(kind[0], kind[1], namespace=kind[2], limit=MOST_LISTED)
        return {ref_of(item): item for item in found}

    many = [kind for kind, count in kinds.items() if count >= LISTED_FROM and kind[2] and kind[1] not in _LARGE]
    listed = dict(zip(many, await together(several(kind) for kind in many), strict=True))

    async def read(ref: Ref | Resource) -> Resource:
        if isinstance(ref, Resource):
            return ref
        async with turn:
            known = listed.get(_group(ref))
            if known is not None and (ref in known or len(known) < MOST_LISTED):
                item = known.get(ref)
            else:
                item = await kubernetes.get(ref)
            return await _with_pods(kubernetes, ref, item) if with_pods else _resource(ref, item)

    return await together(read(ref) for ref in refs)


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


def _group(ref: Ref) -> _Group:
    return ref.api_version, ref.kind, ref.namespace


async def _located(kubernetes: Kubernetes, ref: Ref, namespace: str) -> Ref | Resource:
    """Return where an object is; one whose kind the cluster does not have is not there, and that is all of it."""
    try:
        return ref.within(namespace) if await kubernetes.is_namespaced(ref) else ref
    except KindNotAvailable as error:
        return Resource(ref, Readiness(ready=False, reason="KindNotAvailable", message=error.message))


async def _with_pods(kubernetes: Kubernetes, ref: Ref, item: Json | None) -> Resource:
    pods: list[dict[str, Any]] = []
    if item is not None and ref.kind in _WORKLOADS:
        pods = await pods_of(kubernetes, item)
    elif item is not None and ref.kind == "Pod":
        pods = [dict(item)]
    return _resource(ref, item, pods)


def _resource(ref: Ref, item: Json | None, pods: Sequence[Json] = ()) -> Resource:
    if item is not None and ref.kind == "Secret" and ref.api_version == "v1":
        item = {key: value for key, value in item.items() if key not in ("data", "stringData")}
    return Resource(ref, readiness_of(item), item, tuple(pods))
