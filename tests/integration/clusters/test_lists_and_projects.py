"""Lists, references by name or id, and the wall between projects."""

from collections.abc import AsyncIterator

import pytest
from integration.conftest import LocalCloud
from integration.running import REGION, Slipway, running
from sqlalchemy import text

from app.access.service import hash_of
from app.clusters.models import Cluster
from app.clusters.schemas import ClusterSpec
from app.core.ids import new_id
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.engine.models import Operation
from app.kinds.nodegroup.models import Nodegroup
from app.kinds.nodegroup.spec import NodegroupSpec


@pytest.fixture(params=["sqlite_url", "postgres_url"])
async def idle(request: pytest.FixtureRequest, aws_environment: LocalCloud) -> AsyncIterator[Slipway]:
    """A service whose worker is another process."""
    async with running(request.getfixturevalue(request.param), aws_environment, with_worker=False) as service:
        yield service


async def add(service: Slipway, name: str, *, region: str = REGION, groups: int = 1, **tags: str) -> Cluster:
    """Write an active cluster with its node groups."""
    common = {"project_id": DEFAULT_PROJECT, "account_id": DEFAULT_ACCOUNT, "region": region, "tags": tags}
    spec = ClusterSpec(name=name, region=region, version="1.34", tags=tags).model_dump(mode="json")
    cluster = Cluster(id=new_id("clu"), name=name, spec=spec, phase="active", observed_generation=1, **common)
    cluster.outputs = {"arn": f"arn:aws:eks:{region}:111122223333:cluster/{name}"}
    cluster.facts = {"node_subnet_ids": ["subnet-0a1b2c3d"]}
    async with service.app.state.database.write() as session:
        session.add(cluster)
        await session.flush()
        for number in range(groups):
            body = NodegroupSpec(cluster=name, name=f"group-{number}", version="1.34").model_dump(mode="json")
            session.add(
                Nodegroup(
                    id=new_id("ng"),
                    name=f"group-{number}",
                    spec=body,
                    phase="active",
                    observed_generation=1,
                    cluster_id=cluster.id,
                    **common,
                )
            )
    return cluster


async def names(service: Slipway, path: str, **query: object) -> list[str]:
    return [item["name"] for item in (await service.get(path, **query))["items"]]


async def test_lists(idle: Slipway) -> None:
    for number in range(5):
        await add(idle, f"list-{number}", team="shop" if number % 2 else "pay")
    assert await names(idle, "/clusters") == [f"list-{number}" for number in (4, 3, 2, 1, 0)]
    page = await idle.get("/clusters", limit=2)
    rest = await idle.get("/clusters", limit=2, page_token=page["next_page_token"])
    assert [item["name"] for item in (*page["items"], *rest["items"])] == ["list-4", "list-3", "list-2", "list-1"]
    assert await names(idle, "/clusters", tag="team=shop") == ["list-3", "list-1"]
    assert await names(idle, "/nodegroups", cluster="list-2") == ["group-0"]
    assert len(await names(idle, "/nodegroups", tag="team=pay")) == 3
    problem = await idle.refused("GET", "/clusters?limit=0")
    assert (problem["status"], problem["code"]) == (422, "invalid")
    problem = await idle.refused("GET", f"/nodegroups?page_token={page['next_page_token']}")
    assert problem["code"] == "invalid_page_token"
    problem = await idle.refused("GET", "/nodegroups?cluster=nobody")
    assert (problem["status"], problem["code"]) == (404, "cluster_not_found")


async def test_names_and_ids(idle: Slipway) -> None:
    first, second = await add(idle, "twin"), await add(idle, "twin", region="eu-west-1")
    problem = await idle.refused("GET", "/clusters/twin")
    assert (problem["status"], problem["code"]) == (409, "ambiguous_name")
    assert problem["ids"] == sorted([first.id, second.id])
    assert (await idle.get(f"/clusters/{second.id}"))["spec"]["region"] == "eu-west-1"
    problem = await idle.refused("GET", "/nodegroups/group-0")
    assert (problem["status"], problem["code"]) == (409, "ambiguous_name")
    group = await idle.get("/nodegroups/group-0", cluster=first.id)
    assert (group["cluster_id"], group["id"] in problem["ids"]) == (first.id, True)
    assert (await idle.get(f"/nodegroups/{group['id']}"))["name"] == "group-0"
    problem = await idle.refused("POST", "/nodegroups", {"name": "new", "cluster": "twin"})
    assert problem["code"] == "ambiguous_name"


async def test_another_project_sees_nothing(idle: Slipway) -> None:
    cluster = await add(idle, "secret")
    group = (await idle.get("/nodegroups", cluster=cluster.id))["items"][0]
    operation = await idle.change("PATCH", f"/nodegroups/{group['id']}", {"labels": {"a": "b"}})
    project = new_id("prj")
    async with idle.app.state.database.write() as session:
        await session.execute(
            text("INSERT INTO projects (id, name, created_at) VALUES (:id, 'other', CURRENT_TIMESTAMP)"),
            {"id": project},
        )
        await session.execute(
            text(
                "INSERT INTO api_keys (id, project_id, name, key_hash, created_at)"
                " VALUES (:id, :project, 'other', :hash, CURRENT_TIMESTAMP)"
            ),
            {"id": new_id("key"), "project": project, "hash": hash_of("their-key")},
        )
    theirs = {"Authorization": "Bearer their-key"}
    schema = await idle.get("/openapi.json")
    ids = {"cluster": cluster.id, "nodegroup": group["id"], "operation": operation["id"]}
    tried = 0
    for path, methods in schema["paths"].items():
        if not any(f"{{{name}}}" in path for name in ids):
            continue  # each of the others holds only what its own feature's tests look at
        for method in methods:
            body = {} if method == "patch" else None
            answer = await idle.client.request(method, path.format_map(ids), json=body, headers=theirs)
            assert answer.status_code == 404, (method, path, answer.text)
            tried += 1
    for path in ("/clusters", "/nodegroups", "/operations", "/events"):
        answer = await idle.client.get(path, headers=theirs)
        assert answer.json()["items"] == []
    assert tried >= 11
    for name in ("clusters/secret", "nodegroups/group-0", f"nodegroups?cluster={cluster.id}"):
        assert (await idle.client.get(f"/{name}", headers=theirs)).status_code == 404
    answer = await idle.client.post("/nodegroups", json={"name": "x", "cluster": cluster.id}, headers=theirs)
    assert (answer.status_code, answer.json()["code"]) == (404, "cluster_not_found")
    answer = await idle.client.post("/clusters", json={"name": "secret", "region": REGION}, headers=theirs)
    assert (answer.status_code, answer.json()["code"]) == (422, "account_not_found")
    assert (await idle.client.get("/clusters", headers={"Authorization": "Bearer nobody"})).status_code == 401
    async with idle.app.state.database.read() as session:
        kept = await session.get(Operation, operation["id"])
        assert (kept.status, kept.cancel_requested) == ("pending", False)
