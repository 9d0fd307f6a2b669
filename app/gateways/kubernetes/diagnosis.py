"""Why something isn't ready: from the resource down to the pod's container and what Kubernetes last said of it.

`diagnose` asks the cluster for events and claims; `root_cause` reads what is known and is pure.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.failure import Cause, Failure
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.hints import advise
from app.gateways.kubernetes.objects import (
    Json,
    Ref,
    condition,
    elements,
    entries,
    mapping,
    metadata_of,
    number,
    ref_of,
    time_of,
)
from app.gateways.kubernetes.readiness import readiness_of
from app.gateways.kubernetes.resources import Resource, not_ready, pods_of, read_resources

MOST_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a resource isn't ready.

    Attributes:
        resource: The resource of the manifest.
        culprit: What is at fault: a pod, a claim, or the resource itself.
        container: Of the pod, if one of them is at fault; "".
        reason: Kubernetes' reason (`ImagePullBackOff`, `Unschedulable`, `FailedCreate`, …).
        message: What Kubernetes says, the last event's words if they say more.
    """

    resource: Ref
    culprit: Ref
    container: str
    reason: str
    message: str

    @property
    def code(self) -> str:
        """Stable failure code of ours."""
        advice = advise(self.reason, self.message)
        return advice.code if advice else "resource_not_ready"

    @property
    def hint(self) -> str | None:
        """What to do about it, if that is known."""
        advice = advise(self.reason, self.message)
        return advice.hint if advice else None

    @property
    def cause(self) -> Cause:
        """The form that an operation's error has."""
        inside = f", container {self.container}" if self.container else ""
        of = f" of {self.resource}" if self.culprit != self.resource else ""
        return Cause(
            resource=f"{self.culprit}{inside}{of}",
            type=self.culprit.kind,
            message=f"{self.reason}: {self.message}" if self.message else self.reason,
        )

    def as_failure(self) -> Failure:
        """Return the failure of an operation that waited for the resource."""
        cause = self.cause
        return Failure(
            code=self.code,
            message=f"{self.resource} did not become ready: {cause.message}",
            hint=self.hint,
            cause=cause,
        )


async def diagnose(kubernetes: Kubernetes, resources: Iterable[Resource], *, namespace: str) -> Diagnosis | None:
    """Return why the first resource isn't ready; None if all are, or nothing tells.

    Args:
        kubernetes: The cluster.
        resources: As `read_resources` gave them, with pods.
        namespace: Of the release.

    Raises:
        KubernetesError: As every call.
    """
    waiting = not_ready(resources)
    if not waiting:
        return None
    namespaces = dict.fromkeys(resource.ref.namespace or namespace for resource in waiting)
    events: list[Json] = []
    claims: list[Json] = []
    for name in namespaces:
        events += await kubernetes.list("v1", "Event", namespace=name, limit=MOST_EVENTS)
        claims += await kubernetes.list("v1", "PersistentVolumeClaim", namespace=name, limit=MOST_EVENTS)
    return root_cause(waiting, events, claims)


async def diagnose_job(kubernetes: Kubernetes, ref: Ref) -> Diagnosis | None:
    """Return why a hook or test (a Job or Pod that isn't of the manifest) failed; None if it is gone or nothing tells.

    Args:
        kubernetes: The cluster.
        ref: Which.

    Raises:
        KubernetesError: As every call.
    """
    item = await kubernetes.get(ref)
    if item is None:
        return None
    pods = [item] if ref.kind == "Pod" else await pods_of(kubernetes, item)
    resource = Resource(ref, readiness_of(item), item, tuple(pods))
    return await diagnose(kubernetes, [resource], namespace=ref.namespace)


async def diagnose_removal(kubernetes: Kubernetes, objects: Sequence[Json], *, namespace: str) -> Diagnosis | None:
    """Return which of some objects that are being deleted is still there, and for what it waits; None if none is.

    Args:
        kubernetes: The cluster.
        objects: Of the manifest (`parse_manifest`).
        namespace: Of the release, for those that name none.

    Raises:
        KubernetesError: As every call.
    """
    for resource in await read_resources(kubernetes, objects, namespace=namespace, with_pods=False):
        metadata = metadata_of(resource.item or {})
        if metadata.get("deletionTimestamp"):
            waits = ", ".join(map(str, elements(metadata.get("finalizers"))))
            message = f"it is deleted but not gone{f'; its finalizers: {waits}' if waits else ''}"
            return Diagnosis(resource.ref, resource.ref, "", "Terminating", message)
    return None


