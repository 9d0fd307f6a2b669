"""Answers that AWS did not write, or not as its model has them: a proxy's page, a portal's, a field that is missing.

The SDK passes on what it cannot read as whatever Python raised. A gateway's class is decorated with `reads_answers`, so
that each of its methods says so instead: `UnexpectedAnswer`.
"""

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from app.gateways.aws.errors import AwsError, UnexpectedAnswer

log = logging.getLogger(__name__)

C = TypeVar("C", bound=type)

_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError, RuntimeError, OverflowError)


def reads_answers(gateway: C) -> C:
    """Have every asynchronous method of a class raise `UnexpectedAnswer` for what it cannot read."""
    for name, method in vars(gateway).copy().items():
        if inspect.iscoroutinefunction(method):
            setattr(gateway, name, _reading(method, f"{gateway.__name__}.{name}"))
    return gateway


def _reading(method: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def read(*args: Any, **kwargs: Any) -> Any:
        try:
            return await method(*args, **kwargs)
        except AwsError:
            raise
        except _UNREADABLE as error:
            log.warning("what came as AWS's answer to %s cannot be read", name, exc_info=error)
            raise UnexpectedAnswer(name, "form that the service has") from error

    return read
