"""Readiness by kind, and the objects' own small readers."""

from typing import Any

import pytest

from app.gateways.kubernetes.objects import ManifestError, label_selector, parse_manifest, ref_of
from app.gateways.kubernetes.readiness import MISSING, readiness_of

APPS, NET = "apps/v1", "networking.k8s.io/v1"


def item(kind: str, status: Any = None, spec: Any = None, api: str = "v1", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "x", **metadata},
        "spec": spec or {},
        "status": status or {},
    }


def condition(type_: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message}


ROLLED = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
WAITING = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}}
STS = {"readyReplicas": 2, "currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1}
DAEMON = {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}

CASES: dict[str, tuple[Any, bool, str]] = {
    "deployment": (item("Deployment", ROLLED, {"replicas": 2}, APPS), True, ""),
    "deployment of none": (item("Deployment", {"observedGeneration": 1}, {"replicas": 0}, APPS), True, ""),
    "deployment not seen": (item("Deployment", ROLLED, {"replicas": 2}, APPS, generation=2), False, "Outdated"),
    "deployment new": (item("Deployment", {}, {"replicas": 1}, APPS), False, "Progressing"),
    "deployment rolling": (item("Deployment", ROLLED | {"replicas": 3}, {"replicas": 2}, APPS), False, "Progressing"),
    "deployment down": (
        item("Deployment", ROLLED | {"availableReplicas": 1}, {"replicas": 2}, APPS),
        False,
        "PodsNotAvailable",
    ),
    "deployment late": (
        item("Deployment", {"conditions": [condition("Progressing", "False", "ProgressDeadlineExceeded")]}, None, APPS),
        False,
        "ProgressDeadlineExceeded",
    ),
    "deployment refused": (
        item("Deployment", {"conditions": [condition("ReplicaFailure", "True", "FailedCreate")]}, None, APPS),
        False,
        "FailedCreate",
    ),
    "deployment paused": (item("Deployment", {}, {"paused": True}, APPS), True, ""),
    "goes": (item("ConfigMap", deletionTimestamp="2026-01-01T00:00:00Z"), False, "Terminating"),
    "stateful set": (item("StatefulSet", STS | {"updatedReplicas": 2}, {"replicas": 2}, APPS), True, ""),
    "stateful set rolling": (item("StatefulSet", STS, {"replicas": 2}, APPS), False, "Progressing"),
    "stateful set on delete": (
        item("StatefulSet", STS, {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, APPS),
        True,
        "",
    ),
    "stateful set partition": (
        item("StatefulSet", STS, {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}}, APPS),
        True,
        "",
    ),
    "stateful set down": (item("StatefulSet", {"readyReplicas": 1}, {"replicas": 2}, APPS), False, "PodsNotReady"),
    "daemon set": (item("DaemonSet", DAEMON, None, APPS), True, ""),
    "daemon set down": (item("DaemonSet", DAEMON | {"numberAvailable": 1}, None, APPS), False, "PodsNotAvailable"),
    "daemon set rolling": (item("DaemonSet", DAEMON | {"updatedNumberScheduled": 1}, None, APPS), False, "Progressing"),
    "daemon set new": (item("DaemonSet", {}, None, APPS), False, "Progressing"),
    "job runs": (item("Job", {"active": 1}, None, "batch/v1"), False, "Running"),
    "job done": (item("Job", {"conditions": [condition("Complete", "True")]}, None, "batch/v1"), True, ""),
    "job suspended": (item("Job", {}, {"suspend": True}, "batch/v1"), True, ""),
    "job failed": (
        item("Job", {"conditions": [condition("Failed", "True", "BackoffLimitExceeded")]}, None, "batch/v1"),
        False,
        "BackoffLimitExceeded",
    ),
    "pod ready": (item("Pod", {"phase": "Running", "conditions": [condition("Ready", "True")]}), True, ""),
    "pod done": (item("Pod", {"phase": "Succeeded"}), True, ""),
    "pod failed": (item("Pod", {"phase": "Failed", "reason": "Evicted"}), False, "Evicted"),
    "pod waits": (item("Pod", {"phase": "Pending", "containerStatuses": [WAITING]}), False, "ImagePullBackOff"),
    "pod init waits": (item("Pod", {"initContainerStatuses": [WAITING]}), False, "ImagePullBackOff"),
    "pod unschedulable": (
        item("Pod", {"conditions": [condition("PodScheduled", "False", "Unschedulable")]}),
        False,
        "Unschedulable",
    ),
    "pod starts": (item("Pod", {"phase": "Running"}), False, "PodNotReady"),
    "claim": (item("PersistentVolumeClaim", {"phase": "Bound"}), True, ""),
    "claim waits": (item("PersistentVolumeClaim", {"phase": "Pending"}), False, "ClaimPending"),
    "claim lost": (item("PersistentVolumeClaim", {"phase": "Lost"}), False, "ClaimLost"),
    "service": (item("Service", None, {"type": "ClusterIP"}), True, ""),
    "balancer waits": (item("Service", None, {"type": "LoadBalancer"}), False, "LoadBalancerPending"),
    "balancer": (
        item("Service", {"loadBalancer": {"ingress": [{"hostname": "h"}]}}, {"type": "LoadBalancer"}),
        True,
        "",
    ),
    "service of Knative": (
        item(
            "Service", {"conditions": [condition("Ready", "False", "RevisionFailed")]}, None, "serving.knative.dev/v1"
        ),
        False,
        "RevisionFailed",
    ),
    "ingress waits": (item("Ingress", None, None, NET), False, "LoadBalancerPending"),
    "autoscaler": (
        item("HorizontalPodAutoscaler", {"conditions": [condition("ScalingActive", "True")]}, None, "autoscaling/v2"),
        True,
        "",
    ),
    "autoscaler blind": (
        item(
            "HorizontalPodAutoscaler",
            {"conditions": [condition("ScalingActive", "False", "FailedGetResourceMetric")]},
            None,
            "autoscaling/v2",
        ),
        False,
        "FailedGetResourceMetric",
    ),
    "autoscaler off": (
        item(
            "HorizontalPodAutoscaler",
            {"conditions": [condition("ScalingActive", "False", "ScalingDisabled")]},
            None,
            "autoscaling/v2",
        ),
        True,
        "",
    ),
    "namespace goes": (item("Namespace", {"phase": "Terminating"}), False, "Terminating"),
    "crd": (
        item(
            "CustomResourceDefinition",
            {"conditions": [condition("Established", "True")]},
            None,
            "apiextensions.k8s.io/v1",
        ),
        True,
        "",
    ),
    "crd new": (item("CustomResourceDefinition", {}, None, "apiextensions.k8s.io/v1"), False, "NotEstablished"),
    "custom, silent": (item("Widget", {}, None, "example.com/v1"), True, ""),
    "custom, ready": (item("Widget", {"conditions": [condition("Ready", "True")]}, None, "example.com/v1"), True, ""),
    "custom, not ready": (
        item("Certificate", {"conditions": [condition("Ready", "False", "DoesNotExist")]}, None, "cert-manager.io/v1"),
        False,
        "DoesNotExist",
    ),
    "custom, stalled": (
        item("Widget", {"conditions": [condition("Stalled", "True", "NoSpace")]}, None, "example.com/v1"),
        False,
        "NoSpace",
    ),
    "custom, at work": (
        item("Widget", {"conditions": [condition("Reconciling", "True")]}, None, "example.com/v1"),
        False,
        "Reconciling",
    ),
    "nonsense": (
        {"kind": "Deployment", "apiVersion": APPS, "metadata": 3, "status": [], "spec": "x"},
        False,
        "Progressing",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_readiness(case: str) -> None:
    found, ready, reason = CASES[case]
    readiness = readiness_of(found)
    assert (readiness.ready, readiness.reason) == (ready, reason)


def test_what_is_not_there() -> None:
    assert readiness_of(None) is MISSING


def test_manifests() -> None:
    manifest = (
        "---\n# A\nkind: A\nmetadata: {name: a}\n---\n---\nkind: AList\nitems: [{kind: B, metadata: {name: b}}]\n"
    )
    assert [str(ref_of(found)) for found in parse_manifest(manifest)] == ["A/a", "B/b"]
    for wrong in ("a: [", "- a", "a: 1", "kind: 3", "kind: A\n---\n3"):
        with pytest.raises(ManifestError):
            parse_manifest(wrong)
    with pytest.raises(ManifestError, match="more than"):
        parse_manifest("kind: A\n---\n" * 6000)


def test_selectors() -> None:
    assert label_selector({"matchLabels": {"a": "b", "c": "d"}}) == "a=b,c=d"
    expressions = [
        {"key": "a", "operator": "In", "values": ["x", "y"]},
        {"key": "b", "operator": "NotIn", "values": ["z"]},
        {"key": "c", "operator": "Exists"},
        {"key": "d", "operator": "DoesNotExist"},
    ]
    assert label_selector({"matchExpressions": expressions}) == "a in (x,y),b notin (z),c,!d"
    assert label_selector({}) == ""
