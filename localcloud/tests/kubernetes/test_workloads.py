"""Pods that run, and pods that don't, as the kubelet shows them."""

from __future__ import annotations

import pytest

from .client import DEPLOYMENTS, JOBS, Json, Kube, container, deployment, job, ready, unschedulable

pytestmark = pytest.mark.kubernetes


def waiting(pods: list[Json], field: str = "containerStatuses") -> list[str]:
    """Why the last container of each pod waits, "" if it does not."""
    last = [p["status"].get(field, [{}])[-1] for p in pods]
    return [status.get("state", {}).get("waiting", {}).get("reason", "") for status in last]


def test_a_deployment_becomes_available(kube: Kube) -> None:
    """And a service finds its pods, which all have an address of their own."""
    kube.make(DEPLOYMENTS, deployment("web", "example/web:1", 4))
    kube.until(f"{DEPLOYMENTS}/web", lambda d: d["status"].get("availableReplicas") == 4)
    pods = kube.pods("default", "web", lambda pods: all(ready(p) for p in pods))
    assert len({p["status"]["podIP"] for p in pods}) == 4
    assert len({p["spec"]["nodeName"] for p in pods}) == 2
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}], "type": "LoadBalancer"}
    kube.make("/api/v1/namespaces/default/services", {"metadata": {"name": "web"}, "spec": spec})
    slices = (
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dweb"
    )
    kube.until(slices, lambda d: sum(len(s["endpoints"]) for s in d["items"]) == 4)
    service = kube.until("/api/v1/namespaces/default/services/web", lambda d: d["status"]["loadBalancer"])
    assert service["status"]["loadBalancer"]["ingress"][0]["hostname"].endswith(".us-west-2.elb.amazonaws.com")


@pytest.mark.parametrize("image", ["example.com/shop/fail-pull:1", "example.com/shop/front-end:missing"])
def test_an_image_that_cannot_be_pulled(kube: Kube, image: str) -> None:
    """The reason and the events by which a user finds out."""
    name = "pull-" + ("tag" if "missing" in image else "name")
    kube.make(DEPLOYMENTS, deployment(name, image, containers=[container("example/ok:1"), container(image, "bad")]))
    pods = kube.pods("default", name, lambda pods: waiting(pods) == ["ImagePullBackOff"])
    pod = pods[0]
    assert (pod["status"]["phase"], ready(pod)) == ("Pending", False)
    good, bad = pod["status"]["containerStatuses"]
    assert (good["ready"], bad["ready"]) == (True, False)
    assert f'Back-off pulling image "{image}"' in bad["state"]["waiting"]["message"]
    wanted = "Scheduled", "Pulling", "BackOff", "Error: ErrImagePull", "Error: ImagePullBackOff"
    events = kube.events("default", pod["metadata"]["name"], *wanted)
    assert any(
        m.startswith(f'Failed to pull image "{image}": rpc error') and m.endswith("not found") for _, m in events
    )
    status = kube.get(f"{DEPLOYMENTS}/{name}")["status"]
    assert status.get("availableReplicas", 0) == 0


def test_a_corrected_image_makes_it_well(kube: Kube) -> None:
    """As an upgrade after a typing mistake does."""
    kube.make(DEPLOYMENTS, deployment("typo", "example/fail-pull:1"))
    kube.pods("default", "typo", lambda pods: waiting(pods) == ["ImagePullBackOff"])
    body = deployment("typo", "example/right:1")["spec"]["template"]
    assert kube.call("PATCH", f"{DEPLOYMENTS}/typo", {"spec": {"template": body}})[0] == 200
    kube.pods("default", "typo", lambda pods: [ready(p) for p in pods] == [True])


def test_a_container_that_crashes(kube: Kube) -> None:
    """CrashLoopBackOff, with what it ended with."""
    kube.make(DEPLOYMENTS, deployment("crashes", "example.com/crash:1"))
    pods = kube.pods("default", "crashes", lambda pods: waiting(pods) == ["CrashLoopBackOff"])
    status = pods[0]["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 1
    count = status["restartCount"]
    assert (count >= 1, status["ready"]) == (True, False)
    name = pods[0]["metadata"]["name"]
    assert status["state"]["waiting"]["message"].startswith(
        f"back-off {10 * 2 ** (count - 1)}s restarting failed container=main pod={name}"
    )
    events = kube.events("default", name, "BackOff")
    assert any(r == "BackOff" and m.startswith("Back-off restarting failed container main") for r, m in events)


@pytest.mark.parametrize(
    ("image", "reason"), [("x/fail-pull:1", "ImagePullBackOff"), ("x/crash:1", "CrashLoopBackOff")]
)
def test_an_init_container_holds_up_the_others(kube: Kube, image: str, reason: str) -> None:
    """They wait for it."""
    name = f"init-{reason.lower()}"
    kube.make(DEPLOYMENTS, deployment(name, "example/web:1", initContainers=[container(image, "first")]))
    pods = kube.pods("default", name, lambda pods: waiting(pods, "initContainerStatuses") == [reason])
    assert waiting(pods) == ["PodInitializing"]
    assert pods[0]["status"]["phase"] == "Pending"


def test_what_runs_once_ends(kube: Kube) -> None:
    """Jobs and lone pods, well or badly."""
    kube.make(JOBS, job("well", "example/migrate:1"))
    kube.make(JOBS, job("well-too", "example/migrate:1", "OnFailure"))
    kube.make(JOBS, job("badly", "example/crash:1"))
    pod = {"metadata": {"name": "test"}, "spec": {"containers": [container("example/t:1")], "restartPolicy": "Never"}}
    kube.make("/api/v1/namespaces/default/pods", pod)
    for name in ("well", "well-too"):
        kube.until(f"{JOBS}/{name}", lambda d: d["status"].get("succeeded") == 1)
    kube.until(f"{JOBS}/badly", lambda d: any(c["type"] == "Failed" for c in d["status"].get("conditions", [])))
    kube.until("/api/v1/namespaces/default/pods/test", lambda d: d["status"]["phase"] == "Succeeded")


def test_what_no_node_takes_stays_unscheduled(kube: Kube) -> None:
    """Requests beyond the instance type's size."""
    big = {**container("example/big:1"), "resources": {"requests": {"cpu": "3"}}}
    kube.make(DEPLOYMENTS, deployment("big", "", containers=[big]))
    kube.pods("default", "big", lambda pods: ["Insufficient cpu" in unschedulable(pod) for pod in pods] == [True])


def test_a_container_that_crashes_crashes_again(kube: Kube) -> None:
    """After ten seconds: the last test, so that most of them have passed."""
    kube.make(DEPLOYMENTS, deployment("crashes", "example.com/crash:1"))

    def again(pods: list[Json]) -> bool:
        return waiting(pods) == ["CrashLoopBackOff"] and pods[0]["status"]["containerStatuses"][0]["restartCount"] >= 2

    kube.pods("default", "crashes", again)
