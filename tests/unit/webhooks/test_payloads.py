"""What is sent, and to whom."""

import json
from datetime import UTC, datetime
from typing import Any

from app.operations.schemas import OperationChild, OperationOut, ResourceRef
from app.webhooks.models import Webhook
from app.webhooks.outbox import Recipient, wants
from app.webhooks.payloads import LARGEST, operation_payload

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
CLUSTER = ResourceRef(type="cluster", id="clu_1", name="eksdemo")


def operation(children: int = 0) -> OperationOut:
    child = OperationChild(id="op_2", kind="nodegroup.create", status="succeeded", resource=CLUSTER)
    return OperationOut(
        id="op_1",
        kind="cluster.apply",
        status="succeeded",
        resource=CLUSTER,
        children=[child] * children,
        progress={"done": 0, "total": 0},
        steps=[],
        warnings=[],
        created_at=NOW,
    )


def test_the_operation_as_it_can_be_read() -> None:
    text = operation_payload("operation.succeeded", NOW, operation(3), 7)
    payload = json.loads(text)
    assert payload["type"] == "operation.succeeded"
    assert payload["timestamp"] == "2026-11-23T08:00:00Z"
    assert payload["data"]["operation"] == json.loads(operation(3).model_dump_json())
    assert payload["data"]["sequence"] == 7
    assert payload["data"]["cut"] is False
    assert payload["data"]["links"] == {"operation": "/operations/op_1", "resource": "/clusters/clu_1"}


def test_a_big_one_is_cut_to_ids_and_links() -> None:
    text = operation_payload("operation.step", NOW, operation(2000), 7, {"name": "create_stack", "status": "running"})
    assert len(text) < LARGEST
    data = json.loads(text)["data"]
    assert data["cut"] is True
    assert data["operation"] == {
        "id": "op_1", "kind": "cluster.apply", "status": "succeeded", "resource": CLUSTER.model_dump()
    }  # fmt: skip
    assert data["step"]["name"] == "create_stack"


def test_filters() -> None:
    def let_through(event: str = "operation.failed", kind: str = "cluster", **webhook: Any) -> bool:
        values = {"events": ["operation.failed"], "resource_types": [], "tags": {}, **webhook}
        return wants(Webhook(**values), event, kind, {"team": "shop", "stage": "prod"})

    assert let_through()
    assert not let_through("operation.step")
    assert let_through(resource_types=["nodegroup", "cluster"])
    assert not let_through(resource_types=["nodegroup"])
    assert let_through(tags={"team": "shop"})
    assert let_through(tags={"team": "shop", "stage": "prod"})
    assert not let_through(tags={"team": "shop", "stage": "test"})
    assert not let_through(tags={"owner": "me"})


def test_callbacks_of_one_server_share_a_lane() -> None:
    one, two = (Recipient.of_callback("prj_1", f"https://Example.com/{path}") for path in ("a", "b?c"))
    assert one.lane == two.lane
    assert one.callback_url == "https://Example.com/a"
    assert Recipient.of_callback("prj_2", "https://example.com/a").lane != one.lane
