"""The endpoint that is told of everything: `examples/webhook_receiver.py`, and what must hold of what it verified."""

import base64
import json
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.demo.client import SlipwayClient
from app.demo.facts import Facts
from app.demo.processes import Processes
from app.demo.screen import Screen

NAME = "receiver"
EVENTS = (
    "operation.succeeded",
    "operation.failed",
    "operation.cancelled",
    "cluster.phase_changed",
    "nodegroup.phase_changed",
    "registry.phase_changed",
    "release.phase_changed",
)
PATIENCE_SECONDS = 20.0
LOOK_SECONDS = 0.05
CALLBACK_PATH = "/callback"

Message = dict[str, Any]


@dataclass(slots=True)
class Receiver:
    """The running example.

    Attributes:
        url: Where it listens.
        secret: What it verifies with: a caller may bring the secret.
        out: Its output, a line for each message.
        webhook_id: Once it is registered.
    """

    url: str
    secret: str
    out: Path
    webhook_id: str = ""

    @property
    def callback_url(self) -> str:
        """Return what a request can name as its `callback_url`."""
        return self.url.rstrip("/") + CALLBACK_PATH

    def messages(self) -> list[Message]:
        """Return what has come, in the order in which it came."""
        return [json.loads(line) for line in self.out.read_text().splitlines()[1:]]

    def told(self) -> list[Message]:
        """Return what came to the registered endpoint for the first time, pings left out."""
        return [
            message
            for message in self.messages()
            if message["path"] == "/" and message.get("type") != "webhook.ping" and not message.get("repeated")
        ]

    def wait_until(self, holds: Callable[[list[Message]], bool]) -> list[Message]:
        """Return what has come once something holds of it, or PATIENCE_SECONDS have passed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(messages := self.messages()) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return messages


def start(processes: Processes, folder: Path, examples: Path, env: Mapping[str, str]) -> Receiver:
    """Start the example on a free port."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    arguments = ["--port", "0", "--secret", secret]
    running = processes.start(NAME, arguments, env, program=[str(examples / "webhook_receiver.py")])
    first = json.loads(processes.first_line(running))
    return Receiver(first["listening"], secret, folder / f"{NAME}.out")


def register(screen: Screen, facts: Facts, client: SlipwayClient, receiver: Receiver) -> None:
    """Tell Slipway of the endpoint, and of the secret that signs."""
    body = {"url": receiver.url, "events": EVENTS, "secret": receiver.secret}
    note = f"{receiver.url}, for ends of operations and changes of phase; we bring the secret"
    made = client.ask("POST", "/webhooks", note, status=201, json=body)
    receiver.webhook_id = made["id"]
    note = "the same secret for callbacks"
    client.ask("POST", "/webhooks/callback-secret/rotate", note, json={"secret": receiver.secret})
    _ping(client, receiver)
    pings = receiver.wait_until(lambda messages: len(messages) == 1)
    facts.holds(
        "its ping came, and Standard Webhooks' library verified it",
        expected=[("webhook.ping", True)],
        found=[(ping.get("type"), ping["verified"]) for ping in pings],
    )
    screen.console.print()


def show(screen: Screen, facts: Facts, client: SlipwayClient, receiver: Receiver) -> None:
    """What came, and that it is all that should have come."""
    ended = {row["id"] for row in _all(client, "/operations") if row["finished_at"]}
    messages = receiver.wait_until(lambda _: ended <= {message.get("operation_id") for message in receiver.told()})
    path = f"/webhooks/{receiver.webhook_id}/deliveries"
    client.until(path, lambda page: not page["items"], status="pending")  # it answers before that is on record
    told = receiver.told()
    for message in told:
        what = message["operation"] or ""
        line = f"{message['type']:<24}{what:<18}{message['resource']:<28}{message['status']}"
        screen.say(f"{message['timestamp'][11:19]}  {line}")
    screen.console.print()
    facts.holds("every signature held", expected=[], found=[one for one in messages if not one["verified"]])
    facts.holds("each was sent by one try", expected=[], found=_tried_again(client, receiver))
    ends = Counter(message["operation_id"] for message in told if message["operation_id"])
    found = sorted((ended ^ ends.keys()) | {one for one, count in ends.items() if count > 1})
    facts.holds(f"each of the {len(ended)} operations was told exactly once", expected=[], found=found)
    facts.holds("of each resource, what came is numbered 1, 2, 3 … in order", expected=[], found=_out_of_order(told))
    called = [message["operation"] for message in messages if message["path"] == CALLBACK_PATH]
    facts.holds("the one callback_url was called once", expected=["nodegroup.update"], found=called)
    screen.console.print()
    _resend(facts, client, receiver)
    _rotate(facts, client, receiver)


def _resend(facts: Facts, client: SlipwayClient, receiver: Receiver) -> None:
    path = f"/webhooks/{receiver.webhook_id}/deliveries"
    delivery = client.read(path, event="operation.failed")["items"][0]
    client.ask("POST", f"{path}/{delivery['id']}/resend", "that of the failed node group, once more")

    def again(messages: list[Message]) -> list[str]:
        return [message["id"] for message in messages if message.get("repeated") and message["path"] == "/"]

    came = again(receiver.wait_until(lambda messages: bool(again(messages))))
    facts.holds("it came again, under the same webhook-id", expected=[delivery["event_id"]], found=came)


def _rotate(facts: Facts, client: SlipwayClient, receiver: Receiver) -> None:
    path = f"/webhooks/{receiver.webhook_id}"
    client.ask("POST", f"{path}/rotate-secret", "a new secret, which the receiver has not heard of")
    _ping(client, receiver)

    def pings(messages: list[Message]) -> list[bool]:
        return [message["verified"] for message in messages[1:] if message.get("type") in (None, "webhook.ping")]

    came = pings(receiver.wait_until(lambda messages: bool(pings(messages))))
    facts.holds("the old one signs beside it: its ping is verified, too", expected=[True], found=came)


def _ping(client: SlipwayClient, receiver: Receiver) -> None:
    client.ask("POST", f"/webhooks/{receiver.webhook_id}/ping", "")


def _all(client: SlipwayClient, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next_page_token": ""}
    while page["next_page_token"] is not None:
        query = {"page_token": page["next_page_token"]} if page["next_page_token"] else {}
        page = client.read(path, limit=200, **query)
        items += page["items"]
    return items


def _tried_again(client: SlipwayClient, receiver: Receiver) -> list[str]:
    """Return the deliveries that have not exactly one attempt, a good one."""
    deliveries = _all(client, f"/webhooks/{receiver.webhook_id}/deliveries")
    return [
        f"{delivery['id']} {delivery['event']}: {delivery['attempts']}"
        for delivery in deliveries
        if [attempt["status_code"] for attempt in delivery["attempts"]] != [204]
    ]


def _out_of_order(told: list[Message]) -> list[str]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for message in told:
        numbers[message["resource"]].append(message["sequence"])
    return [f"{resource}: {came}" for resource, came in numbers.items() if came != list(range(1, len(came) + 1))]
