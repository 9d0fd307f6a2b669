"""Charts and records that once ended the process, in a request, an operation and a read: a code, and we live on."""

import base64
import gzip
import hashlib
import json
import uuid
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from integration.releases.conftest import APP, Helmed, app_chart
from integration.releases.test_killed import PLACED, label
from unit.helm.conftest import CHART, Source, archive_of, chart_of

from app.gateways.helm.records import decode_record, encode_record
from app.gateways.kubernetes.client import Kubernetes

DEEP = "[" * 60_000 + "]" * 60_000
POISON = archive_of({"Chart.yaml": CHART.format(name="demo", version="0.1.0") + f"x: {DEEP}"})


async def test_poison_in_a_request(slipway: Helmed, source: Source) -> None:
    operations = await slipway.count("operations")
    for content in (
        POISON,
        chart_of(values_schema_json=DEEP),
        chart_of(values_schema_json="[" + "[]," * 1_600_000 + "[]]"),
        archive_of({"Chart.yaml": CHART.format(name="demo", version="0.1.0"), "x\\values.schema.json": "{}"}),
    ):
        source.publish(("demo", "0.1.0", content))
        problem = await slipway.refused("POST", "/releases", slipway.body())
        assert (problem["status"], problem["code"]) == (422, "chart_invalid"), problem
    assert (await slipway.count("releases"), await slipway.count("operations")) == (0, operations)


async def push(credentials: dict[str, Any], name: str, version: str, content: bytes) -> None:
    """Push bytes as a chart, whatever they are; `helm push` looks at them first."""
    scheme = "http" if credentials["plain_http"] else "https"
    host, _, repository = credentials["repository_uri"].partition("/")
    base = f"{scheme}://{host}/v2/{repository}"
    described = []
    async with httpx.AsyncClient(auth=(credentials["username"], credentials["password"])) as client:
        config = json.dumps({"name": name, "version": version, "apiVersion": "v2"}).encode()
        for data, kind in ((config, "config.v1+json"), (content, "chart.content.v1.tar+gzip")):
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            begun = await client.post(f"{base}/blobs/uploads/")
            place = urljoin(base, begun.headers["Location"])
            answer = await client.put(place, params={**httpx.URL(place).params, "digest": digest}, content=data)
            assert answer.status_code == 201, answer.text
            described.append({"mediaType": f"application/vnd.cncf.helm.{kind}", "digest": digest, "size": len(data)})
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": described[0], "layers": described[1:]}
        answer = await client.put(
            f"{base}/manifests/{version}", content=json.dumps(manifest), headers={"Content-Type": kind}
        )
        assert answer.status_code == 201, answer.text


async def test_a_pill_that_comes_while_an_operation_waits(
    slipway: Helmed, source: Source, kubernetes: Kubernetes
) -> None:
    """The registry is yet to come when the release is asked for, so nobody can look at its chart before."""
    place = {f"slipway.test/{uuid.uuid4().hex[:8]}": "yes"}
    source.publish(("demo", "0.1.0", app_chart(templates__app_yaml=PLACED)))
    first = await slipway.change("POST", "/releases", slipway.body("first", values={"place": place}))
    registry = f"{slipway.namespace}/demo"
    begun = await slipway.change("POST", "/registries", {"name": registry, "region": "us-west-2"})
    chart = {"registry": begun["resource"]["id"], "name": "demo", "version": "0.1.0"}
    second = await slipway.change("POST", "/releases", slipway.body("second", chart=chart, depends_on=["first"]))
    assert (await slipway.wait(begun))["status"] == "succeeded"
    credentials = (await slipway.client.post(f"/registries/{begun['resource']['id']}/credentials")).json()
    await push(credentials, "demo", "0.1.0", POISON)
    await label(kubernetes, place)
    assert (await slipway.wait(first))["status"] == "succeeded"
    ended = await slipway.wait(second)
    assert (ended["status"], ended["error"]["code"], ended["error"]["retryable"]) == ("failed", "chart_invalid", False)
    assert ended["error"]["hint"]
    assert (await slipway.client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("part", ["hook", "manifest", "values", "name"])
async def test_a_record_that_somebody_else_wrote(slipway: Helmed, kubernetes: Kubernetes, part: str) -> None:
    await slipway.install()
    (secret,) = await kubernetes.list("v1", "Secret", namespace=slipway.namespace, labels="owner=helm,name=web")
    record = decode_record(secret)
    text = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\nstringData: {{password: hunter2, deep: {DEEP}}}\n"
    if part == "hook":
        record["hooks"][0]["manifest"] = text
    elif part == "manifest":
        record["manifest"] = text
    elif part == "name":
        record["manifest"] = APP.replace("{{ .Release.Name }}", '"\\0\\ufffe"')
    packed = encode_record(record)
    if part == "values":
        plain = json.dumps(record).replace('"config": {', '"config": {"deep": ' + "[" * 5000 + "]" * 5000 + ",", 1)
        packed = _packed(plain)
    await kubernetes.replace({**secret, "data": {"release": packed}})
    for path in ("manifest", "notes", "values", "values?all=true", "resources", "drift", "history"):
        mark = "&" if "?" in path else "?"
        answer = await slipway.client.get(f"/releases/web/{path}{mark}namespace={slipway.namespace}")
        assert answer.status_code < 500, answer.text
        assert "hunter2" not in answer.text
        if answer.status_code >= 400:
            assert answer.json()["code"] == "cluster_refuses", answer.text
    assert (await slipway.client.get("/healthz")).status_code == 200


def _packed(text: str) -> str:
    return base64.b64encode(base64.b64encode(gzip.compress(text.encode()))).decode()
