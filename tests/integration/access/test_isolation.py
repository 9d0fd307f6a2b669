"""Every route of the document, asked by nobody and by a caller of another project: nothing of ours is told or done."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from integration.conftest import LocalCloud
from integration.running import KEY, REGION, Slipway, running
from sqlalchemy import inspect, text

from app.access.models import ApiKey
from app.access.service import hash_of
from app.accounts.models import Project
from app.clusters.models import Cluster
from app.clusters.schemas import ClusterSpec
from app.clusters.view import ClusterView
from app.core.crypto import Vault
from app.core.ids import new_id
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT, ResourceColumns
from app.db.sealed import place
from app.kinds import rows
from app.kinds.all import KINDS
from app.kinds.kind import Kind
from app.releases.models import Release

THEIRS = {"Authorization": f"Bearer {'t' * 40}"}
NOT_OURS = {"/healthz", "/readyz", "/metrics"}
"""Tell nothing of anybody, and need no key."""
UNNAMED = {"digest": f"sha256:{'0' * 64}", "prefix": "ours"}
"""Parts of a path below something that has an id, or of what an account has."""
QUERIES = {("delete", "/registries/{registry}/images"): {"digest": UNNAMED["digest"]}}
"""What a route refuses to do without."""
OF_THE_CALLERS_OWN = {
    ("post", "/chart-credentials"),
    ("post", "/webhooks"),
    ("post", "/webhooks/callback-secret/rotate"),
}
"""Change what is the caller's own project's, whoever asks."""


@pytest.fixture(params=["sqlite_url", "postgres_url"])
async def idle(
    request: pytest.FixtureRequest, aws_environment: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Slipway]:
    monkeypatch.setenv("SLIPWAY_ENCRYPTION_KEY", KEY)
    async with running(request.getfixturevalue(request.param), aws_environment, with_worker=False) as service:
        yield service


async def one_of_each(slipway: Slipway) -> dict[str, str]:
    """Make one of everything; return the ids by the names that paths have for them."""
    common = {"project_id": DEFAULT_PROJECT, "account_id": DEFAULT_ACCOUNT, "region": REGION, "phase": "active"}
    common |= {"name": "ours", "observed_generation": 1}
    spec = ClusterSpec(name="ours", region=REGION, version="1.34").model_dump(mode="json")
    cluster = Cluster(id=new_id("clu"), spec=spec, **common)
    release_id = new_id("rel")
    made: list[ResourceColumns] = [
        Release(
            id=release_id,
            spec={"name": "ours"},
            cluster_id=cluster.id,
            namespace="shop",
            sealed_values=Vault(lambda: KEY).encrypt("{}", place(Release, "sealed_values", release_id)),
            **common,
        ),
        *(one_of(kind, cluster, common) for kind in KINDS.values()),
    ]
    async with slipway.app.state.database.write() as session:
        session.add(cluster)
        await session.flush()
        session.add_all(made)
    ids = {type(row).TYPE if hasattr(type(row), "TYPE") else row.resource_type: row.id for row in made}
    ids |= {"cluster": cluster.id}
    credential = {"host": "charts.example.com", "username": "u", "password": "a-password-of-the-tests"}
    ids["credential"] = (await slipway.client.post("/chart-credentials", json=credential)).json()["id"]
    hook = {"url": "https://192.0.2.1/hook", "resource_types": ["fargate_profile"]}
    webhook = await slipway.client.post("/webhooks", json=hook)
    assert webhook.status_code == 201, webhook.text
    ids["webhook"] = webhook.json()["id"]
    ids["operation"] = (await slipway.change("DELETE", f"/fargate-profiles/{ids['fargate_profile']}"))["id"]
    ids["delivery"] = (await slipway.client.post(f"/webhooks/{ids['webhook']}/ping")).json()["id"]
    return ids


def one_of(kind: Kind[Any], cluster: Cluster, common: dict[str, Any]) -> Any:
    spec: Any = kind.spec.model_validate(kind.example)
    columns = {**common, **kind.scope.values(kind.scope.beside(ClusterView.of(cluster)))}
    return rows.new(kind, id=new_id(kind.prefix), spec=spec.model_dump(mode="json"), **columns)


async def everything(slipway: Slipway) -> dict[str, list[Any]]:
    """Return every row of every table but what only counts or times."""
    passed = ("api_keys", "projects", "idempotency_keys", "alembic_version")
    async with slipway.app.state.database.read() as session:
        connection = await session.connection()
        names = await connection.run_sync(lambda sync: sorted(_tables(sync)))
        return {
            name: sorted(map(str, (await session.execute(text(f'SELECT * FROM "{name}"'))).all()))
            for name in names
            if name not in passed
        }


def _tables(sync: Any) -> list[str]:
    return list(inspect(sync).get_table_names())


def example(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    """Return the document's own example of a body; None if it has none or needs none."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    reference = schema.get("$ref", "").rpartition("/")[2]
    examples = document["components"]["schemas"].get(reference, {}).get("examples")
    return examples[0] if examples else None


async def test_nothing_is_told_to_others(idle: Slipway) -> None:
    ids = await one_of_each(idle)
    async with idle.app.state.database.write() as session:
        project = new_id("prj")
        session.add(Project(id=project, name="theirs"))
        await session.flush()
        session.add(ApiKey(id=new_id("key"), project_id=project, name="theirs", key_hash=hash_of("t" * 40)))
    document = await idle.get("/openapi.json")
    before = await everything(idle)
    ours = [*ids.values(), "charts.example.com", "192.0.2.1"]
    tried = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path in NOT_OURS:
                continue
            named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert named <= ids.keys() | UNNAMED.keys(), (path, "which id does it take?")
            where = path.format_map({**ids, **UNNAMED})
            body = example(document, operation)
            nobody = await idle.client.request(method, where, json=body, headers={"Authorization": ""})
            assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated"), (method, path)
            if (method, path) in OF_THE_CALLERS_OWN:
                continue
            query = QUERIES.get((method, path))
            answer = await idle.client.request(method, where, params=query, json=body, headers=THEIRS)
            said = f"{where} {json.dumps(body)}"  # a problem repeats what it was asked for
            assert not [each for each in ours if each in answer.text and each not in said], (method, path, answer.text)
            if named - UNNAMED.keys():
                assert answer.status_code == 404, (method, path, answer.text)
                tried += 1
            elif method == "get" and answer.status_code == 200:
                assert answer.json()["items"] == [], (path, answer.text)
            else:
                assert answer.status_code in (404, 422), (method, path, answer.text)
    assert tried > 40
    assert await everything(idle) == before
