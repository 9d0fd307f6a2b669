"""A receiver of Slipway's webhooks and callbacks: verifies each one with the Standard Webhooks library and prints it.

    python examples/webhook_receiver.py --port 9000 --secret whsec_…

Needs `pip install standardwebhooks` and nothing else. `--secret` may be given several times: a webhook's own, and the
project's callback secret. Port 0 takes a free one, told in the first line. Prints one JSON line for each message:
`{"path": "/", "verified": true, "id": "evt_…", "type": "operation.succeeded", …}`.
"""

import argparse
import contextlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

LARGEST = 1024 * 1024

secrets: list[str] = []
seen: set[tuple[str, str]] = set()
lock = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is signed, 401 to what is not."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        """Verify, then act once for each `webhook-id`: the same event may come more than once.

        A request's callback and a registered webhook are told of the same event: here each has a path of its own.
        """
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(min(length, LARGEST))
        payload = verified(body, dict(self.headers.items()))
        event = self.headers.get("webhook-id", "")
        with lock:
            repeated = (self.path, event) in seen
            if payload is not None:
                seen.add((self.path, event))
            say({"path": self.path, **told(payload, event, repeated=repeated)})
        self.send_response(401 if payload is None else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Log nothing: what came is printed."""


def verified(body: bytes, headers: dict[str, str]) -> dict[str, Any] | None:
    """Return the payload if one of the secrets has signed it."""
    for secret in secrets:
        try:
            return dict(Webhook(secret).verify(body, headers))
        except (WebhookVerificationError, ValueError):
            continue
    return None


def told(payload: dict[str, Any] | None, event: str, *, repeated: bool) -> dict[str, Any]:
    """Return what is printed of a message."""
    if payload is None:
        return {"verified": False, "id": event}
    data = payload["data"]
    operation = data.get("operation", {})
    resource = operation.get("resource") or data.get("resource") or {}
    return {
        "verified": True,
        "id": event,
        "repeated": repeated,
        "type": payload["type"],
        "timestamp": payload["timestamp"],
        "sequence": data["sequence"],
        "resource": f"{resource.get('type')} {resource.get('name')}" if resource else None,
        "resource_id": resource.get("id"),
        "operation": operation.get("kind"),
        "operation_id": operation.get("id"),
        "status": operation.get("status") or data.get("phase"),
        "error": (operation.get("error") or {}).get("message"),
    }


def say(line: dict[str, Any]) -> None:
    """Print one line of JSON."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Receive until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--secret", action="append", default=[])
    options = parser.parse_args()
    secrets.extend(options.secret)
    server = ThreadingHTTPServer((options.host, options.port), Receiver)
    say({"listening": f"http://{options.host}:{server.server_address[1]}/"})
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
