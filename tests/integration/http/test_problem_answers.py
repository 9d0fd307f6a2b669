"""Everything that a caller can send wrong is answered with a problem, and never with a 500."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.settings import Settings
from app.main import create_app

JSON = {"content-type": "application/json"}


def check(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["type"] == f"urn:slipway:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert answer.headers["x-request-id"]
    return body


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": }',
        b'{"name": "a", "name": "b"}',
        b'{"size": NaN}',
        b'{"size": Infinity}',
        b'{"size": 1e999}',
        b'{"name": "\xff"}',
        b'{"name": "\\u0000"}',
        b'{"name": "\\ud800"}',
        b'{"size": ' + b"9" * 400 + b"}",
        b"[" * 2000,
        b"   ",
    ],
)
async def test_what_cannot_be_parsed_is_400(client: httpx.AsyncClient, body: bytes) -> None:
    check(await client.post("/things", content=body, headers=JSON), 400, "malformed")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/xml"},
        {"content-type": "application/merge-patch+json"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "json"},
        {"content-type": ";;;="},
    ],
)
async def test_other_content_types_are_415(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    body = check(await client.post("/things", content=b"{}", headers=headers), 415, "unsupported_media_type")
    assert body["accepted"] == ["application/json"]


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8"])
async def test_content_type_of_json(client: httpx.AsyncClient, content_type: str) -> None:
    answer = await client.post("/things", content=b'{"name": "a"}', headers={"content-type": content_type})
    assert answer.status_code == 202


@pytest.mark.parametrize("content_type", ["application/json", "application/merge-patch+json"])
async def test_patch_takes_merge_patches(client: httpx.AsyncClient, content_type: str) -> None:
    answer = await client.patch("/things/x", content=b'{"name": "a"}', headers={"content-type": content_type})
    assert answer.status_code == 202
    assert answer.json() == {"id": "x", "name": "a"}


async def test_too_large_by_its_length(client: httpx.AsyncClient) -> None:
    body = check(await client.post("/things", content=b" " * 5000, headers=JSON), 413, "body_too_large")
    assert body["limit"] == 4096


async def test_too_large_in_chunks_without_a_length(client: httpx.AsyncClient) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 1000
            yield b" " * 1000

    check(await client.post("/things", content=chunks(), headers=JSON), 413, "body_too_large")
    assert sent < 10_000  # the rest is not read


async def test_a_body_where_none_is_taken(client: httpx.AsyncClient) -> None:
    answer = await client.post("/operations/op_x/retry", content=b"{}", headers=JSON)
    assert check(answer, 422, "invalid")["errors"] == [{"pointer": "", "detail": "must be empty"}]


async def test_no_body_where_one_is_needed(client: httpx.AsyncClient) -> None:
    errors = check(await client.post("/things"), 422, "invalid")["errors"]
    assert errors == [{"pointer": "", "detail": "a body is required"}]


async def test_wrong_fields_have_pointers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things", json={"nmae": "a", "size": {"minimum": "5"}})
    assert check(answer, 422, "invalid")["errors"] == [
        {"pointer": "/name", "detail": "is required"},
        {"pointer": "/size/minimum", "detail": "must be an integer"},
        {"pointer": "/nmae", "detail": 'unknown field; did you mean "name"?'},
    ]


@pytest.mark.parametrize(
    ("query", "pointer", "detail"),
    [
        ("limits=5", "/query/limits", 'unknown parameter; did you mean "limit"?'),
        ("limit=5&limit=6", "/query/limit", "is given twice"),
        ("limit=0", "/query/limit", "must be at least 1"),
        ("limit=x", "/query/limit", "must be an integer"),
        ("limit=1.5", "/query/limit", "must be an integer"),
        ("colour=%00", "/query/colour", "holds a NUL character"),
        ("tag=x", "/query/tag", "must be key=value"),
        ("tag=a=1&tag=a=2", "/query/tag", "one key cannot have two values"),
    ],
)
async def test_queries_are_strict(client: httpx.AsyncClient, query: str, pointer: str, detail: str) -> None:
    body = check(await client.get(f"/things?{query}"), 422, "invalid")
    assert body["errors"] == [{"pointer": pointer, "detail": detail}]


async def test_tags(client: httpx.AsyncClient) -> None:
    answer = await client.get("/things?limit=1&tag=a=1&tag=b=x=y&tag=c=")
    assert answer.json()["items"][0]["name"] == str({"a": "1", "b": "x=y", "c": ""})


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic dGVzdA==", "Bearer test-admin-key2", "Bearer " + "x" * 3000],
)
@pytest.mark.parametrize("path", ["/operations", "/things/x", "/events"])
async def test_without_a_key_is_401(client: httpx.AsyncClient, authorization: str, path: str) -> None:
    answer = await client.get(path, headers={"Authorization": authorization})
    check(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_key_is_asked_for_before_the_body_is_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things", content=b"{", headers={"Authorization": "Bearer no"})
    check(answer, 401, "unauthenticated")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"])
async def test_open_paths(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["/nope", "/operations/", "/operations/a/b/c", "/things/a%00b"])
async def test_unknown_paths_are_404(client: httpx.AsyncClient, path: str) -> None:
    check(await client.get(path), 404, "not_found")


async def test_other_methods_are_405_and_all_that_are_taken_are_listed(client: httpx.AsyncClient) -> None:
    answer = await client.put("/things/x", json={})
    check(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, PATCH"


async def test_a_bug_is_503_and_logged_without_passwords(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str], count: Any
) -> None:
    import logging

    from app.core.logging import configure

    before = logging.getLogger().handlers[:], logging.getLogger().level
    configure("INFO")
    try:
        answer = await client.post("/things", json={"name": "broken"}, headers={"X-Request-ID": "trace-me"})
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    check(answer, 503, "internal_error")
    assert int(answer.headers["retry-after"]) > 0
    assert await count("broken") == 0
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    error = next(line for line in lines if line["level"] == "ERROR")
    assert error["request_id"] == "trace-me"
    assert "RuntimeError" in error["exc_info"]
    assert "hunter2" not in json.dumps(lines)
    access = next(line for line in lines if line["logger"] == "slipway.access")
    assert (access["method"], access["path"], access["status"]) == ("POST", "/things", 503)


async def test_request_ids(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz", headers={"X-Request-ID": "abc-1"})).headers["x-request-id"] == "abc-1"
    for odd in ("", "a b", "x" * 129, "a\tb"):
        made = (await client.get("/healthz", headers={"X-Request-ID": odd})).headers["x-request-id"]
        assert made.startswith("req_")


async def test_facts_of_a_conflict(client: httpx.AsyncClient) -> None:
    body = check(await client.post("/things", json={"name": "refused"}), 409, "conflict")
    assert body["thing"].startswith("prj_")


async def test_a_callback_url_is_checked_before_anything_begins(client: httpx.AsyncClient, count: Any) -> None:
    answer = await client.post("/things?callback_url=https://127.1/", json={"name": "a"})
    assert check(answer, 422, "address_not_allowed")["errors"][0]["pointer"] == "/query/callback_url"
    assert await count("a") == 0
    assert (await client.post("/things?callback_url=https://x.example/", json={"name": "a"})).status_code == 202


async def test_a_database_that_is_away() -> None:
    app = create_app(Settings(database_url="postgresql://nobody:hunter2@127.0.0.1:1/none"), with_worker=False)
    from app.access.service import Access
    from app.db.session import Database

    app.state.database = Database("postgresql://nobody:hunter2@127.0.0.1:1/none")
    app.state.authenticate = Access(app.state.database).authenticate
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://slipway.test") as client:
        answer = await client.get("/operations", headers={"Authorization": "Bearer x"})
        check(answer, 503, "database_unavailable")
        assert "hunter2" not in answer.text
        ready = check(await client.get("/readyz"), 503, "not_ready")
        assert ready["checks"] == {"database": "it does not answer"}
        assert (await client.get("/healthz")).status_code == 200
        assert "slipway_database_up 0.0" in (await client.get("/metrics")).text
    await app.state.database.close()


async def test_readiness_sees_an_old_schema(app: FastAPI, client: httpx.AsyncClient) -> None:
    async with app.state.database.write() as session:
        await session.execute(text("DELETE FROM alembic_version"))
    body = check(await client.get("/readyz"), 503, "not_ready")
    assert "slipway migrate" in body["checks"]["database"]
    async with app.state.database.write() as session:
        await session.execute(text("INSERT INTO alembic_version VALUES ('9999')"))
    assert (await client.get("/readyz")).status_code == 200  # a newer replica has migrated


async def test_readiness_sees_a_worker_that_stands_still(app: FastAPI, client: httpx.AsyncClient) -> None:
    class Still:
        def problem(self) -> str:
            return "its loop has not turned for 60 s"

        def death(self) -> str:
            return "its loop has stood still for 90 s"

    app.state.worker = Still()
    assert "worker" in check(await client.get("/readyz"), 503, "not_ready")["checks"]
    assert "worker" in check(await client.get("/healthz"), 503, "dead")["checks"]
