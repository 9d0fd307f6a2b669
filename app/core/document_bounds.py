"""How large a document may be, and how one is refused."""

import json
from dataclasses import dataclass
from typing import NoReturn

from app.core.errors import MalformedError


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a document is called in messages, and what it may have.

    Attributes:
        subject: Begins a sentence: `The body`, `Chart.yaml`.
        depth: Levels of collections in collections. Python and pydantic walk values by recursion, the first to 1,000
            levels of calls, the second to 255 levels of values.
        nodes: Collections and scalars (of JSON: in collections), aliases counted as what they stand for.
    """

    subject: str
    depth: int
    nodes: int

    @property
    def too_deep(self) -> str:
        """Say that it is nested too deeply."""
        return f"{self.subject} is nested deeper than {self.depth} levels"


def refuse(message: str, line: int | None = None, column: int | None = None) -> NoReturn:
    """Raise MalformedError, with the place (from 1) if it is known."""
    if line is None:
        raise MalformedError(message)
    raise MalformedError(f"{message} (line {line}, column {column})", line=line, column=column)


def shown(key: str) -> str:
    """Return a key as messages show it."""
    return json.dumps(key if len(key) <= 64 else f"{key[:64]}…")


def storable(text: str) -> bool:
    """Tell whether every database keeps it: PostgreSQL refuses NUL, and nothing encodes half a surrogate pair."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text))
