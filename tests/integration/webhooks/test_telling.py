"""What endpoints and callbacks are told, from the outbox to the wire."""

from integration.webhooks.conftest import Receiver, Service, serving, until
from sqlalchemy import select, text

from app.clusters.models import Addon, Cluster
from app.core.ids import new_id
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.engine.models import Operation


async def test_an_ended_operation_is_told_as_it_can_be_read(service: Service, receiver: Receiver) -> None:
    webhook = await service.webhook(receiver.url)
    operation_id = await service.operate(await service.cluster(), children=2)
    ended = await service.ended(operation_id)
    await until(lambda: len(receiver.received) == 3)
    told = [received.verified(webhook["secret"]) for received in receiver.received]
    parent = next(payload for payload in told if payload["data"]["operation"]["id"] == operation_id)
    assert parent["type"] == "operation.succeeded"
    assert parent["timestamp"] == ended["finished_at"]
    assert parent["data"]["operation"] == ended
    assert [child["status"] for child in ended["children"]] == ["succeeded"] * 2
    assert {payload["data"]["operation"]["parent_id"] for payload in told} == {None, operation_id}
    assert [payload["data"]["sequence"] for payload in told] == [1, 2, 3]
    delivery = await service.delivery(webhook["id"], lambda found: found["status"] == "succeeded")
    assert delivery["event_id"] in [received.headers["webhook-id"] for received in receiver.received]
    assert delivery["attempts"][0]["status_code"] == 204
    assert delivery["next_attempt_at"] is None


async def test_a_callback_is_called_once_for_what_the_request_began(service: Service, receiver: Receiver) -> None:
    operation_id = await service.operate(await service.cluster(), callback_url=receiver.url, children=2)
    await service.ended(operation_id)
    await until(lambda: receiver.received)
    delivery = await service.delivery("callbacks", lambda found: found["status"] == "succeeded")
    assert (delivery["operation_id"], delivery["callback_url"]) == (operation_id, receiver.url)
    secret = (await service.post("/webhooks/callback-secret/rotate"))["secret"]
    assert (await service.post(f"/webhooks/callbacks/deliveries/{delivery['id']}/resend"))["status"] == "pending"
    await until(lambda: len(receiver.received) == 2)
    assert receiver.received[1].verified(secret)["data"]["operation"]["id"] == operation_id
    assert receiver.received[0].headers["webhook-id"] == receiver.received[1].headers["webhook-id"]
    assert len(await service.deliveries("callbacks")) == 1


async def test_steps_are_told_to_those_that_ask_for_them(database_url: str, receiver: Receiver) -> None:
    async with serving(database_url, with_worker=False) as service:
        steps = await service.webhook(f"{receiver.url}/steps", events=["operation.step"])
        await service.webhook(f"{receiver.url}/ends")
        operation_id = await service.operate(await service.cluster())
        async with service.database.write() as session:
            row = await session.get_one(Operation, operation_id)
            row.steps = [{"name": "create_stack", "status": "running"}, {"name": "read_outputs", "status": "pending"}]
    async with serving(database_url):
        await until(lambda: len(receiver.received) == 2)
    told = {received.path.rpartition("/")[2]: received for received in receiver.received}
    payload = told["steps"].verified(steps["secret"])
    assert (payload["type"], payload["data"]["operation"]["id"]) == ("operation.step", operation_id)
    assert (payload["data"]["step"]["name"], payload["data"]["step"]["status"]) == ("create_stack", "succeeded")
    assert told["ends"].json["type"] == "operation.succeeded"
    assert payload["data"]["sequence"] < told["ends"].json["data"]["sequence"]


async def test_filters(service: Service, receiver: Receiver) -> None:
    webhooks = {
        "all": await service.webhook(f"{receiver.url}/all"),
        "shop": await service.webhook(f"{receiver.url}/shop", tags={"team": "shop"}),
        "groups": await service.webhook(f"{receiver.url}/groups", resource_types=["nodegroup"]),
        "failed": await service.webhook(f"{receiver.url}/failed", events=["operation.failed"]),
        "off": await service.webhook(f"{receiver.url}/off", enabled=False),
    }
    for tags in ({"team": "shop"}, {"team": "web"}):
        await service.ended(await service.operate(await service.cluster(**tags)))
    await until(lambda: len(receiver.received) == 3)
    sent = {name: len(await service.deliveries(webhook["id"])) for name, webhook in webhooks.items()}
    assert sent == {"all": 2, "shop": 1, "groups": 0, "failed": 0, "off": 0}


async def test_phases_are_told_whoever_changes_them(service: Service, receiver: Receiver) -> None:
    webhook = await service.webhook(receiver.url, events=["cluster.phase_changed"])
    row = await service.cluster()
    async with service.database.write() as session:
        found = (await session.execute(select(Cluster))).scalar_one()
        found.phase = "updating"
        await session.flush()
        found.phase = "active"
    async with service.database.write() as session:
        found = (await session.execute(select(Cluster))).scalar_one()
        found.phase = "deleting"
        addon = Addon(
            id=new_id("add"), project_id=DEFAULT_PROJECT, account_id=DEFAULT_ACCOUNT, region="r", name="coredns",
            spec={}, phase="creating", cluster_id=row.id,
        )  # fmt: skip
        session.add(addon)
    async with service.database.write() as session:
        found = (await session.execute(select(Cluster))).scalar_one()
        found.deleted_at = found.updated_at
    await until(lambda: len(receiver.received) == 3)
    told = [received.verified(webhook["secret"])["data"] for received in receiver.received]
    assert [(data["previous_phase"], data["phase"]) for data in told] == [
        (None, "active"), ("active", "deleting"), ("deleting", "deleted")
    ]  # fmt: skip
    assert [data["sequence"] for data in told] == [1, 2, 3]
    assert told[0]["resource"] == {"type": "cluster", "id": row.id, "name": row.name}


async def test_what_is_rolled_back_is_not_told(idle: Service, receiver: Receiver) -> None:
    await idle.webhook(receiver.url, events=["cluster.phase_changed"])
    row = await idle.cluster()
    async with idle.database.write() as session:
        (await session.get_one(Cluster, row.id)).phase = "failed"
        await session.rollback()
    async with idle.database.read() as session:
        assert (await session.execute(text("SELECT count(*) FROM webhook_events"))).scalar_one() == 1