def root_cause(
    resources: Iterable[Resource], events: Sequence[Json] = (), claims: Sequence[Json] = ()
) -> Diagnosis | None:
    """Return why the first resource isn't ready, workloads before what merely follows from them.

    Args:
        resources: With their pods.
        events: Of their namespaces, in any order.
        claims: PersistentVolumeClaims of their namespaces.
    """
    known = _Known(events, claims)
    ranked = sorted(not_ready(resources), key=lambda resource: _RANK.get(resource.ref.kind, 1))
    found = [diagnosis for resource in ranked if (diagnosis := known.explain(resource))]
    # One that the table of hints knows tells more than one that only says "not ready".
    return next((diagnosis for diagnosis in found if diagnosis.hint), found[0] if found else None)


_RANK = {
    "PersistentVolumeClaim": 2,
    "Service": 3,
    "Ingress": 4,
    "HorizontalPodAutoscaler": 5,
    "Deployment": 0, "StatefulSet": 0, "DaemonSet": 0, "ReplicaSet": 0, "Job": 0, "Pod": 0,
}  # fmt: skip
"""What fails by itself stands before what waits for others."""

_PASSING = frozenset({"ContainerCreating", "PodInitializing", ""})
_BACKING_OFF = frozenset({"CrashLoopBackOff", "ImagePullBackOff"})
_TELLING = frozenset(
    {"Failed", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "Unhealthy", "FailedScheduling"}
    | {"FailedCreate", "BackOff", "ProvisioningFailed", "ExternalProvisioning", "WaitForFirstConsumer"}
    | {"FailedBinding", "SyncLoadBalancerFailed", "FailedDeployModel", "FailedBuildModel", "WaitForPodScheduled"}
)

Why = tuple[Ref, str, str, str]
"""Culprit, container, reason, message."""


