"""`Idempotency-Key`: one change for one key, on both databases."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.errors import SlipwayError
from app.core.ids import new_id
from app.db.base import DEFAULT_PROJECT
from app.db.session import Database
from app.http import idempotency
from app.http.errors import IdempotencyInProgressError

THING = {"name": "one"}


def with_key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def test_the_same_request_gets_the_first_answer_again(client: httpx.AsyncClient, count: Any) -> None:
    first = await client.post("/things", json=THING, headers=with_key("k"))
    again = await client.post("/things", json=THING, headers=with_key("k"))
    assert first.status_code == again.status_code == 202
    assert first.content == again.content
    assert first.headers["location"] == again.headers["location"] == f"/operations/{first.json()['id']}"
    assert again.headers["retry-after"] == first.headers["retry-after"]
    assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await count("one") == 1


async def test_an_answer_without_a_body(client: httpx.AsyncClient) -> None:
    first = await client.delete("/things/x", headers=with_key("k"))
    again = await client.delete("/things/x", headers=with_key("k"))
    assert (first.status_code, again.status_code, again.content) == (204, 204, b"")
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("content", "content_type", "query"),
    [
        (b'{"name": "two"}', "application/json", ""),
        (b'{"name": "one" }', "application/json", ""),
        (b'{"name": "one"}', "application/json; charset=utf-8", ""),
        (b"{", "application/json", ""),
    ],
)
async def test_another_request_with_the_key_is_refused(
    client: httpx.AsyncClient, content: bytes, content_type: str, query: str
) -> None:
    first = {"content": b'{"name": "one"}', "headers": with_key("k") | {"content-type": "application/json"}}
    assert (await client.post("/things", **first)).status_code == 202
    answer = await client.post("/things", content=content, headers=with_key("k") | {"content-type": content_type})
    assert answer.status_code in (400, 422)
    if content != b"{":
        assert answer.json()["code"] == "idempotency_key_reused"


async def test_a_key_belongs_to_method_and_path(client: httpx.AsyncClient) -> None:
    headers = with_key("k")
    assert (await client.post("/things", json=THING, headers=headers)).status_code == 202
    answer = await client.patch("/things/x", json=THING, headers=headers)
    assert "idempotency-replayed" not in answer.headers
    other = await client.patch("/things/y", json=THING, headers=headers)
    assert "idempotency-replayed" not in other.headers
    long = await client.patch("/things/" + "y" * 600, json=THING, headers=headers)
    assert long.status_code == 202


async def test_a_problem_frees_the_key(client: httpx.AsyncClient, count: Any) -> None:
    headers = with_key("k")
    assert (await client.post("/things", json={"name": 5}, headers=headers)).status_code == 422
    assert (await client.post("/things", json={"name": "refused"}, headers=headers)).status_code == 409
    assert (await client.post("/things", json={"name": "broken"}, headers=headers)).status_code == 503
    assert await count("refused") == await count("broken") == 0
    assert (await client.post("/things", json=THING, headers=headers)).status_code == 202
    assert await count("one") == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\x7f"])
async def test_keys_have_a_form(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("/things", json=THING, headers=with_key(key))
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_idempotency_key"
    assert (await client.post("/things", json=THING, headers=with_key("x" * 255))).status_code == 202


async def test_twenty_at_once_make_one_change(app: FastAPI, client: httpx.AsyncClient, count: Any) -> None:
    app.state.slowness = 0.2
    requests = [client.post("/things", json=THING, headers=with_key("k")) for _ in range(20)]
    answers = await asyncio.gather(*requests)
    made = [answer for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert await count("one") == 1
    assert len({answer.content for answer in made}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in made) == 1
    assert {answer.json()["code"] for answer in refused} <= {"idempotency_in_progress"}
    assert all(answer.status_code == 409 and answer.headers["retry-after"] for answer in refused)
    again = await client.post("/things", json=THING, headers=with_key("k"))
    assert again.content == made[0].content


async def test_without_a_key_every_request_is_its_own(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/things", json={"name": f"n{i}"}) for i in range(5)))
    assert {answer.status_code for answer in answers} == {202}


def wanted(owner: str | None = None) -> idempotency.Reservation:
    return idempotency.Reservation(DEFAULT_PROJECT, "POST", "/things", "k", "f" * 64, owner or new_id("req"))


async def age(database: Database, seconds: int) -> None:
    then = f"datetime('now', '-{seconds} seconds')" if database.is_sqlite else f"now() - interval '{seconds} seconds'"
    async with database.write() as session:
        await session.execute(text(f"UPDATE idempotency_keys SET created_at = {then}"))


@pytest.mark.calendar
async def test_the_key_of_a_crashed_process_lapses(database: Database) -> None:
    crashed, second, third = wanted(), wanted(), wanted()
    async with database.write() as session:
        assert await idempotency.reserve(session, crashed) is None
    with pytest.raises(IdempotencyInProgressError):
        async with database.write() as session:
            await idempotency.reserve(session, second)
    await age(database, 61)
    async with database.write() as session:
        assert await idempotency.reserve(session, second) is None
    with pytest.raises(SlipwayError):  # it was only slow: its change must not be made
        async with database.write() as session:
            await idempotency.store(session, crashed, idempotency.Answer(202, {}, "{}"))
    async with database.write() as session:
        await idempotency.release(session, crashed)  # and it frees nothing
        await idempotency.store(session, second, idempotency.Answer(202, {"Location": "/x"}, '{"b":1,"a":2}'))
    async with database.write() as session:
        stored = await idempotency.reserve(session, third)
    assert stored == idempotency.Answer(202, {"Location": "/x"}, '{"b":1,"a":2}')


@pytest.mark.calendar
async def test_keys_are_kept_for_a_day(database: Database) -> None:
    async with database.write() as session:
        await idempotency.reserve(session, wanted())
    await age(database, 25 * 3600)
    async with database.write() as session:
        assert await idempotency.delete_expired(session) == 0
    await age(database, 49 * 3600)
    async with database.write() as session:
        assert await idempotency.delete_expired(session) == 1
