"""Rules: how long a stack resource takes, which ones fail, and which API calls are refused.

A test says in rules what AWS would do by itself: a cluster that takes ten minutes, an instance type
that has no capacity, a throttled call. The first rule that matches is the one that counts; one with
`times` stops matching once it has been used that often.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

_STACK_KEYS = {"op", "type", "logical", "stack", "delay", "fail", "times"}
_API_KEYS = {"api", "status", "code", "message", "share", "times"}
_OPS = ("create", "update", "delete", "*")


class InvalidRules(ValueError):
    """The list of rules can't be used; the message says which rule and why."""


@dataclass
class StackRule:
    """What happens to the stack resources that match: a delay in seconds, then maybe a failure."""

    op: str = "*"
    type: str = "*"
    logical: str = "*"
    stack: str = "*"
    delay: float = 0.0
    fail: str | None = None
    times: int | None = None
    used: int = field(default=0, compare=False)

    def matches(self, op: str, type_: str, logical: str, stack: str) -> bool:
        """Whether this rule is about the resource, and not used up."""
        pairs = ((self.op, op), (self.type, type_), (self.logical, logical), (self.stack, stack))
        return not _used_up(self) and all(fnmatchcase(value, glob) for glob, value in pairs)


@dataclass
class ApiFault:
    """A share (0 to 1) of the calls named `service:Operation` that is answered with an error."""

    api: str
    status: int
    code: str
    message: str = ""
    share: float = 1.0
    times: int | None = None
    used: int = field(default=0, compare=False)


Rule = StackRule | ApiFault


def _used_up(rule: Rule) -> bool:
    return rule.times is not None and rule.used >= rule.times


class Rules:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def replace(self, document: Any) -> None:
        """Puts the rules of a JSON document in force in place of all others. Raises InvalidRules."""
        if not isinstance(document, list):
            raise InvalidRules("the body must be a JSON list of rules")
        self._rules = [_parse(number, item) for number, item in enumerate(document)]

    def describe(self) -> list[dict[str, Any]]:
        """The rules as they were given, each with how often it was used."""
        return [{k: v for k, v in vars(rule).items() if v is not None} for rule in self._rules]

    def for_resource(self, op: str, type_: str, logical: str, stack: str) -> StackRule | None:
        """The first rule about this resource, counted as used."""
        for rule in self._rules:
            if isinstance(rule, StackRule) and rule.matches(op, type_, logical, stack):
                rule.used += 1
                return rule
        return None

    def for_call(self, name: str) -> ApiFault | None:
        """The fault that this call (`service:Operation`) meets, counted as used; None if it goes through."""
        for rule in self._rules:
            if isinstance(rule, ApiFault) and not _used_up(rule) and fnmatchcase(name, rule.api):
                if random.random() >= rule.share:
                    return None
                rule.used += 1
                return rule
        return None


def _parse(number: int, item: Any) -> Rule:
    if not isinstance(item, dict):
        raise InvalidRules(f"rule {number}: must be an object")
    allowed = _API_KEYS if "api" in item else _STACK_KEYS
    # "used" comes back from GET: reading the rules and putting them again must work.
    item = {k: v for k, v in item.items() if k != "used"}
    unknown = sorted(set(item) - allowed)
    if unknown:
        raise InvalidRules(f"rule {number}: unknown key {', '.join(unknown)}; known: {', '.join(sorted(allowed))}")
    for key, value in item.items():
        _check(number, key, value)
    if "api" in item:
        missing = [key for key in ("status", "code") if key not in item]
        if missing:
            raise InvalidRules(f"rule {number}: a fault of API calls needs {' and '.join(missing)}")
        return ApiFault(**item)
    if not {"delay", "fail"} & set(item):
        raise InvalidRules(f"rule {number}: needs delay or fail")
    return StackRule(**item)


def _check(number: int, key: str, value: Any) -> None:
    number_like = isinstance(value, int | float) and not isinstance(value, bool)
    whole = isinstance(value, int) and not isinstance(value, bool)
    checks = {
        "delay": (number_like and value >= 0, "seconds, 0 or more"),
        "share": (number_like and 0 <= value <= 1, "a number from 0 to 1"),
        "times": (value is None or (whole and value >= 0), "a whole number, 0 or more"),
        "status": (whole and 400 <= value <= 599, "an HTTP status from 400 to 599"),
        "op": (value in _OPS, f"one of {', '.join(_OPS)}"),
    }
    good, wanted = checks.get(key, (isinstance(value, str), "a string"))
    if not good:
        raise InvalidRules(f"rule {number}: {key} must be {wanted}, not {value!r}")


RULES = Rules()
