"""The API server's gateway on a real API server: requests, apply, namespaces, readiness, causes, diffs, access."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.secrets import REDACTED
from app.gateways.kubernetes import errors
from app.gateways.kubernetes.access import access_of
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.diagnosis import Diagnosis, diagnose
from app.gateways.kubernetes.diff import FieldChange, diff
from app.gateways.kubernetes.namespaces import apply_namespace, namespace_phase
from app.gateways.kubernetes.objects import Ref
from app.gateways.kubernetes.resources import Resource, not_ready, read_resources

Json = dict[str, Any]


def deployment(name: str = "web", image: str = "registry.example/web:1", replicas: int = 1, **pod: Any) -> Json:
    container: Json = {"name": "web", "image": image, **pod.pop("container", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **pod}},
        },
    }


async def applied(kubernetes: Kubernetes, namespace: str, *items: Json) -> list[Json]:
    for item in items:
        await kubernetes.apply({**item, "metadata": {**item["metadata"], "namespace": namespace}})
    return list(items)


async def settled(kubernetes: Kubernetes, namespace: str, items: list[Json]) -> list[Resource]:
    """Wait until all is ready."""
    for _ in range(1200):
        found = await read_resources(kubernetes, items, namespace=namespace)
        if not not_ready(found):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


async def caused(
    kubernetes: Kubernetes, namespace: str, items: list[Json], reason: str, code: str, of: str = "Deployment/web"
) -> Diagnosis:
    """Wait until that is why a resource isn't ready: conditions and events come one after the other."""
    for _ in range(1200):
        found = await read_resources(kubernetes, items, namespace=namespace)
        cause = await diagnose(kubernetes, found, namespace=namespace)
        if cause is not None and (cause.reason, cause.code, str(cause.resource)) == (reason, code, of):
            return cause
        await asyncio.sleep(0.1)
    raise AssertionError(f"{found}, {cause}")


async def test_version(kubernetes: Kubernetes) -> None:
    assert (await kubernetes.version()).startswith("v1.")


async def test_who_is_not_let_in(cluster: Any) -> None:
    async with Kubernetes(cluster.connection(secret_key="wrong")) as stranger:
        with pytest.raises(errors.Unauthorized) as caught:
            await stranger.list("v1", "Pod", namespace="default")
    assert caught.value.as_failure().code == "cluster_unauthorized"


