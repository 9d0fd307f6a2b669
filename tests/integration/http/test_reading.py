"""Pages and entity tags."""

import re
from collections.abc import Iterator

import httpx
import pytest


async def test_all_pages_hold_everything_once(client: httpx.AsyncClient) -> None:
    ids: list[str] = []
    token: str | None = None
    while True:
        page = (await client.get("/things", params={"limit": 70, **({"page_token": token} if token else {})})).json()
        ids += [item["id"] for item in page["items"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert ids == [f"{number:03}" for number in range(300)]


@pytest.mark.parametrize(("limit", "items"), [("1", 1), ("200", 200), ("201", 200), ("99999999999999999999", 200)])
async def test_limits_are_coerced(client: httpx.AsyncClient, limit: str, items: int) -> None:
    assert len((await client.get("/things", params={"limit": limit})).json()["items"]) == items
    assert len((await client.get("/things")).json()["items"]) == 50


async def test_tokens_belong_to_one_list(client: httpx.AsyncClient) -> None:
    token = (await client.get("/things?colour=red&limit=2")).json()["next_page_token"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)

    async def code(path: str, **query: str) -> str:
        answer = await client.get(path, params=query)
        return answer.json()["code"] if answer.status_code == 422 else str(answer.status_code)

    assert await code("/things", colour="red", limit="9", page_token=token) == "200"
    for bad in (
        {"page_token": token},
        {"page_token": token, "colour": "blue"},
        {"page_token": token, "colour": "red", "tag": "a=b"},
        *({"page_token": odd, "colour": "red"} for odd in tampered(token)),
    ):
        assert await code("/things", **bad) == "invalid_page_token"
    assert await code("/operations", page_token=token) == "invalid_page_token"


def tampered(token: str) -> Iterator[str]:
    yield from ("", "x", "=", "ä", token[:-1], token + "A", token[1:], token * 100)
    yield token[:5] + ("A" if token[5] != "A" else "B") + token[6:]


async def test_etag(client: httpx.AsyncClient) -> None:
    first = await client.get("/things/x")
    assert first.headers["etag"] == '"3"'
    for header in ('"3"', 'W/"3"', '"1", "3"', "*"):
        answer = await client.get("/things/x", headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"3"')
    assert (await client.get("/things/x", headers={"If-None-Match": '"2"'})).status_code == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ('"3"', 202),
        ("*", 202),
        ('"1","3"', 202),
        ('"2"', 412),
        ('W/"3"', 412),
        ("3", 400),
        ("", 400),
        ('"3" x', 400),
        ('"a', 400),
    ],
)
async def test_if_match(client: httpx.AsyncClient, header: str, status: int) -> None:
    answer = await client.patch("/things/x", json={}, headers={"If-Match": header})
    assert answer.status_code == status
    if status == 412:
        assert answer.json()["code"] == "precondition_failed"
        assert answer.json()["etag"] == '"3"'
