"""Whether an object is ready, read from its status as kstatus does, with the reason if it isn't. Pure.

Rules: sigs.k8s.io/cli-utils `pkg/kstatus/status`. Different from it on purpose: a Job is ready once it has completed,
and an Ingress or a Service of type LoadBalancer once it has an address, since that is what users wait for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.gateways.kubernetes.objects import Json, condition, entries, mapping, metadata_of, number


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether an object is ready.

    Attributes:
        ready: Whether it is.
        reason: CamelCase, as in conditions; "" when ready.
        message: A sentence; "" when ready and there is nothing to say.
        failed: Whether it will not become ready by itself.
    """

    ready: bool
    reason: str = ""
    message: str = ""
    failed: bool = False


READY = Readiness(ready=True)
MISSING = Readiness(ready=False, reason="NotFound", message="the object isn't there")


def readiness_of(item: Json | None) -> Readiness:
    """Return whether an object is ready; None for one that isn't there."""
    if item is None:
        return MISSING
    metadata, status = metadata_of(item), mapping(item.get("status"))
    if metadata.get("deletionTimestamp"):
        return _not("Terminating", "the object is being deleted")
    observed = status.get("observedGeneration")
    if isinstance(observed, int) and observed < number(metadata.get("generation")):
        return _not("Outdated", "its controller hasn't seen the newest version yet")
    group = str(item.get("apiVersion", "")).rpartition("/")[0]
    rule = _RULES.get(str(item.get("kind")), _by_conditions) if group in _GROUPS else _by_conditions
    return rule(item, mapping(item.get("spec")), status)


def _not(reason: str, message: str, *, failed: bool = False) -> Readiness:
    return Readiness(ready=False, reason=reason, message=message, failed=failed)


def _deployment(item: Json, spec: Json, status: Json) -> Readiness:
    wanted = number(spec.get("replicas"), 1)
    progressing = condition(item, "Progressing") or {}
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return _not("ProgressDeadlineExceeded", str(progressing.get("message", "")), failed=True)
    failure = condition(item, "ReplicaFailure") or {}
    if failure.get("status") == "True":
        return _not(str(failure.get("reason") or "ReplicaFailure"), str(failure.get("message", "")))
    if spec.get("paused"):
        return READY
    updated, available = number(status.get("updatedReplicas")), number(status.get("availableReplicas"))
    if "observedGeneration" not in status or updated < wanted:
        return _not("Progressing", f"{updated} of {wanted} pods are of the newest version")
    if number(status.get("replicas")) > updated:
        return _not("Progressing", f"{number(status.get('replicas')) - updated} old pods are still there")
    return _count("PodsNotAvailable", available, wanted)


def _stateful_set(item: Json, spec: Json, status: Json) -> Readiness:
    strategy = mapping(spec.get("updateStrategy"))
    wanted = number(spec.get("replicas"), 1)
    ready = number(status.get("readyReplicas"))
    if ready < wanted:
        return _count("PodsNotReady", ready, wanted)
    if strategy.get("type") == "OnDelete":
        return READY
    to_update = wanted - number(mapping(strategy.get("rollingUpdate")).get("partition"))
    updated = number(status.get("updatedReplicas"))
    if status.get("currentRevision") != status.get("updateRevision") and updated < to_update:
        return _not("Progressing", f"{updated} of {to_update} pods are of the newest version")
    return READY


def _daemon_set(item: Json, spec: Json, status: Json) -> Readiness:
    if "observedGeneration" not in status:
        return _not("Progressing", "its controller hasn't seen it yet")
    wanted = number(status.get("desiredNumberScheduled"))
    updated = number(status.get("updatedNumberScheduled"))
    if mapping(spec.get("updateStrategy")).get("type") != "OnDelete" and updated < wanted:
        return _not("Progressing", f"{updated} of {wanted} pods are of the newest version")
    return _count("PodsNotAvailable", number(status.get("numberAvailable")), wanted)


def _replica_set(item: Json, spec: Json, status: Json) -> Readiness:
    failure = condition(item, "ReplicaFailure") or {}
    if failure.get("status") == "True":
        return _not(str(failure.get("reason") or "ReplicaFailure"), str(failure.get("message", "")))
    return _count("PodsNotReady", number(status.get("readyReplicas")), number(spec.get("replicas"), 1))


