"""Updates of stacks: in place or by replacement, with cleanup, rollback, and a rollback that failed and goes on."""

from __future__ import annotations

from collections.abc import Iterable

from . import operate, template
from .engine import delete_resources, failed_to, planned
from .graph import Failed, Stopped, reverse, walk, walk_all
from .model import Blueprint, Journal, Resource, Stack
from .replacement import Replacement, custom_name, of_change

_REPLACES = "Requested update requires the creation of a new physical resource; hence creating one."


async def update_stack(stack: Stack, blueprint: Blueprint, disable_rollback: bool = False) -> None:
    """Brings the stack from its blueprint to another one, and back if that fails or is cancelled."""
    journal = Journal({k: r.snapshot() for k, r in stack.resources.items()}, stack.blueprint)
    stack.journal = journal
    old_outputs = stack.outputs
    stack.blueprint = blueprint
    reason = ""
    try:
        needs = template.dependencies(blueprint)
        await walk(needs, lambda logical_id: _bring(stack, blueprint, needs, journal, logical_id), stack.cancel)
        stack.outputs = template.outputs(stack, blueprint)
    except Failed as failure:
        reason = _why(stack, failure.failed)
    except Stopped:
        reason = "User Initiated"
    except ValueError as error:
        reason = str(error)
    if not reason:
        await _clean_up(stack, journal, set(needs))
        return
    stack.outputs = old_outputs
    if disable_rollback:
        stack.set_status("UPDATE_FAILED", reason)
    else:
        await roll_back(stack, reason)


def _why(stack: Stack, failed: Iterable[str]) -> str:
    """AWS names the resources that failed to create apart from those that failed to update."""
    broken = dict.fromkeys([*failed, *(k for k, r in stack.resources.items() if r.status.endswith("_FAILED"))])
    created = [k for k in broken if stack.resources[k].status == "CREATE_FAILED"]
    updated = [k for k in broken if k not in created]
    parts = [("create", created), ("update", updated)]
    return "".join(f"The following resource(s) failed to {what}: [{', '.join(ids)}]. " for what, ids in parts if ids)


async def _bring(
    stack: Stack, blueprint: Blueprint, needs: dict[str, set[str]], journal: Journal, logical_id: str
) -> bool:
    """Brings one resource to the new blueprint."""
    resource = planned(blueprint, needs, logical_id)
    old = stack.resources.get(logical_id)
    if old is None or not old.physical_id:
        stack.resources[logical_id] = resource
        journal.created.append(resource)
        return await operate.create(stack, blueprint, resource)
    try:
        resource.properties = template.properties(stack, blueprint, logical_id)
    except ValueError as error:
        journal.touched.add(logical_id)
        stack.set_resource(old, "UPDATE_FAILED", str(error))
        return False
    resource.applied = template.with_stack_tags(stack, blueprint, resource)
    if resource.type == old.type and resource.applied == old.applied:
        old.definition, old.dependencies = resource.definition, resource.dependencies
        return True
    journal.touched.add(logical_id)
    replaces = of_change(old.type, resource.type, old.properties, resource.properties)
    if replaces is Replacement.NO:
        return await operate.update(stack, old, resource)
    return await _replace(stack, blueprint, journal, old, resource)


async def _replace(stack: Stack, blueprint: Blueprint, journal: Journal, old: Resource, new: Resource) -> bool:
    name = custom_name(new.type, new.properties)
    if old.type == new.type and name and name == custom_name(old.type, old.properties):
        stack.set_resource(
            old,
            "UPDATE_FAILED",
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {name} and update the stack again.",
        )
        return False
    predecessor = old.snapshot()
    new.physical_id, new.attributes = old.physical_id, old.attributes
    stack.set_resource(new, "UPDATE_IN_PROGRESS", _REPLACES)
    new.physical_id = ""
    stack.resources[new.logical_id] = new
    journal.replaced.append(predecessor)
    journal.created.append(new)
    return await operate.create(stack, blueprint, new, "UPDATE")


async def _clean_up(stack: Stack, journal: Journal, kept: set[str]) -> None:
    """The update worked: what it replaced and what the template no longer names goes away.

    AWS ends the update as complete even if something would not go.
    """
    stack.set_status("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    dropped = [r for k, r in stack.resources.items() if k not in kept]
    doomed = [*dropped, *(r for r in journal.replaced if r.definition.get("UpdateReplacePolicy") != "Retain")]
    await _delete_in_order(stack, doomed)
    for resource in dropped:
        if resource.status in ("DELETE_COMPLETE", "DELETE_SKIPPED"):
            stack.resources.pop(resource.logical_id, None)
    stack.journal = None
    stack.set_status("UPDATE_COMPLETE")


async def _delete_in_order(stack: Stack, doomed: list[Resource]) -> list[str]:
    unique = {resource.logical_id: resource for resource in doomed}
    return await delete_resources(stack, list(unique.values()))


async def roll_back(stack: Stack, reason: str, skip: frozenset[str] = frozenset()) -> None:
    """Brings every resource that the update touched back to what it was."""
    journal = stack.journal
    assert journal is not None
    stack.set_status("UPDATE_ROLLBACK_IN_PROGRESS", reason)
    stack.blueprint = journal.previous_blueprint
    replaced = {resource.logical_id for resource in journal.replaced}

    async def visit(logical_id: str) -> bool:
        before = journal.previous[logical_id]
        current = stack.resources[logical_id]
        if logical_id in replaced:
            stack.resources[logical_id] = before.snapshot()
            stack.set_resource(stack.resources[logical_id], "UPDATE_COMPLETE")
            return True
        if logical_id in skip:
            current.properties, current.applied = before.properties, before.applied
            stack.set_resource(current, "UPDATE_COMPLETE", "Resource rollback skipped by user")
            return True
        return await operate.update(stack, current, before)

    touched = {k: journal.previous[k].dependencies for k in journal.touched if k in journal.previous}
    failed = await walk_all(reverse(touched), visit)
    if failed:
        journal.touched = {k for k in journal.touched if stack.resources[k].status != "UPDATE_COMPLETE"}
        stack.set_status("UPDATE_ROLLBACK_FAILED", failed_to("update", stack, failed))
        return
    journal.touched = set()
    stack.set_status("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    await _delete_in_order(stack, journal.created)
    for resource in journal.created:
        if stack.resources.get(resource.logical_id) is resource:
            stack.resources.pop(resource.logical_id)
    stack.journal = None
    stack.set_status("UPDATE_ROLLBACK_COMPLETE")
