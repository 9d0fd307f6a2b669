"""Documents, JSON or YAML, become plain Python values here and nowhere else, within bounds.

What callers send (`parse_json`, `parse_yaml`) is read strictly and refused with a `MalformedError` that says where it
is wrong. What comes out holds nothing that trips later layers: string keys only, no key twice, integers of 64 bits,
finite floats, text that can be stored (no lone surrogates, no NUL, which PostgreSQL refuses), at most `MAX_DEPTH`
levels. The body's size is limited before; the work here is linear in it.

What is fetched (`fetched_json`, `fetched_yaml`: charts, manifests, helm's records, answers of API servers) is read as
Kubernetes and helm, both written in Go, read it: the last of a key's values counts, what cannot be stored becomes
U+FFFD, and scalars are what `yaml_scalars.py` says. It is bounded alike, and what is over a bound, or none, is an
`UnreadableError`. Bounds are wide enough for real ones: a large CRD has some 40 levels, 4 MB of CRDs 300,000 nodes.

YAML is read from the parser's events by a loop that builds the values itself (`yaml_builder.py`): nothing is composed
before its depth, its aliases and its tags were seen, and no recursion depends on what was sent. In bodies `yes` and
`on` are booleans, as eksctl and Helm have them, and stay text where YAML 1.1 surprises: dates, `012`, `1:30`, `1_000`.
A float stays a float, so that who wants a string can tell the caller to quote `1.30`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from app.core.document_bounds import Bounds, refuse, shown, storable
from app.core.errors import MalformedError
from app.core.yaml_builder import documents
from app.core.yaml_scalars import BODY, KUBERNETES, Dialect, ScalarError, finite, integer

MAX_DEPTH = 64
MAX_YAML_NODES = 20_000
"""Nodes of a YAML document after its aliases are put in: far above any real one, far below what a bomb needs."""

FETCHED_DEPTH = 128
FETCHED_YAML_NODES = 500_000
"""Some 100 MB at the worst, and 3 s in a thread."""
FETCHED_JSON_NODES = 1_000_000
"""Some 200 MB at the worst, and 1 s; 500 pods with all their managedFields have 300,000."""

# One JSON token that matters for depth: a string (also one that never ends) or a bracket. The possessive quantifiers
# keep it linear: there is nothing to go back to.
_JSON_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_JSON_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_STORABLE = re.compile("[\\0\ud800-\udfff]")
_JSON_BAD_ESCAPE = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")


class UnreadableError(ValueError):
    """Something fetched is no document, or over a bound; the message is a sentence that names it."""


def parse_json(body: bytes) -> Any:
    """Parse one JSON text (RFC 8259, UTF-8; a byte order mark is skipped).

    Raises:
        MalformedError: It is not JSON, holds a key twice, a number or text that cannot be kept, or is nested deeper
            than `MAX_DEPTH`. The facts `line` and `column` (from 1) say where, when that is known.
    """
    text = _decode(body)
    _check_json_depth(text)
    value = _loads(text, "The body", object_pairs_hook=_object, parse_int=_integer)
    if _JSON_BAD_ESCAPE.search(text):
        _check_texts(value)
    return value


def parse_yaml(body: bytes, *, max_nodes: int = MAX_YAML_NODES) -> Any:
    """Parse one YAML document (UTF-8), with anchors, aliases and `<<` merges, without tags.

    Keys are text as it is written (`1: x` has the key `"1"`). Aliased values are copies: changing one changes no other.

    Raises:
        MalformedError: It is not YAML, or holds what the module refuses: several documents, tags, a key twice,
            collections or null as keys, aliases of themselves, more than `max_nodes` nodes, deeper nesting than
            `MAX_DEPTH`. The facts `line` and `column` (from 1) say where, when that is known.
    """
    found = list(documents(_decode(body), Bounds("The body", MAX_DEPTH, max_nodes), BODY))
    if not found:
        refuse("The body is empty")
    return found[0]


def fetched_json(content: bytes | str, subject: str, *, max_nodes: int = FETCHED_JSON_NODES) -> Any:
    """Read JSON that was fetched, as Go's encoding/json does; slow for megabytes: use a thread.

    Args:
        content: UTF-8 if it is bytes; what is none becomes U+FFFD.
        subject: What it is, to begin a sentence with.
        max_nodes: Values in collections, all in all.

    Raises:
        UnreadableError: It is not JSON, is nested deeper than `FETCHED_DEPTH`, has too many nodes, or numbers that
            are none (`NaN`, 1e999, integers of thousands of digits).
    """
    text = content if isinstance(content, str) else content.decode("utf-8-sig", errors="replace")
    bounds = Bounds(subject, FETCHED_DEPTH, max_nodes)
    try:
        _check_json_nodes(text, bounds)
        value = _loads(text, subject)
        _check_depth(value, bounds)
    except MalformedError as error:
        raise UnreadableError(error.message) from error
    except RecursionError as error:
        raise UnreadableError(bounds.too_deep) from error
    except ValueError as error:  # an integer with more digits than int() takes
        raise UnreadableError(f"{subject} holds a number that is too large") from error
    return _stored(value) if _JSON_BAD_ESCAPE.search(text) or not storable(text) else value


def fetched_yaml(
    content: bytes | str, subject: str, *, max_nodes: int = FETCHED_YAML_NODES, dialect: Dialect = KUBERNETES
) -> Iterator[Any]:
    """Read YAML documents that were fetched, one after the other; slow for megabytes: use a thread.

    Helm takes the first document of a file alone; manifests are all of theirs.

    Args:
        content: UTF-8 if it is bytes.
        subject: What it is, to begin a sentence with.
        max_nodes: Of all documents, aliases counted as what they stand for.
        dialect: What scalars are.

    Raises:
        UnreadableError: It is not YAML, is nested deeper than `FETCHED_DEPTH`, has too many nodes, or keys or numbers
            that Kubernetes does not take either. Documents before that place have been given by then.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        yield from documents(text, Bounds(subject, FETCHED_DEPTH, max_nodes), dialect)
    except MalformedError as error:
        raise UnreadableError(error.message) from error
    except UnicodeError as error:
        raise UnreadableError(f"{subject} is not UTF-8") from error


