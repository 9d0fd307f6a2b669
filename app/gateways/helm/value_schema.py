"""JSON schemas of charts (values.schema.json): whether they stay within themselves, and which values they call secret.

Helm follows a `$ref` to any URL and any local file, and a relative one from wherever `$id` says. So only what cannot
leave the document counts as within: `#…`, and the drafts of JSON Schema that helm has compiled in
(santhosh-tekuri/jsonschema), by their exact names.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DRAFTS = frozenset(
    f"{scheme}://json-schema.org/{draft}schema"
    for scheme in ("http", "https")
    for draft in ("", "draft-04/", "draft-06/", "draft-07/", "draft/2019-09/", "draft/2020-12/")
)
MOST_POINTERS = 200
LONGEST_POINTER = 256
"""Of secret values of one chart: how many are known, and how many characters each has."""
ANY = "*"
"""Stands in a pointer for any entry of a list, and for any key that the schema does not name."""

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef", "$schema")
_SAME_PLACE = ("allOf", "anyOf", "oneOf", "if", "then", "else")
_ANY_ENTRY = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "additionalProperties")
_MOST_VISITS = 20_000


def refers_outside(schema: Any) -> bool:
    """Tell whether a JSON schema refers to a URL or a file, other than to the drafts that helm has."""
    open_nodes = [schema]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, list):
            open_nodes.extend(node)
        elif isinstance(node, dict):
            open_nodes.extend(node.values())
            if any(_outside(node[name]) for name in _REFERENCES if name in node):
                return True
    return False


def secret_pointers(schema: Any) -> Iterator[tuple[str, ...]]:
    """Yield where a schema says that values are secret (`writeOnly`, or the format `password`), as keys of the values.

    `ANY` stands for any entry or key. References within the document are followed, into themselves once. A schema of
    which very much is visited many times gives only part of them.
    """
    waiting: deque[_Visit] = deque([_Visit(schema, (), ())])
    seen: set[tuple[int, tuple[str, ...]]] = set()
    for _ in range(_MOST_VISITS):
        if not waiting:
            return
        visit = waiting.popleft()  # level by level, so that what is near is found first
        node, path = visit.node, visit.path
        if not isinstance(node, dict) or (id(node), path) in seen or sum(map(len, path)) + len(path) > LONGEST_POINTER:
            continue
        seen.add((id(node), path))
        if path and (node.get("writeOnly") is True or node.get("format") == "password"):
            yield path
        waiting.extend(_Visit(child, (*path, *keys), visit.followed) for child, keys in _below(node))
        reference = node.get("$ref")
        if isinstance(reference, str) and reference[:2] in ("#", "#/") and reference not in visit.followed:
            waiting.append(_Visit(_at(schema, reference[1:]), path, (*visit.followed, reference)))


@dataclass(frozen=True, slots=True)
class _Visit:
    """A part of a schema, the keys of the values that it is about, and the references that led to it."""

    node: Any
    path: tuple[str, ...]
    followed: tuple[str, ...]


def _below(node: Mapping[str, Any]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    properties = node.get("properties")
    for key, child in properties.items() if isinstance(properties, dict) else ():
        yield child, (key,)
    patterns = node.get("patternProperties")
    for child in patterns.values() if isinstance(patterns, dict) else ():
        yield child, (ANY,)
    for name in _ANY_ENTRY:
        children = node.get(name)
        for child in children if isinstance(children, list) else [children]:
            yield child, (ANY,)
    for name in _SAME_PLACE:
        children = node.get(name)
        for child in children if isinstance(children, list) else [children]:
            yield child, ()


def _at(schema: Any, pointer: str) -> Any:
    node = schema
    for part in pointer.split("/")[1:LONGEST_POINTER]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(key)] if key.isascii() and key.isdigit() and len(key) < 9 and int(key) < len(node) else None
        else:
            node = node.get(key) if isinstance(node, dict) else None
    return node


def _outside(reference: Any) -> bool:
    if not isinstance(reference, str):
        return False
    return not (reference.startswith("#") or reference == "" or reference.partition("#")[0] in DRAFTS)
