"""Request bodies, JSON or YAML, become plain Python values here, or a `MalformedError` that says where they are wrong.

What comes out holds nothing that trips later layers: string keys only, no key twice, integers of 64 bits, finite
floats, text that can be stored (no lone surrogates, no NUL, which PostgreSQL refuses), at most `MAX_DEPTH` levels.
The body's size is limited before; the work here is linear in it.

YAML is read from the parser's events by a loop that builds the values itself: nothing is composed before its depth,
its aliases and its tags were seen, and no recursion depends on what the caller sent. Scalars are read as eksctl and
Helm read them where that is harmless (`yes` and `on` are booleans), and stay text where YAML 1.1 surprises: dates,
`012`, `1:30`, `1_000`. A float stays a float, so that who wants a string can tell the caller to quote `1.30`.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from app.core.errors import MalformedError

MAX_DEPTH = 64
MAX_YAML_NODES = 20_000
"""Nodes of a YAML document after its aliases are put in: far above any real one, far below what a bomb needs."""

_INT64 = range(-(2**63), 2**63)
_INT_DIGITS = 20  # digits and sign of the longest 64-bit integer; int() is quadratic, so length is looked at first

# One JSON token that matters for depth: a string (also one that never ends) or a bracket. The possessive quantifiers
# keep it linear: there is nothing to go back to.
_JSON_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_JSON_BAD_ESCAPE = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")

_YAML_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_YAML_BOOLEANS = {
    spelling: value
    for word, value in (("true", True), ("yes", True), ("on", True), ("false", False), ("no", False), ("off", False))
    for spelling in (word, word.capitalize(), word.upper())
}
_YAML_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*+)|0x[0-9a-fA-F]++|0o[0-7]++")
_YAML_FLOAT = re.compile(r"[-+]?(?:\.[0-9]++|[0-9]++\.[0-9]*+|[0-9]++(?=[eE]))(?:[eE][-+]?[0-9]++)?")
_YAML_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def parse_json(body: bytes) -> Any:
    """Parse one JSON text (RFC 8259, UTF-8; a byte order mark is skipped).

    Raises:
        MalformedError: It is not JSON, holds a key twice, a number or text that cannot be kept, or is nested deeper
            than `MAX_DEPTH`. The facts `line` and `column` (from 1) say where, when that is known.
    """
    text = _decode(body)
    _check_json_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        _refuse(f"The body is not JSON: {error.msg}", error.lineno, error.colno)
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
    builder = _YamlBuilder(max_nodes)
    try:
        for event in _yaml_events(_decode(body)):
            builder.take(event)
    except yaml.reader.ReaderError as error:
        _refuse(f"The body is not YAML: a character that YAML does not allow ({error.reason})")
    except yaml.MarkedYAMLError as error:
        what = error.problem or error.context or "it cannot be read"
        _refuse(f"The body is not YAML: {what}", *_position(error.problem_mark or error.context_mark))
    if not builder.documents:
        _refuse("The body is empty")
    return builder.result


def _refuse(message: str, line: int | None = None, column: int | None = None) -> NoReturn:
    if line is None:
        raise MalformedError(message)
    raise MalformedError(f"{message} (line {line}, column {column})", line=line, column=column)


def _decode(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start]
        column = error.start - before.rfind(b"\n")
        _refuse("The body is not UTF-8", before.count(b"\n") + 1, column)
    if not text.strip():
        _refuse("The body is empty")
    return text


def _integer(digits: str) -> int:
    if len(digits) <= _INT_DIGITS and (value := int(digits, 0 if digits[:2] in ("0x", "0o") else 10)) in _INT64:
        return value
    _refuse(f"The integer {digits[:24]}… does not fit into 64 bits: send it as a string")


def _finite(text: str) -> float:
    value = float(text)
    if math.isfinite(value):
        return value
    _refuse(f"The number {text[:24]} is too large")


def _refuse_constant(name: str) -> NoReturn:
    _refuse(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                _refuse(f"The key {_shown(key)} is given twice")
            seen.add(key)
    return result


def _shown(key: str) -> str:
    return json.dumps(key if len(key) <= 64 else f"{key[:64]}…")


def _storable(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text))


def _check_texts(value: Any) -> None:
    """Refuse text that no database keeps; `value` is at most `MAX_DEPTH` deep."""
    if isinstance(value, str):
        if not _storable(value):
            _refuse("The body holds a text with a NUL or half a surrogate pair")
    elif isinstance(value, dict):
        for key, child in value.items():
            _check_texts(key)
            _check_texts(child)
    elif isinstance(value, list):
        for child in value:
            _check_texts(child)


def _check_json_depth(text: str) -> None:
    depth = 0
    for match in _JSON_TOKEN.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                line = text.count("\n", 0, match.start()) + 1
                column = match.start() - text.rfind("\n", 0, match.start())
                _refuse(f"The body is nested deeper than {MAX_DEPTH} levels", line, column)
        elif first in "]}":
            depth -= 1


def _yaml_events(text: str) -> Iterator[yaml.Event]:
    parser = _YAML_PARSER(text)
    try:
        while parser.check_event():
            yield parser.get_event()
    finally:
        parser.dispose()


def _position(mark: Any) -> tuple[int, int] | tuple[()]:
    return (mark.line + 1, mark.column + 1) if mark else ()


def _refuse_at(event: yaml.Event, message: str) -> NoReturn:
    _refuse(message, *_position(event.start_mark))


def _yaml_scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if event.style:  # quoted, or a block; plain is "" of libyaml's parser and None of Python's
        return text
    if text in _YAML_NULLS:
        return None
    if text in _YAML_BOOLEANS:
        return _YAML_BOOLEANS[text]
    if _YAML_NOT_FINITE.fullmatch(text):
        _refuse_at(event, f"{text} is not a finite number: quote it if it is text")
    for pattern, convert in _YAML_NUMBERS:
        if pattern.fullmatch(text):
            try:
                return convert(text)
            except MalformedError as error:
                _refuse_at(event, error.message)
    return text


_YAML_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (_YAML_INT, _integer),
    (_YAML_FLOAT, _finite),
)


def _fresh(value: Any) -> Any:
    """Copy collections; `value` is at most `MAX_DEPTH` deep."""
    if isinstance(value, dict):
        return {key: _fresh(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_fresh(child) for child in value]
    return value


@dataclass(slots=True)
class _Built:
    """A finished node: its value, how many nodes it is, and how many levels it is high (a scalar has none)."""

    value: Any
    nodes: int = 1
    height: int = 0


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    nodes: int = 1
    height: int = 1
    key: str | None = None
    merges: list[dict[str, Any]] | None = None

    def add(self, built: _Built) -> None:
        self.nodes += built.nodes
        self.height = max(self.height, built.height + 1)


@dataclass(slots=True)
class _YamlBuilder:
    """Builds the value of one document from its events, one at a time."""

    max_nodes: int
    result: Any = None
    documents: int = 0
    nodes: int = 0
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Built | None] = field(default_factory=dict)  # None: the node has begun and not ended

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                _refuse_at(event, "The body holds several YAML documents; send one")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._check_node(event)
        if not _storable(event.value):
            _refuse_at(event, "The text holds a NUL or half a surrogate pair")
        value = event.value if self._wants_key() and event.value not in _YAML_NULLS else _yaml_scalar(event)
        self._finish(event, _Built(value), event.anchor, plain=not event.style)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor
        if name not in self.anchors:
            _refuse_at(event, f"The alias *{name} has no anchor before it")
        built = self.anchors[name]
        if built is None:
            _refuse_at(event, f"The alias *{name} stands inside of what it names")
        self._count(event, built.nodes)
        if len(self.stack) + built.height > MAX_DEPTH:
            _refuse_at(event, f"The body is nested deeper than {MAX_DEPTH} levels")
        self._finish(event, _Built(_fresh(built.value), built.nodes, built.height), None)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._check_node(event)
        if self._wants_key():
            _refuse_at(event, "A mapping or a list cannot be a key")
        if len(self.stack) >= MAX_DEPTH:
            _refuse_at(event, f"The body is nested deeper than {MAX_DEPTH} levels")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))

    def _close(self, event: yaml.Event) -> None:
        done = self.stack.pop()
        if done.merges and isinstance(done.value, dict):
            merged: dict[str, Any] = {}
            for source in reversed(done.merges):  # the first of a list wins over the later ones
                merged.update(source)
            done.value = merged | done.value
        self._finish(event, _Built(done.value, done.nodes, done.height), done.anchor)

    def _check_node(self, event: yaml.NodeEvent) -> None:
        tag: str | None = getattr(event, "tag", None)
        if tag is not None:
            _refuse_at(event, f"YAML tags are not accepted ({tag[:64]}): quote what is meant as text")
        self._count(event, 1)

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > self.max_nodes:
            _refuse_at(
                event, f"The YAML holds more than {self.max_nodes} nodes, aliases counted as what they stand for"
            )

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def _finish(self, event: yaml.Event, built: _Built, anchor: str | None, *, plain: bool = False) -> None:
        if anchor is not None:
            self.anchors[anchor] = built
        if not self.stack:
            self.result = built.value
            return
        parent = self.stack[-1]
        if isinstance(parent.value, list):
            parent.value.append(built.value)
        elif parent.key is None:
            self._key(event, parent, built.value, plain=plain)
        else:
            self._entry(event, parent, parent.value, built.value)
        parent.add(built)

    def _key(self, event: yaml.Event, parent: _Open, key: Any, *, plain: bool) -> None:
        if not isinstance(key, str):
            _refuse_at(event, "A key must be text: quote it")
        if key in parent.value or (key == "<<" and parent.merges is not None):
            _refuse_at(event, f"The key {_shown(key)} is given twice")
        if key == "<<" and plain:
            parent.merges = []
        parent.key = key

    def _entry(self, event: yaml.Event, parent: _Open, mapping: dict[str, Any], value: Any) -> None:
        key, parent.key = parent.key, None
        if key == "<<" and parent.merges == []:
            sources = value if isinstance(value, list) else [value]
            if not sources or not all(isinstance(source, dict) for source in sources):
                _refuse_at(event, "<< merges a mapping or a list of mappings")
            parent.merges = sources
        elif key is not None:
            mapping[key] = value
