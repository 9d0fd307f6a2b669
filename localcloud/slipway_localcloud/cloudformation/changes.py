"""What a change set would do: the `Changes` of DescribeChangeSet."""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation.engine import _intrinsic_references

from . import template
from .model import Blueprint, Resource, Stack
from .replacement import Replacement, changed, of_property

_RECREATION = {Replacement.YES: "Always", Replacement.NO: "Never", Replacement.MAYBE: "Conditionally"}


def changes(stack: Stack, blueprint: Blueprint) -> list[dict[str, Any]]:
    """The changes that bring the stack to the blueprint, in AWS's form."""
    found: list[dict[str, Any]] = []
    moving: dict[str, Replacement] = {}
    needs = template.dependencies(blueprint)
    for logical_id in _ordered(needs):
        old = stack.resources.get(logical_id)
        if old is None or not old.physical_id or old.status == "DELETE_COMPLETE":
            found.append(_change("Add", logical_id, blueprint.definition(logical_id)["Type"]))
            moving[logical_id] = Replacement.YES
            continue
        change = _modify(stack, blueprint, old, moving)
        if change:
            found.append(change)
    for logical_id, resource in stack.resources.items():
        if logical_id not in needs and resource.physical_id:
            removed = _change("Remove", logical_id, resource.type, resource.physical_id)
            removed["ResourceChange"]["PolicyAction"] = resource.definition.get("DeletionPolicy", "Delete")
            found.append(removed)
    return found


def nothing_to_do(stack: Stack, blueprint: Blueprint) -> bool:
    """Whether an update to the blueprint would change nothing."""
    old = stack.blueprint
    if changes(stack, blueprint) or (old.document.get("Outputs") or {}) != (blueprint.document.get("Outputs") or {}):
        return False
    values = [{k: p["Value"] for k, p in b.parameters.items()} for b in (old, blueprint)]
    return values[0] == values[1] or not _parameters_matter(blueprint)


def _parameters_matter(blueprint: Blueprint) -> bool:
    """Whether outputs read parameters: those that resources read already count as changes of these."""
    references = {name for name, _ in _intrinsic_references(blueprint.document.get("Outputs") or {})}
    return bool(references & set(blueprint.parameters))


def _ordered(needs: dict[str, set[str]]) -> list[str]:
    ordered: list[str] = []
    while len(ordered) < len(needs):
        ordered += [key for key, wants in needs.items() if key not in ordered and wants <= set(ordered)]
    return ordered


def _change(action: str, logical_id: str, type_: str, physical_id: str = "") -> dict[str, Any]:
    return {
        "Type": "Resource",
        "ResourceChange": {
            "Action": action,
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": physical_id,
            "ResourceType": type_,
            "Scope": [],
            "Details": [],
        },
    }


def _modify(stack: Stack, blueprint: Blueprint, old: Resource, moving: dict[str, Replacement]) -> dict[str, Any] | None:
    """The change of a resource that stays in the template; notes in `moving` if it may get another identity."""
    definition = blueprint.definition(old.logical_id)
    if definition["Type"] != old.type:
        moving[old.logical_id] = Replacement.YES
        change = _change("Modify", old.logical_id, definition["Type"], old.physical_id)
        change["ResourceChange"].update(Replacement="True", Scope=["Properties"])
        return change
    try:
        wanted = template.properties(stack, blueprint, old.logical_id)
    except ValueError:
        wanted = dict(definition.get("Properties") or {})
    details = []
    for name in changed(old.properties, wanted):
        effect = of_property(old.type, name, old.properties, wanted)
        details.append(_detail(name, effect, "Static", "DirectModification"))
    for name, value in (definition.get("Properties") or {}).items():
        causes = {ref for ref, _ in _intrinsic_references(value)} & set(moving)
        if causes and name not in {d["Target"]["Name"] for d in details}:
            probe = of_property(old.type, name, {name: 0} if not isinstance(value, dict) else {}, {name: value})
            effect = Replacement.MAYBE if probe is not Replacement.NO else Replacement.NO
            details.append(_detail(name, effect, "Dynamic", "ResourceReference"))
    details += _tag_detail(stack, blueprint, old, wanted, details)
    if not details:
        return None
    effects = {detail.pop("effect") for detail in details}
    total = next((r for r in (Replacement.YES, Replacement.MAYBE) if r in effects), Replacement.NO)
    if total is not Replacement.NO:
        moving[old.logical_id] = total
    change = _change("Modify", old.logical_id, old.type, old.physical_id)
    scope = sorted({detail["Target"]["Attribute"] for detail in details})
    change["ResourceChange"].update(Replacement=total.value, Scope=scope, Details=details)
    return change


def _detail(name: str, effect: Replacement, evaluation: str, source: str) -> dict[str, Any]:
    target = {"Attribute": "Properties", "Name": name, "RequiresRecreation": _RECREATION[effect]}
    if name == "Tags":
        target["Attribute"] = "Tags"
    return {"Target": target, "Evaluation": evaluation, "ChangeSource": source, "effect": effect}


def _tag_detail(
    stack: Stack, blueprint: Blueprint, old: Resource, wanted: dict[str, Any], details: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A change of the stack's own tags reaches every resource that can have tags."""
    if any(detail["Target"]["Name"] == "Tags" for detail in details):
        return []
    new = Resource(old.logical_id, old.type, properties=wanted)
    before, after = old.applied.get("Tags"), template.with_stack_tags(stack, blueprint, new).get("Tags")
    return [] if before == after else [_detail("Tags", Replacement.NO, "Static", "DirectModification")]
