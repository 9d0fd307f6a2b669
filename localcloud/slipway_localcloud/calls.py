"""Which operation a request is, and how often each was called."""

from __future__ import annotations

import functools
import re
from collections import Counter
from urllib.parse import parse_qs

_SCOPE = re.compile(r"Credential=[^/,]+/\d+/[^/]+/([^/]+)/")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_PARAMETER = re.compile(r"\\\{\w+(\\\+)?\\\}")

CALLS: Counter[str] = Counter()


def service_of(headers: dict[str, str], query: str) -> str:
    """The service that the request is signed for, or ""."""
    scope = _SCOPE.search(headers.get("authorization", ""))
    if scope:
        return scope.group(1)
    credential = parse_qs(query).get("X-Amz-Credential")
    return credential[0].split("/")[3] if credential and credential[0].count("/") >= 3 else ""


def operation_of(service: str, method: str, path: str, headers: dict[str, str], query: str, body: bytes) -> str:
    """The operation's name, as in `cloudformation:DescribeStacks`; method and path if it has none."""
    target = headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    action = _ACTION.search(body) or _ACTION.search(query.encode())
    if action:
        return action.group(1).decode()
    if service == "eks":
        for verb, pattern, name in _rest_operations(service):
            if verb == method and pattern.fullmatch(path):
                return name
    return f"{method} {path}"


@functools.cache
def _rest_operations(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """The operations of a REST service, from the SDK's own model; longer paths first."""
    from botocore.loaders import Loader

    model = Loader().load_service_model(service, "service-2")
    found = []
    for name, operation in model["operations"].items():
        uri = operation["http"]["requestUri"].partition("?")[0]
        pattern = _PARAMETER.sub(lambda m: ".+" if m.group(1) else "[^/]+", re.escape(uri))
        # The SDK sends ARNs in paths with their slashes.
        pattern = pattern.replace("access-entries/[^/]+", "access-entries/.+?")
        found.append((operation["http"]["method"], re.compile(pattern), name))
    return sorted(found, key=lambda item: -len(item[1].pattern))
