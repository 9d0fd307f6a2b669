"""The local cloud's own routes, under /_localcloud/. They need no signature."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .calls import CALLS
from .ecr import tokens
from .eks.calendar import InvalidDay
from .eks.catalog import CALENDAR
from .kubernetes.planes import PLANES
from .leftovers import leftovers
from .rules import RULES, InvalidRules

Response = tuple[int, dict[str, str], bytes]

PREFIX = "/_localcloud/"


def handle(method: str, path: str, body: bytes) -> Response:
    """Answers one of the control routes."""
    route = path.removeprefix(PREFIX)
    routes: dict[str, dict[str, Callable[[], Any]]] = {
        "rules": {"GET": RULES.describe, "PUT": lambda: _put_rules(body), "DELETE": lambda: RULES.replace([])},
        "day": {"GET": CALENDAR.describe, "PUT": lambda: _put_day(body), "DELETE": CALENDAR.reset},
        "calls": {"GET": lambda: dict(sorted(CALLS.items())), "DELETE": _clear_calls},
        "leftovers": {"GET": leftovers},
        "kubernetes": {"GET": PLANES.describe},
        "registry-tokens": {"DELETE": lambda: {"expired": tokens.expire()}},
        "health": {"GET": lambda: {"status": "ok"}},
    }
    if route not in routes:
        return _json(404, {"message": f"no such route; there are {', '.join(PREFIX + name for name in routes)}"})
    operation = routes[route].get(method)
    if operation is None:
        return _json(405, {"message": f"use {' or '.join(routes[route])}"})
    try:
        result = operation()
    except (InvalidRules, InvalidDay) as error:
        return _json(400, {"message": str(error)})
    return _json(200 if result is not None else 204, result)


def _json(status: int, document: Any) -> Response:
    body = b"" if status == 204 else json.dumps(document).encode()
    return status, {"Content-Type": "application/json"}, body


def _put_rules(body: bytes) -> list[dict[str, Any]]:
    RULES.replace(_parsed(body, InvalidRules))
    return RULES.describe()


def _put_day(body: bytes) -> dict[str, str]:
    CALENDAR.replace(_parsed(body, InvalidDay))
    return CALENDAR.describe()


def _parsed(body: bytes, invalid: type[ValueError]) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise invalid(f"the body is not JSON: {error}") from error


def _clear_calls() -> None:
    CALLS.clear()
