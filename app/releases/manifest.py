"""Manifests as callers may see them: the data of Secrets hidden; and those data, to be hidden elsewhere. Pure."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from app.core.documents import UnreadableError, fetched_yaml
from app.core.secrets import REDACTED

_DOCUMENT = re.compile(r"^---(?=[ \t\r]|$)", re.MULTILINE)
_OF_SECRET = re.compile(r"kind[^A-Za-z]{0,80}+(?:&\w+\s+|!\S+\s+)?(?:Secret(?:List)?|List)\b")
_COPY = "kubectl.kubernetes.io/last-applied-configuration"
_PARTS = ("data", "stringData")

Json = Mapping[str, Any]


def without_secrets(manifest: str) -> str:
    """Return the YAML documents with the data of every Secret hidden; the others stay as the chart wrote them."""
    return "---".join(_shown(document) for document in _DOCUMENT.split(manifest))


def secrets_of(manifest: str) -> Iterator[Json]:
    """Yield the Secrets in YAML documents; a document that cannot be read is left out, as it is of what is shown."""
    for document in _DOCUMENT.split(manifest):
        if _OF_SECRET.search(document):
            with contextlib.suppress(UnreadableError):
                for item in fetched_yaml(document, "The manifest"):
                    yield from secrets_in(item)


def secrets_in(item: Any) -> Iterator[Json]:
    """Yield the Secrets that an object is or, as a list of objects, holds."""
    found: list[Json] = []
    _each(item, found.append)
    yield from found


def hide(item: Any) -> Any:
    """Return an object, or a list of some, with the data of Secrets hidden."""
    return _each(item, None)


def _each(item: Any, see: Callable[[Json], None] | None, kind: Any = None) -> Any:
    if not isinstance(item, Mapping):
        return item
    kind = item.get("kind") or kind
    if isinstance(item.get("items"), list):
        of_items = "Secret" if kind == "SecretList" else None  # those of a typed list need not say what they are
        return {**item, "items": [_each(child, see, of_items) for child in item["items"]]}
    if kind != "Secret":
        return item
    if see is not None:
        see(item)
    return _without_data(item)


def _without_data(secret: Json) -> Json:
    shown = dict(secret)
    for part in _PARTS:
        if isinstance(shown.get(part), Mapping):
            shown[part] = dict.fromkeys(shown[part], REDACTED)
        elif shown.get(part):
            shown[part] = REDACTED
    metadata = shown.get("metadata")
    if not isinstance(metadata, Mapping):
        return shown
    annotations = metadata.get("annotations")
    if isinstance(annotations, Mapping) and _COPY in annotations:
        shown["metadata"] = {**metadata, "annotations": {**annotations, _COPY: REDACTED}}
    return shown


def _shown(document: str) -> str:
    if not _OF_SECRET.search(document):
        return document
    try:
        parsed = list(fetched_yaml(document, "The manifest"))  # a line like `--- # more` begins another document
    except UnreadableError:
        return f"\n# {REDACTED}: a Secret that cannot be read\n"
    hidden = [hide(item) for item in parsed]
    if hidden == parsed:
        return document
    comments = "\n".join(line for line in document.splitlines() if line.startswith("# Source:"))
    return f"\n{comments}\n" + yaml.safe_dump_all(hidden, sort_keys=False, width=float("inf"), allow_unicode=True)
