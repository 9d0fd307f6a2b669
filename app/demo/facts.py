"""What must hold: each fact is told when it does, and ends the demo when it doesn't."""

from collections.abc import Callable
from typing import Any


class UnexpectedError(Exception):
    """A step was not what it should be."""

    def __init__(self, fact: str, *, expected: object, found: object) -> None:
        super().__init__(fact)
        self.fact = fact
        self.expected = expected
        self.found = found


class Facts:
    """The facts that were looked at so far."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.count = 0

    def holds(self, fact: str, *, expected: object, found: object) -> None:
        """Tell the fact if `found` equals `expected`.

        Raises:
            UnexpectedError: it does not.
        """
        if found != expected:
            raise UnexpectedError(fact, expected=expected, found=found)
        self.count += 1
        self._tell(fact)

    def filled(self, fact: str, document: dict[str, Any], names: tuple[str, ...]) -> None:
        """Tell the fact if `document` has a value under each of `names`.

        Raises:
            UnexpectedError: one is missing or empty.
        """
        empty = [name for name in names if not document.get(name)]
        self.holds(
            fact, expected="no empty output", found=f"nothing in {', '.join(empty)}" if empty else "no empty output"
        )
