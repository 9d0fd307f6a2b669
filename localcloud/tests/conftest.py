"""One local cloud for the whole session, on a free port, and SDK clients that talk to it over HTTP."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

from .templates import network

COUNTER = itertools.count(1)
TERMINAL_OK = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on Kubernetes come last: its programs may still be being built."""
    items.sort(key=lambda item: item.get_closest_marker("kubernetes") is not None)


class Cloud:
    """The running local cloud, as tests use it."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.endpoint: str = ready["endpoint"]
        self.env: dict[str, str] = ready["env"]
        self._clients: dict[str, Any] = {}
        # One for all clients: it reads each service's model once.
        self._session = botocore.session.Session()

    def client(self, service: str, **credentials: str) -> Any:
        """An SDK client, with other credentials or region_name if they are given; the usual ones are kept."""
        if not credentials and service in self._clients:
            return self._clients[service]
        keys = {
            "aws_access_key_id": self.env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.env["AWS_SECRET_ACCESS_KEY"],
            **credentials,
        }
        made = self._session.create_client(
            service,
            endpoint_url=self.endpoint,
            config=Config(retries={"total_max_attempts": 1}),
            **{"region_name": self.env["AWS_REGION"], **keys},
        )
        if not credentials:
            self._clients[service] = made
        return made

    def control(self, method: str, route: str, document: Any = None) -> tuple[int, Any]:
        """Calls a control route: status and parsed body."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.endpoint}/_localcloud/{route}", body, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def rules(self, *rules: dict[str, Any]) -> None:
        """Puts rules in force."""
        status, answer = self.control("PUT", "rules", list(rules))
        assert status == 200, answer

    def create(self, template: dict[str, Any], name: str = "", **more: Any) -> str:
        """Begins a stack and returns its id."""
        name = name or f"t{next(COUNTER)}"
        return self.client("cloudformation").create_stack(
            StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"], **more
        )["StackId"]

    def update(self, stack: str, template: dict[str, Any], **more: Any) -> str:
        """Begins an update."""
        return self.client("cloudformation").update_stack(
            StackName=stack, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"], **more
        )["StackId"]

    def stack(self, name: str) -> dict[str, Any]:
        """DescribeStacks of one."""
        return self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]

    def wait(self, stack: str, status: str = "", seconds: float = 90) -> dict[str, Any]:
        """Waits until nothing goes on any more (or for a status), and checks how it ended if a status is given."""
        end = time.monotonic() + seconds
        while True:
            found = self.stack(stack)
            if found["StackStatus"] == status or (
                not found["StackStatus"].endswith("IN_PROGRESS") and time.monotonic() < end
            ):
                break
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        assert status in ("", found["StackStatus"]), (found["StackStatus"], self.reasons(stack))
        return found

    def make(self, template: dict[str, Any], name: str = "", **more: Any) -> dict[str, str]:
        """Makes a stack and returns its outputs, with its id under `stack`."""
        stack = self.create(template, name, **more)
        found = self.wait(stack, "CREATE_COMPLETE")
        return {"stack": stack, **{o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}}

    def events(self, stack: str) -> list[dict[str, Any]]:
        """All events, oldest first."""
        pages = self.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack)
        return [event for page in pages for event in page["StackEvents"]][::-1]

    def statuses(self, stack: str, logical: str = "") -> list[str]:
        """The statuses that a stack (or one of its resources) went through."""
        name = logical or stack.split("/")[1]
        return [e["ResourceStatus"] for e in self.events(stack) if e["LogicalResourceId"] == name]

    def reasons(self, stack: str) -> list[str]:
        """The reasons of all failures."""
        found = [e for e in self.events(stack) if e["ResourceStatus"].endswith("FAILED")]
        return [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', '')}" for e in found]

    def delete(self, stack: str, **more: Any) -> None:
        """Deletes a stack and waits until it is gone."""
        self.client("cloudformation").delete_stack(StackName=stack, **more)
        self.wait(stack, "DELETE_COMPLETE")


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The process itself."""
    command = [sys.executable, "-m", "slipway_localcloud", "up", "--port", "0", "--die-with-parent"]
    # The same on every machine, whether it has the Kubernetes programs or not.
    command += ["--kubernetes", "off"]
    running = subprocess.Popen(
        [*command, "--dir", str(tmp_path_factory.mktemp("cloud"))], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    yield Cloud(json.loads(running.stdout.readline()))
    running.terminate()
    assert running.wait(30) == 0


@pytest.fixture
def cloud(process: Cloud) -> Iterator[Cloud]:
    """The local cloud without rules."""
    process.rules()
    yield process
    process.rules()


@pytest.fixture
def repository(cloud: Cloud) -> Iterator[Callable[..., str]]:
    """Makes image repositories (beginning of the name, what CreateRepository takes) and deletes them at the end."""
    ecr, made = cloud.client("ecr"), []

    def make(name: str, **more: Any) -> str:
        made.append(f"{name}{next(COUNTER)}")
        ecr.create_repository(repositoryName=made[-1], **more)
        return made[-1]

    yield make
    for name in made:
        ecr.delete_repository(repositoryName=name, force=True)


@pytest.fixture(scope="session")
def base(process: Cloud) -> dict[str, str]:
    """A network and roles that tests may use and must not change."""
    process.rules()
    return process.make(network(), "base")
