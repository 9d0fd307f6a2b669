"""The routes of webhooks."""

import base64
from typing import Any

import pytest
from integration.webhooks.conftest import Receiver, Service, serving, until
from sqlalchemy import text

URL = "https://deploys.example.com/slipway"


def pointers(answer: Any) -> list[str]:
    return [error["pointer"] for error in answer.json().get("errors", [])]


async def test_a_webhooks_life(idle: Service) -> None:
    answer = await idle.client.post("/webhooks", json={"url": URL, "tags": {"team": "shop"}})
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/webhooks/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert made["secret"].startswith("whsec_")
    assert made["events"] == ["operation.succeeded", "operation.failed", "operation.cancelled"]
    read = await idle.client.get(answer.headers["location"])
    assert {**read.json(), "secret": made["secret"]} == made
    etag = {"If-None-Match": read.headers["etag"]}
    assert (await idle.client.get(answer.headers["location"], headers=etag)).status_code == 304

    path = f"/webhooks/{made['id']}"
    patched = await idle.client.patch(
        path, json={"events": ["operation.step"], "tags": None}, headers={"If-Match": '"1"'}
    )
    assert (patched.status_code, patched.headers["etag"]) == (200, '"2"')
    assert (patched.json()["events"], patched.json()["tags"], patched.json()["url"]) == (["operation.step"], {}, URL)
    assert (await idle.client.patch(path, json={}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await idle.client.delete(path, headers={"If-Match": '"1"'})).status_code == 412

    second = await idle.webhook(URL)
    page = await idle.get("/webhooks", limit=1)
    assert [item["id"] for item in page["items"]] == [second["id"]]
    rest = await idle.get("/webhooks", limit=1, page_token=page["next_page_token"])
    assert [item["id"] for item in rest["items"]] == [made["id"]]
    assert "secret" not in str(page)

    assert (await idle.client.delete(path)).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        gone = await idle.client.request(method, path, json={} if method == "PATCH" else None)
        assert (gone.status_code, gone.json()["code"]) == (404, "webhook_not_found")


def secret_of(size: int) -> str:
    return "whsec_" + base64.b64encode(b"x" * size).decode()


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({"url": "x"}, "invalid_url", "/url"),
        ({"url": ""}, "invalid", "/url"),
        ({"url": 7}, "invalid", "/url"),
        ({"url": "http://example.com/"}, "url_scheme_not_allowed", "/url"),
        ({"url": "https://10.0.0.1/"}, "address_not_allowed", "/url"),
        ({"url": "https://2852039166/"}, "address_not_allowed", "/url"),
        ({"url": "https://me:secret@example.com/"}, "url_has_credentials", "/url"),
        ({"events": ["operation.exploded"]}, "invalid", "/events/0"),
        ({"events": []}, "invalid", "/events"),
        ({"resource_types": ["pod"]}, "invalid", "/resource_types/0"),
        ({"secret": secret_of(8)}, "invalid", "/secret"),
        ({"secret": "secret"}, "invalid", "/secret"),
        ({"enabled": "yes"}, "invalid", "/enabled"),
        ({"tags": {"a": 1}}, "invalid", "/tags/a"),
        ({"colour": "blue"}, "invalid", "/colour"),
    ],
)
async def test_what_is_refused(sqlite_url: str, fields: dict[str, Any], code: str, pointer: str) -> None:
    async with serving(sqlite_url, with_worker=False, allow_http=False, allow_private_addresses=False) as service:
        answer = await service.client.post("/webhooks", json={"url": URL, **fields})
        assert (answer.status_code, answer.json()["code"], pointers(answer)) == (422, code, [pointer])
        made = await service.webhook(URL)
        answer = await service.client.patch(f"/webhooks/{made['id']}", json=fields)
        if "secret" not in fields:  # a patch knows no secret: rotate it
            assert (answer.status_code, answer.json()["code"], pointers(answer)) == (422, code, [pointer])


async def test_secrets_are_not_kept_in_the_clear(idle: Service) -> None:
    given = secret_of(32)
    key = {"Idempotency-Key": "once"}
    made = await idle.client.post("/webhooks", json={"url": URL, "secret": given}, headers=key)
    again = await idle.client.post("/webhooks", json={"url": URL, "secret": given}, headers=key)
    assert made.json() == again.json()
    assert made.json()["secret"] == given
    assert again.headers["idempotency-replayed"] == "true"
    rotated = await idle.post(f"/webhooks/{made.json()['id']}/rotate-secret")
    callback = await idle.post("/webhooks/callback-secret/rotate")
    async with idle.database.read() as session:
        tables = ("webhooks", "callback_secrets", "idempotency_keys")
        kept = [str((await session.execute(text(f"SELECT * FROM {table}"))).all()) for table in tables]
    for secret in (given, rotated["secret"], callback["secret"]):
        assert all(secret not in rows for rows in kept)


