"""What is wrong with a request, a chart, its source or a cluster: a problem or an operation's error, never a crash."""

import asyncio
import shutil
import socket
import uuid
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import LocalCloud
from integration.releases.conftest import CLUSTER, Helmed, app_chart
from integration.running import pointers, running
from sqlalchemy import text
from unit.helm.conftest import Source, chart_of

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.namespaces import apply_namespace
from app.gateways.kubernetes.objects import Ref
from app.releases import live

BOMB = "{{ range $i := until 100000 }}{{ range $j := until 100000 }}xxxxxxxxxxxxxxxx{{ end }}{{ end }}"


async def test_requests(slipway: Helmed) -> None:
    chart = slipway.body()["chart"]
    url = chart["repository"]
    cases: list[tuple[dict[str, Any], int, str, list[str]]] = [
        ({"name": "Shop"}, 422, "invalid", ["/name"]),
        ({"name": "x" * 54}, 422, "invalid", ["/name"]),
        ({"namespace": "kube.system"}, 422, "invalid", ["/namespace"]),
        ({"chart": {"name": "demo"}}, 422, "invalid", ["/chart"]),
        ({"chart": {**chart, "oci": "oci://127.0.0.1/x"}}, 422, "invalid", ["/chart"]),
        ({"chart": {"oci": "oci://127.0.0.1/x", "name": "demo"}}, 422, "invalid", ["/chart"]),
        ({"chart": {**chart, "repository": "ftp://127.0.0.1"}}, 422, "url_scheme_not_allowed", ["/chart/repository"]),
        ({"chart": {**chart, "name": "other"}}, 422, "chart_not_found", ["/chart"]),
        ({"chart": {**chart, "version": "9.9.9"}}, 422, "chart_version_not_found", ["/chart/version"]),
        ({"chart": {**chart, "repository": f"{url}/none"}}, 422, "repository_invalid", ["/chart"]),
        ({"chart": {**chart, "repository": "http://127.0.0.1:9"}}, 422, "repository_unreachable", ["/chart"]),
        ({"chart": {"oci": "oci://127.0.0.1:9/demo"}}, 422, "repository_unreachable", ["/chart"]),
        ({"chart": {"registry": "none", "name": "demo"}}, 404, "registry_not_found", []),
        ({"values": {"replicas": -1}}, 422, "values_invalid", ["/values/replicas"]),
        ({"values": {"password": "(redacted)"}}, 422, "redacted_value", ["/values/password"]),
        ({"set": ["replicas=1", "a[99999999]=b"]}, 422, "invalid", ["/set/1"]),
        ({"create_namespace": {"quota": {"pods": "many"}}}, 422, "invalid", ["/create_namespace/quota"]),
        ({"depends_on": ["nobody"]}, 422, "invalid", ["/depends_on/0"]),
        ({"cluster": "nobody"}, 404, "cluster_not_found", []),
    ]
    for change, status, code, places in cases:
        problem = await slipway.refused("POST", "/releases", slipway.body(**change))
        assert (problem["status"], problem["code"]) == (status, code), (change, problem)
        assert [place for place in places if place not in pointers(problem)] == [], (change, problem)
    assert await slipway.count("releases") == 0

    await slipway.install()
    assert (await slipway.refused("POST", "/releases", slipway.body()))["code"] == "release_exists"
    for patch, code in (
        ({"name": "other"}, "immutable_field"),
        ({"namespace": "other"}, "immutable_field"),
        ({"cluster": "other"}, "immutable_field"),
        ({"depends_on": ["web"]}, "invalid"),
        ({"values": {"replicas": "two"}}, "values_invalid"),
    ):
        assert (await slipway.refused("PATCH", "/releases/web", patch))["code"] == code
    first = slipway.namespace
    slipway.namespace = f"{first}-b"
    await slipway.install()
    problem = await slipway.refused("GET", "/releases/web")
    assert (problem["status"], problem["code"], len(problem["ids"])) == (409, "ambiguous_name", 2)
    assert (await slipway.get("/releases/web", namespace=first))["namespace"] == first