def _job(item: Json, spec: Json, status: Json) -> Readiness:
    failed = condition(item, "Failed") or condition(item, "FailureTarget") or {}
    if failed.get("status") == "True":
        return _not(str(failed.get("reason") or "JobFailed"), str(failed.get("message", "")), failed=True)
    if (condition(item, "Complete") or {}).get("status") == "True" or spec.get("suspend"):
        return READY
    done, wanted = number(status.get("succeeded")), number(spec.get("completions"), 1)
    return _not("Running", f"{done} of {wanted} pods have completed")


def _pod(item: Json, spec: Json, status: Json) -> Readiness:
    phase = str(status.get("phase") or "Pending")
    if phase == "Succeeded":
        return READY
    if phase == "Failed":
        return _not(
            str(status.get("reason") or "PodFailed"), str(status.get("message") or "the pod failed"), failed=True
        )
    if (condition(item, "Ready") or {}).get("status") == "True":
        return READY
    for container in [*entries(status.get("initContainerStatuses")), *entries(status.get("containerStatuses"))]:
        waiting = mapping(mapping(container.get("state")).get("waiting"))
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return _not(str(waiting["reason"]), str(waiting.get("message") or ""))
    scheduled = condition(item, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        return _not(str(scheduled.get("reason") or "Unschedulable"), str(scheduled.get("message") or ""))
    return _not("PodNotReady", str((condition(item, "Ready") or {}).get("message") or f"the pod is {phase}"))


def _claim(item: Json, spec: Json, status: Json) -> Readiness:
    phase = status.get("phase") or "Pending"
    if phase == "Bound":
        return READY
    return _not(f"Claim{phase}", f"the claim is {phase}", failed=phase == "Lost")


def _service(item: Json, spec: Json, status: Json) -> Readiness:
    if spec.get("type") != "LoadBalancer" or spec.get("externalIPs"):
        return READY
    return _addressed(status)


def _ingress(item: Json, spec: Json, status: Json) -> Readiness:
    return _addressed(status)


def _addressed(status: Json) -> Readiness:
    if entries(mapping(status.get("loadBalancer")).get("ingress")):
        return READY
    return _not("LoadBalancerPending", "there is no address yet")


def _autoscaler(item: Json, spec: Json, status: Json) -> Readiness:
    for type_ in ("AbleToScale", "ScalingActive"):
        found = condition(item, type_) or {}
        if found.get("status") == "False" and found.get("reason") != "ScalingDisabled":
            return _not(str(found.get("reason") or type_), str(found.get("message") or ""))
    return READY


def _namespace(item: Json, spec: Json, status: Json) -> Readiness:
    return READY if status.get("phase") in (None, "Active") else _not("Terminating", "the namespace is being deleted")


def _needs(type_: str) -> Callable[[Json, Json, Json], Readiness]:
    def rule(item: Json, spec: Json, status: Json) -> Readiness:
        found = condition(item, type_) or {}
        if found.get("status") == "True":
            return READY
        return _not(str(found.get("reason") or f"Not{type_}"), str(found.get("message") or f"not {type_.lower()} yet"))

    return rule


def _by_conditions(item: Json, spec: Json, status: Json) -> Readiness:
    """Custom resources, by the conditions that kstatus and most controllers agree on; without any it is ready."""
    stalled = condition(item, "Stalled") or {}
    if stalled.get("status") == "True":
        return _not(str(stalled.get("reason") or "Stalled"), str(stalled.get("message") or ""), failed=True)
    reconciling = condition(item, "Reconciling") or {}
    if reconciling.get("status") == "True":
        return _not(str(reconciling.get("reason") or "Reconciling"), str(reconciling.get("message") or ""))
    for type_ in ("Ready", "Available"):
        found = condition(item, type_)
        if found is not None and found.get("status") != "True":
            return _not(str(found.get("reason") or f"Not{type_}"), str(found.get("message") or ""))
    return READY


def _count(reason: str, have: int, wanted: int) -> Readiness:
    return READY if have >= wanted else _not(reason, f"{have} of {wanted} pods are ready")


_RULES: Mapping[str, Callable[[Json, Json, Json], Readiness]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "ReplicaSet": _replica_set,
    "ReplicationController": _replica_set,
    "Job": _job,
    "CronJob": lambda *_: READY,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
    "Service": _service,
    "Ingress": _ingress,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": lambda *_: READY,
    "Namespace": _namespace,
    "CustomResourceDefinition": _needs("Established"),
    "APIService": _needs("Available"),
}
_GROUPS = frozenset(
    {"", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "apiextensions.k8s.io"}
    | {"apiregistration.k8s.io"}
)
"""Kubernetes' own; Knative has a Service too."""
