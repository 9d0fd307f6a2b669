"""Places in values that are secret whatever their names: as the caller, the chart's schema or its Secrets say. Pure.

A place is a path of keys. A list on the way is passed by an entry's name (`("name", "db")`), by ANY, or, where a caller
wrote it so, by index. A release keeps its places as JSON; they hold no values.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

ANY = None
"""Any entry of a list, or any key of a map."""

Segment = str | int | tuple[str, str] | None
Place = tuple[Segment, ...]

MOST_PLACES = 2000
"""Of one release; more than it may have secrets, so that too many are noticed."""
IDENTITIES = ("name", "key", "id", "username", "user", "host", "email", "metadata")
"""What tells entries of a list apart, the first of them first; `metadata` by the name in it."""
_DEEPEST = 40
_MOST_NODES = 20_000
_END = object()


class Places:
    """A set of places, walked through beside the values.

    Args:
        places: Any number; all that stands at or below one is secret.
    """

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self.all = tuple(dict.fromkeys(places))[:MOST_PLACES]
        self._root: dict[Any, Any] = {}
        for place in self.all:
            node = self._root
            for segment in place:
                node = node.setdefault(segment, {})
            node[_END] = True

    def start(self) -> tuple[dict[Any, Any], ...]:
        """Return where a walk begins."""
        return (self._root,) if self._root else ()

    @staticmethod
    def under(nodes: tuple[dict[Any, Any], ...], key: str) -> tuple[dict[Any, Any], ...]:
        """Return where a walk is after a key of a map."""
        return tuple(found for node in nodes for segment in (key, ANY) if (found := node.get(segment)) is not None)

    @staticmethod
    def at(nodes: tuple[dict[Any, Any], ...], index: int, entry: Any) -> tuple[dict[Any, Any], ...]:
        """Return where a walk is after an entry of a list."""
        if not nodes:
            return ()
        segments: list[Segment] = [index, ANY, *identities(entry)]
        return tuple(found for node in nodes for segment in segments if (found := node.get(segment)) is not None)

    @staticmethod
    def reached(nodes: tuple[dict[Any, Any], ...]) -> bool:
        """Tell whether a walk has come to a place."""
        return any(_END in node for node in nodes)

    def with_more(self, places: Iterable[Place]) -> "Places":
        """Return these and others."""
        return Places([*self.all, *places])

    def as_json(self) -> list[list[Any]]:
        """Return the form that a row keeps."""
        return [[list(segment) if isinstance(segment, tuple) else segment for segment in place] for place in self.all]

    @classmethod
    def of_json(cls, document: Any) -> "Places":
        """Return the places that a row keeps; none for nothing."""
        return cls(
            tuple(tuple(segment) if isinstance(segment, list) else segment for segment in place)
            for place in document or ()
        )


NO_PLACES = Places()


def identities(entry: Any) -> Iterator[tuple[str, str]]:
    """Yield what tells an entry of a list from the others."""
    if not isinstance(entry, Mapping):
        return
    for name in IDENTITIES:
        value = entry.get(name)
        if name == "metadata":
            value = value.get("name") if isinstance(value, Mapping) else None
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            yield name, str(value)


def places_of_schema(schema: Any) -> list[Place]:
    """Return the places that a JSON schema marks by `writeOnly` or `format: password`; what is too deep is left out."""
    found: list[Place] = []
    left = [_MOST_NODES]
    _schema(schema, schema, (), found, left, frozenset())
    return found


def _schema(node: Any, root: Any, path: Place, found: list[Place], left: list[int], seen: frozenset[str]) -> None:
    left[0] -= 1
    if not isinstance(node, Mapping) or left[0] < 0 or len(path) > _DEEPEST or len(found) >= MOST_PLACES:
        return
    if path and (node.get("writeOnly") is True or node.get("format") == "password"):
        found.append(path)
        return
    for child, segments in _children_of(node):
        _schema(child, root, (*path, *segments), found, left, seen)
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/") and reference not in seen:
        _schema(_resolved(root, reference), root, path, found, left, seen | {reference})


def _children_of(node: Mapping[str, Any]) -> Iterator[tuple[Any, Place]]:
    properties = node.get("properties")
    if isinstance(properties, Mapping):
        for name, child in properties.items():
            yield child, (str(name),)
    for name in ("patternProperties",):
        if isinstance(node.get(name), Mapping):
            yield from ((child, (ANY,)) for child in node[name].values())
    for name in ("additionalProperties", "items", "additionalItems", "contains"):
        child = node.get(name)
        yield from ((each, (ANY,)) for each in (child if isinstance(child, list) else [child]))
    for name in ("allOf", "anyOf", "oneOf", "prefixItems"):
        if isinstance(node.get(name), list):
            yield from ((each, (ANY,) if name == "prefixItems" else ()) for each in node[name])
    for name in ("then", "else", "if"):
        yield node.get(name), ()


def _resolved(root: Any, reference: str) -> Any:
    node = root
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        node = node.get(name) if isinstance(node, Mapping) else None
    return node
