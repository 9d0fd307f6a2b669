"""Values that refer to secrets kept elsewhere: resolved when helm runs, kept nowhere, rotation is drift."""

import base64
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from integration.releases.conftest import Helmed, app_chart
from integration.running import Json, pointers
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.namespaces import apply_namespace
from app.gateways.kubernetes.objects import Ref

FIRST, SECOND, THIRD = "first-correct-horse", "second-battery-staple", "third-purple-monkey"
TOKEN = "tok-9f8e7d6c5b4a"

REFERENCE = {"from_secret": {"name": "db", "key": "password"}}


async def put_secret(kubernetes: Kubernetes, namespace: str, **data: str) -> None:
    item = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": namespace},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    await kubernetes.apply(item, manager="somebody", force=True)


async def password(kubernetes: Kubernetes, namespace: str, name: str = "web") -> str:
    secret = await kubernetes.get(Ref("Secret", namespace, name))
    assert secret is not None
    return base64.b64decode(secret["data"]["password"]).decode()


@pytest.fixture
async def db(slipway: Helmed, kubernetes: Kubernetes) -> Kubernetes:
    """The cluster, with a Secret in the namespace."""
    await apply_namespace(kubernetes, slipway.namespace, is_new=True)
    await put_secret(kubernetes, slipway.namespace, password=FIRST)
    return kubernetes


async def aws_secret(slipway: Helmed, content: Any) -> str:
    client = await slipway.aws("secretsmanager")
    body = content if isinstance(content, str) else json.dumps(content)
    return str((await client.create_secret(Name=f"shop/{uuid.uuid4().hex}", SecretString=body))["ARN"])


def kept_files(slipway: Helmed) -> list[Path]:
    path = Path(make_url(str(slipway.app.state.database.engine.url)).database or "")
    return [found for found in path.parent.iterdir() if found.name.startswith(path.name)]


async def assert_nowhere(slipway: Helmed, path: str, *secrets: str) -> None:
    """Nothing that callers see, and no byte of the database, holds the secrets."""
    words = [word for one in secrets for word in (one, base64.b64encode(one.encode()).decode().rstrip("="))]
    parts = ["", "/values", "/values?all=true", "/manifest", "/notes", "/resources", "/history", "/drift"]
    history = (await slipway.get(f"{path}/history"))["items"]
    parts += [f"/values?revision={each['revision']}" for each in history]
    parts += [f"/manifest?revision={each['revision']}" for each in history]
    pages = [path + part for part in parts] + ["/operations?limit=200", "/events?limit=200"]
    for page in pages:
        answer = await slipway.client.get(page)
        assert answer.status_code == 200, answer.text
        assert not [word for word in words if word in answer.text], page
    async with slipway.app.state.database.write() as session:
        await session.execute(text("UPDATE releases SET name = name"))
    for file in kept_files(slipway):
        content = file.read_bytes()
        assert not [word for word in words if word.encode() in content], file.name


