"""Values of a release: `set` read into them, secret ones hidden, hidden ones put back. Pure.

What is secret is told by names, as charts use them: `password`, `apiKey`, `…Token`; an entry of a list of environment
variables by its `name`; and every URL that holds a password. Names of Secrets (`existingSecret`, `secretName`) are not.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.errors import FieldError, InvalidError
from app.core.logging import without_userinfo
from app.gateways.helm.strvals import SetExpressionError, with_set
from app.gateways.kubernetes.diff import REDACTED
from app.releases.errors import RedactedValueError
from app.releases.schemas import ReleaseSpec

SHORTEST = 5
"""Characters of a secret that is looked for in texts: hiding every `true` and `dev` would leave no text."""

_SECRET = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|api[_-]?key|private[_-]?key|access[_-]?key|encryption[_-]?key"
    r"|connection[_-]?string|client[_-]?key|signing[_-]?key",
    re.IGNORECASE,
)
_NAME_OF_ONE = re.compile(
    r"^existing|names?$|refs?$|paths?$|files?$|enabled$|create$|type$|class$|pull[_-]?secrets?$"
    r"|mount\w*token$|expir\w*$|ttl$|length$|annotations$|labels$",
    re.IGNORECASE,
)


def effective(spec: ReleaseSpec, pointer: str = "") -> dict[str, Any]:
    """Return the values with the `set` expressions in them.

    Raises:
        InvalidError: helm would not take an expression either.
    """
    try:
        return with_set(spec.values, spec.set)
    except SetExpressionError as error:
        place = FieldError(f"{pointer}/set/{error.expression}", str(error))
        raise InvalidError(f"A set expression is not valid: {error}.", [place]) from error


def redacted(values: Any) -> Any:
    """Return the values with every secret one replaced by `(redacted)`."""
    return _mapped(values, hidden=False)


def restored(values: dict[str, Any], before: Mapping[str, Any], pointer: str = "") -> dict[str, Any]:
    """Return the values with each `(redacted)` replaced by what stands in that place now.

    Raises:
        RedactedValueError: nothing stands there.
    """
    lost: list[FieldError] = []
    result = _restored(values, before, pointer, lost)
    if lost:
        raise RedactedValueError(f"{REDACTED} stands where no value was: send the value itself.", lost)
    found: dict[str, Any] = result
    return found


class Mask:
    """Hides the secret values of a release in texts that helm or the cluster made of them."""

    def __init__(self, values: Any) -> None:
        found = {str(secret) for secret in _secrets(values, hidden=False)}
        long = {secret for secret in found if len(secret) >= SHORTEST}
        encoded = {base64.b64encode(secret.encode()).decode() for secret in long}
        self._words = sorted(long | encoded, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return the text without them, and without passwords of URLs."""
        for word in self._words:
            text = text.replace(word, REDACTED)
        return without_userinfo(text)

    def value(self, value: Any) -> Any:
        """Return a JSON value with every text in it so."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(child) for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(child) for child in value]
        return value


def is_secret_name(name: str) -> bool:
    """Tell whether a value of that name is secret."""
    return _SECRET.search(name) is not None and _NAME_OF_ONE.search(name) is None


def _is_secret_variable(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("name"), str) and is_secret_name(entry["name"])


def _hides(value: Any, hidden: bool) -> bool:
    if isinstance(value, str):
        return (hidden and value != "") or without_userinfo(value) != value
    return hidden and isinstance(value, int | float) and not isinstance(value, bool)


def _children(values: Mapping[str, Any], hidden: bool) -> Iterator[tuple[str, Any, bool]]:
    variable = _is_secret_variable(values)
    for key, child in values.items():
        yield key, child, hidden or is_secret_name(key) or (variable and key == "value")


def _mapped(values: Any, hidden: bool) -> Any:
    if isinstance(values, Mapping):
        return {key: _mapped(child, hide) for key, child, hide in _children(values, hidden)}
    if isinstance(values, list):
        return [_mapped(child, hidden) for child in values]
    return REDACTED if _hides(values, hidden) else values


def _secrets(values: Any, hidden: bool) -> Iterator[Any]:
    if isinstance(values, Mapping):
        for _, child, hide in _children(values, hidden):
            yield from _secrets(child, hide)
    elif isinstance(values, list):
        for child in values:
            yield from _secrets(child, hidden)
    elif _hides(values, hidden):
        yield values


def _restored(value: Any, before: Any, pointer: str, lost: list[FieldError]) -> Any:
    if value == REDACTED:
        if before is None:
            lost.append(FieldError(pointer, "there is no value here that could stay"))
        return before
    if isinstance(value, dict):
        known = before if isinstance(before, Mapping) else {}
        return {
            key: _restored(child, known.get(key), f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", lost)
            for key, child in value.items()
        }
    if isinstance(value, list):
        items = before if isinstance(before, list) else []
        return [
            _restored(child, items[index] if index < len(items) else None, f"{pointer}/{index}", lost)
            for index, child in enumerate(value)
        ]
    return value
