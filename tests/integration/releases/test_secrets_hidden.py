"""Secrets are planted in values, charts and Secrets; every route and kind of operation is used, and none comes out.

Searched: answers, problems, the event stream, the lines of the log, and the database file, which holds the events,
the payloads of webhooks and the answers kept for idempotency keys.
"""

import base64
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from integration.releases.conftest import CLUSTER, MISSING, Helmed, app_chart
from integration.running import Json, pointers

from app.core.logging import Formatter

PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj\n"
    "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n"
    "-----END PRIVATE KEY-----\n"
)
VALUES = {
    "user": {"password": 'pw-"hunter2"\\ &<x>'},
    "tls": {"crt": "x", "key": PEM},
    "env": [{"name": "DB_PASSWORD", "value": "env-hunter3-abc"}, {"name": "MODE", "value": "plain-mode"}],
    "args": ["--db-password=arg-hunter4-abc", "--port=5432"],
    "greeting": "fed-into-secret-5x",
    "named": {"seed": "named-seed-6x-abc"},
}
DEFAULTS = """
replicas: 1
image: registry.example/web:1.0
password: default-hunter7-abc
testImage: registry.example/test:1
fail: ""
extra: {adminPassword: default-admin-8x}
user: {password: ""}
tls: {crt: "", key: ""}
env: []
args: []
greeting: hello
named: {seed: ""}
"""
PLANTED = [
    VALUES["user"]["password"],  # type: ignore[index, call-overload]
    *PEM.splitlines()[1:3],
    "env-hunter3-abc",
    "arg-hunter4-abc",
    "fed-into-secret-5x",
    "named-seed-6x-abc",
    "default-hunter7-abc",
    "default-admin-8x",
    "of-list-9x-abc",
]
LEAKS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-leaks}
data:
  raw: {{ .Values.user.password | quote }}
  double: {{ toJson .Values | quote }}
  query: {{ .Values.user.password | urlquery | quote }}
  packed: {{ .Values.user.password | b64enc | quote }}
  default: {{ printf "password=%s admin=%s" .Values.password .Values.extra.adminPassword | quote }}
  seed: {{ .Values.named.seed | quote }}
  greeting: {{ .Values.greeting | quote }}
  tls: |
{{ .Values.tls.key | indent 4 }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}-fed
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: >-
      {{ dict "stringData" (dict "g" .Values.greeting) | toJson }}
stringData:
  config: {{ printf "greeting = %s" .Values.greeting | quote }}
---
apiVersion: v1
kind: SecretList
items:
- apiVersion: v1
  kind: Secret
  metadata: {name: {{ .Release.Name }}-listed}
  stringData: {x: of-list-9x-abc}
{{- if .Values.fail }}
{{ fail (printf "password %s is too weak, %q, %s" .Values.user.password .Values.tls.key .Values.extra.adminPassword) }}
{{- end }}
"""
HOOK = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-hook, annotations: {helm.sh/hook: post-install}}
data: {default: {{ .Values.extra.adminPassword | quote }}, own: {{ .Values.user.password | quote }}}
"""
NOTES = "{{ .Values.user.password }} {{ .Values.password }} {{ .Values.extra.adminPassword }} of-list-9x-abc"
SCHEMA = {
    "type": "object",
    "properties": {"user": {"properties": {"password": {"type": "string", "pattern": "^[A-Z]{20}$"}}}},
}


def leaky(version: str, **files: str) -> bytes:
    own = {"values_yaml": DEFAULTS, "templates__leaks_yaml": LEAKS, "templates__hook_yaml": HOOK}
    return app_chart(version, **{**own, "values_schema_json": "{}", "templates__NOTES.txt": NOTES, **files})


def ways(secret: str) -> set[str]:
    once = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe="")}
    once |= {json.dumps(form)[1:-1] for form in once}
    once |= {base64.b64encode(secret.encode()).decode(), base64.urlsafe_b64encode(secret.encode()).decode()}
    return once | {"\\\\".join(form.split("\\")) for form in once}


def found_in(text: str) -> list[str]:
    return [f"{secret!r} as {form!r}" for secret in PLANTED for form in ways(str(secret)) if form in text]


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


class Seen:
    """All that the service has said."""

    def __init__(self, slipway: Helmed) -> None:
        self._slipway = slipway
        self.texts: list[tuple[str, str]] = []
        self.routes: set[tuple[str, str]] = set()

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Json:
        answer = await self._slipway.client.request(method, path, json=body, timeout=120, **options)
        self.texts.append((f"{method} {path} {answer.status_code}", answer.text))
        self.routes.add((method, path.replace(self.release, "{release}") if self.release else path))
        return dict(answer.json())

    release = ""

    async def end(self, operation: Json) -> Json:
        ended = await self._slipway.wait(operation)
        self.texts.append((operation["kind"], json.dumps(ended)))
        events = await self._slipway.client.get(f"/operations/{operation['id']}/events", params={"limit": 200})
        self.texts.append((f"events of {operation['kind']}", events.text))
        return ended


