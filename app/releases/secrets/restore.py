"""What was shown of values comes back: each `(redacted)` is replaced by what it stood for, or refused. Pure.

A place is found again by the keys on its way. An entry of a list is the one with the same `name` (`key`, `id`, …), or
the one that was shown exactly so; its index tells nothing, since callers insert and delete. Where several could be
meant none is taken: the wrong secret would be installed without a word.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from app.core.errors import FieldError
from app.core.secrets import REDACTED
from app.releases.secrets.places import identities

_MISSING = object()
_NOTHING = "there is no value here that could stay"
_CHANGED = "is not what was shown here: send the value itself"
_AMBIGUOUS = "could stand for several entries: send the value itself"
_BARED = "would be shown here: send the value itself"


def holds_marker(value: Any) -> bool:
    """Tell whether `(redacted)` stands anywhere in a value."""
    if isinstance(value, str):
        return REDACTED in value
    if isinstance(value, Mapping):
        return any(map(holds_marker, value.values()))
    return isinstance(value, list) and any(map(holds_marker, value))


def restored(sent: Any, shown: Any, stored: Any, pointer: str, lost: list[FieldError]) -> Any:
    """Return what was sent with each marker replaced.

    Args:
        sent: Values, as a caller sent them.
        shown: What is stored, as callers see it.
        stored: Values.
        pointer: Where they stand in the request.
        lost: Gets the places whose marker stands for nothing, or for what cannot be told.
    """
    if not holds_marker(sent):
        return sent
    if isinstance(sent, Mapping):
        seen = shown if isinstance(shown, Mapping) else {}
        kept = stored if isinstance(stored, Mapping) else {}
        return {
            key: restored(child, seen.get(key, _MISSING), kept.get(key, _MISSING), f"{pointer}/{_escaped(key)}", lost)
            for key, child in sent.items()
        }
    if isinstance(sent, list):
        are_lists = isinstance(shown, list) and isinstance(stored, list)
        return _entries(sent, shown if are_lists else [], stored if are_lists else [], pointer, lost)
    if shown is _MISSING or stored is _MISSING or isinstance(stored, Mapping | list):
        lost.append(FieldError(pointer, _NOTHING))
        return sent
    if sent != shown:
        lost.append(FieldError(pointer, _CHANGED))
        return sent
    return stored


def bared(sent: Any, shown: Any, pointer: str) -> list[FieldError]:
    """Return the places that were sent with a marker, and would be shown without one now that it is replaced.

    Args:
        sent: Values, as a caller sent them.
        shown: What came of them, as callers would see it.
        pointer: Where they stand in the request.
    """
    if isinstance(sent, Mapping) and isinstance(shown, Mapping):
        return [
            error for key, child in sent.items() for error in bared(child, shown.get(key), f"{pointer}/{_escaped(key)}")
        ]
    if isinstance(sent, list) and isinstance(shown, list):
        return [
            error
            for index, (child, now) in enumerate(zip(sent, shown, strict=False))
            for error in bared(child, now, f"{pointer}/{index}")
        ]
    hidden = not isinstance(sent, str) or REDACTED not in sent or (isinstance(shown, str) and REDACTED in shown)
    return [] if hidden else [FieldError(pointer, _BARED)]


def _entries(sent: list[Any], shown: list[Any], stored: list[Any], pointer: str, lost: list[FieldError]) -> list[Any]:
    by_identity: dict[tuple[str, str], list[int]] = defaultdict(list)
    by_looks: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(shown):
        by_looks[_key(entry)].append(index)
    for index, entry in enumerate(stored):
        for identity in identities(entry):
            by_identity[identity].append(index)
    asked: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(sent):
        if holds_marker(entry):
            asked[_key(entry)].append(index)
    result = list(sent)
    for looks, places in asked.items():
        alike = by_looks.get(looks, [])
        kept = [stored[index] for index in alike]
        for turn, place in enumerate(places):
            where = f"{pointer}/{place}"
            if len(alike) == len(places):
                result[place] = kept[turn]
            elif alike and all(entry == kept[0] for entry in kept):
                result[place] = kept[0]
            else:
                result[place] = _by_identity(sent[place], by_identity, shown, stored, where, lost)
    return result


def _by_identity(
    entry: Any,
    known: Mapping[tuple[str, str], list[int]],
    shown: list[Any],
    stored: list[Any],
    pointer: str,
    lost: list[FieldError],
) -> Any:
    for identity in identities(entry):
        if len(found := known.get(identity, [])) == 1:
            return restored(entry, shown[found[0]], stored[found[0]], pointer, lost)
    if entry not in shown:
        return restored(entry, _MISSING, _MISSING, pointer, lost)  # which names the places within it
    lost.append(FieldError(pointer, _AMBIGUOUS))
    return entry


def _key(value: Any) -> str:
    """Return a text that is the same for the same JSON values alone (`1` is not `True`)."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key!r}:{_key(child)}" for key, child in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_key, value)) + "]"
    return repr(value)


def _escaped(key: Any) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
