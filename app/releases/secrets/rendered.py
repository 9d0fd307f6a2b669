"""What a chart puts into Secrets is secret: there, and in the values of the release that it came from."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ahocorasick_rs import MatchKind

from app.core.secrets.forms import named_spans
from app.core.secrets.names import is_secret_name, words_of
from app.core.secrets.needles import automata
from app.core.secrets.scope import current
from app.core.secrets.words import is_common, is_wordlike, word_set
from app.releases.manifest import Json
from app.releases.secrets.places import MOST_PLACES, Place, Places, Segment, identities
from app.releases.secrets.walk import At, walked

MOST_CHARACTERS = 16 * 1024
"""Of one entry of a Secret that is looked for as a whole; of a longer one, a file, only what is secret in it."""
MOST_ENTRIES = 2000
MOST_TOGETHER = 256 * 1024
"""Characters of all entries that are looked for."""
_PASSES = 4
_ADDRESSES = word_set("host hostname namespace image tag repository username user email region port enabled name names")
"""What a value is that may stand in a Secret beside the one that matters."""


def entries_of(secrets: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """Yield key and text of each entry of Secrets; bytes that are no text are left out."""
    for secret in secrets:
        for part in ("data", "stringData"):
            entries = secret.get(part)
            for key, value in entries.items() if isinstance(entries, Mapping) else ():
                text = _decoded(value) if part == "data" else str(value)
                if text:
                    yield str(key), text


def hide_secrets(secrets: Iterable[Json]) -> None:
    """Hide the entries of Secrets in all that is said in the scope at hand."""
    current().add(_looked_for(entries_of(secrets)))


def places_in_secrets(values: Mapping[str, Any], known: Places, secrets: Iterable[Json]) -> list[Place]:
    """Return the places of values that the chart puts into Secrets, for any place of a list the same.

    Args:
        values: Of the release.
        known: Places that are known already.
        secrets: What the chart made of them.
    """
    entries = list(entries_of(secrets))
    if not entries:
        return []
    by_text: dict[str, list[Place]] = {}

    def collect(value: Any, at: At, secret: bool) -> None:
        text = str(value)
        if secret or isinstance(value, bool) or value is None or is_common(text):
            return
        if not _ADDRESSES.intersection(words_of(at.parent)[-1:]):
            by_text.setdefault(text, []).append(at.path)

    walked(values, known, collect)
    found = _standing_in({text for text in by_text if not is_wordlike(text)}, [text for _, text in entries])
    found |= {text for _, text in entries if text in by_text}
    return [_general(place, values) for text in found for place in by_text[text]][:MOST_PLACES]


def _looked_for(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    room = MOST_TOGETHER
    for count, (key, text) in enumerate(entries):
        if count >= MOST_ENTRIES or room < 0:
            return
        found = [text[start:end] for start, end in named_spans(text)]
        whole = text.strip()
        if len(whole) <= MOST_CHARACTERS and (is_secret_name(key) or not is_wordlike(whole)):
            found.append(text)
        room -= sum(map(len, found))
        yield from found


def _standing_in(texts: set[str], data: list[str]) -> set[str]:
    """Return which of the texts stand in the data, also within each other."""
    found: set[str] = set()
    for _ in range(_PASSES):
        new = {
            some[index]
            for some, automaton in automata(texts - found, MatchKind.LeftmostLongest)
            for text in data
            for index, _, _ in automaton.find_matches_as_indexes(text)
        }
        if not new:
            break
        found |= new
    return found


def _general(place: Place, values: Any) -> Place:
    """Return a place with the entries of lists by what tells them apart, or as any entry."""
    result: list[Segment] = []
    here = values
    for segment in place:
        if isinstance(segment, int):
            here = here[segment]
            result.append(next(identities(here), None))
        else:
            here = here[segment]
            result.append(segment)
    return tuple(result)


def _decoded(value: Any) -> str:
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
