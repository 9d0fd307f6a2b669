"""Log lines: JSON, with the ids of what they are about, without passwords."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app.core.logging import bound, configure, operation_id_var, request_id_var, without_userinfo


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    made = io.StringIO()
    configure("info", made)
    yield made
    root.handlers[:] = before[0]
    root.setLevel(before[1])


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line(stream: io.StringIO) -> None:
    with bound(request_id_var, "req-1"), bound(operation_id_var, "op-1"):
        logging.getLogger("some.where").warning("it is %d°", 5, extra={"region": "eu-central-1"})
    logging.getLogger("some.where").debug("not shown")
    logging.getLogger("some.where").info("outside")
    first, second = lines(stream)
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "WARNING",
        "logger": "some.where",
        "message": "it is 5°",
        "region": "eu-central-1",
        "request_id": "req-1",
        "operation_id": "op-1",
    }
    assert "request_id" not in second


def test_passwords_in_urls_are_never_written(stream: io.StringIO) -> None:
    try:
        raise RuntimeError("postgresql://me:hunter2@db:5432/x")
    except RuntimeError:
        logging.getLogger("x").exception("connect %s", "https://a:hunter2@host/", extra={"url": "amqp://u:hunter2@h"})
    assert "hunter2" not in stream.getvalue()
    assert lines(stream)[0]["message"] == "connect https://***@host/"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("postgresql://u:p@h/d", "postgresql://***@h/d"),
        ("postgresql://u:p@ss@h/d", "postgresql://***@h/d"),
        ("https://h/path?mail=a@b", "https://h/path?mail=a@b"),
        ("https://h/a@b", "https://h/a@b"),
        ("mail me@example.org", "mail me@example.org"),
        ("a://u:p@h and b://x:y@z", "a://***@h and b://***@z"),
    ],
)
def test_without_userinfo(text: str, result: str) -> None:
    assert without_userinfo(text) == result


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure("loud", io.StringIO())
