"""What is wrong with a document, gathered while it is read, so that a caller hears of every place at once."""

import difflib
from collections.abc import Collection
from typing import Any

from app.core.errors import FieldError, InvalidError

MAX_ERRORS = 200
MAX_WARNINGS = 200
MAX_SUGGESTIONS = 20
"""Looking for a similar word costs far more than anything else here; a hostile document has many unknown ones."""


def at(pointer: str, token: str | int) -> str:
    """Go one step down from `pointer` (RFC 6901)."""
    return f"{pointer}/{str(token).replace('~', '~0').replace('/', '~1')}"


def quoted(value: Any) -> str:
    """Show a scalar in a message, cut to a length that still reads."""
    text = str(value)
    return f'"{text}"' if len(text) <= 64 else f'"{text[:64]}…"'


class Report:
    """The wrong places and the warnings of one document."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self.warnings: list[str] = []
        self._left_out = 0
        self._suggestions = MAX_SUGGESTIONS

    def wrong(self, pointer: str, detail: str) -> None:
        """Note a wrong place; from `MAX_ERRORS` on they are only counted."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(FieldError(pointer, detail))
        else:
            self._left_out += 1

    def warn(self, pointer: str, text: str) -> None:
        """Note something that is accepted and that the caller should know."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(f"{pointer}: {text}")

    def similar(self, word: str, known: Collection[str]) -> str:
        """Name the known word that `word` resembles, as the end of a sentence, or nothing."""
        if self._suggestions <= 0 or len(word) > 64 or len(known) > 100:
            return ""
        self._suggestions -= 1
        by_lower = {name.lower(): name for name in known}
        matches = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
        return f"; did you mean {quoted(by_lower[matches[0]])}?" if matches else ""

    def raise_if_wrong(self) -> None:
        """End the reading.

        Raises:
            InvalidError: Something was wrong; its `errors` are all that was noted.
        """
        if not self.errors:
            return
        errors = self.errors
        if self._left_out:
            errors = [*errors, FieldError("", f"{self._left_out} more places are wrong")]
        raise InvalidError("The ClusterConfig cannot be taken as it is", errors)