async def test_sources_that_misbehave(slipway: Helmed, source: Source) -> None:
    body = slipway.body()
    source.endless = "index.yaml"
    problem = await slipway.refused("POST", "/releases", body)
    assert (problem["status"], problem["code"]) == (422, "chart_too_large")
    source.endless, source.status = None, 503
    assert (await slipway.refused("POST", "/releases", body))["code"] == "repository_unreachable"
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "CHECK_SECONDS", 1.0)
        chart = {**body["chart"], "repository": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        problem = await slipway.refused("POST", "/releases", {**body, "chart": chart})
        assert (problem["status"], problem["code"]) == (422, "repository_unreachable")
    source.status = 200
    source.publish(("demo", "0.1.0", b"no archive"))
    assert (await slipway.refused("POST", "/releases", body))["code"] == "chart_invalid"
    source.publish(
        (
            "demo",
            "0.1.0",
            chart_of(
                "demo", "0.1.0", Chart_yaml="apiVersion: v2\nname: demo\nversion: 0.1.0\nkubeVersion: '<1.20.0'\n"
            ),
        )
    )
    assert (await slipway.refused("POST", "/releases", body))["code"] == "chart_incompatible"


async def test_credentials_open_what_is_closed(slipway: Helmed, source: Source) -> None:
    source.credential = "ci:correct horse"
    assert (await slipway.refused("POST", "/releases", slipway.body()))["code"] == "repository_credentials_invalid"
    host = f"127.0.0.1:{source.port}"
    spec = {"host": host, "username": "ci", "password": "wrong"}
    answer = await slipway.client.post("/chart-credentials", json=spec)
    assert answer.status_code == 201, answer.text
    assert "wrong" not in answer.text
    assert (await slipway.refused("POST", "/chart-credentials", spec))["code"] == "chart_credential_exists"
    assert (await slipway.refused("POST", "/releases", slipway.body()))["code"] == "repository_credentials_invalid"
    changed = await slipway.client.patch(f"/chart-credentials/{host}", json={"password": "correct horse"})
    assert (changed.status_code, changed.json()["generation"]) == (200, 2)
    await slipway.install()
    digest = source.push("demo", "0.3.0", app_chart("0.3.0"))
    release = await slipway.install("oci", chart={"oci": source.oci(), "version": "0.3.0"})
    assert release["status"]["outputs"]["chart_digest"] == digest
    async with slipway.app.state.database.read() as session:
        assert "correct horse" not in str((await session.execute(text("SELECT * FROM chart_credentials"))).all())
    assert [item["host"] for item in (await slipway.get("/chart-credentials"))["items"]] == [host]
    assert (await slipway.client.delete(f"/chart-credentials/{answer.json()['id']}")).status_code == 204
    assert (await slipway.client.get(f"/chart-credentials/{host}")).status_code == 404


async def test_what_fails_in_the_cluster(slipway: Helmed, source: Source, kubernetes: Kubernetes) -> None:
    source.publish(
        ("demo", "0.1.0", app_chart()),
        ("bomb", "0.1.0", chart_of("bomb", templates__x_yaml=BOMB)),
        ("broken", "0.1.0", chart_of("broken", templates__x_yaml="{{ fail .Values.password }}")),
        (
            "kinds",
            "0.1.0",
            chart_of("kinds", templates__x_yaml="apiVersion: x.example/v1\nkind: None\nmetadata: {name: x}\n"),
        ),
    )
    error = await slipway.fail("POST", "/releases", slipway.body(create_namespace=False))
    assert error["code"] == "namespace_not_found"
    codes = {"bomb": "helm_out_of_memory", "broken": "chart_render_failed", "kinds": "kind_not_available"}
    for name, code in codes.items():
        chart = {"repository": source.repository, "name": name, "version": "0.1.0"}
        error = await slipway.fail(
            "POST", "/releases", slipway.body(name, chart=chart, values={"password": "hunter222"})
        )
        assert error["code"] == code, error
        assert error["hint"]
        assert "hunter222" not in str(error)

    # A release that somebody installed with helm itself is left alone, by a create and by the delete after it.
    await slipway.install("theirs")
    async with slipway.app.state.database.write() as session:
        await session.execute(text("DELETE FROM release_revisions"))
        await session.execute(text("DELETE FROM releases WHERE name = 'theirs'"))
    error = await slipway.fail("POST", "/releases", slipway.body("theirs"))
    assert error["code"] == "release_name_in_use"
    await slipway.do("DELETE", "/releases/theirs")
    assert await kubernetes.get(Ref("Deployment", slipway.namespace, "theirs", "apps/v1")) is not None

    terminating = f"{slipway.namespace}-x"
    await apply_namespace(kubernetes, terminating)
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": terminating, "finalizers": ["slipway.test/hold"]},
    }
    await kubernetes.apply(held)
    await kubernetes.delete(Ref("Namespace", "", terminating))
    error = await slipway.fail("POST", "/releases", slipway.body("late", namespace=terminating))
    assert (error["code"], error["retryable"]) == ("namespace_terminating", True)
    await kubernetes.apply({**held, "metadata": {"name": "held", "namespace": terminating}})


