"""What a release's row remembers of the secrets that were resolved for it; never what they were. Pure.

That is where each stood, by which reference, and a keyed fingerprint.

Helm keeps the values that it was given with each revision. So what is read back from there is hidden wherever a
reference stood in any revision that may still be kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.secrets import REDACTED
from app.releases.references import Path, Reference, at, filled, references_in, texts_of

FACT = "resolutions"
"""Under which the facts of a release's row keep them."""
MOST = 16
"""Operations that are remembered: more than the ten revisions that Helm keeps."""

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A reference that was resolved once.

    Attributes:
        reference: Which.
        fingerprint: Of what it was then.
    """

    reference: Reference
    fingerprint: str


def noted(facts: Facts, operation_id: str, known: Sequence[Known]) -> dict[str, Any]:
    """Return the facts with what an operation is about to hand to helm."""
    entry = {"operation": operation_id, "revision": None, "known": [_as_json(each) for each in known]}
    others = [each for each in facts.get(FACT, ()) if each["operation"] != operation_id]
    return {**facts, FACT: [*others, entry][-MOST:]}


def settled(facts: Facts, operation_id: str, revision: int, *, like: int | None = None) -> dict[str, Any]:
    """Return the facts once it is known which revision an operation made.

    Args:
        facts: Of the release.
        operation_id: Which operation.
        revision: That it made.
        like: The older revision that helm brought back with it, secrets and all; None if it was made anew.
    """
    entries = [dict(each) for each in facts.get(FACT, ())]
    if not entries or like == revision:  # helm made none
        return dict(facts)
    for each in entries:
        if each["revision"] == revision:  # of a former life: helm counts from 1 again after an uninstall
            each["revision"] = None
    if like is None:
        for each in entries:
            if each["operation"] == operation_id:
                each["revision"] = revision
    else:
        old = [each for each in entries if each["revision"] == like]
        entries += [{**each, "operation": f"{operation_id}/recover", "revision": revision} for each in old]
    return {**facts, FACT: entries[-MOST:]}


def of_revision(facts: Facts, revision: int | None) -> list[Known]:
    """Return what was resolved for a revision."""
    return _known(each for each in facts.get(FACT, ()) if revision is not None and each["revision"] == revision)


def paths(facts: Facts) -> list[Path]:
    """Return every place where a reference stood."""
    return list(dict.fromkeys(each.reference.path for each in _known(facts.get(FACT, ()))))


def concealed(values: dict[str, Any], facts: Facts, revision: int | None) -> dict[str, Any]:
    """Return values as helm keeps them with the references, or `(redacted)`, in the place of what was resolved.

    Args:
        values: Of a revision.
        facts: Of the release.
        revision: Which; None for the newest.
    """
    entries = facts.get(FACT, ())
    exact = of_revision(facts, revision) if revision is not None else _known(entries[-1:])
    hidden: dict[Path, Any] = {path: REDACTED for path in paths(facts) if at(values, path) is not None}
    hidden |= {each.reference.path: each.reference.as_json() for each in exact}
    result: dict[str, Any] = filled(values, hidden)
    return result


def secrets_of(values: Any, facts: Facts) -> list[str]:
    """Return the texts that stand, in values as helm keeps them, where a reference stood."""
    return [text for path in paths(facts) for text in texts_of(at(values, path))]


def with_references(values: dict[str, Any], facts: Facts, is_same: Callable[[Any, str], bool | None]) -> dict[str, Any]:
    """Return values of a revision that somebody made beside Slipway, with references for what was resolved for others.

    Args:
        values: As helm keeps them.
        facts: Of the release.
        is_same: Tells whether a value has a fingerprint; None if that can't be told.
    """
    back: dict[Path, Any] = {}
    for each in _known(facts.get(FACT, ())):
        value = at(values, each.reference.path)
        if value is not None and is_same(value, each.fingerprint) is not False:
            back[each.reference.path] = each.reference.as_json()
    result: dict[str, Any] = filled(values, back)
    return result


def _known(entries: Iterable[Mapping[str, Any]]) -> list[Known]:
    return [_of_json(each) for entry in entries for each in entry["known"]]


def _as_json(known: Known) -> dict[str, Any]:
    reference = known.reference
    return {"path": list(reference.path), "reference": reference.as_json(), "fingerprint": known.fingerprint}


def _of_json(document: Mapping[str, Any]) -> Known:
    (found,) = references_in({"value": document["reference"]})
    path = tuple(document["path"])
    return Known(Reference(path, found.kind, found.source, found.key), document["fingerprint"])