def _decode(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start]
        column = error.start - before.rfind(b"\n")
        refuse("The body is not UTF-8", before.count(b"\n") + 1, column)
    if not text.strip():
        refuse("The body is empty")
    return text


def _loads(text: str, subject: str, **hooks: Any) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, **hooks)
    except json.JSONDecodeError as error:
        refuse(f"{subject} is not JSON: {error.msg}", error.lineno, error.colno)


def _integer(digits: str) -> int:
    try:
        return integer(digits)
    except ScalarError as error:
        refuse(str(error))


def _finite(text: str) -> float:
    try:
        return finite(text)
    except ScalarError as error:
        refuse(str(error))


def _refuse_constant(name: str) -> NoReturn:
    refuse(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                refuse(f"The key {shown(key)} is given twice")
            seen.add(key)
    return result


def _check_texts(value: Any) -> None:
    """Refuse text that no database keeps; `value` is at most `MAX_DEPTH` deep."""
    if isinstance(value, str):
        if not storable(value):
            refuse("The body holds a text with a NUL or half a surrogate pair")
    elif isinstance(value, dict):
        for key, child in value.items():
            _check_texts(key)
            _check_texts(child)
    elif isinstance(value, list):
        for child in value:
            _check_texts(child)


def _stored(value: Any) -> Any:
    """Return a value of texts that every database keeps; it is at most `FETCHED_DEPTH` deep."""
    if isinstance(value, str):
        return _NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_stored(key): _stored(child) for key, child in value.items()}
    return [_stored(child) for child in value] if isinstance(value, list) else value


def _check_json_depth(text: str) -> None:
    depth = 0
    for match in _JSON_TOKEN.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                line = text.count("\n", 0, match.start()) + 1
                column = match.start() - text.rfind("\n", 0, match.start())
                refuse(f"The body is nested deeper than {MAX_DEPTH} levels", line, column)
        elif first in "]}":
            depth -= 1


def _check_json_nodes(text: str, bounds: Bounds) -> None:
    """Count what stands between commas and brackets: quickly with those in texts, then, if need be, without."""
    if _json_nodes(text) > bounds.nodes and _json_nodes(_JSON_STRING.sub("", text)) > bounds.nodes:
        refuse(f"{bounds.subject} holds more than {bounds.nodes} values")


def _json_nodes(text: str) -> int:
    return sum(map(text.count, ",[{"))


def _check_depth(value: Any, bounds: Bounds) -> None:
    """Look at one level of collections after the other: `json` itself stops at Python's limit of recursion."""
    level = [value]
    for _ in range(bounds.depth + 1):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    refuse(bounds.too_deep)