async def test_a_namespace_with_all_that_belongs_to_it(slipway: Helmed, kubernetes: Kubernetes) -> None:
    wanted = {"labels": {"team": "shop"}, "quota": {"pods": "0"}, "network_policy": True}
    error = await slipway.fail("POST", "/releases", slipway.body(create_namespace=wanted, timeout_seconds=6))
    assert error["code"] == "namespace_quota_exceeded", error
    found = await kubernetes.get(Ref("Namespace", "", slipway.namespace))
    assert found is not None
    assert found["metadata"]["labels"]["team"] == "shop"
    assert await kubernetes.get(Ref("NetworkPolicy", slipway.namespace, "slipway", "networking.k8s.io/v1")) is not None
    await slipway.do("PATCH", "/releases/web", {"create_namespace": {"quota": {"pods": "5"}}, "timeout_seconds": 180})
    quota = await kubernetes.get(Ref("ResourceQuota", slipway.namespace, "slipway"))
    assert quota is not None
    assert quota["spec"]["hard"] == {"pods": "5"}


async def test_a_cluster_that_cannot_be_reached(slipway: Helmed) -> None:
    endpoint = (await slipway.get(f"/clusters/{CLUSTER}"))["status"]["outputs"]["endpoint"]

    async def point_to(url: str) -> None:
        async with slipway.app.state.database.write() as session:
            row = (await session.execute(text("SELECT outputs FROM clusters"))).scalar_one()
            await session.execute(
                text("UPDATE clusters SET outputs = :outputs"),
                {"outputs": row.replace(*((endpoint, url) if url != endpoint else ("https://127.0.0.1:9", url)))},
            )

    await point_to("https://127.0.0.1:9")
    begun = await slipway.change("POST", "/releases", slipway.body())
    found = await slipway.until(f"/operations/{begun['id']}", lambda found: found["warnings"])
    assert found["status"] == "running"
    assert "waiting for it" in found["warnings"][0]
    release = await slipway.until(f"/releases/{begun['resource']['id']}", lambda found: found["status"]["conditions"])
    assert {c["type"]: c["status"] for c in release["status"]["conditions"]} == {"ClusterReachable": "False"}
    await point_to(endpoint)
    assert (await slipway.wait(begun))["status"] == "succeeded"
    conditions = {c["type"]: c["status"] for c in (await slipway.release())["status"]["conditions"]}
    assert conditions == {"ClusterReachable": "True", "Ready": "True", "Synced": "True"}

    await point_to("https://127.0.0.1:9")
    problem = await slipway.refused("GET", f"/releases/{release['id']}/history")
    assert (problem["status"], problem["code"]) == (503, "cluster_unreachable")
    assert (await slipway.get(f"/releases/{release['id']}"))["status"]["access"]["services"]
    error = await slipway.fail("PATCH", f"/releases/{release['id']}", {"timeout_seconds": 2})
    assert (error["code"], error["retryable"]) == ("cluster_unreachable", True)
    # A delete that cannot be done fails; taken up again, it leaves behind what it cannot reach, and says so.
    ended = await slipway.wait(await slipway.change("DELETE", f"/releases/{release['id']}"))
    assert ended["error"]["code"] == "cluster_unreachable"
    again = await slipway.wait(await slipway.change("POST", f"/operations/{ended['id']}/retry"))
    assert again["status"] == "succeeded"
    assert "left behind" in again["warnings"][-1]


async def test_many_releases_at_once(
    cluster_database: Path,
    tmp_path: Path,
    aws_environment: LocalCloud,
    source: Source,
    helm_binary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIPWAY_HELM_MAX_PER_CLUSTER", "3")
    source.publish(("demo", "0.1.0", app_chart()))
    shutil.copyfile(cluster_database, tmp_path / "many.db")
    async with running(f"sqlite:///{tmp_path / 'many.db'}", aws_environment) as service:
        chart = {"repository": source.repository, "name": "demo", "version": "0.1.0"}
        body = {
            "cluster": CLUSTER,
            "namespace": f"many-{uuid.uuid4().hex[:8]}",
            "chart": chart,
            "create_namespace": True,
        }
        begun = await asyncio.gather(
            *(service.change("POST", "/releases", {**body, "name": f"r{number}"}) for number in range(8))
        )
        ended = [await service.wait(operation) for operation in begun]
        assert {operation["status"] for operation in ended} == {"succeeded"}, ended
        # Of requests and operations together, the chart was fetched once.
        assert source.requests.count("/charts/demo-0.1.0.tgz") == 1
