"""What a stack would become, told from its templates: the resources that are added, changed and removed. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.stacks.template import StackTemplate


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """A property of a resource, as the templates have it; None is one that is not set."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """A resource of a stack that would be another one.

    Attributes:
        logical_id: Its name in the template.
        type: CloudFormation's.
        action: Whether AWS would replace what is `modify` here, only a change set knows.
        properties: Of a `modify`: what differs.
    """

    logical_id: str
    type: str
    action: Literal["add", "modify", "remove"]
    properties: tuple[PropertyChange, ...] = ()


def changes_between(before: StackTemplate | None, after: StackTemplate | None) -> list[ResourceChange]:
    """Return the resources that differ, by name; None is a stack that is not there."""
    old, new = _resources(before), _resources(after)
    return [
        _change(name, old.get(name), new.get(name)) for name in sorted({*old, *new}) if old.get(name) != new.get(name)
    ]


def _resources(template: StackTemplate | None) -> Mapping[str, Any]:
    resources: Mapping[str, Any] = json.loads(template.body)["Resources"] if template else {}
    return resources


def _change(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> ResourceChange:
    if old is None or new is None:
        one: Any = old or new
        return ResourceChange(name, one["Type"], "remove" if new is None else "add")
    return ResourceChange(name, new["Type"], "modify", tuple(_properties(old, new)))


def _properties(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[PropertyChange]:
    before, after = old.get("Properties", {}), new.get("Properties", {})
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield PropertyChange(name, before.get(name), after.get(name))
