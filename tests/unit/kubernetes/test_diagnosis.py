"""Root causes and access, from objects as a cluster gives them."""

from typing import Any

from app.core.secrets import REDACTED
from app.gateways.kubernetes.access import Access, access_of
from app.gateways.kubernetes.diagnosis import Diagnosis, root_cause
from app.gateways.kubernetes.diff import FieldChange, field_changes
from app.gateways.kubernetes.objects import ref_of
from app.gateways.kubernetes.readiness import readiness_of
from app.gateways.kubernetes.resources import Resource

Json = dict[str, Any]


def thing(kind: str, name: str, status: Any = None, spec: Any = None, api: str = "v1") -> Json:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec or {}, "status": status or {}}


def pod(name: str = "web-1", *, spec: Any = None, **status: Any) -> Json:
    return thing("Pod", name, {"phase": "Pending", **status}, spec)


def waiting(reason: str, message: str = "", **more: Any) -> Json:
    return {"name": "web", "state": {"waiting": {"reason": reason, "message": message}}, **more}


def event(kind: str, name: str, reason: str, message: str, at: str = "2026-01-01T00:00:00Z") -> Json:
    return {
        "involvedObject": {"kind": kind, "namespace": "shop", "name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
    }


def resource(item: Json, *pods: Json) -> Resource:
    return Resource(ref_of(item), readiness_of(item), item, pods)


def deployment(*pods: Json, **status: Any) -> Resource:
    return resource(thing("Deployment", "web", status, None, "apps/v1"), *pods)


def cause(*resources: Resource, events: Any = (), claims: Any = ()) -> Diagnosis:
    found = root_cause(resources, events, claims)
    assert found is not None
    return found


def test_memory_counts_more_than_the_restarts_that_follow() -> None:
    killed = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    found = cause(deployment(pod(containerStatuses=[waiting("CrashLoopBackOff", "back-off 5m0s", lastState=killed)])))
    assert (found.code, found.reason, found.container) == ("out_of_memory", "OOMKilled", "web")
    assert str(found.cause.resource) == "Pod/web-1, container web of Deployment/web"


def test_a_crash_says_how_it_ended() -> None:
    ended = {"terminated": {"reason": "Error", "exitCode": 2, "message": "no database\n"}}
    found = cause(deployment(pod(containerStatuses=[waiting("CrashLoopBackOff", "back-off", lastState=ended)])))
    assert (found.code, found.message) == ("container_crashes", "the container ended with exit code 2: no database")


def test_the_registrys_answer_is_in_the_event() -> None:
    said = 'Failed to pull image "x": failed to resolve reference "x": pull access denied, authorization failed'
    events = [event("Pod", "web-1", "Failed", said), event("Pod", "web-1", "Failed", "Error: ImagePullBackOff")]
    status = [waiting("ImagePullBackOff", 'Back-off pulling image "x"')]
    found = cause(deployment(pod(containerStatuses=status)), events=events)
    assert (found.code, found.message) == ("image_denied", said)


def test_a_pod_that_mounts_what_is_not_there() -> None:
    said = 'MountVolume.SetUp failed for volume "c" : configmap "settings" not found'
    events = [event("Pod", "web-1", "FailedMount", said), event("Pod", "web-1", "Scheduled", "assigned")]
    found = cause(deployment(pod(containerStatuses=[waiting("ContainerCreating")])), events=events)
    assert (found.code, found.reason) == ("config_missing", "FailedMount")


def test_the_newest_event_counts() -> None:
    events = [
        event("Pod", "web-1", "Unhealthy", "new", "2026-01-02T00:00:00Z"),
        event("Pod", "web-1", "FailedMount", "old", "2026-01-01T00:00:00Z"),
    ]
    assert cause(deployment(pod(phase="Running")), events=events).message == "new"


def test_the_claim_behind_a_pod_that_is_not_scheduled() -> None:
    volumes = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}
    message = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    scheduled = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    item = pod(spec=volumes, conditions=scheduled)
    claim = thing("PersistentVolumeClaim", "data", {"phase": "Pending"})
    said = "no persistent volumes available for this claim and no storage class is set"
    events = [event("PersistentVolumeClaim", "data", "FailedBinding", said)]
    assert cause(deployment(item), events=events, claims=[claim]).code == "storage_class_missing"
    assert cause(deployment(item), claims=[claim]).code == "volume_claim_pending"
    missing = cause(deployment(item))
    assert (str(missing.culprit), missing.code) == ("PersistentVolumeClaim/data", "volume_claim_pending")