class _Known:
    """What the cluster has said, by object."""

    def __init__(self, events: Sequence[Json], claims: Sequence[Json]) -> None:
        self._events: dict[tuple[str, str, str], list[Json]] = {}
        for event in sorted(events, key=_when):
            about = mapping(event.get("involvedObject"))
            key = str(about.get("kind")), str(about.get("namespace") or ""), str(about.get("name"))
            self._events.setdefault(key, []).append(event)
        self._claims = {(ref.namespace, ref.name): claim for claim in claims if (ref := ref_of(claim))}

    def explain(self, resource: Resource) -> Diagnosis | None:
        why = next(self._reasons(resource), None)
        return Diagnosis(resource.ref, *why) if why else None

    def _reasons(self, resource: Resource) -> Iterator[Why]:
        """Every reason that is known, the most telling first."""
        ref, readiness = resource.ref, resource.readiness
        pods = [pod for pod in resource.pods if not readiness_of(pod).ready]
        for look in (self._crash, self._waiting, self._unscheduled, self._pod_event):
            for pod in pods:
                if why := look(pod):
                    yield why
        if why := self._not_created(resource):
            yield why
        if ref.kind == "PersistentVolumeClaim" and (why := self._claim(ref)):
            yield why
        if ref.kind == "Pod" and resource.item is not None and (why := self._terminated(resource.item)):
            yield why
        if (event := self._last(ref)) and not readiness.failed:
            yield ref, "", str(event.get("reason")), str(event.get("message"))
        yield ref, "", readiness.reason, readiness.message

    def _crash(self, pod: Json) -> Why | None:
        """A container that ended, for which the reason of its end says more than that it is started again and again."""
        for container in _containers(pod):
            state, last = mapping(container.get("state")), mapping(container.get("lastState"))
            ended = mapping(state.get("terminated")) or mapping(last.get("terminated"))
            waiting = mapping(state.get("waiting"))
            if not ended or (number(ended.get("exitCode")) == 0 and not waiting):
                continue
            reason = str(ended.get("reason") or "Error")
            name = str(container.get("name"))
            if reason not in ("Error", "Completed"):
                return ref_of(pod), name, reason, _ending(ended)
            if waiting.get("reason") == "CrashLoopBackOff" or state.get("terminated"):
                return ref_of(pod), name, str(waiting.get("reason") or reason), _ending(ended)
        return None

    def _terminated(self, pod: Json) -> Why | None:
        status = mapping(pod.get("status"))
        if status.get("phase") != "Failed":
            return None
        return ref_of(pod), "", str(status.get("reason") or "Failed"), str(status.get("message") or "the pod failed")

    def _waiting(self, pod: Json) -> Why | None:
        for container in _containers(pod):
            waiting = mapping(mapping(container.get("state")).get("waiting"))
            reason = str(waiting.get("reason") or "")
            if reason in _PASSING:
                continue
            message = str(waiting.get("message") or "")
            if reason in _BACKING_OFF and (said := self._image_error(ref_of(pod))):
                message = said
            return ref_of(pod), str(container.get("name")), reason, message
        return None

    def _unscheduled(self, pod: Json) -> Why | None:
        scheduled = condition(pod, "PodScheduled") or {}
        if scheduled.get("status") != "False":
            return None
        message = str(scheduled.get("message") or "")
        if "PersistentVolumeClaim" in message or "persistentvolumeclaim" in message:
            for claim in _claim_names(pod):
                if why := self._claim(Ref("PersistentVolumeClaim", ref_of(pod).namespace, claim)):
                    return why
        return ref_of(pod), "", str(scheduled.get("reason") or "Unschedulable"), message

    def _pod_event(self, pod: Json) -> Why | None:
        event = self._last(ref_of(pod))
        return (ref_of(pod), "", str(event.get("reason")), str(event.get("message"))) if event else None

    def _not_created(self, resource: Resource) -> Why | None:
        """Pods that the API server refuses: a condition of Deployments and ReplicaSets, an event of the others."""
        item = resource.item or {}
        failure = condition(item, "ReplicaFailure") or {}
        if failure.get("status") == "True":
            reason = str(failure.get("reason") or "FailedCreate")
            return resource.ref, "", reason, str(failure.get("message") or "")
        event = self._last(resource.ref, lambda reason: reason == "FailedCreate")
        return (resource.ref, "", "FailedCreate", str(event.get("message"))) if event else None

    def _claim(self, ref: Ref) -> Why | None:
        claim = self._claims.get((ref.namespace, ref.name))
        if claim is not None and readiness_of(claim).ready:
            return None
        event = self._last(ref)
        if event:
            return ref, "", str(event.get("reason")), str(event.get("message"))
        if claim is None:
            return ref, "", "NotFound", f'persistentvolumeclaim "{ref.name}" not found'
        return None

    def _image_error(self, ref: Ref) -> str:
        """The event has the registry's answer; the container's state only says that it is tried again."""
        for event in reversed(self._events.get((ref.kind, ref.namespace, ref.name), [])):
            message = str(event.get("message"))
            if event.get("reason") == "Failed" and message.startswith("Failed to pull image"):
                return message
        return ""

    def _last(self, ref: Ref, wanted: Callable[[str], bool] = _TELLING.__contains__) -> Json | None:
        events = self._events.get((ref.kind, ref.namespace, ref.name), [])
        return next((event for event in reversed(events) if wanted(str(event.get("reason")))), None)


def _containers(pod: Json) -> list[Json]:
    status = mapping(pod.get("status"))
    return [*entries(status.get("initContainerStatuses")), *entries(status.get("containerStatuses"))]


def _ending(ended: Json) -> str:
    message = str(ended.get("message") or "").strip()
    return f"the container ended with exit code {number(ended.get('exitCode'), -1)}" + (
        f": {message}" if message else ""
    )


def _claim_names(pod: Json) -> list[str]:
    volumes = entries(mapping(pod.get("spec")).get("volumes"))
    claims = (mapping(volume.get("persistentVolumeClaim")).get("claimName") for volume in volumes)
    return [str(name) for name in claims if name]


def _when(event: Json) -> datetime:
    series = mapping(event.get("series")).get("lastObservedTime")
    seen = series or event.get("lastTimestamp") or event.get("eventTime")
    return time_of(seen or metadata_of(event).get("creationTimestamp"))
