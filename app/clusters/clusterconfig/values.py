"""Readers of single values: each checks a type and returns what the spec wants, or notes what is wrong.

A reader takes (value, pointer, report) and returns None when the value is wrong; the value is never null, which
means the same as leaving a key out.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from app.clusters.clusterconfig.report import Report, at, quoted
from app.core.documents import parse_json, parse_yaml
from app.core.errors import MalformedError

Reader = Callable[[Any, str, Report], Any]

MAX_NODES = 2_000
"""Of one addon's configuration in YAML: there may be many of them, each with its own aliases."""

_PREFIX_LENGTH = re.compile(r"/[0-9]{1,3}\Z")


def kind(value: Any) -> str:
    """Name the JSON type of a value for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"


def text(value: Any, pointer: str, report: Report) -> str | None:
    """Read a string. Numbers and booleans are refused as eksctl does: YAML made them of something unquoted."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        report.wrong(pointer, f"must be text and is {kind(value)} ({shown[:32]}): write it in quotes")
    else:
        report.wrong(pointer, f"must be text and is {kind(value)}")
    return None


def version(value: Any, pointer: str, report: Report) -> str | None:
    """Read a Kubernetes version, the one place where a missing quote changes the meaning: 1.30 becomes 1.3."""
    if isinstance(value, float):
        report.wrong(pointer, f'is the number {value}, and YAML drops the end of 1.30: quote it, such as "1.30"')
        return None
    return text(value, pointer, report)


def flag(value: Any, pointer: str, report: Report) -> bool | None:
    """Read a boolean."""
    if isinstance(value, bool):
        return value
    report.wrong(pointer, f"must be true or false and is {kind(value)}")
    return None


def whole(value: Any, pointer: str, report: Report) -> int | None:
    """Read an integer."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    report.wrong(pointer, f"must be a whole number and is {value if isinstance(value, float) else kind(value)}")
    return None


def choice(words: Mapping[str, str | None]) -> Reader:
    """Make a reader of one word of several; a word that stands for None is known and not supported yet."""

    def read(value: Any, pointer: str, report: Report) -> str | None:
        word = text(value, pointer, report)
        if word is None:
            return None
        if word in words:
            result = words[word]
            if result is None:
                report.wrong(pointer, f"{quoted(word)} is not supported yet; use {_listed(words)}")
            return result
        report.wrong(pointer, f"{quoted(word)} is not one of {_listed(words)}{report.similar(word, words)}")
        return None

    return read


def _listed(words: Mapping[str, str | None]) -> str:
    return ", ".join(word for word, result in words.items() if result is not None)


def constant(word: str) -> Reader:
    """Make a reader that accepts one word only."""
    return choice({word: word})


def texts(value: Any, pointer: str, report: Report) -> list[str] | None:
    """Read a list of strings."""
    if not isinstance(value, list):
        report.wrong(pointer, f"must be a list and is {kind(value)}")
        return None
    items = [text(item, at(pointer, index), report) for index, item in enumerate(value)]
    good = [item for item in items if item is not None]
    return good if len(good) == len(items) else None


def text_map(value: Any, pointer: str, report: Report) -> dict[str, str] | None:
    """Read an object whose values are all strings, as labels and tags are."""
    if not isinstance(value, dict):
        report.wrong(pointer, f"must be an object and is {kind(value)}")
        return None
    items = {str(key): text(item, at(pointer, key), report) for key, item in value.items()}
    good = {key: item for key, item in items.items() if item is not None}
    return good if len(good) == len(items) else None


def cidr(value: Any, pointer: str, report: Report) -> str | None:
    """Read an address block such as 10.0.0.0/16."""
    block = text(value, pointer, report)
    if block is None:
        return None
    try:
        if _PREFIX_LENGTH.search(block):
            ipaddress.ip_network(block, strict=False)
            return block
    except ValueError:
        pass
    report.wrong(pointer, f"{quoted(block)} is not a CIDR block such as 10.0.0.0/16")
    return None


def configuration(value: Any, pointer: str, report: Report) -> dict[str, Any] | None:
    """Read an addon's configuration: an object, or a string that holds one as JSON or YAML."""
    if isinstance(value, str):
        if not value.strip():
            return {}
        try:
            body = value.encode()
            value = parse_json(body) if value.lstrip().startswith("{") else parse_yaml(body, max_nodes=MAX_NODES)
        except (MalformedError, UnicodeEncodeError) as error:
            report.wrong(pointer, f"must hold a JSON or YAML object: {error}")
            return None
    if isinstance(value, dict):
        return value
    report.wrong(pointer, f"must be an object, or a string that holds one, and is {kind(value)}")
    return None
