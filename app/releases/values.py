"""Values of a release as a request gives them: `set` read in, bounded, and opened into the scope that hides them."""

from typing import Any

from app.core.errors import FieldError, InvalidError
from app.core.secrets.scope import current
from app.core.validation import at_pointer, differences
from app.gateways.helm.strvals import MAX_BYTES, SetExpressionError, path_of, size_of, with_set
from app.operations.prepared import FieldChange
from app.releases import resolutions
from app.releases.errors import RedactedValueError
from app.releases.references import check_references, is_reference
from app.releases.schemas import ReleaseSpec
from app.releases.secrets.opened import Opened
from app.releases.secrets.places import NO_PLACES, Places


def effective(spec: ReleaseSpec, pointer: str = "", *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return the values with the `set` expressions in them.

    Raises:
        InvalidError: helm would not take an expression either, or they make more than `max_bytes` of JSON.
    """
    try:
        return with_set(spec.values, spec.set, max_bytes=max_bytes)
    except SetExpressionError as error:
        place = FieldError(f"{pointer}/set/{error.expression}", str(error))
        raise InvalidError(f"A set expression is not valid: {error}.", [place]) from error


def wanted(
    spec: ReleaseSpec,
    before: Opened | None = None,
    pointer: str = "",
    *,
    values_pointer: str = "/values",
    max_bytes: int = MAX_BYTES,
) -> Opened:
    """Return the values that a request asks for, what was shown as `(redacted)` put back.

    Args:
        spec: What is asked for.
        before: What the release has now.
        pointer: Where the spec stands in the request.
        values_pointer: Where the values stand in the spec.
        max_bytes: Of their JSON.

    Raises:
        InvalidError: with pointers into the request.
    """
    place = f"{pointer}{values_pointer}"
    asked = Opened(
        effective(spec, pointer, max_bytes=max_bytes),
        known=before.known if before else NO_PLACES,
        named=map(path_of, spec.secret_values),
        public=public_of(spec.document()),
    )
    found = asked.sent_back(before, place)
    check_references(found.values, place)
    size = size_of(found.values)
    if size > max_bytes and (before is None or size > size_of(before.values)):
        detail = f"become {size} bytes; the limit is {max_bytes}"
        raise InvalidError(f"The values {detail}.", [FieldError(place, detail)])
    found.check_bounds(place)
    if before is not None:
        _refuse_baring(before, found, f"{pointer}/secret_values")
    return found


def of_row(values: dict[str, Any], spec: dict[str, Any], facts: dict[str, Any]) -> Opened:
    """Return values that are stored, opened.

    Args:
        values: Decrypted.
        spec: That they belong to, as rows keep it.
        facts: Of the release.
    """
    return Opened(
        values,
        known=Places.of_json(facts.get(PLACES)),
        named=map(path_of, spec.get("secret_values", ())),
        public=public_of(spec),
    )


def of_helm(values: dict[str, Any], spec: dict[str, Any], facts: dict[str, Any], revision: int | None) -> Opened:
    """Return values as helm keeps them, opened: what references stood for shows as these, or as `(redacted)`.

    Args:
        values: Of a revision.
        spec: Of the release, as rows keep it.
        facts: Likewise.
        revision: Which; None for the newest.
    """
    current().add(resolutions.secrets_of(values, facts))
    return of_row(resolutions.concealed(values, facts, revision), spec, facts)


def values_changes(before: Opened | None, after: Opened | None) -> list[FieldChange]:
    """Return how values differ, as callers may see it: of a secret that changes both sides show `(redacted)`.

    Slow: use a thread. What is known to be secret of either is hidden in both.
    """
    for one, other in ((before, after), (after, before)):
        if one is not None and other is not None:
            one.learn(other.known.all)
    whole = [{} if each is None else {"values": each.values} for each in (before, after)]
    old, new = ({} if each is None else {"values": each.shown()} for each in (before, after))
    pointers = differences(whole[0], whole[1], "")
    return [FieldChange(pointer, at_pointer(old, pointer), at_pointer(new, pointer)) for pointer in pointers]


PLACES = "secret_places"
"""Under which the facts of a release keep the places that are secret whatever their names."""


def public_of(spec: dict[str, Any]) -> list[str]:
    """Return what of a spec, as rows keep it, may be seen though it equals a secret."""
    chart = [text for text in spec["chart"].values() if text]
    return [spec["cluster"], spec["namespace"], spec["name"], *chart, *spec.get("tags", {}).values()]


def _refuse_baring(before: Opened, after: Opened, pointer: str) -> None:
    """Refuse to show what a caller had named as secret, unless the value is new."""
    for place in set(before.named) - set(after.named):
        kept = _at(after.values, place)
        if kept is not None and not is_reference(kept) and kept == _at(before.values, place):
            detail = "names a value no more that stays as it was: send the value itself, too"
            raise RedactedValueError("A secret value would be shown.", [FieldError(pointer, detail)])


def _at(values: Any, place: Any) -> Any:
    for segment in place:
        if (isinstance(values, dict) and segment in values) or (
            isinstance(values, list) and isinstance(segment, int) and segment < len(values)
        ):
            values = values[segment]
        else:
            return None
    return values
