"""What a plain YAML scalar is: in what callers send (`BODY`), and in what Kubernetes and helm read (`KUBERNETES`).

The second is what sigs.k8s.io/yaml makes of YAML, which both use: go-yaml v2's `resolve.go`, then JSON. So `yes`, `on`
and `y` are booleans, `012` is 10, `0o17` is 15, `1_000` is 1000, `1:30`, dates and `=` are text, a number that JSON
writes without a fraction is an integer, and keys that are none become text. The tests hold it against helm's own
`fromYaml`.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

INT64 = range(-(2**63), 2**63)
UINT64 = range(2**64)
INT_DIGITS = 20  # digits and sign of the longest 64-bit integer; int() is quadratic, so length is looked at first

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    spelling: value
    for word, value in (("true", True), ("yes", True), ("on", True), ("false", False), ("no", False), ("off", False))
    for spelling in (word, word.capitalize(), word.upper())
}
_GO_BOOLEANS = _BOOLEANS | {"y": True, "Y": True, "n": False, "N": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*+)|0x[0-9a-fA-F]++|0o[0-7]++")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]++|[0-9]++\.[0-9]*+|[0-9]++(?=[eE]))(?:[eE][-+]?[0-9]++)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_GO_INT = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]++)|0[oO]?([0-7]++)|0[bB]([01]++)|([0-9]++))")
_GO_FLOAT = re.compile(r"[-+]?(?:\.[0-9]++|[0-9]++(?:\.[0-9]*+)?)(?:[eE][-+]?[0-9]++)?")
_TAG = "tag:yaml.org,2002:"


class ScalarError(ValueError):
    """A scalar that cannot be kept; the message says why."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How YAML is read.

    Attributes:
        scalar: From text, whether it is plain, and tag to a value; raises `ScalarError`.
        key: From the same to the text of a key.
        is_strict: Whether a key may stand only once, and tags and several documents are refused.
    """

    scalar: Callable[[str, bool, str | None], Any]
    key: Callable[[str, bool, str | None], str]
    is_strict: bool


def integer(digits: str) -> int:
    """Return an integer of 64 bits.

    Raises:
        ScalarError: it is larger.
    """
    if len(digits) <= INT_DIGITS and (value := int(digits, 0 if digits[:2] in ("0x", "0o") else 10)) in INT64:
        return value
    raise ScalarError(f"The integer {digits[:24]}… does not fit into 64 bits: send it as a string")


def finite(text: str) -> float:
    """Return a float.

    Raises:
        ScalarError: it is infinite.
    """
    value = float(text)
    if math.isfinite(value):
        return value
    raise ScalarError(f"The number {text[:24]} is too large")


def _body_scalar(text: str, plain: bool, tag: str | None) -> Any:
    if not plain:
        return text
    if text in NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError(f"{text} is not a finite number: quote it if it is text")
    if _INT.fullmatch(text):
        return integer(text)
    return finite(text) if _FLOAT.fullmatch(text) else text


def _body_key(text: str, plain: bool, tag: str | None) -> str:
    if plain and text in NULLS:
        raise ScalarError("A key must be text: quote it")
    return text


def _go_scalar(text: str, plain: bool, tag: str | None) -> Any:
    found = _tagged(text, plain, tag)
    if isinstance(found, float):
        if not math.isfinite(found):
            raise ScalarError(f"{text[:24]} is no number that JSON has")
        if found.is_integer() and int(found) in INT64:
            return int(found)
    return found


def _go_key(text: str, plain: bool, tag: str | None) -> str:
    found = _tagged(text, plain, tag)
    if found is None:
        raise ScalarError("A key must be text: quote it")
    return _go_text(found)


def _go_field(text: str, plain: bool, tag: str | None) -> str | None:
    found = _tagged(text, plain, tag)
    if isinstance(found, float) and not math.isfinite(found):
        raise ScalarError(f"{text[:24]} is no number that JSON has")
    return None if found is None else _go_text(found)


def _tagged(text: str, plain: bool, tag: str | None) -> Any:
    if tag is None:
        return _resolved(text) if plain else text
    match tag.removeprefix(_TAG):
        case "int" | "float" | "bool" | "null" as kind:
            found = _resolved(text)
            name = {bool: "bool", int: "int", float: "float", type(None): "null"}.get(type(found))
            if name == kind or (kind, name) == ("float", "int"):
                return float(found) if kind == "float" else found
            raise ScalarError(f"{text[:24]!r} is no !!{kind}")
        case "binary":
            try:
                return base64.b64decode(text.replace("\n", ""), validate=True).decode(errors="replace")
            except binascii.Error:
                raise ScalarError("!!binary is no base64") from None
        case _:
            return text


def _resolved(text: str) -> Any:
    if text in NULLS:
        return None
    if text in _GO_BOOLEANS:
        return _GO_BOOLEANS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", "", 1))
    digits = text.replace("_", "")
    found = _go_integer(digits)
    if found is not None:
        return found
    if _GO_FLOAT.fullmatch(digits) and math.isfinite(value := float(digits)):
        return value
    return text


def _go_integer(digits: str) -> int | None:
    """Read an integer as Go's ParseInt and ParseUint do with base 0; longer ones become floats."""
    match = _GO_INT.fullmatch(digits)
    if match is None:
        return None
    sign, hexadecimal, octal, binary, decimal = match.groups()
    text, base = next(
        (part, base) for part, base in ((hexadecimal, 16), (octal, 8), (binary, 2), (decimal, 10)) if part is not None
    )
    if base == 10 and len(text) > 1 and text[0] == "0":  # `08`: no octal number, and to Go a float
        return None
    text = text.lstrip("0") or "0"
    if len(text) > 64:
        return None
    value = int(text, base)
    if sign == "-":
        return -value if -value in INT64 else None
    return value if value in INT64 or (not sign and value in UINT64) else None


def _go_text(value: str | float | bool) -> str:
    """Return the text that sigs.k8s.io/yaml makes of a scalar; of floats by Go's `FormatFloat(value, 'g', -1, 32)`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return str(value)
    shortest = _shortest_single(value)
    if not math.isfinite(float(shortest)):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - it is finite
    text, power, minus = "".join(map(str, digits)), len(digits) + exponent - 1, "-" if sign else ""
    if text == "0":
        return minus + text
    if not -4 <= power < 6:
        mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
        return f"{minus}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return minus + format(Decimal((0, digits, exponent)), "f")


def _shortest_single(value: float) -> str:
    """Return the shortest text of the 32-bit float that is nearest."""
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        return "inf" if value > 0 else "-inf"
    (nearest,) = struct.unpack("<f", packed)
    return next(
        (text for places in range(1, 9) if struct.pack("<f", float(text := f"{nearest:.{places}g}")) == packed),
        f"{nearest:.9g}",
    )


BODY = Dialect(_body_scalar, _body_key, is_strict=True)
KUBERNETES = Dialect(_go_scalar, _go_key, is_strict=False)
KUBERNETES_TEXT = Dialect(_go_field, _go_key, is_strict=False)
"""Scalars as a Go struct has them whose fields are text, as those of Chart.yaml: `1.10` is `1.1`."""
