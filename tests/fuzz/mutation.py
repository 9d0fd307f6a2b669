"""Changes of an input: of its tree if it is JSON, of its elements if it is XML, and of its bytes."""

import json
import random
import re
from typing import Any

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 1e300, "", "a", "9" * 5000, "\ud800", "9999-12-31T23:59:59-23:59", [], {}, [[]],
    [None], {"": None}, "-", "²", "0001-01-01T00:00:00+14:00",
)  # fmt: skip
_BYTES = (
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"[" * 200,
    b"{",
    b"}",
    b'"',
    b"\n",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"<",
    b"/>",
)
_ELEMENT = re.compile(rb"<([A-Za-z]+)>[^<]*</\1>")


def mutated(content: bytes, words: list[bytes], rng: random.Random, most: int = 4096) -> bytes:
    """Return an input like this one; the same for the same state of `rng`."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        content = rng.choice((_tree, _tree, _elements, _bytes))(content, words, rng)
    return content[:most]


def _tree(content: bytes, words: list[bytes], rng: random.Random) -> bytes:
    start = 0 if content[:1] in (b"{", b"[") else 1
    try:
        value = json.loads(content[start:])
    except (ValueError, RecursionError):
        return _bytes(content, words, rng)
    places: list[tuple[Any, Any]] = []
    level = [value]
    while level:
        node = level.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        places.extend((node, key) for key in keys)
        level.extend(node[key] for key in keys)
    if not places:
        return content
    node, key = rng.choice(places)
    match rng.randrange(4):
        case 0:
            del node[key]
        case 1:
            other, name = rng.choice(places)
            node[key] = json.loads(json.dumps(other[name])) if name in other or isinstance(other, list) else None
        case 2:
            node[key] = rng.choice(words).decode("latin-1")
        case _:
            node[key] = rng.choice(_VALUES)
    return content[:start] + json.dumps(value).encode()


def _elements(content: bytes, words: list[bytes], rng: random.Random) -> bytes:
    found = list(_ELEMENT.finditer(content))
    if not found:
        return _bytes(content, words, rng)
    match = rng.choice(found)
    name = match[1]
    new = rng.choice((b"", match[0] * 2, b"<%s/>" % name, b"<%s>%s</%s>" % (name, rng.choice(words), name)))
    return content[: match.start()] + new + content[match.end() :]


def _bytes(content: bytes, words: list[bytes], rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    twice = content[place:][:40] * 2
    length = rng.choice((0, 1, 1, 2, 8, 40))
    new = rng.choice((b"", bytes([rng.randrange(256)]), rng.choice(_BYTES), rng.choice(words), twice))
    return content[:place] + new + content[place + length :]
