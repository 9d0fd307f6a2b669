"""`--set` expressions, read by us into the values: on helm's command line every user of the machine could read them.

The grammar is helm's (pkg/strvals/parser.go of helm 4): `a.b=c`, several by commas, lists `{a,b}`, places of lists
`a[0].b=c`, a backslash before what is meant literally. `true`, `false`, `null`, `0` and whole numbers that don't begin
with 0 are typed; everything else is text.
"""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

MAX_INDEX = 65536
"""Highest place of a list, as in helm: `a[999999999]=x` must not fill the memory."""
MAX_LEVEL = 30
"""Most dots in a key, as in helm; places of lists count too, which helm does not bound: each is a level of values."""
MAX_BYTES = 1024 * 1024
"""Of the JSON of values, as of a request's body; ours: helm has no bound on `a[65536][65536]`."""
NULL_BYTES = 5
"""Of an empty place of a list: `null,`."""

_INT64 = range(-(2**63), 2**63)


class SetExpressionError(ValueError):
    """An expression that helm would not take either.

    Attributes:
        expression: Its place among the expressions, counted from 0. Its text may be secret.
    """

    def __init__(self, message: str, expression: int = 0) -> None:
        super().__init__(message)
        self.expression = expression


class _EndError(Exception):
    """Nothing is left to read."""


def with_set(values: Mapping[str, Any], expressions: Iterable[str], *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return `values` with the expressions applied, in their order; `values` stays as it is.

    Args:
        values: Nested mappings, lists and scalars, as JSON has them.
        expressions: As after helm's `--set`.
        max_bytes: Of the JSON that comes of them.

    Raises:
        SetExpressionError: One doesn't parse, goes through something that is no map or list, or makes too much.
    """
    result = deepcopy(dict(values))
    index = -1
    budget = [max_bytes // NULL_BYTES]
    for index, expression in enumerate(expressions):
        try:
            _Parser(expression, budget).into(result)
        except SetExpressionError as error:
            raise SetExpressionError(str(error), index) from None
    if index >= 0 and (size := size_of(result)) > max_bytes:
        raise SetExpressionError(f"the values become {size} bytes; the limit is {max_bytes}", index)
    return result


def size_of(values: Any) -> int:
    """Return the bytes of values as JSON."""
    return len(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def path_of(expression: str) -> tuple[str | int, ...]:
    """Return the place that the left side of an expression names: `a.b[0].c` is `("a", "b", 0, "c")`.

    Raises:
        SetExpressionError: It names none, or more than one.
    """
    found: dict[str, Any] = {}
    parser = _Parser(f"{expression}=x", [MAX_INDEX + MAX_LEVEL])
    parser.into(found)
    path: list[str | int] = []
    here: Any = found
    while isinstance(here, list) or (isinstance(here, dict) and len(here) == 1):
        last: Any = next(iter(here)) if isinstance(here, dict) else len(here) - 1
        path.append(last)
        here = here[last]
    if here != "x":
        raise SetExpressionError(f"{expression[:80]!r} names no single place")
    return tuple(path)


class _Parser:
    """One expression, read from left to right."""

    def __init__(self, text: str, budget: list[int]) -> None:
        self._text = text
        self._at = 0
        self._budget = budget

    def into(self, values: dict[str, Any]) -> None:
        while self._at < len(self._text):
            try:
                self._key(values, 0)
            except _EndError:
                return

    def _key(self, data: dict[str, Any], level: int) -> None:
        key, stop = self._until("=[,.")
        match stop:
            case "":
                if key:
                    raise SetExpressionError(f"key {key!r} has no value")
                raise _EndError
            case "[":
                place = self._index()
                items = self._existing(data.get(key, []), list, key)
                _put(data, key, self._item(items, place, level + 1))
            case "=":
                _put(data, key, self._value())
            case ",":
                raise SetExpressionError(f"key {key!r} has no value (cannot end with ,)")
            case _:
                self._nested(data, key, level + 1)

    def _nested(self, data: dict[str, Any], key: str, level: int) -> None:
        if level > MAX_LEVEL:
            raise SetExpressionError(f"a key has more than {MAX_LEVEL} levels")
        inner: dict[str, Any] = self._existing(data.get(key, {}), dict, key)
        try:
            self._key(inner, level)
        except _EndError:
            raise SetExpressionError(f"key map {key!r} has no value") from None
        if not inner:
            raise SetExpressionError(f"key map {key!r} has no value")
        _put(data, key, inner)

    def _item(self, items: list[Any], place: int, level: int) -> list[Any]:
        if level > MAX_LEVEL:
            raise SetExpressionError(f"a key has more than {MAX_LEVEL} levels")
        text, stop = self._until("[.=")
        if text:
            raise SetExpressionError(f"unexpected data at the end of a list's place: {text!r}")
        existing = items[place] if place < len(items) else None
        match stop:
            case "=":
                return self._placed(items, place, self._value())
            case "[":
                inner_place = self._index()
                inner = self._existing([] if existing is None else existing, list, f"[{place}]")
                return self._placed(items, place, self._item(inner, inner_place, level + 1))
            case ".":
                entry = existing if isinstance(existing, dict) else {}
                self._key(entry, level)
                return self._placed(items, place, entry)
            case _:
                raise SetExpressionError(f"the place [{place}] has no value")

    def _index(self) -> int:
        text, stop = self._until("]")
        digits = text.removeprefix("-")
        if not stop or not (digits.isascii() and digits.isdigit()):
            raise SetExpressionError(f"{text!r} is no place of a list")
        place = int(text) if len(text) < 20 else MAX_INDEX + 1
        if not 0 <= place <= MAX_INDEX:
            raise SetExpressionError(f"the place of a list must be 0 to {MAX_INDEX}")
        return place

    def _value(self) -> Any:
        if self._text[self._at : self._at + 1] == "{":
            return self._list()
        return _typed(self._until(",")[0])

    def _list(self) -> list[Any]:
        self._at += 1
        items = []
        while True:
            text, stop = self._until(",}")
            if not stop:
                raise SetExpressionError("a list must end with '}'")
            items.append(_typed(text))
            if stop == "}":
                break
        if self._text[self._at : self._at + 1] == ",":
            self._at += 1
        return items

    def _placed(self, items: list[Any], place: int, value: Any) -> list[Any]:
        if (missing := place + 1 - len(items)) > 0:
            self._budget[0] -= missing
            if self._budget[0] < 0:
                raise SetExpressionError("the values become larger than a request may be")
            items.extend([None] * missing)
        items[place] = value
        return items

    @staticmethod
    def _existing(value: Any, kind: type, name: str) -> Any:
        if not isinstance(value, kind):
            raise SetExpressionError(f"{name!r} is no {'map' if kind is dict else 'list'}")
        return value

    def _until(self, stops: str) -> tuple[str, str]:
        """Read to one of `stops`, which is taken too; `""` for it at the end of the text."""
        taken: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character in stops:
                return "".join(taken), character
            if character == "\\":
                character = self._text[self._at : self._at + 1]
                self._at += 1
            taken.append(character)
        return "".join(taken), ""


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    if key:  # helm drops what has an empty key
        data[key] = value


def _typed(text: str) -> Any:
    known = {"true": True, "false": False, "null": None}
    if text.lower() in known:
        return known[text.lower()]
    if text == "0":
        return 0
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit() and text[0] != "0" and len(digits) < 20 and int(text) in _INT64:
        return int(text)
    return text