async def test_both_kinds_are_resolved_and_kept_nowhere(
    slipway: Helmed, db: Kubernetes, caplog: pytest.LogCaptureFixture
) -> None:
    hook = await slipway.client.post("/webhooks", json={"url": "http://127.0.0.1:9/"})
    assert hook.status_code == 201, hook.text
    arn = await aws_secret(slipway, {"token": TOKEN, "replicas": 2})
    release = await slipway.install(
        values={
            "password": REFERENCE,
            "apiToken": {"from_secrets_manager": {"arn": arn, "key": "token"}},
            "replicas": {"from_secrets_manager": {"arn": arn, "key": "replicas"}},
        }
    )
    path = f"/releases/{release['id']}"
    assert await password(db, slipway.namespace) == FIRST
    deployment = await db.get(Ref("Deployment", slipway.namespace, "web", "apps/v1"))
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 2
    assert release["spec"]["values"]["password"] == REFERENCE
    assert release["spec"]["values"]["apiToken"] == {"from_secrets_manager": {"arn": arn, "key": "token"}}
    assert (await slipway.get(f"{path}/values"))["password"] == REFERENCE
    for query in ({"revision": 1}, {"all": "true"}, {"revision": 1, "all": "true"}):
        assert (await slipway.get(f"{path}/values", **query))["password"] == REFERENCE
    assert (await slipway.get(f"{path}/notes"))["notes"] == "Reach web with the password (redacted)"
    assert not (await slipway.get(f"{path}/drift"))["drifted"]

    # What was read can be sent back.
    await slipway.do("PUT", f"{path}/values", await slipway.get(f"{path}/values"))
    assert await password(db, slipway.namespace) == FIRST

    # Rotated: drift, until an empty PATCH takes it up.
    await put_secret(db, slipway.namespace, password=SECOND)
    drift = await slipway.get(f"{path}/drift")
    assert drift["drifted"]
    assert [(one["pointer"], one["status"], one["reference"]) for one in drift["secrets"]] == [
        ("/password", "changed", REFERENCE)
    ]
    changed = (await slipway.client.post(f"{path}/diff", json={})).json()
    assert [one["kind"] for one in changed["changes"]] == ["Secret"]
    assert SECOND not in str(changed)
    await slipway.do("PATCH", path, {})
    assert await password(db, slipway.namespace) == SECOND
    drift = await slipway.get(f"{path}/drift")
    assert (drift["drifted"], drift["secrets"]) == (False, [])

    # In Secrets Manager likewise.
    client = await slipway.aws("secretsmanager")
    await client.put_secret_value(SecretId=arn, SecretString=json.dumps({"token": THIRD, "replicas": 2}))
    assert [one["pointer"] for one in (await slipway.get(f"{path}/drift"))["secrets"]] == ["/apiToken"]
    await client.delete_secret(SecretId=arn)
    drift = await slipway.get(f"{path}/drift")
    assert {one["status"] for one in drift["secrets"]} == {"unknown"}
    assert not drift["drifted"]
    refused = await slipway.refused("PATCH", path, {})
    assert refused["code"] == "secret_pending_deletion"
    assert pointers(refused) == ["/values/apiToken", "/values/replicas"]
    await client.restore_secret(SecretId=arn)

    # A rollback brings the references back, and with them what they are now.
    await slipway.do("PATCH", path, {"values": {"replicas": 1, "password": "plain-for-a-while"}})
    back = await slipway.do("POST", f"{path}/rollback", {"revision": 1})
    assert [step["name"] for step in back["steps"]] == ["wait_for_cluster", "fetch_chart", "roll_back"]
    assert await password(db, slipway.namespace) == SECOND
    assert (await slipway.get(path))["spec"]["values"]["password"] == REFERENCE
    assert not (await slipway.get(f"{path}/drift"))["drifted"]

    await assert_nowhere(slipway, path, FIRST, SECOND, THIRD, TOKEN)
    assert not [word for word in (FIRST, SECOND, THIRD, TOKEN) if word in caplog.text]
    await slipway.do("DELETE", path)


async def test_what_cannot_be_had_is_told_before_anything_begins(slipway: Helmed, db: Kubernetes) -> None:
    arn = await aws_secret(slipway, {"token": TOKEN})
    plain = await aws_secret(slipway, "no json")
    client = await slipway.aws("secretsmanager")
    binary = (await client.create_secret(Name=f"b/{uuid.uuid4().hex}", SecretBinary=b"\x00\xff"))["ARN"]
    denied = await aws_secret(slipway, "hidden")
    policy = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    await client.put_resource_policy(SecretId=denied, ResourcePolicy=document)

    async def code(value: Json) -> str:
        problem = await slipway.refused("POST", "/releases", slipway.body(values={"password": value}))
        assert problem["status"] == 422
        assert pointers(problem) == ["/values/password"], problem
        return str(problem["code"])

    def of(source: str, **key: str) -> Json:
        return {"from_secrets_manager": {"arn": source, **key}}

    assert await code({"from_secret": {"name": "nobody", "key": "password"}}) == "secret_not_found"
    assert await code({"from_secret": {"name": "db", "key": "nokey"}}) == "secret_key_not_found"
    assert await code(of(arn[:-6] + "AAAAAA")) == "secret_not_found"
    assert await code(of(arn, key="nokey")) == "secret_key_not_found"
    assert await code(of(plain, key="nokey")) == "secret_not_text"
    assert await code(of(binary)) == "secret_not_text"
    assert await code(of(denied)) == "secret_access_denied"
    assert await slipway.count("releases") == 0

    # The chart's schema sees what the reference stands for, and quotes none of it.
    schema = '{"properties": {"password": {"type": "string", "maxLength": 3}}}'
    slipway.source.publish(("demo", "0.1.0", app_chart(values_schema_json=schema)))
    problem = await slipway.refused("POST", "/releases", slipway.body(values={"password": of(arn, key="token")}))
    assert (problem["code"], pointers(problem)) == ("values_invalid", ["/values/password"])
    assert TOKEN not in str(problem)


