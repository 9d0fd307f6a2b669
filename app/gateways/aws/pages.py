"""Pages of what botocore has no paginator for, or only one that is in the way."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from app.gateways.aws.errors import translate


async def pages(operation: str, call: Callable[..., Awaitable[Any]], key: str, **arguments: Any) -> AsyncIterator[Any]:
    """Yield the pages of a call; like botocore's paginators it refuses to go in a circle.

    Args:
        operation: As for `translate`.
        call: A client's method.
        key: Of the token, in questions and answers: `NextToken`, `nextToken`.
        arguments: For each call.

    Raises:
        AwsError: A call fails, or gives a token that an earlier one gave.
    """
    seen: set[str] = set()
    token = ""
    while True:
        with translate(operation):
            page = await call(**arguments, **({key: token} if token else {}))
            token = page.get(key) or ""
            if token in seen:
                raise ValueError(f"the same {key} came twice")
        yield page
        if not token:
            return
        seen.add(token)
