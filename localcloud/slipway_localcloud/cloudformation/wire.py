"""CloudFormation's protocol: form parameters in, XML out."""

from __future__ import annotations

import uuid
from typing import Any
from xml.sax.saxutils import escape

NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
PAGE = 100

Response = tuple[int, dict[str, str], bytes]


class ApiError(Exception):
    """A refusal of a CloudFormation call."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ApiError:
    """CloudFormation's usual refusal."""
    return ApiError("ValidationError", message)


class Params:
    """The parameters of one call."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str, default: str = "") -> str:
        """One value."""
        return self._fields.get(name, [default])[0] or default

    def need(self, name: str) -> str:
        """One value that must be there."""
        value = self.get(name)
        if not value:
            wire = name[0].lower() + name[1:]
            raise invalid(
                f"1 validation error detected: Value null at '{wire}' failed to satisfy constraint: "
                "Member must not be null"
            )
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false when absent."""
        return self.get(name).lower() == "true"

    def strings(self, name: str) -> list[str]:
        """A list of strings."""
        found: list[str] = []
        while (key := f"{name}.member.{len(found) + 1}") in self._fields:
            found.append(self._fields[key][0])
        return found

    def objects(self, name: str) -> list[dict[str, str]]:
        """A list of flat objects."""
        items: dict[int, dict[str, str]] = {}
        prefix = f"{name}.member."
        for key, value in self._fields.items():
            if key.startswith(prefix):
                number, _, member = key[len(prefix) :].partition(".")
                items.setdefault(int(number), {})[member] = value[0]
        return [items[number] for number in sorted(items)]


def xml(value: Any) -> str:
    """A value as XML: dicts are elements, lists `member`s, None and "" nothing."""
    if isinstance(value, dict):
        parts = []
        for name, inner in value.items():
            if inner is None or inner == "":
                continue
            parts.append(f"<{name}>{xml(inner)}</{name}>")
        return "".join(parts)
    if isinstance(value, list):
        return "".join(f"<member>{xml(inner)}</member>" for inner in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))


def answer(action: str, result: dict[str, Any] | None) -> Response:
    """The answer to a call that worked."""
    inner = f"<{action}Result>{xml(result)}</{action}Result>" if result is not None else ""
    body = (
        f'<{action}Response xmlns="{NAMESPACE}">{inner}'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
    )
    return 200, {"Content-Type": "text/xml"}, body.encode()


def refusal(error: ApiError) -> Response:
    """The answer to a call that did not."""
    body = (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{error.code}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return error.status, {"Content-Type": "text/xml"}, body.encode()


def page(items: list[Any], params: Params, size: int = PAGE) -> tuple[list[Any], str]:
    """The part of a list that a call asks for, and the token of the next one ("" on the last page)."""
    token = params.get("NextToken")
    if token and not token.startswith("page-"):
        raise invalid("Invalid NextToken")
    start = int(token.removeprefix("page-") or 0) if token else 0
    more = start + size < len(items)
    return items[start : start + size], f"page-{start + size}" if more else ""
