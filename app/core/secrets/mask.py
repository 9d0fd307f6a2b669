"""Hides known secrets in a text, in passes whose time grows with the text and hardly with the number of secrets.

A long, random secret is looked for anywhere. A short one, or one that is a word (`postgres`), only where it stands as
a whole word, and not in what is a single word itself: names, ids and states stay what they are. The commonest words
are looked for nowhere.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ahocorasick_rs import AhoCorasick, MatchKind

from app.core.secrets import REDACTED
from app.core.secrets.encodings import forms
from app.core.secrets.forms import merged, spans, without
from app.core.secrets.needles import automata
from app.core.secrets.words import SHORTEST, is_common, is_wordlike

_TEXTS = frozenset({"before", "after", "detail", "message", "description", "notes", "manifest", "hooks", "hint"})
"""Names of what is text though it may be a single word."""
_WITHIN_NAME = re.compile(r"[\w/-]")


class Mask:
    """Hides secrets in texts. Made once for the secrets that it has; safe to share between threads.

    Args:
        secrets: What is to be hidden.
        public: What is known anyway, such as the name of the release, and never hidden.
    """

    def __init__(self, secrets: Iterable[str] = (), *, public: Iterable[str] = ()) -> None:
        known = "\0".join(public)
        kept = {secret for secret in secrets if not is_common(secret) and secret not in known}
        self._words = frozenset(secret for secret in kept if is_wordlike(secret))
        self._long = frozenset(kept - self._words)
        self._anywhere: tuple[AhoCorasick, ...] | None = None
        self._alone: tuple[AhoCorasick, ...] | None = None

    def __bool__(self) -> bool:
        """Tell whether it has any."""
        return bool(self._words or self._long)

    def text(self, text: str, *, looks: bool = True, name: str = "message") -> str:
        """Return a text without the secrets.

        Args:
            text: Any.
            looks: Whether also what is secret by its looks (a private key, a token) is hidden.
            name: Under which it stands: one that is a single word is taken for a name unless that says otherwise.
        """
        found = self.spans(text, name=name)
        if looks:
            found = merged([*found, *spans(text)])
        return without(text, found) if found else text

    def spans(self, text: str, *, name: str = "message") -> list[tuple[int, int]]:
        """Return the places of the secrets in a text, in order."""
        if len(text) < SHORTEST:
            return []
        return merged([*self._found(text), *(self._words_in(text) if name in _TEXTS or " " in text else ())])

    def value(self, value: Any, *, name: str = "message", looks: bool = True) -> Any:
        """Return a JSON value with every text in it so."""
        if isinstance(value, str):
            return self.text(value, name=name, looks=looks)
        if isinstance(value, Mapping):
            within = name in ("before", "after")
            return {
                key: self.value(child, name=name if within else str(key), looks=looks) for key, child in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(child, name=name, looks=looks) for child in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in self._long:
            return REDACTED
        return value

    def prepare(self) -> None:
        """Do now what the first text would wait for: with many secrets a second or two, so use a thread."""
        if self._anywhere is None:
            self._anywhere = _finding(self._long, MatchKind.LeftmostLongest)
        if self._alone is None:
            self._alone = _finding(self._words, MatchKind.Standard)

    @property
    def is_prepared(self) -> bool:
        """Tell whether the first text waits for nothing."""
        return self._anywhere is not None and self._alone is not None

    def _found(self, text: str) -> list[tuple[int, int]]:
        self.prepare()
        found = (each.find_matches_as_indexes(text) for each in self._anywhere or ())
        return [(start, end) for matches in found for _, start, end in matches]

    def _words_in(self, text: str) -> list[tuple[int, int]]:
        found = (each.find_matches_as_indexes(text, overlapping=True) for each in self._alone or ())
        return [(start, end) for matches in found for _, start, end in matches if _stands_alone(text, start, end)]


def _finding(secrets: Iterable[str], kind: MatchKind) -> tuple[AhoCorasick, ...]:
    needles = {form for secret in secrets for form in forms(secret) if len(form) >= SHORTEST}
    return tuple(automaton for _, automaton in automata(needles, kind))


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 2]
    if (before and (_WITHIN_NAME.match(before) or before == ".")) or _WITHIN_NAME.match(after):
        return False
    return not (after[:1] in (".", ":") and _WITHIN_NAME.match(after[1:]))
