"""Classic load balancers: ministack knows only ELBv2, which shares their service name and some operations.

There never are any here; a caller that looks for what a cluster left behind asks all the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, list[str]]], Awaitable[Response]]

_VERSION = "2012-06-01"
_EMPTY = {"DescribeLoadBalancers": "LoadBalancerDescriptions", "DescribeTags": "TagDescriptions"}


def in_front_of(upstream: Handler) -> Handler:
    """Answers the classic API, and hands the rest to ministack."""

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        fields = {**query, **parse_qs(body.decode())}
        action = fields.get("Action", [""])[0]
        if fields.get("Version") != [_VERSION] or action not in _EMPTY:
            return await upstream(method, path, headers, body, query)
        space = f"http://elasticloadbalancing.amazonaws.com/doc/{_VERSION}/"
        text = (
            f'<{action}Response xmlns="{space}"><{action}Result><{_EMPTY[action]}/></{action}Result>'
            f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
        )
        return 200, {"Content-Type": "text/xml"}, text.encode()

    return handle
