"""Builds plain values from the events of YAML, in a loop: no recursion depends on what was sent.

Libyaml's parser keeps a stack of its own on the heap; its composer recurses on the C stack, and PyYAML's loaders by it:
60,000 brackets end the process. Here nothing is composed before its depth, its nodes and its aliases were counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from app.core.document_bounds import Bounds, refuse, shown, storable
from app.core.yaml_scalars import Dialect, ScalarError

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def documents(text: str, bounds: Bounds, dialect: Dialect) -> Iterator[Any]:
    """Yield the values of YAML documents; together they have at most `bounds.nodes`.

    Raises:
        MalformedError: it is not YAML, or over a bound.
    """
    builder = _Builder(bounds, dialect)
    try:
        for event in _events(text):
            builder.take(event)
            if isinstance(event, yaml.DocumentEndEvent) and not dialect.is_strict:
                yield builder.result
                builder.result, builder.anchors = None, {}
    except yaml.reader.ReaderError as error:
        refuse(f"{bounds.subject} is not YAML: a character that YAML does not allow ({error.reason})")
    except yaml.MarkedYAMLError as error:
        what = error.problem or error.context or "it cannot be read"
        refuse(f"{bounds.subject} is not YAML: {what}", *_position(error.problem_mark or error.context_mark))
    if dialect.is_strict and builder.documents:
        yield builder.result


def _events(text: str) -> Iterator[yaml.Event]:
    parser = _PARSER(text)
    try:
        while parser.check_event():
            yield parser.get_event()
    finally:
        parser.dispose()


def _position(mark: Any) -> tuple[int, int] | tuple[()]:
    return (mark.line + 1, mark.column + 1) if mark else ()


def _refuse_at(event: yaml.Event, message: str) -> NoReturn:
    refuse(message, *_position(event.start_mark))


def _fresh(value: Any) -> Any:
    """Copy collections; `value` is at most `Bounds.depth` deep."""
    if isinstance(value, dict):
        return {key: _fresh(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_fresh(child) for child in value]
    return value


@dataclass(slots=True)
class _Built:
    """A finished node: its value, how many nodes it is, and how many levels it is high (a scalar has none).

    As a key of a mapping it may be something else (`1` is `"1"`); `key` is what, None for what is none.
    """

    value: Any
    nodes: int = 1
    height: int = 0
    key: str | None = None


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    nodes: int = 1
    height: int = 1
    key: str | None = None
    merging: bool = False
    merges: list[dict[str, Any]] | None = None

    def add(self, built: _Built) -> None:
        self.nodes += built.nodes
        self.height = max(self.height, built.height + 1)


@dataclass(slots=True)
class _Builder:
    """Builds the values of documents from their events, one at a time."""

    bounds: Bounds
    dialect: Dialect
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
            if self.documents > 1 and self.dialect.is_strict:
                _refuse_at(event, f"{self.bounds.subject} holds several YAML documents; send one")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._check_node(event)
        text, plain = event.value, not event.style  # plain is "" of libyaml's parser and None of Python's
        if not storable(text):
            if self.dialect.is_strict:
                _refuse_at(event, "The text holds a NUL or half a surrogate pair")
            text = text.replace("\0", _REPLACEMENT)
        built, wants_key = _Built(None), self._wants_key()
        try:
            if not wants_key or event.anchor is not None:
                built.value = self.dialect.scalar(text, plain, event.tag)
            if wants_key or (event.anchor is not None and built.value is not None and not self.dialect.is_strict):
                built.key = self.dialect.key(text, plain, event.tag)
        except ScalarError as error:
            _refuse_at(event, str(error))
        self._finish(event, built, event.anchor, plain=plain and event.tag is None)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor
        if name not in self.anchors:
            _refuse_at(event, f"The alias *{name} has no anchor before it")
        built = self.anchors[name]
        if built is None:
            _refuse_at(event, f"The alias *{name} stands inside of what it names")
        self._count(event, built.nodes)
        if len(self.stack) + built.height > self.bounds.depth:
            _refuse_at(event, self.bounds.too_deep)
        key = built.key if built.key is not None else built.value if isinstance(built.value, str) else None
        self._finish(event, _Built(_fresh(built.value), built.nodes, built.height, key), None)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._check_node(event)
        if self._wants_key():
            _refuse_at(event, "A mapping or a list cannot be a key")
        if len(self.stack) >= self.bounds.depth:
            _refuse_at(event, self.bounds.too_deep)
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
        if tag is not None and self.dialect.is_strict:
            _refuse_at(event, f"YAML tags are not accepted ({tag[:64]}): quote what is meant as text")
        self._count(event, 1)

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > self.bounds.nodes:
            _refuse_at(
                event,
                f"{self.bounds.subject} holds more than {self.bounds.nodes} nodes of YAML, "
                "aliases counted as what they stand for",
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
            self._key(event, parent, parent.value, built.key, plain=plain)
        else:
            self._entry(event, parent, parent.value, built.value)
        parent.add(built)

    def _key(self, event: yaml.Event, parent: _Open, known: dict[str, Any], key: str | None, *, plain: bool) -> None:
        if key is None:
            _refuse_at(event, "A key must be text: quote it")
        parent.merging = key == "<<" and plain
        if self.dialect.is_strict:
            if key in known or (key == "<<" and parent.merges is not None):
                _refuse_at(event, f"The key {shown(key)} is given twice")
            if parent.merging:
                parent.merges = []
        parent.key = key

    def _entry(self, event: yaml.Event, parent: _Open, mapping: dict[str, Any], value: Any) -> None:
        key, parent.key = parent.key, None
        if not parent.merging:
            assert key is not None  # noqa: S101 - `_key` came before
            mapping[key] = value
            return
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources) or (self.dialect.is_strict and not sources):
            _refuse_at(event, "<< merges a mapping or a list of mappings")
        if self.dialect.is_strict:
            parent.merges = sources
            return
        for source in reversed(sources):  # where it stands, so that it wins over what stands before it
            mapping.update(source)