async def test_a_token_that_expired_is_renewed(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """EKS takes a token for a quarter of an hour; a client that slept over that asks for another one."""
    own = cluster.connection()
    with monkeypatch.context() as earlier:
        hour_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
        earlier.setattr("botocore.auth.get_current_datetime", lambda: hour_ago)
        expired = await own.token()
    tokens = [expired]

    async def token() -> str:
        return tokens[-1]

    async with Kubernetes(Connection(own.endpoint, own.certificate_authority, token)) as client:
        with pytest.raises(errors.Unauthorized):
            await client.version()
        tokens.append(await own.token())
        client._token_made_at = time.monotonic() + 60  # made just now, however long this takes: another is as good
        with pytest.raises(errors.Unauthorized):
            await client.version()
        client._token_made_at -= 120
        assert await client.version()


async def test_what_does_not_answer(cluster: Any) -> None:
    async with Kubernetes(cluster.connection(endpoint="https://127.0.0.1:1"), request_seconds=2) as nobody:
        with pytest.raises(errors.Unreachable) as caught:
            await nobody.version()
    assert caught.value.retryable


async def test_a_ca_that_is_anothers(cluster: Any, localcloud: Any) -> None:
    connection = cluster.connection()
    async with Kubernetes(type(connection)(connection.endpoint, "", connection.token)) as client:
        with pytest.raises(errors.Unreachable, match="certificate"):
            await client.version()


async def test_apply_get_list_delete(kubernetes: Kubernetes, namespace: str) -> None:
    for index in range(7):
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{index}", "namespace": namespace}}
        await kubernetes.apply({**item, "data": {"a": "1"}})
    found = await kubernetes.list("v1", "ConfigMap", namespace=namespace)
    assert {item["metadata"]["name"] for item in found} >= {f"c{index}" for index in range(7)}
    assert {item["kind"] for item in found} == {"ConfigMap"}
    assert len(await kubernetes.list("v1", "ConfigMap", namespace=namespace, limit=3)) == 3
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c0", "namespace": namespace}}
    with pytest.raises(errors.Conflict):
        await kubernetes.apply({**mine, "data": {"a": "2"}}, manager="other")
    await kubernetes.apply({**mine, "data": {"a": "2"}}, manager="other", force=True)
    ref = Ref("ConfigMap", namespace, "c0")
    stale = await kubernetes.get(ref)
    assert stale is not None
    assert stale["data"] == {"a": "2"}
    await kubernetes.replace({**stale, "data": {"a": "3"}})
    with pytest.raises(errors.Conflict):
        await kubernetes.replace({**stale, "data": {"a": "4"}})
    assert await kubernetes.delete(ref)
    assert not await kubernetes.delete(ref)
    assert await kubernetes.get(ref) is None
    assert await kubernetes.get(Ref("Widget", namespace, "x", "example.com/v1")) is None
    with pytest.raises(errors.Invalid):
        await kubernetes.apply({**mine, "data": {"a": {"b": 1}}})


async def test_namespaces(kubernetes: Kubernetes, namespace: str) -> None:
    quota = {"pods": "2"}
    await apply_namespace(kubernetes, namespace, labels={"team": "a", "x": "y"}, quota=quota, default_deny=True)
    found = await kubernetes.get(Ref("Namespace", "", namespace))
    assert found is not None
    assert found["metadata"]["labels"] | {"team": "a", "x": "y"} == found["metadata"]["labels"]
    assert await kubernetes.get(Ref("NetworkPolicy", namespace, "slipway", "networking.k8s.io/v1"))
    assert await kubernetes.get(Ref("ResourceQuota", namespace, "slipway"))
    await apply_namespace(kubernetes, namespace, labels={"team": "b"})
    found = await kubernetes.get(Ref("Namespace", "", namespace))
    assert found is not None
    assert found["metadata"]["labels"]["team"] == "b"
    assert "x" not in found["metadata"]["labels"]
    assert await kubernetes.get(Ref("ResourceQuota", namespace, "slipway")) is None
    assert await namespace_phase(kubernetes, namespace) == "Active"
    assert await namespace_phase(kubernetes, "nowhere") is None


async def test_a_deployment_becomes_ready(kubernetes: Kubernetes, namespace: str) -> None:
    items = await applied(kubernetes, namespace, deployment(replicas=3))
    found = await settled(kubernetes, namespace, items)
    assert [pod.ready for pod in found[0].pod_states] == [True] * 3
    assert all(pod.node for pod in found[0].pod_states)
    assert await diagnose(kubernetes, found, namespace=namespace) is None


async def test_an_image_that_cannot_be_pulled(kubernetes: Kubernetes, namespace: str) -> None:
    items = await applied(kubernetes, namespace, deployment(image="registry.example/web:missing"))
    cause = await caused(kubernetes, namespace, items, "ImagePullBackOff", "image_not_found")
    assert (cause.culprit.kind, cause.container) == ("Pod", "web")
    assert "registry.example/web:missing" in cause.message


async def test_a_container_that_crashes(kubernetes: Kubernetes, namespace: str) -> None:
    items = await applied(kubernetes, namespace, deployment(image="registry.example/web:crash"))
    cause = await caused(kubernetes, namespace, items, "CrashLoopBackOff", "container_crashes")
    assert "exit code 1" in cause.message


@pytest.mark.parametrize(
    ("pod", "code"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, "node_selector_unmatched"),
        ({"container": {"resources": {"requests": {"cpu": "500"}}}}, "nodes_too_small"),
    ],
)
async def test_what_no_node_takes(kubernetes: Kubernetes, namespace: str, pod: Json, code: str) -> None:
    items = await applied(kubernetes, namespace, deployment(**pod))
    await caused(kubernetes, namespace, items, "Unschedulable", code)


