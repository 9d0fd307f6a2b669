"""The day that it is for EKS: the same one at every start, so that no end of support comes by itself.

On AWS a version leaves its support on a day. A demo or a test that read the machine's date would go another way from
then on, with nothing changed. So the day stands still until somebody says another one, to see what comes then.
Everything else (signatures, tokens, the times in records) goes by the machine's clock, as its callers do.
"""

from __future__ import annotations

from datetime import date


class InvalidDay(ValueError):
    """It can't be that day; the message says why."""


class Calendar:
    """A day from `first` to `last`: outside of these EKS offers nothing, or what isn't known here."""

    def __init__(self, day: date, first: date, last: date) -> None:
        self._first = first
        self._last = last
        self._at_start = day
        self.day = day

    def start(self, text: str) -> None:
        """Says which day it is at the start, and is again after `reset`. Raises InvalidDay."""
        self._at_start = self.day = self._parse(text)

    def replace(self, document: object) -> None:
        """Makes it the day of a JSON document, `{"day": "2027-12-03"}`. Raises InvalidDay."""
        if not isinstance(document, dict) or set(document) != {"day"} or not isinstance(document["day"], str):
            raise InvalidDay('the body must be {"day": "YYYY-MM-DD"}')
        self.day = self._parse(document["day"])

    def reset(self) -> None:
        """Makes it the day of the start again."""
        self.day = self._at_start

    def describe(self) -> dict[str, str]:
        """The day as `replace` takes it."""
        return {"day": self.day.isoformat()}

    def _parse(self, text: str) -> date:
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise InvalidDay(f"{text!r} is no day; write it as in {self._at_start}") from error
        if not self._first <= day <= self._last:
            raise InvalidDay(
                f"{text} is not from {self._first} to {self._last}, the days whose versions are known here"
            )
        return day
