"""One walk over values that knows which of them are secret; hiding and collecting are what is done with it. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.core.secrets import REDACTED
from app.core.secrets.forms import is_name_of_option, named_spans
from app.core.secrets.names import (
    Secrecy,
    configures,
    is_beside_certificate,
    is_key_within_secret,
    is_secret_name,
    secrecy,
)
from app.releases.references import is_reference
from app.releases.secrets.places import Place, Places, identities

DEEPEST = 100
"""Levels of values that are looked at."""

_SECRET_DOCUMENT = re.compile(r"^[ \t]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?Secret\b", re.MULTILINE)
_REFERENCE = re.compile(r"\$[({]\w+[)}]|\$__(?:file|env)\{[^}]*\}")
"""A text that stands for one which comes from elsewhere."""
_OF_VARIABLE = frozenset({"value", "values", "defaultValue", "stringValue"})
_DATA = frozenset({"data", "stringData"})


@dataclass(frozen=True, slots=True)
class At:
    """Where a walk is.

    Attributes:
        path: From the top.
        parent: The nearest key of a map.
        nodes: Where in the places.
        leaf: A text here is secret.
        tree: So is what is below, but for what configures it.
        all: So is everything below.
    """

    path: Place = ()
    parent: str = ""
    nodes: tuple[dict[Any, Any], ...] = ()
    leaf: bool = False
    tree: bool = False
    all: bool = False


Leaf = Callable[[Any, At, bool], Any]
"""Makes something of a scalar; told where it stands and whether it is secret as a whole."""


def walked(values: Any, places: Places, leaf: Leaf) -> Any:
    """Return the values with every scalar replaced by what `leaf` makes of it, but for those of references."""
    return _walked(values, At(nodes=places.start()), leaf)


def _walked(value: Any, at: At, leaf: Leaf) -> Any:
    if len(at.path) > DEEPEST and isinstance(value, Mapping | list):
        return leaf(REDACTED, at, True)  # no request comes this far
    if at.path and is_reference(value):
        return value
    if isinstance(value, Mapping):
        return _map(value, at, leaf)
    if isinstance(value, list):
        return _list(value, at, leaf)
    return leaf(value, at, _is_secret(value, at))


def _map(value: Mapping[str, Any], at: At, leaf: Leaf) -> dict[str, Any]:
    variable = any(is_secret_name(text) for field, text in identities(value) if field in ("name", "key"))
    an_object = value.get("kind") == "Secret"
    names = frozenset(str(key).lower() for key in value)
    return {key: _walked(child, _under(at, str(key), names, variable, an_object), leaf) for key, child in value.items()}


def _under(at: At, key: str, names: frozenset[str], variable: bool, an_object: bool) -> At:
    says = Secrecy.NONE if is_key_within_secret(key, names) else secrecy(key)
    nodes = Places.under(at.nodes, key) if at.nodes else ()
    everything = at.all or Places.reached(nodes) or (an_object and key in _DATA)
    tree = says is Secrecy.TREE or (at.tree and not configures(key))
    leaf = tree or says is Secrecy.LEAF or (variable and key in _OF_VARIABLE)
    leaf = leaf or is_beside_certificate(key, names, at.parent)
    return At((*at.path, key), key, nodes, leaf, tree, everything)


def _list(value: list[Any], at: At, leaf: Leaf) -> list[Any]:
    result = []
    option = False
    for index, child in enumerate(value):
        nodes = Places.at(at.nodes, index, child)
        here = replace(
            at,
            path=(*at.path, index),
            nodes=nodes,
            leaf=at.leaf or (option and isinstance(child, str) and not child.startswith("-")),
            all=at.all or Places.reached(nodes),
        )
        result.append(_walked(child, here, leaf))
        option = isinstance(child, str) and is_name_of_option(child)
    return result


def _is_secret(value: Any, at: At) -> bool:
    if isinstance(value, str):
        if value == "" or _REFERENCE.fullmatch(value):
            return False
        return at.leaf or at.all or (len(value) > 12 and _SECRET_DOCUMENT.search(value) is not None)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (at.tree or at.all)


def secrets_in(values: Any, places: Places) -> list[str]:
    """Return the secret texts in values: whole ones, and those within others; each once."""
    found: dict[str, None] = {}

    def collect(value: Any, _at: At, secret: bool) -> None:
        if secret:
            found[str(value)] = None
        if isinstance(value, str):
            found.update((value[start:end], None) for start, end in named_spans(value))

    walked(values, places, collect)
    return list(found)
