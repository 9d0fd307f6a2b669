"""The life of a stack: creation with its rollback, and deletion. Updates are in `update`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import suppress

from . import operate, template
from .graph import Failed, reverse, walk, walk_all
from .model import Blueprint, Resource, Stack

LOG = logging.getLogger("slipway.localcloud")


def begin(stack: Stack, operation: Coroutine[None, None, None]) -> None:
    """Runs an operation on a stack in the background, in the account and region of the caller."""

    async def run() -> None:
        try:
            await operation
        except asyncio.CancelledError:
            raise
        except Exception:
            LOG.exception("the operation on stack %s broke off in status %s", stack.name, stack.status)
            raise

    stack.cancel = asyncio.Event()
    stack.task = asyncio.get_running_loop().create_task(run())


async def stop(stack: Stack) -> None:
    """Ends the operation at work on the stack, if any."""
    task, stack.task = stack.task, None
    if task and not task.done():
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


def planned(blueprint: Blueprint, needs: dict[str, set[str]], logical_id: str) -> Resource:
    """The record of a resource that is about to be made."""
    definition = blueprint.definition(logical_id)
    return Resource(logical_id, definition["Type"], definition=definition, dependencies=needs[logical_id])


async def create_stack(stack: Stack) -> None:
    """Makes all resources; on failure does what the stack's OnFailure says."""
    blueprint = stack.blueprint
    try:
        needs = template.dependencies(blueprint)
    except ValueError as error:
        stack.set_status("CREATE_FAILED", str(error))
        return

    async def visit(logical_id: str) -> bool:
        resource = stack.resources[logical_id] = planned(blueprint, needs, logical_id)
        return await operate.create(stack, blueprint, resource)

    try:
        await walk(needs, visit)
        stack.outputs = template.outputs(stack, blueprint)
    except Failed as failure:
        await _creation_failed(stack, failed_to("create", stack, failure.failed))
    except ValueError as error:
        await _creation_failed(stack, str(error) + ". ")
    else:
        stack.set_status("CREATE_COMPLETE")


def failed_to(what: str, stack: Stack, failed: Iterable[str]) -> str:
    """CloudFormation's list of the resources that failed, the cancelled siblings included."""
    broken = [*failed, *(k for k, r in stack.resources.items() if r.status.endswith("_FAILED"))]
    return f"The following resource(s) failed to {what}: [{', '.join(dict.fromkeys(broken))}]. "


async def _creation_failed(stack: Stack, reason: str) -> None:
    if stack.on_failure == "DO_NOTHING":
        stack.set_status("CREATE_FAILED", reason)
    elif stack.on_failure == "DELETE":
        stack.set_status("DELETE_IN_PROGRESS", reason + "Delete requested by user.")
        await delete_stack(stack, set(), force=False)
    else:
        await roll_back_creation(stack, reason + "Rollback requested by user.")


async def roll_back_creation(stack: Stack, reason: str) -> None:
    """Takes away what a failed creation made."""
    stack.set_status("ROLLBACK_IN_PROGRESS", reason)
    failed = await delete_resources(stack, list(stack.resources.values()), "RetainExceptOnCreate")
    stack.outputs = []
    if failed:
        stack.set_status("ROLLBACK_FAILED", failed_to("delete", stack, failed))
    else:
        stack.set_status("ROLLBACK_COMPLETE")


async def delete_resources(stack: Stack, doomed: list[Resource], gone: str = "") -> list[str]:
    """Deletes resources, what depends on others first. Returns those that would not go.

    Those whose DeletionPolicy retains them stay, unless it is the policy `gone`.
    """
    by_id = {resource.logical_id: resource for resource in doomed}

    async def visit(logical_id: str) -> bool:
        resource = by_id[logical_id]
        policy = resource.definition.get("DeletionPolicy", "Delete")
        if policy in ("Retain", "RetainExceptOnCreate") and policy != gone and resource.physical_id:
            stack.set_resource(resource, "DELETE_SKIPPED")
            return True
        if resource.status == "DELETE_COMPLETE":
            return True
        return await operate.delete(stack, resource)

    return await walk_all(reverse({k: r.dependencies for k, r in by_id.items()}), visit)


async def delete_stack(stack: Stack, retain: set[str], force: bool) -> None:
    """Takes away all resources but those to retain; with `force` also lets those be that would not go."""
    doomed = []
    for resource in stack.resources.values():
        if resource.logical_id in retain:
            stack.set_resource(resource, "DELETE_SKIPPED")
        elif resource.status not in ("DELETE_COMPLETE", "DELETE_SKIPPED"):
            doomed.append(resource)
    failed = await delete_resources(stack, doomed)
    if failed and force:
        for resource in doomed:
            if resource.status == "DELETE_FAILED":
                stack.set_resource(resource, "DELETE_SKIPPED", "Resource retained: the stack was deleted by force")
        failed = []
    if failed:
        stack.set_status("DELETE_FAILED", failed_to("delete", stack, failed))
    else:
        stack.set_status("DELETE_COMPLETE")