def test_pods_that_are_refused() -> None:
    said = 'pods "web-" is forbidden: exceeded quota: slipway, requested: pods=1'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}
    assert cause(deployment(conditions=[failure])).code == "namespace_quota_exceeded"
    stateful = resource(thing("StatefulSet", "db", {}, None, "apps/v1"))
    events = [event("StatefulSet", "db", "FailedCreate", said)]
    assert cause(stateful, events=events).code == "namespace_quota_exceeded"


def test_workloads_stand_before_what_waits_for_them() -> None:
    ingress = resource(thing("Ingress", "shop", None, None, "networking.k8s.io/v1"))
    broken = deployment(pod(containerStatuses=[waiting("InvalidImageName")]))
    assert str(cause(ingress, broken).resource) == "Deployment/web"
    assert cause(ingress).code == "load_balancer_pending"


def test_a_job_that_failed() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "limit"}
    job = resource(thing("Job", "migrate", {"conditions": [failed]}, None, "batch/v1"))
    assert cause(job).code == "job_failed"
    ended = {"name": "m", "state": {"terminated": {"reason": "Error", "exitCode": 3}}}
    with_pod = cause(resource(dict(job.item or {}), pod("migrate-1", phase="Failed", containerStatuses=[ended])))
    assert (with_pod.code, with_pod.message) == ("container_crashes", "the container ended with exit code 3")


def test_nothing_is_wrong() -> None:
    assert root_cause([]) is None
    assert root_cause([resource(thing("ConfigMap", "c"))]) is None


def test_what_nobody_knows_is_still_said() -> None:
    failure = cause(deployment()).as_failure()
    assert (failure.code, failure.hint) == ("resource_not_ready", None)
    assert failure.message.startswith("Deployment/web did not become ready: Progressing: ")


def test_access() -> None:
    service = {"type": "ClusterIP", "selector": {"a": "b"}, "ports": [{"port": 80}]}
    external = {"type": "ExternalName", "externalName": "db.example.com"}
    balancer = {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}
    backend = {"backend": {"service": {"name": "front-end"}}, "path": "/x"}
    rules = [{"http": {"paths": [backend]}}, {"host": "a.example.com", "http": {"paths": [backend]}}]
    ingress = thing(
        "Ingress", "shop", balancer, {"rules": rules, "tls": [{"hosts": ["a.example.com"]}]}, "networking.k8s.io/v1"
    )
    access = access_of(
        map(resource, [thing("Service", "carts", None, service), thing("Service", "front-end", None, service),
                       thing("Service", "db", None, external), ingress])
    )  # fmt: skip
    assert [found.name for found in access.services] == ["front-end", "carts", "db"]
    assert access.port_forward == "kubectl --namespace shop port-forward service/front-end 8080:80"
    assert access.services[2].cluster_host == "db.example.com"
    assert access.services[2].port_forward == ""
    assert access.ingresses[0].urls == ("http://lb.example.com/x", "https://a.example.com/x")
    assert access.ingresses[0].services == ("front-end",)
    assert access_of([]) == Access()


def test_fields_that_differ() -> None:
    before = thing(
        "Deployment", "web", {"replicas": 1}, {"replicas": 1, "list": [1, 2], "a/b": 1, "gone": 1}, "apps/v1"
    )
    after = thing("Deployment", "web", {"replicas": 9}, {"replicas": 2, "list": [1, 3], "a/b": 2}, "apps/v1")
    after["metadata"] |= {"resourceVersion": "9", "managedFields": [1], "labels": {"x": "y"}}
    assert field_changes(before, after) == (
        FieldChange("/spec/replicas", 1, 2),
        FieldChange("/spec/list/1", 2, 3),
        FieldChange("/spec/a~1b", 1, 2),
        FieldChange("/spec/gone", 1, None),
        FieldChange("/metadata/labels", None, {"x": "y"}),
    )


def test_secrets_are_redacted_wherever_they_differ() -> None:
    secret = thing("Secret", "s") | {"data": {"a": "aHVudGVy"}}
    found = field_changes(secret, thing("Secret", "s") | {"data": {"a": "b3RoZXI=", "b": "bmV3"}})
    assert found == (FieldChange("/data/a", REDACTED, REDACTED), FieldChange("/data/b", None, REDACTED))
    assert field_changes(thing("Secret", "s"), secret) == (FieldChange("/data", None, {"a": REDACTED}),)