async def test_no_secret_comes_out(slipway: Helmed, log_lines: io.StringIO, database_with_cluster: str) -> None:
    schema = json.dumps(SCHEMA)
    slipway.source.publish(
        ("demo", "0.1.0", leaky("0.1.0")), ("demo", "0.2.0", leaky("0.2.0", values_schema_json=schema)),
        ("demo", "0.3.0", leaky("0.3.0")),
    )  # fmt: skip
    hook = {
        "url": "https://receiver.example.com/x",
        "events": ["operation.succeeded", "operation.failed"],
    }
    assert (await slipway.client.post("/webhooks", json=hook)).status_code == 201
    seen = Seen(slipway)
    body = slipway.body(values=VALUES, secret_values=["named.seed"])
    created = await seen.ask("POST", "/releases", body, headers={"Idempotency-Key": "one"})
    assert (await seen.end(created))["status"] == "succeeded"
    seen.release = created["resource"]["id"]
    path = f"/releases/{seen.release}"

    shown = (await seen.ask("GET", path))["spec"]
    assert shown["values"]["greeting"] == "(redacted)"
    assert shown["values"]["env"][1] == {"name": "MODE", "value": "plain-mode"}
    assert shown["values"]["args"] == ["--db-password=(redacted)", "--port=5432"]
    assert shown["secret_values"] == ["named.seed"]
    for read in ("history", "values", "manifest", "notes", "resources", "drift"):
        await seen.ask("GET", f"{path}/{read}")
    await seen.ask("GET", "/releases", params={"cluster": CLUSTER})
    await seen.ask("GET", f"{path}/values", params={"all": "true"})
    await seen.ask("GET", f"{path}/values", params={"revision": 1})

    pattern = {"chart": {"version": "0.2.0"}}
    problem = await seen.ask("PATCH", path, pattern)
    assert (problem["code"], pointers(problem)) == ("values_invalid", ["/values/user/password"])
    assert (await seen.ask("POST", f"{path}/diff", pattern))["code"] == "values_invalid"
    failing = {"values": {"fail": "yes"}}
    problem = await seen.ask("POST", f"{path}/diff", failing)
    assert problem["code"] == "chart_render_failed"
    assert "is too weak" in problem["detail"]
    ended = await seen.end(await seen.ask("PATCH", path, failing))
    assert ended["status"] == "failed"
    assert "is too weak" in ended["error"]["message"]
    await seen.ask("GET", path)

    same = {"values": {**shown["values"], "replicas": 2, "fail": ""}}
    assert (await seen.ask("POST", f"{path}/diff", same))["revision"] >= 1
    values = {**shown["values"], "env": [{"name": "NEW", "value": "1"}, *shown["values"]["env"]], "fail": ""}
    assert (await seen.end(await seen.ask("PUT", f"{path}/values", values)))["status"] == "succeeded"
    moved = {**values, "env": [{"name": "MOTTO", "value": "(redacted)"}]}
    problem = await seen.ask("PUT", f"{path}/values", moved)
    assert (problem["code"], pointers(problem)) == ("redacted_value", ["/env/0/value"])
    await seen.ask("GET", path)

    slow = {"values": {"image": MISSING, "fail": ""}, "timeout_seconds": 8}
    assert (await seen.end(await seen.ask("PATCH", path, slow)))["status"] == "failed"
    assert (await seen.end(await seen.ask("POST", f"{path}/rollback", {"revision": 1})))["status"] == "succeeded"
    await seen.ask("GET", path)
    await seen.end(await seen.ask("POST", f"{path}/test"))
    await seen.ask("GET", f"{path}/manifest", params={"revision": 1})
    assert (await seen.end(await seen.ask("DELETE", path)))["status"] == "succeeded"

    document = slipway.app.openapi()
    routes = {
        (method.upper(), name)
        for name, item in document["paths"].items()
        if name.startswith("/releases")
        for method in item
        if method in ("get", "put", "post", "patch", "delete")
    }
    assert routes == seen.routes
    database = Path(database_with_cluster.removeprefix("sqlite:///"))
    for file in database.parent.glob(f"{database.name}*"):
        seen.texts.append((file.name, file.read_bytes().decode("latin-1")))
    seen.texts.append(("log", log_lines.getvalue()))
    assert log_lines.getvalue()
    assert len(found_in(json.dumps(VALUES))) >= 6  # what is searched for would be found
    assert [(where, found) for where, text in seen.texts if (found := found_in(text))] == []
