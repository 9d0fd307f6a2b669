"""Values that stand for secrets kept elsewhere: found, checked, filled in, shown as they are. Pure.

A map with the one key `from_secret` or `from_secrets_manager` is a reference. A map that has such a key beside others
is the chart's own, unless what stands below it looks like a reference: that is taken for a mistake.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.core.errors import FieldError
from app.core.validation import did_you_mean
from app.releases.errors import SecretReferenceError

MOST = 100
"""References of one release."""

Path = tuple[str | int, ...]
Kind = Literal["from_secret", "from_secrets_manager"]

_SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SECRET_KEY = re.compile(r"[-._A-Za-z0-9]{1,253}")
"""Names and keys of a Secret as Kubernetes takes them (apimachinery validation: IsDNS1123Subdomain, IsConfigMapKey)."""
_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]{0,16}):secretsmanager:(?P<region>[a-z]{2,3}(-[a-z]+){1,3}-[0-9]{1,2})"
    r":(?P<account>[0-9]{12}):secret:[A-Za-z0-9/_+=.@!-]{1,519}"
)
"""A secret's name has at most 512 characters, and its ARN six random ones more (CreateSecret, `Name`)."""
_LONGEST_KEY = 1024


@dataclass(frozen=True, slots=True)
class Reference:
    """One value that stands for a secret.

    Attributes:
        path: Where it stands in the values.
        kind: What it refers to.
        source: Name of the Secret, or ARN.
        key: Of the Secret's data, or of the JSON object that the secret holds; None for all of it.
    """

    path: Path
    kind: Kind
    source: str
    key: str | None

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer into the values."""
        return pointer_to(self.path)

    @property
    def region(self) -> str:
        """Of the ARN."""
        return self.source.split(":")[3]

    def __str__(self) -> str:
        what = "Secret" if self.kind == "from_secret" else "secret"
        return f"{what} {self.source}" + (f", key {self.key}" if self.key is not None else "")

    def as_json(self) -> dict[str, Any]:
        """Return it as callers write it."""
        place = "name" if self.kind == "from_secret" else "arn"
        return {self.kind: {place: self.source} | ({} if self.key is None else {"key": self.key})}


_KEYS: dict[str, tuple[str, frozenset[str]]] = {
    "from_secret": ("name", frozenset({"name", "key"})),
    "from_secrets_manager": ("arn", frozenset({"arn", "key"})),
}


def references_in(values: Any) -> list[Reference]:
    """Return the references of values that were checked; what only looks like one is none."""
    return [found for path, value in _candidates(values, ()) if isinstance(found := _read(path, value), Reference)]


def is_reference(value: Any) -> bool:
    """Tell whether a value, which is not the whole of the values, is a valid reference."""
    return (
        isinstance(value, Mapping)
        and len(value) == 1
        and not _KEYS.keys().isdisjoint(value)
        and isinstance(_read(("",), value), Reference)
    )


def names_in(values: Any) -> list[str]:
    """Return what the references of values name; none of it is secret."""
    return [name for each in references_in(values) for name in (each.source, each.key) if name is not None]


def check_references(values: Any, pointer: str) -> None:
    """Refuse references that can never be resolved.

    Args:
        values: Of a request, `set` in them.
        pointer: Where they stand in it.

    Raises:
        SecretReferenceError: with the pointer of each.
    """
    errors: list[FieldError] = []
    count = 0
    for path, value in _candidates(values, ()):
        found = _read(path, value)
        if isinstance(found, Reference):
            count += 1
        else:
            errors += [FieldError(pointer + error.pointer, error.detail) for error in found]
    if count > MOST:
        errors.append(FieldError(pointer, f"has {count} references to secrets; the limit is {MOST}"))
    if errors:
        raise SecretReferenceError("A reference to a secret is not valid.", errors[:MOST])


def filled(values: Any, found: Mapping[Path, Any]) -> Any:
    """Return the values with what was found at these paths; what is on the way there is copied."""
    result = values
    for path, value in found.items():
        result = _put(result, path, value)
    return result


def at(values: Any, path: Path) -> Any:
    """Return what stands at a path, None if nothing does."""
    for part in path:
        if isinstance(values, Mapping) and isinstance(part, str):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def texts_of(value: Any) -> Iterator[str]:
    """Yield what of a secret must not be seen: it, and if it is JSON, each text in it; a chart may take it apart."""
    for text in _leaves(value):
        yield text
        if text.lstrip()[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                yield from _leaves(json.loads(text))


def pointer_to(path: Path) -> str:
    """Return a path as a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from _leaves(child)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _put(values: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(values, Mapping) and first in values:
        return {**values, first: _put(values[first], rest, value)}
    if isinstance(values, list) and isinstance(first, int) and first < len(values):
        return [*values[:first], _put(values[first], rest, value), *values[first + 1 :]]
    return values


def _candidates(value: Any, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        alone = bool(path) and len(value) == 1 and not _KEYS.keys().isdisjoint(value)
        if alone or any(_looks_like_one(value, kind) for kind in _KEYS):
            yield path, value
            return
        for key, child in value.items():
            yield from _candidates(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _candidates(child, (*path, index))


def _looks_like_one(value: Mapping[str, Any], kind: str) -> bool:
    inner, (place, known) = value.get(kind), _KEYS[kind]
    return isinstance(inner, Mapping) and place in inner and inner.keys() <= known


def _read(path: Path, value: Mapping[str, Any]) -> Reference | list[FieldError]:
    pointer = pointer_to(path)
    kind = next((kind for kind in _KEYS if _looks_like_one(value, kind)), None) or next(iter(value))
    if not path:
        return [FieldError(f"/{kind}", "the values as a whole cannot be a reference to a secret")]
    if len(value) > 1:
        others = ", ".join(sorted(str(key) for key in value if key != kind)[:5])
        detail = f"{kind} stands alone in its map; send null for what is to go ({others})"
        return [FieldError(f"{pointer}/{kind}", detail)]
    inner, (place, known) = value[kind], _KEYS[kind]
    pointer += f"/{kind}"
    if not isinstance(inner, Mapping):
        return [FieldError(pointer, f"must be a map with {place} and key")]
    errors = [
        FieldError(f"{pointer}{pointer_to((str(key),))}", f"unknown field{did_you_mean(str(key), known)}")
        for key in inner
        if key not in known
    ]
    errors += _wrong(kind, inner, pointer)
    if errors:
        return errors
    known_kind: Kind = "from_secret" if kind == "from_secret" else "from_secrets_manager"
    return Reference(path, known_kind, inner[place], inner.get("key"))


def _wrong(kind: str, inner: Mapping[str, Any], pointer: str) -> Iterator[FieldError]:
    key = inner.get("key")
    if kind == "from_secret":
        name = inner.get("name")
        if not isinstance(name, str) or len(name) > 253 or not _SECRET_NAME.fullmatch(name):
            yield FieldError(f"{pointer}/name", "must be the name of a Secret: a lowercase RFC 1123 subdomain")
        if not isinstance(key, str) or not _SECRET_KEY.fullmatch(key) or key in (".", ".."):
            yield FieldError(f"{pointer}/key", "must be a key of the Secret's data: letters, digits, '-', '_' and '.'")
        return
    if detail := _wrong_arn(inner.get("arn")):
        yield FieldError(f"{pointer}/arn", detail)
    if "key" in inner and (not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY):
        yield FieldError(f"{pointer}/key", "must be the name of a member of the JSON object that the secret holds")


def _wrong_arn(arn: Any) -> str:
    match = _ARN.fullmatch(arn) if isinstance(arn, str) else None
    if match is None:
        return "must be the ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"
    region = match["region"]
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    if match["partition"] != partition and "-iso" not in region:
        return f"region {region} is one of the partition {partition}, not of {match['partition']}"
    return ""
