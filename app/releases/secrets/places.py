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


def places_of_pointers(pointers: Iterable[str]) -> list[Place]:
    """Return the places that JSON pointers name; `*` is any key or entry."""
    return [
        tuple(ANY if key == "*" else key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:])
        for pointer in pointers
    ]
