"""Automata (Aho-Corasick) that find many texts in another, so small that building one stops the process for a blink.

One is built without letting another thread run, in a time and a memory that grow with the bytes that it looks for.
"""

from collections.abc import Iterable, Iterator

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from app.core.secrets.encodings import forms

_AT_ONCE = 128 * 1024
"""Bytes of needles in one automaton: some 60 ms."""


def automata(needles: Iterable[str], kind: MatchKind) -> Iterator[tuple[list[str], AhoCorasick]]:
    """Yield automata that find the needles together, each with its own of them, to which its indexes belong."""
    some, size = list[str](), 0
    for needle in sorted(needles):
        if some and size + _size_of(needle) > _AT_ONCE:
            yield some, _automaton(some, kind)
            some, size = [], 0
        some.append(needle)
        size += _size_of(needle)
    if some:
        yield some, _automaton(some, kind)


def needle_bytes(secrets: Iterable[str], most: int) -> int:
    """Return how many bytes are looked for to find the secrets in every way of writing them.

    Args:
        secrets: Any number.
        most: Beyond it nothing is counted any more.
    """
    total = 0
    for secret in secrets:
        total += sum(map(_size_of, forms(secret)))
        if total > most:
            break
    return total


def _automaton(needles: list[str], kind: MatchKind) -> AhoCorasick:
    # For up to a hundred needles it would choose a DFA by itself: hundreds of bytes, and many times the time, for each
    # byte of them.
    compact = Implementation.ContiguousNFA
    return AhoCorasick(needles, matchkind=kind, implementation=compact, store_patterns=False)


def _size_of(needle: str) -> int:
    return len(needle.encode("utf-8", "surrogatepass"))