async def test_a_quota_that_is_used_up(kubernetes: Kubernetes, namespace: str) -> None:
    await apply_namespace(kubernetes, namespace, quota={"pods": "1"})
    items = await applied(kubernetes, namespace, deployment(replicas=3))
    cause = await caused(kubernetes, namespace, items, "FailedCreate", "namespace_quota_exceeded")
    assert "exceeded quota: slipway" in cause.message


async def test_a_pod_security_standard(kubernetes: Kubernetes, namespace: str) -> None:
    await apply_namespace(kubernetes, namespace, labels={"pod-security.kubernetes.io/enforce": "restricted"})
    items = await applied(kubernetes, namespace, deployment())
    await caused(kubernetes, namespace, items, "FailedCreate", "pod_security")


async def test_a_claim_that_stays_pending(kubernetes: Kubernetes, namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    items = await applied(kubernetes, namespace, claim, deployment(volumes=volumes))
    cause = await caused(kubernetes, namespace, items, "FailedBinding", "storage_class_missing")
    assert cause.culprit.kind == "PersistentVolumeClaim"


async def test_a_service_account_that_is_missing(kubernetes: Kubernetes, namespace: str) -> None:
    items = await applied(kubernetes, namespace, deployment(serviceAccountName="nobody"))
    await caused(kubernetes, namespace, items, "FailedCreate", "service_account_missing")


async def test_diff(kubernetes: Kubernetes, namespace: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
    old = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old"}, "data": {"a": "1"}}
    present = await applied(kubernetes, namespace, deployment(), secret, old)
    # What helm has put on them.
    for change in await diff(kubernetes, present, [], namespace=namespace, release="shop"):
        assert change.action == "change"
        assert {field.pointer.split("/")[1] for field in change.fields} == {"metadata"}
    selector = deployment("fixed")
    await applied(kubernetes, namespace, selector)
    moved = {**selector, "spec": {**selector["spec"], "selector": {"matchLabels": {"app": "other"}}}}
    wanted = [
        deployment(replicas=2),
        {**secret, "stringData": {"password": "changed", "more": "secret"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}},
        {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}},
        moved,
    ]
    found = {
        str(change.ref): change
        for change in await diff(kubernetes, wanted, present, namespace=namespace, release="shop")
    }
    assert {name: change.action for name, change in found.items()} == {
        "Deployment/web": "change",
        "Secret/s": "change",
        "ConfigMap/new": "create",
        "Widget/w": "create",
        "Deployment/fixed": "refused",
        "ConfigMap/old": "delete",
    }
    assert FieldChange("/spec/replicas", 1, 2) in found["Deployment/web"].fields
    assert FieldChange("/data/password", REDACTED, REDACTED) in found["Secret/s"].fields
    assert "hunter2" not in repr(found)
    assert "aHVudGVy" not in repr(found)


async def test_access(kubernetes: Kubernetes, namespace: str) -> None:
    def service(name: str, type_: str = "ClusterIP") -> Json:
        spec = {"type": type_, "selector": {"app": "web"}, "ports": [{"port": 80, "name": "http"}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}

    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": "shop.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"}}
    items = [service("a"), service("web"), service("open", "LoadBalancer"), {**ingress, "spec": {"rules": [rule]}}]
    await applied(kubernetes, namespace, *items)
    for _ in range(600):
        access = access_of(await read_resources(kubernetes, items, namespace=namespace))
        if access.services[0].addresses:
            break
        await asyncio.sleep(0.1)
    assert [found.name for found in access.services] == ["open", "web", "a"]
    assert access.services[0].addresses
    assert access.services[1].port_forward == f"kubectl --namespace {namespace} port-forward service/web 8080:80"
    assert access.ingresses[0].urls == ("http://shop.example.com/",)
