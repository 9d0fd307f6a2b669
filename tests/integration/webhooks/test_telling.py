"""What endpoints and callbacks are told, from the outbox to the wire."""

import json

from integration.webhooks.conftest import Receiver, Service, until


async def test_an_ended_operation_is_told_as_it_can_be_read(service: Service, receiver: Receiver) -> None:
    webhook = await service.webhook(receiver.url)
    operation_id = await service.operate(await service.cluster())
    ended = await service.ended(operation_id)
    await until(lambda: receiver.received)
    payload = receiver.received[0].verified(webhook["secret"])
    assert payload["type"] == "operation.succeeded"
    assert payload["timestamp"] == ended["finished_at"]
    assert payload["data"]["operation"] == ended
    assert payload["data"]["links"]["operation"] == f"/operations/{operation_id}"
    delivery = await service.delivery(webhook["id"], lambda found: found["status"] == "succeeded")
    assert receiver.received[0].headers["webhook-id"] == delivery["event_id"]
    assert delivery["attempts"][0]["status_code"] == 204
    assert delivery["next_attempt_at"] is None
    assert json.loads(receiver.received[0].body) == payload