async def test_a_secret_of_another_release_is_waited_for(slipway: Helmed, kubernetes: Kubernetes) -> None:
    made = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: {{ .Values.password | quote }}}\n"
    )
    schema = '{"properties": {"password": {"type": "string", "minLength": 12}}}'
    slipway.source.publish(
        ("demo", "0.1.0", app_chart(values_schema_json=schema)),
        ("demo", "0.3.0", app_chart("0.3.0", templates__db_yaml=made)),
    )
    chart = {"repository": slipway.source.repository, "name": "demo", "version": "0.3.0"}
    await slipway.change("POST", "/releases", slipway.body("db", chart=chart, values={"password": FIRST}))
    body = slipway.body("web", values={"password": REFERENCE}, depends_on=["db"])
    await slipway.do("POST", "/releases", body)
    assert await password(kubernetes, slipway.namespace) == FIRST


async def test_a_secret_that_comes_late_or_never(slipway: Helmed, db: Kubernetes) -> None:
    await slipway.install("other")
    late = {"from_secret": {"name": "db", "key": "late"}}
    body = slipway.body("web", values={"password": late}, depends_on=["other"])
    operation = await slipway.change("POST", "/releases", body)
    found = await slipway.until(f"/operations/{operation['id']}", lambda one: one["warnings"])
    assert "Secret db, key late" in found["warnings"][0]
    await put_secret(db, slipway.namespace, password=FIRST, late=SECOND)
    assert (await slipway.wait(operation))["status"] == "succeeded"
    assert await password(db, slipway.namespace) == SECOND

    body = slipway.body(
        "never", values={"password": {"from_secret": {"name": "nobody", "key": "a"}}}, timeout_seconds=4
    )
    error = await slipway.fail("POST", "/releases", {**body, "depends_on": ["other"]})
    assert error["code"] == "secret_not_found"
    assert error["hint"]
    assert (await slipway.release("never"))["status"]["phase"] == "failed"


async def test_what_fails_quotes_no_secret_and_goes_back(slipway: Helmed, db: Kubernetes) -> None:
    """An image's name that the cluster quotes in its messages is the secret; the revision before comes back."""
    release = await slipway.install(values={"password": REFERENCE})
    path = f"/releases/{release['id']}"
    await put_secret(db, slipway.namespace, password=SECOND, image=f"registry.example/{THIRD}:missing")
    patch = {
        "values": {"image": {"from_secret": {"name": "db", "key": "image"}}},
        "timeout_seconds": 6,
        "on_failure": "rollback",
    }
    error = await slipway.fail("PATCH", path, patch)
    assert error["code"] == "image_not_found"
    assert THIRD not in str(error)
    assert await password(db, slipway.namespace) == FIRST
    drift = await slipway.get(f"{path}/drift")
    assert [(one["pointer"], one["status"]) for one in drift["secrets"]] == [("/password", "changed")]
    await assert_nowhere(slipway, path, FIRST, SECOND, THIRD)


async def test_malformed_references_are_refused(slipway: Helmed) -> None:
    values = {
        "a": {"from_secret": {"name": "Db", "key": "k"}},
        "b": [{"from_secrets_manager": {"arn": "arn:aws:s3:::bucket"}}],
    }
    problem = await slipway.refused("POST", "/releases", slipway.body(values=values))
    assert problem["code"] == "secret_reference_invalid"
    assert pointers(problem) == ["/values/a/from_secret/name", "/values/b/0/from_secrets_manager/arn"]
