"""Endpoints as they are in life: down, slow, hanging, wrong, gone; and processes that die."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from integration.webhooks.conftest import (
    Receiver,
    Service,
    answers,
    closes_mid_body,
    hangs,
    serving,
    until,
)
from sqlalchemy import text

from app.webhooks import deliverer, queue, schedule
from app.webhooks.models import WebhookDelivery

Receivers = Callable[..., Awaitable[Receiver]]


async def make_due(service: Service) -> None:
    """Let the wait for the next try be over."""
    async with service.database.write() as session:
        await session.execute(
            text("UPDATE webhook_deliveries SET next_attempt_at = created_at WHERE status = 'pending'")
        )
        await service.database.notifier.notify(session, "slipway_deliveries")


async def age(service: Service, hours: int) -> None:
    """Let an endpoint have failed for longer."""
    sqlite = f"datetime('now', '-{hours} hours')"
    postgres = f"now() - interval '{hours} hours'"
    async with service.database.write() as session:
        since = sqlite if service.database.is_sqlite else postgres
        await session.execute(text(f"UPDATE webhooks SET failing_since = {since} WHERE failing_since IS NOT NULL"))


@pytest.mark.parametrize(
    ("behaviour", "status", "error"),
    [
        (answers(500, body=b"\0oh \xff no" + b"x" * 50_000), 500, "answered 500"),
        (answers(404), 404, "answered 404"),
        (answers(302, "Location: http://169.254.169.254/latest"), 302, "redirects are not followed"),
        (closes_mid_body, 200, "broke off"),
    ],
)
async def test_what_does_not_count_is_tried_again(
    service: Service, receivers: Receivers, behaviour: Any, status: int, error: str
) -> None:
    receiver = await receivers(behaviour)
    webhook = await service.webhook(receiver.url)
    await service.post(f"/webhooks/{webhook['id']}/ping")
    failed = await service.delivery(webhook["id"], lambda found: found["attempts"])
    assert failed["status"] == "pending"
    assert failed["attempts"][0]["status_code"] == status
    assert error in failed["attempts"][0]["error"]
    assert len(failed["attempts"][0]["response"] or "") <= 1024
    assert (await service.get(f"/webhooks/{webhook['id']}"))["failing_since"] is not None
    receiver.behaviour = answers(204)
    await make_due(service)
    arrived = await service.delivery(webhook["id"], lambda found: found["status"] == "succeeded")
    assert [attempt["status_code"] for attempt in arrived["attempts"]] == [status, 204]
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 1
    assert (await service.get(f"/webhooks/{webhook['id']}"))["failing_since"] is None


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "disconnected"),
        (b"\0\xff\r\n\r\n", "illegal"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "illegal"),
        (b"HTTP/1.1 2000 X\r\n\r\n", "illegal"),
        (b"HTTP/1.1 200 X\r\nA: \0\r\n\r\n", "illegal"),
        (b"HTTP/1.1 200 X\r\n" + b"A: b\r\n" * 100_000, "too"),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "broke off"),
    ],
)
async def test_what_is_no_answer_is_on_record(service: Service, receivers: Receivers, sent: bytes, error: str) -> None:
    async def behave(_received: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.close()

    receiver = await receivers(behave)
    webhook = await service.webhook(receiver.url)
    await service.post(f"/webhooks/{webhook['id']}/ping")
    tried = await service.delivery(webhook["id"], lambda found: found["attempts"])
    assert (tried["status"], error in tried["attempts"][0]["error"]) == ("pending", True), tried


async def test_down_then_up(service: Service, receiver: Receiver) -> None:
    webhook = await service.webhook(receiver.url)
    await receiver.stop()
    await service.post(f"/webhooks/{webhook['id']}/ping")
    down = await service.delivery(webhook["id"], lambda found: found["attempts"])
    assert down["attempts"][0]["status_code"] is None
    await receiver.start()
    assert (await service.post(f"/webhooks/{webhook['id']}/deliveries/{down['id']}/resend"))["status"] == "pending"
    up = await service.delivery(webhook["id"], lambda found: found["status"] == "succeeded")
    assert len(up["attempts"]) == 2


async def test_410_disables(service: Service, receivers: Receivers) -> None:
    receiver = await receivers(answers(410))
    webhook = await service.webhook(receiver.url)
    path = f"/webhooks/{webhook['id']}"
    await service.post(f"{path}/ping")
    gone = await service.delivery(webhook["id"], lambda found: found["status"] == "failed")
    found = await service.get(path)
    assert (found["enabled"], found["disabled_reason"]) == (False, "It answered 410 Gone.")
    for refused in (f"{path}/ping", f"{path}/deliveries/{gone['id']}/resend"):
        answer = await service.client.post(refused)
        assert (answer.status_code, answer.json()["code"]) == (409, "webhook_disabled")
    receiver.behaviour = answers(200)
    enabled = (await service.client.patch(path, json={"enabled": True})).json()
    assert (enabled["enabled"], enabled["disabled_reason"]) == (True, None)
    answer = await service.post(f"{path}/deliveries/resend", {"since": webhook["created_at"]})
    assert answer == {"resent": 1}
    await service.delivery(webhook["id"], lambda found: found["status"] == "succeeded")


async def test_429_holds_the_endpoint_back(service: Service, receivers: Receivers) -> None:
    receiver = await receivers(answers(429, "Retry-After: 3600"))
    webhook = await service.webhook(receiver.url)
    for _ in range(5):
        await service.post(f"/webhooks/{webhook['id']}/ping")

    def waits(item: dict[str, Any]) -> float:
        times = [datetime.fromisoformat(item[name]) for name in ("created_at", "next_attempt_at")]
        return (times[1] - times[0]).total_seconds()

    for item in await service.deliveries(webhook["id"]):
        path = f"/webhooks/{webhook['id']}/deliveries/{item['id']}"
        await service.until(path, lambda found: waits(found) > 3500)
    found = await service.deliveries(webhook["id"])
    tried = len(receiver.received)
    assert sum(len(item["attempts"]) for item in found) == tried < 5
    await service.ended(await service.operate(await service.cluster()))  # what is yet to come waits as well
    newest = await service.delivery(webhook["id"], lambda item: item["event"] == "operation.succeeded")
    assert (waits(newest) > 3400, newest["attempts"], len(receiver.received)) == (True, [], tried)
    assert (await service.get(f"/webhooks/{webhook['id']}"))["held_until"] is not None
    receiver.behaviour = answers(204)  # by hand it goes at once, and ends the pause
    await service.post(f"/webhooks/{webhook['id']}/deliveries/{newest['id']}/resend")
    await service.delivery(webhook["id"], lambda item: item["status"] == "succeeded")
    assert (await service.get(f"/webhooks/{webhook['id']}"))["held_until"] is None


async def test_an_endpoint_that_fails_for_days_is_disabled(service: Service, receivers: Receivers) -> None:
    receiver = await receivers(answers(500))
    webhook = await service.webhook(receiver.url)
    await service.post(f"/webhooks/{webhook['id']}/ping")
    await service.delivery(webhook["id"], lambda found: len(found["attempts"]) == 1)
    await age(service, 71)
    await make_due(service)
    await service.delivery(webhook["id"], lambda found: len(found["attempts"]) == 2)
    assert (await service.get(f"/webhooks/{webhook['id']}"))["enabled"] is True
    await age(service, 73)
    await make_due(service)
    await service.delivery(webhook["id"], lambda found: found["status"] == "failed")
    found = await service.get(f"/webhooks/{webhook['id']}")
    assert found["enabled"] is False
    assert "Nothing got through since" in found["disabled_reason"]
    assert found["generation"] == 2


async def test_it_is_given_up_in_the_end(
    database_url: str, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer.schedule, "JITTER", 0.0)
    receiver = await receivers(answers(500))
    async with serving(database_url) as service:
        service.app.state.worker._deliverer._waits = (0.0, 0.01, 0.02)
        await service.operate(await service.cluster(), callback_url=receiver.url)
        ended = await service.delivery("callbacks", lambda found: found["status"] == "failed")
        assert [attempt["status_code"] for attempt in ended["attempts"]] == [500] * 4
        assert len(receiver.received) == 4


async def test_those_that_hang_hold_nobody_up(service: Service, receivers: Receivers) -> None:
    hanging, good = await receivers(hangs), await receivers()
    for number in range(3):
        await service.webhook(f"{hanging.url}/{number}")
    webhook = await service.webhook(good.url)
    clusters = [await service.cluster() for _ in range(20)]
    for cluster in clusters:
        await service.operate(cluster)
    await until(lambda: len(good.received) == 20)
    assert hanging.most_open == 3  # one place for each, however much waits
    assert 1 <= good.most_open <= 8
    assert len({received.headers["webhook-id"] for received in good.received}) == 20
    await service.delivery(webhook["id"], lambda found: found["status"] == "succeeded")


async def test_events_of_one_resource_come_in_order(service: Service, receivers: Receivers) -> None:
    async def slowly(received: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        await answers(200)(received, writer)

    receiver = await receivers(slowly)
    await service.webhook(receiver.url)
    one, two = await service.cluster(), await service.cluster()
    for _ in range(15):
        await service.operate(one)
        await service.operate(two)
    await until(lambda: len(receiver.received) == 30)
    for cluster in (one, two):
        numbers = [
            received.json["data"]["sequence"]
            for received in receiver.received
            if received.json["data"]["operation"]["resource"]["id"] == cluster.id
        ]
        assert numbers == list(range(1, 16))


async def test_two_replicas_send_each_event_once_and_in_order(postgres_url: str, receivers: Receivers) -> None:
    async def slowly(received: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.005)
        await answers(200)(received, writer)

    receiver = await receivers(slowly)
    async with serving(postgres_url) as one, serving(postgres_url):
        webhook = await one.webhook(receiver.url)
        clusters = [await one.cluster() for _ in range(4)]
        for _ in range(10):
            for cluster in clusters:
                await one.operate(cluster)
        await one.until(
            f"/webhooks/{webhook['id']}/deliveries",
            lambda page: len(page["items"]) == 40 and all(item["status"] == "succeeded" for item in page["items"]),
        )
    for cluster in clusters:
        told = [received.json["data"] for received in receiver.received]
        numbers = [data["sequence"] for data in told if data["operation"]["resource"]["id"] == cluster.id]
        assert numbers == list(range(1, 11))


async def test_a_resend_of_what_is_under_way(service: Service, receivers: Receivers) -> None:
    receiver = await receivers(hangs)
    webhook = await service.webhook(receiver.url)
    made = await service.post(f"/webhooks/{webhook['id']}/ping")
    await until(lambda: receiver.open)
    answer = await service.client.post(f"/webhooks/{webhook['id']}/deliveries/{made['id']}/resend")
    assert (answer.status_code, answer.json()["code"]) == (409, "delivery_in_progress")


async def test_what_a_dead_process_had_taken_is_delivered_by_another(database_url: str, receiver: Receiver) -> None:
    async with serving(database_url, with_worker=False) as service:
        webhook = await service.webhook(receiver.url)
        await service.post(f"/webhooks/{webhook['id']}/ping")
        async with service.database.write() as session:
            taken = await queue.claim(session, limit=10, room={}, usual_room=1, lease_seconds=60)
        assert len(taken) == 1
        async with service.database.write() as session:
            assert await queue.claim(session, limit=10, room={}, usual_room=1, lease_seconds=60) == []
            await session.execute(text("UPDATE webhook_deliveries SET lease_expires_at = created_at"))  # it runs out
    async with serving(database_url) as service:
        lost = await service.delivery(webhook["id"], lambda found: found["attempts"])
        assert lost["status"] == "pending"
        assert "died" in lost["attempts"][0]["error"]
        assert (await service.get(f"/webhooks/{webhook['id']}"))[
            "failing_since"
        ] is None  # it is not the endpoint's fault
        await make_due(service)
        await service.delivery(webhook["id"], lambda found: found["status"] == "succeeded")
        late = queue.Attempt(taken[0], datetime.now(UTC), 500, 1, "too late", None, retry_in=1.0)
        async with service.database.write() as session:
            assert await queue.write(session, [late]) == []
        found = await service.deliveries(webhook["id"])
        assert (found[0]["status"], len(found[0]["attempts"])) == ("succeeded", 2)


async def test_a_delivery_that_kills_each_process_is_given_up(idle: Service, receiver: Receiver) -> None:
    webhook = await idle.webhook(receiver.url)
    await idle.post(f"/webhooks/{webhook['id']}/ping")
    tries = 0
    while (found := (await idle.deliveries(webhook["id"]))[0])["status"] == "pending":
        tries += 1
        assert tries <= len(schedule.SCHEDULE) + 1
        await make_due(idle)
        async with idle.database.write() as session:
            assert await queue.write_lost(session, waits=schedule.SCHEDULE) == 0
            [taken] = await queue.claim(session, limit=10, room={}, usual_room=1, lease_seconds=60)
            assert await queue.write_lost(session, waits=schedule.SCHEDULE) == 0  # its process may live
            await session.execute(text("UPDATE webhook_deliveries SET lease_expires_at = created_at"))
            assert await queue.write_lost(session, waits=schedule.SCHEDULE, skip=[taken.id]) == 0
            assert await queue.write_lost(session, waits=schedule.SCHEDULE) == 1
    assert (found["status"], len(found["attempts"])) == ("failed", len(schedule.SCHEDULE) + 1)
    assert receiver.received == []


async def test_an_ending_worker_gives_back_what_it_could_not_send(database_url: str, receivers: Receivers) -> None:
    receiver = await receivers(hangs)
    async with serving(database_url, drain_seconds=0.1) as service:
        webhook = await service.webhook(receiver.url)
        await service.post(f"/webhooks/{webhook['id']}/ping")
        await until(lambda: receiver.open)
    receiver.behaviour = answers(204)
    async with serving(database_url, with_worker=False) as service, service.database.read() as session:
        assert (await session.execute(queue.select(WebhookDelivery))).scalar_one().tries == 0
    async with serving(database_url) as service:
        await service.delivery(webhook["id"], lambda found: found["status"] == "succeeded")


@pytest.mark.calendar
async def test_old_events_go_with_their_deliveries(idle: Service, receiver: Receiver) -> None:
    webhook = await idle.webhook(receiver.url)
    for _ in range(2):
        await idle.post(f"/webhooks/{webhook['id']}/ping")
    async with idle.database.write() as session:
        newest = "SELECT max(id) FROM webhook_events"
        await session.execute(
            text(f"UPDATE webhook_events SET created_at = '2020-01-01 00:00:00+00' WHERE id <> ({newest})")
            if not idle.database.is_sqlite
            else text(f"UPDATE webhook_events SET created_at = '2020-01-01 00:00:00.000000' WHERE id <> ({newest})")
        )
    assert await queue.delete_old(idle.database, 90) == 1
    assert len(await idle.deliveries(webhook["id"])) == 1
