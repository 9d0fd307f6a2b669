"""Manifests as callers may see them: the data of Secrets hidden. Pure."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from app.core.documents import UnreadableError, fetched_yaml
from app.gateways.kubernetes.diff import REDACTED

_DOCUMENT = re.compile(r"^---[ \t]*$", re.MULTILINE)


def without_secrets(manifest: str) -> str:
    """Return the YAML documents with the data of every Secret hidden; the others stay as the chart wrote them."""
    return "---".join(_shown(document) for document in _DOCUMENT.split(manifest))


def _shown(document: str) -> str:
    if "Secret" not in document:
        return document
    try:
        parsed = list(fetched_yaml(document, "The manifest"))  # a line like `--- # more` begins another document
    except UnreadableError:
        return f"\n# {REDACTED}: a Secret that cannot be read\n"
    hidden = [hide(item) for item in parsed]
    if hidden == parsed:
        return document
    comments = "\n".join(line for line in document.splitlines() if line.startswith("# Source:"))
    return f"\n{comments}\n" + yaml.safe_dump_all(hidden, sort_keys=False)


def hide(item: Any) -> Any:
    """Return an object, or a list of some, with the data of Secrets hidden."""
    if not isinstance(item, Mapping):
        return item
    shown = dict(item)
    if item.get("kind") == "Secret":
        for part in ("data", "stringData"):
            if isinstance(item.get(part), Mapping):
                shown[part] = dict.fromkeys(item[part], REDACTED)
    if isinstance(item.get("items"), list):
        shown["items"] = [hide(child) for child in item["items"]]
    return shown
