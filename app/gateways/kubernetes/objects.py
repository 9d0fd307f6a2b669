"""Kubernetes objects as plain JSON values, and the names of them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.core.documents import UnreadableError, fetched_yaml

Json = Mapping[str, Any]

MOST_OBJECTS = 5000
"""Of one manifest; helm keeps a release in a Secret of 1 MiB, so that real ones have a few hundred."""


class ManifestError(ValueError):
    """A manifest that is no sequence of Kubernetes objects."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which object.

    Attributes:
        kind: `Deployment`.
        namespace: "" for what has none, or takes the release's.
        name: Of the object.
        api_version: `apps/v1`.
    """

    kind: str
    namespace: str
    name: str
    api_version: str = "v1"

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    def within(self, namespace: str) -> "Ref":
        """Return it with a namespace, if it names none."""
        return self if self.namespace else Ref(self.kind, namespace, self.name, self.api_version)


def ref_of(item: Json) -> Ref:
    """Return which object this is."""
    metadata = metadata_of(item)
    return Ref(
        str(item.get("kind", "")),
        str(metadata.get("namespace") or ""),
        str(metadata.get("name", "")),
        str(item.get("apiVersion", "v1")),
    )


def parse_manifest(manifest: str) -> list[dict[str, Any]]:
    """Return the objects of YAML documents, with those of a `List` for themselves; 3 s for 8 MB, so use a thread.

    Args:
        manifest: As helm keeps it.

    Raises:
        ManifestError: It can't be read, or holds something that is no object, or too much.
    """
    found: list[dict[str, Any]] = []
    try:
        for document in fetched_yaml(manifest, "the manifest"):
            found.extend(_objects(document))
            if len(found) > MOST_OBJECTS:
                raise ManifestError(f"the manifest has more than {MOST_OBJECTS} objects")
    except UnreadableError as error:
        raise ManifestError(f"the manifest can't be read: {str(error)[:300]}") from error
    return found


def metadata_of(item: Json) -> Json:
    """Return `metadata`, empty if there is none."""
    return mapping(item.get("metadata"))


def mapping(value: Any) -> Json:
    """Return a map as it is, and anything else as an empty one: nothing that a cluster sends is trusted to have it."""
    return value if isinstance(value, Mapping) else {}


def entries(value: Any) -> Sequence[Json]:
    """Return the maps in a list, and none for anything else."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def elements(value: Any) -> Sequence[Any]:
    """Return a list as it is, and anything else as an empty one."""
    return value if isinstance(value, list) else []


def condition(item: Json, type_: str) -> Json | None:
    """Return a condition of an object by its type, or None."""
    conditions = entries(mapping(item.get("status")).get("conditions"))
    return next((entry for entry in conditions if entry.get("type") == type_), None)


def number(value: Any, default: int = 0) -> int:
    """Return an integer as it is, and anything else as the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def time_of(text: Any) -> datetime:
    """Return a time of Kubernetes', or the earliest time for none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def label_selector(selector: Json) -> str:
    """Return a LabelSelector as the text that a query takes; "" for one that selects nothing or everything."""
    terms = [f"{key}={value}" for key, value in mapping(selector.get("matchLabels")).items()]
    terms.extend(
        _term(str(expression.get("key")), str(expression.get("operator")), expression.get("values"))
        for expression in entries(selector.get("matchExpressions"))
    )
    return ",".join(terms)


def _term(key: str, operator: str, values: Any) -> str:
    joined = ",".join(str(value) for value in values) if isinstance(values, Iterable) else ""
    return {"In": f"{key} in ({joined})", "NotIn": f"{key} notin ({joined})", "DoesNotExist": f"!{key}"}.get(
        operator, key
    )


def _objects(document: Any) -> list[dict[str, Any]]:
    if document is None:
        return []
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise ManifestError("the manifest holds something that is no Kubernetes object")
    items = document.get("items")
    if document["kind"].endswith("List") and isinstance(items, list):
        return [found for item in items for found in _objects(item)]
    return [document]
