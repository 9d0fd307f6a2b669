"""Logs: one JSON object a line on stderr, with the request and the operation that it is about.

Passwords in URLs, and the secrets of the request or operation at hand, are taken out of every line, whoever wrote it;
others have no way into a log, because nobody logs bodies or headers.
"""

import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from app.core.secrets.scope import scope_or_none

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
operation_id_var: ContextVar[str | None] = ContextVar("operation_id", default=None)

_USERINFO = re.compile(r"(?<=://)[^\s/?#\"'@]*(?:@[^\s/?#\"'@]*)*@")
_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def without_userinfo(text: str) -> str:
    """Return `text` with `user:password@` of every URL in it replaced by `***@`."""
    return _USERINFO.sub("***@", text) if "://" in text and "@" in text else text


@contextmanager
def bound(variable: ContextVar[str | None], value: str | None) -> Iterator[None]:
    """Let every log line of the block carry `value` as the context variable's name."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


class Formatter(JsonFormatter):
    """JSON lines: `time`, `level`, `logger`, `message`, and what was given as `extra`."""

    def __init__(self) -> None:
        super().__init__(
            _FIELDS,
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S",
            json_ensure_ascii=False,
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's own, for terminals
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the time in UTC, RFC 3339, to the millisecond."""
        seconds = logging.Formatter.formatTime(self, record, datefmt)
        return f"{seconds}.{int(record.msecs):03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the ids of the context and without passwords of URLs."""
        for variable in (request_id_var, operation_id_var):
            value = variable.get()
            if value is not None and not hasattr(record, variable.name):
                setattr(record, variable.name, value)
        return without_userinfo(super().format(record))

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return what becomes the line, without the secrets that were opened for the request or operation."""
        secrets = scope_or_none()
        return secrets.value(log_data) if secrets else log_data


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every logger's lines from `level` up to `stream` (stderr), in place of what was configured before.

    Raises:
        ValueError: `level` is not one of logging's.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter())
    Formatter.converter = time.gmtime
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # The libraries' own chatter tells nothing that our lines don't.
    for name in ("uvicorn.access", "httpx", "httpcore", "alembic", "aiosqlite", "botocore", "aiobotocore", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