@pytest.mark.calendar
async def test_rotation_without_a_gap(service: Service, receiver: Receiver) -> None:
    made = await service.webhook(receiver.url)
    path = f"/webhooks/{made['id']}"
    rotated = await service.post(f"{path}/rotate-secret")
    assert rotated["previous_expires_at"] is not None
    await service.post(f"{path}/ping")
    await until(lambda: receiver.received)
    for secret in (made["secret"], rotated["secret"]):
        assert receiver.received[0].verified(secret)["type"] == "webhook.ping"
    last = await service.post(f"{path}/rotate-secret", {"secret": secret_of(24), "overlap_seconds": 0})
    assert last == {"secret": secret_of(24), "previous_expires_at": None}
    await service.post(f"{path}/ping")
    await until(lambda: len(receiver.received) == 2)
    assert len(receiver.received[1].headers["webhook-signature"].split(" ")) == 1
    receiver.received[1].verified(secret_of(24))
    first = await service.post("/webhooks/callback-secret/rotate")
    assert first["previous_expires_at"] is None


async def test_the_log_of_deliveries(service: Service, receiver: Receiver) -> None:
    one, two = await service.webhook(receiver.url), await service.webhook(f"{receiver.url}/two")
    cluster = await service.cluster()
    operation_id = await service.operate(cluster)
    await until(lambda: len(receiver.received) == 2)
    await service.post(f"/webhooks/{one['id']}/ping")
    await until(lambda: len(receiver.received) == 3)
    path = f"/webhooks/{one['id']}/deliveries"
    await service.until(path, lambda page: all(item["status"] == "succeeded" for item in page["items"]))
    assert [item["event"] for item in await service.deliveries(one["id"])] == ["webhook.ping", "operation.succeeded"]
    await service.delivery(two["id"], lambda item: item["status"] == "succeeded")
    assert len(await service.deliveries(two["id"])) == 1
    for query, count in (
        ({"status": "succeeded"}, 2),
        ({"status": "failed"}, 0),
        ({"event": "webhook.ping"}, 1),
        ({"operation": operation_id}, 1),
        ({"resource": cluster.id}, 1),
    ):
        assert len(await service.deliveries(one["id"], **query)) == count
    page = await service.get(path, limit=1)
    rest = await service.get(path, limit=1, page_token=page["next_page_token"])
    assert rest["next_page_token"] is None
    found = await service.get(f"{path}/{rest['items'][0]['id']}")
    assert found == rest["items"][0]
    attempt = found["attempts"][0]
    assert (attempt["status_code"], attempt["error"], attempt["response"]) == (204, None, "")
    assert attempt["latency_ms"] >= 0
    foreign = await service.client.get(f"/webhooks/{two['id']}/deliveries/{found['id']}")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "delivery_not_found")
    figures = (await service.client.get("/metrics")).text
    assert 'slipway_webhook_attempts_total{outcome="succeeded"}' in figures
    assert "slipway_webhook_pending 0.0" in figures


async def test_bad_requests_on_deliveries(idle: Service) -> None:
    made = await idle.webhook(URL)
    path = f"/webhooks/{made['id']}"
    for body, pointer in (
        ({"since": "yesterday"}, "/since"),
        ({}, "/since"),
        ({"since": "2026-11-23T08:00:00"}, "/since"),
    ):
        answer = await idle.client.post(f"{path}/deliveries/resend", json=body)
        assert (answer.status_code, pointers(answer)) == (422, [pointer])
    for body in ({"secret": secret_of(3)}, {"overlap_seconds": -1}, {"overlap_seconds": "1"}):
        assert (await idle.client.post(f"{path}/rotate-secret", json=body)).status_code == 422
    answer = await idle.client.post(f"{path}/ping?callback_url={URL}")
    assert pointers(answer) == ["/query/callback_url"]
    for missing in ("/webhooks/whk_x/ping", "/webhooks/whk_x/rotate-secret", f"{path}/deliveries/dlv_x/resend"):
        assert (await idle.client.post(missing)).status_code == 404
    assert (await idle.client.get("/webhooks/whk_x/deliveries")).status_code == 404
    assert (await idle.client.get("/webhooks/callbacks/deliveries?status=odd")).status_code == 422
    due = await idle.post(f"{path}/ping")
    answer = await idle.client.post(f"{path}/deliveries/{due['id']}/resend")
    assert answer.json()["code"] == "delivery_in_progress"
    assert (await idle.client.patch(path, json={"enabled": False})).status_code == 200
    assert (await idle.deliveries(made["id"]))[0]["status"] == "failed"


async def test_another_projects_webhooks_are_not_there(idle: Service) -> None:
    made = await idle.webhook(URL)
    async with idle.database.write() as session:
        await session.execute(
            text("INSERT INTO projects (id, name, created_at) VALUES ('prj_other', 'other', CURRENT_TIMESTAMP)")
        )
        await session.execute(text("UPDATE webhooks SET project_id = 'prj_other'"))
    for path in (f"/webhooks/{made['id']}", f"/webhooks/{made['id']}/deliveries"):
        assert (await idle.client.get(path)).status_code == 404
    assert (await idle.get("/webhooks"))["items"] == []


async def test_without_an_encryption_key(postgres_url: str) -> None:
    async with serving(postgres_url, with_worker=False, encryption_key=None) as service:
        answer = await service.client.post("/webhooks", json={"url": URL})
        assert (answer.status_code, answer.json()["code"]) == (503, "encryption_key_missing")
