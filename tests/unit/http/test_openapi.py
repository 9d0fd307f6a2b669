"""The OpenAPI document: complete, made from the routes alone, always the same."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from app.core.settings import Settings
from app.http.openapi import render
from app.main import create_app
from app.webhooks.payloads import PING, EventType

METHODS = {"get", "put", "post", "delete", "patch"}
OPEN = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(database_url="sqlite:///none.db"), with_worker=False).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    seen = set()
    for path, method, operation in operations(document):
        assert operation["operationId"].isidentifier()
        assert operation["tags"], path
        assert operation["description"], path
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (path, method, status)
                assert set(response["content"]) == {"application/problem+json"}
    assert {"list_operations", "get_operation", "cancel_operation", "retry_operation", "list_events"} <= seen


def test_problems_follow_from_what_an_operation_takes(document: dict[str, Any]) -> None:
    for path, _method, operation in operations(document):
        statuses = set(operation["responses"])
        assert "503" in statuses
        if path in OPEN:
            assert "security" not in operation
            continue
        assert operation["security"] == [{"bearer": []}]
        assert {"401", "422"} <= statuses
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= statuses
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        if "Idempotency-Key" in names:
            assert {"409", "412"} <= statuses
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_no_trace_of_how_it_is_made(document: dict[str, Any]) -> None:
    text = str(document)
    assert "HTTPValidationError" not in text
    assert "x-slipway" not in text
    assert {"OperationPage", "EventPage", "Problem"} <= set(document["components"]["schemas"])
    assert document["components"]["schemas"]["OperationPage"]["examples"][0]["items"][0]["id"].startswith("op_")


def test_rendering_is_stable(tmp_path: Path) -> None:
    app = create_app(Settings(database_url="sqlite:///none.db"), with_worker=False)
    code = (
        "import sys; from app.cli import cli; cli(['openapi'], standalone_mode=False);"
        "heavy = {'botocore', 'aiobotocore', 'aioboto3'} & set(sys.modules);"
        "sys.stderr.write(f'heavy={sorted(heavy)}')"
    )
    url = f"sqlite:///{tmp_path / 'none' / 'x.db'}"
    environment = os.environ | {"SLIPWAY_DATABASE_URL": url, "PYTHONHASHSEED": "7"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout == render(app)
    assert result.stdout.endswith("}\n")
    assert "heavy=[]" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_slipway_sends_is_described(document: dict[str, Any]) -> None:
    sent = {event: item["post"] for event, item in document["webhooks"].items()}
    assert sent.keys() == {*get_args(EventType), PING}
    for event, operation in sent.items():
        name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        kind = document["components"]["schemas"][name]["properties"]["type"]
        assert event in kind.get("enum", [kind.get("const")])
        headers = {parameter["name"] for parameter in operation["parameters"]}
        assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    taking = [operation for _, _, operation in operations(document) if "callbacks" in operation]
    assert {"create_cluster", "delete_nodegroup", "cancel_operation"} <= {found["operationId"] for found in taking}
    for operation in taking:
        assert any(parameter["name"] == "callback_url" for parameter in operation["parameters"])
        callback = operation["callbacks"]["operation_ended"]["{$request.query.callback_url}"]["post"]
        assert callback["requestBody"] == sent["operation.succeeded"]["requestBody"]
