"""One line of the table of hints: what it matches, and what it says."""

import re
from dataclasses import dataclass
from string import Template


@dataclass(frozen=True, slots=True)
class Advice:
    """What a failure means for the user.

    Attributes:
        code: Stable failure code of ours.
        hint: What to do.
        retryable: Whether the same request may succeed later without a change of input.
    """

    code: str
    hint: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table.

    Attributes:
        code: Failure code of ours.
        hint: May hold `$name` for a group of the pattern.
        aws_codes: Codes that are enough to match.
        pattern: Message that is enough to match; None matches by code only.
        retryable: See `Advice`.
    """

    code: str
    hint: str
    aws_codes: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None
    retryable: bool = False

    def advice(self, aws_code: str | None, message: str) -> Advice | None:
        """Return the advice if the rule fits, with what the message names filled in."""
        match = self.pattern.search(message) if self.pattern else None
        if match is None and (aws_code is None or aws_code not in self.aws_codes):
            return None
        named = {name: value for name, value in match.groupdict().items() if value} if match else {}
        return Advice(self.code, Template(self.hint).safe_substitute(_DEFAULTS | named), self.retryable)


_DEFAULTS = {"action": "the action that the message names", "zones": "the other zones", "limit": "the present"}


def rule(code: str, hint: str, *aws_codes: str, says: str | None = None, retryable: bool = False) -> Rule:
    """Build a rule: matched by one of `aws_codes`, or by the regular expression `says` in the message."""
    pattern = re.compile(says, re.IGNORECASE | re.DOTALL) if says else None
    return Rule(code, hint, frozenset(aws_codes), pattern, retryable)
