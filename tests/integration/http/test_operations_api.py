"""The routes of operations and events."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.cloudformation.models import WATCHER
from app.core.ids import new_id
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.db.session import Database
from app.engine.models import Operation, OperationEvent, OperationWatch


def operation(**values: Any) -> Operation:
    usual: dict[str, Any] = {
        "id": new_id("op"),
        "project_id": DEFAULT_PROJECT,
        "account_id": DEFAULT_ACCOUNT,
        "region": "eu-central-1",
        "kind": "cluster.create",
        "resource_type": "cluster",
        "resource_id": new_id("clu"),
        "resource_name": "eksdemo",
        "phase": "begin",
        "steps": [{"name": "create_stack", "status": "pending"}],
    }
    return Operation(**(usual | values))


def event(of: Operation, message: str) -> OperationEvent:
    return OperationEvent(
        project_id=of.project_id,
        operation_id=of.id,
        resource_type=of.resource_type,
        resource_id=of.resource_id,
        type="operation.step",
        message=message,
    )


async def save(database: Database, *rows: Any) -> None:
    async with database.write() as session:
        for row in rows:
            session.add(row)
            await session.flush()


async def test_lists_newest_first_with_filters(client: httpx.AsyncClient, database_of: Database) -> None:
    parent = operation(id="op_" + "0" * 25 + "1", kind="cluster.apply", status="running")
    child = operation(id="op_" + "0" * 25 + "2", parent_id=parent.id, kind="nodegroup.create", resource_name="gpu")
    other = operation(
        id="op_" + "0" * 25 + "3", status="failed", error={"code": "x", "message": "m", "retryable": True}
    )
    await save(database_of, parent, child, other)

    async def ids(**query: str) -> list[str]:
        return [item["id"][-1] for item in (await client.get("/operations", params=query)).json()["items"]]

    assert await ids() == ["3", "2", "1"]
    assert await ids(status="failed") == ["3"]
    assert await ids(kind="nodegroup.create") == ["2"]
    assert await ids(kind="no.such.kind") == []
    assert await ids(parent=parent.id) == ["2"]
    assert await ids(resource="gpu") == ["2"]
    assert await ids(resource=parent.resource_id) == ["1"]
    page = (await client.get("/operations?limit=2")).json()
    rest = (await client.get("/operations", params={"limit": 2, "page_token": page["next_page_token"]})).json()
    assert [item["id"][-1] for item in page["items"] + rest["items"]] == ["3", "2", "1"]
    one = (await client.get(f"/operations/{parent.id}")).json()
    assert [child["id"][-1] for child in one["children"]] == ["2"]
    assert (await client.get("/operations?status=odd")).json()["errors"][0]["pointer"] == "/query/status"


async def test_reading_a_failed_operation_is_200(client: httpx.AsyncClient, database_of: Database) -> None:
    row = operation(status="failed", error={"code": "stack_failed", "message": "m", "retryable": False})
    await save(database_of, row)
    answer = await client.get(f"/operations/{row.id}")
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == "stack_failed"
    assert answer.json()["created_at"].endswith("Z")


async def test_another_projects_operation_is_not_there(client: httpx.AsyncClient, database_of: Database) -> None:
    async with database_of.write() as session:
        await session.execute(
            text("INSERT INTO projects (id, name, created_at) VALUES ('prj_other', 'other', CURRENT_TIMESTAMP)")
        )
    row = operation(project_id="prj_other")
    await save(database_of, row, event(row, "secret"))
    for path in (f"/operations/{row.id}", f"/operations/{row.id}/events"):
        assert (await client.get(path)).json()["code"] == "operation_not_found"
    assert (await client.post(f"/operations/{row.id}/cancel")).status_code == 404
    assert (await client.get("/operations")).json()["items"] == []
    assert (await client.get("/events")).json()["items"] == []


async def test_events_of_a_parent_and_its_children(client: httpx.AsyncClient, database_of: Database) -> None:
    parent = operation(kind="cluster.apply", status="running")
    child = operation(parent_id=parent.id, status="running", resource_name="gpu", resource_type="nodegroup")
    ended = operation(parent_id=parent.id, status="succeeded", resource_name="old")
    watches = [
        OperationWatch(operation_id=row.id, target_id="arn", watcher=WATCHER, account_id=DEFAULT_ACCOUNT, region="r")
        for row in (child, ended)
    ]
    events = [event(parent, "one"), event(child, "two"), event(ended, "three")]
    await save(database_of, parent, child, ended, *watches, *events)

    path = f"/operations/{parent.id}/events"
    items = (await client.get(path)).json()["items"]
    assert [item["message"] for item in items] == ["one", "two", "three"]
    assert items[1]["resource"] == {"type": "nodegroup", "id": child.resource_id, "name": "gpu"}
    later = (await client.get(path, params={"after": items[0]["id"]})).json()["items"]
    assert [item["message"] for item in later] == ["two", "three"]
    page = (await client.get(path, params={"limit": 2})).json()
    rest = (await client.get(path, params={"limit": 2, "page_token": page["next_page_token"]})).json()
    assert [item["message"] for item in rest["items"]] == ["three"]
    assert rest["next_page_token"] is None
    by_name = (await client.get("/events", params={"resource": "gpu"})).json()["items"]
    assert [item["message"] for item in by_name] == ["two"]
    assert len((await client.get("/events")).json()["items"]) == 3

    async with database_of.read() as session:
        query = text("SELECT operation_id FROM stack_watches WHERE followed_until IS NOT NULL")
        assert (await session.execute(query)).scalars().all() == [child.id]


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30, "", "٣"])
async def test_after_is_an_events_id(client: httpx.AsyncClient, after: str) -> None:
    answer = await client.get("/events", params={"after": after})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/query/after"


async def test_what_has_ended_is_not_cancelled(client: httpx.AsyncClient, database_of: Database) -> None:
    row = operation(status="succeeded")
    await save(database_of, row)
    answer = await client.post(f"/operations/{row.id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_cancellable")
    answer = await client.post(f"/operations/{row.id}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_retryable")


async def test_cancel_answers_202_with_the_operation(
    app: FastAPI, client: httpx.AsyncClient, database_of: Database
) -> None:
    class Changes:
        def is_cancellable(self, operation: Operation) -> bool:
            return True

        async def retry(self, session: Any, caller: Any, operation: Operation) -> Operation:
            raise NotImplementedError

    app.state.ledger.register("cluster", Changes())
    row = operation(status="running")
    await save(database_of, row)
    answer = await client.post(f"/operations/{row.id}/cancel", headers={"Idempotency-Key": "c"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/operations/{row.id}"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["id"] == row.id
    again = await client.post(f"/operations/{row.id}/cancel", headers={"Idempotency-Key": "c"})
    assert again.content == answer.content


async def test_figures_of_the_ledger(client: httpx.AsyncClient, database_of: Database) -> None:
    await save(database_of, operation(), operation(status="failed", dead_letter=True), operation(status="failed"))
    lines = (await client.get("/metrics")).text.splitlines()
    assert 'slipway_operations{kind="cluster.create",status="failed"} 2.0' in lines
    assert 'slipway_operations{kind="cluster.create",status="pending"} 1.0' in lines
    assert "slipway_operations_dead_letters 1.0" in lines
    assert "slipway_database_up 1.0" in lines
    oldest = next(line for line in lines if line.startswith("slipway_operations_oldest_pending_seconds "))
    assert 0 <= float(oldest.split()[1]) < 60
    await client.get("/things/x")
    text_ = (await client.get("/metrics")).text
    assert 'slipway_http_request_duration_seconds_count{method="GET",path="/things/{thing}",status="200"}' in text_
