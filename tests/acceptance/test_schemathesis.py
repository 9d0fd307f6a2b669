"""Whatever the OpenAPI document lets a caller send: no answer with 5xx, and none that the document does not tell of."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.core.settings import Settings
from app.demo.processes import free_port
from app.main import create_app

KEY = "schemathesis-key-0123456789-abcdefgh"
START_SECONDS = 60.0
EXAMPLES = 9
"""For each operation; the same ones in every run."""

HEADERS = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}
KNOWN = {"cluster": "known", "nodegroup": "workers", "registry": "known", "credential": "charts.example.com"}
"""What there is, by the name of the path's parameter."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def service(localcloud: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service without a worker: what is asked for is accepted, checked against AWS, and never done."""
    folder = tmp_path_factory.mktemp("schemathesis")
    url = f"http://127.0.0.1:{free_port()}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLIPWAY_"))}
    environment |= localcloud.env
    environment |= {"SLIPWAY_DATABASE_URL": f"sqlite:///{folder / 'slipway.db'}", "SLIPWAY_ADMIN_KEY": KEY}
    command = [sys.executable, "-m", "app", "serve", "--no-worker", "--port", url.rpartition(":")[2]]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=Path(__file__).parents[2], start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(url):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        _make_known(url)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz", timeout=2, verify=False).status_code == 200
    return False


def _make_known(url: str) -> None:
    """Ask for a cluster with what belongs to it, so that not every name in a path is nobody's."""
    body = {
        "name": KNOWN["cluster"],
        "region": "us-west-2",
        "nodegroups": [{"name": KNOWN["nodegroup"]}],
        "registries": [{"name": KNOWN["registry"]}],
    }
    answer = httpx.post(f"{url}/clusters", json=body, headers=HEADERS, timeout=60)
    assert answer.status_code == 202, answer.text
    KNOWN["operation"] = answer.json()["id"]
    credential = {"host": KNOWN["credential"], "username": "ci", "password": "correct horse"}
    httpx.post(f"{url}/chart-credentials", json=credential, headers=HEADERS, timeout=60).raise_for_status()


schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
OPERATIONS = {operation.label: operation for operation in (found.ok() for found in schema.get_all_operations())}


# Not `schema.parametrize`: pytest 9.2 gives all of its tests one id, and xdist runs one test for each id.
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_operation(label: str, service: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy())
    def holds(case: schemathesis.Case) -> None:
        for name, value in case.path_parameters.items():
            if len(str(value)) % 2:
                case.path_parameters[name] = KNOWN.get(name, value)
        case.call_and_validate(base_url=service, headers=HEADERS, checks=CHECKS, timeout=120)

    holds()
