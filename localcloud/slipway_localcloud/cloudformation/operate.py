"""What happens to one resource: make it, change it, take it away; with its events, delays and failures."""

from __future__ import annotations

import asyncio
import logging

from ..errors import handler_reason
from ..resources import Work, handler_of
from ..rules import RULES
from . import template
from .model import Blueprint, Resource, Stack

LOG = logging.getLogger("slipway.localcloud")

# What AWS does not charge to the resource itself: it was in progress when another one failed.
CANCELLED = {"CREATE": "Resource creation cancelled", "UPDATE": "Resource update cancelled"}


class RuleFailure(Exception):
    """A failure that a rule asked for; its message is the event's reason, word for word."""


def _reason(error: Exception) -> str:
    if isinstance(error, RuleFailure):
        return str(error)
    if not isinstance(error, ValueError | KeyError):
        LOG.debug("a resource handler failed", exc_info=error)
    return handler_reason(error)


def _work(stack: Stack, resource: Resource, op: str) -> Work:
    """The handler's side of an operation: it says when the resource exists, and waits as rules want."""
    rule = RULES.for_resource(op, resource.type, resource.logical_id, stack.name)

    def initiated(physical_id: str) -> None:
        resource.physical_id = physical_id
        if op == "create":
            prefix = resource.status.partition("_")[0]
            stack.set_resource(resource, f"{prefix}_IN_PROGRESS", "Resource creation Initiated")

    async def wait() -> None:
        if rule and rule.delay:
            await asyncio.sleep(rule.delay)
        if rule and rule.fail is not None:
            raise RuleFailure(rule.fail)

    return Work(stack.name, stack.id, resource.logical_id, initiated, wait)


async def create(stack: Stack, blueprint: Blueprint, resource: Resource, verb: str = "CREATE") -> bool:
    """Makes a resource. `verb` is UPDATE for one that replaces another."""
    resource.status = f"{verb}_IN_PROGRESS"
    try:
        resource.properties = template.properties(stack, blueprint, resource.logical_id)
        resource.applied = template.with_stack_tags(stack, blueprint, resource)
        if verb == "CREATE":
            stack.set_resource(resource, "CREATE_IN_PROGRESS")
        work = _work(stack, resource, "create")
        resource.attributes = await handler_of(resource.type).create(work, resource.applied)
    except asyncio.CancelledError:
        stack.set_resource(resource, f"{verb}_FAILED", CANCELLED[verb])
        raise
    except Exception as error:
        stack.set_resource(resource, f"{verb}_FAILED", _reason(error))
        return False
    stack.set_resource(resource, f"{verb}_COMPLETE")
    return True


async def update(stack: Stack, resource: Resource, wanted: Resource) -> bool:
    """Changes a resource in place to the properties of `wanted`, and takes these over."""
    old = resource.applied
    resource.properties, resource.definition = wanted.properties, wanted.definition
    resource.applied, resource.dependencies = wanted.applied, wanted.dependencies
    stack.set_resource(resource, "UPDATE_IN_PROGRESS")
    try:
        work = _work(stack, resource, "update")
        handler = handler_of(resource.type)
        attributes = await handler.update(work, resource.physical_id, old, wanted.applied)
        resource.attributes = {**resource.attributes, **attributes}
    except asyncio.CancelledError:
        stack.set_resource(resource, "UPDATE_FAILED", CANCELLED["UPDATE"])
        raise
    except Exception as error:
        stack.set_resource(resource, "UPDATE_FAILED", _reason(error))
        return False
    stack.set_resource(resource, "UPDATE_COMPLETE")
    return True


async def delete(stack: Stack, resource: Resource) -> bool:
    """Takes a resource away. One that never came to exist is gone at once."""
    if not resource.physical_id:
        stack.set_resource(resource, "DELETE_COMPLETE")
        return True
    stack.set_resource(resource, "DELETE_IN_PROGRESS")
    try:
        work = _work(stack, resource, "delete")
        await handler_of(resource.type).delete(work, resource.physical_id, resource.applied)
    except Exception as error:
        stack.set_resource(resource, "DELETE_FAILED", _reason(error))
        return False
    stack.set_resource(resource, "DELETE_COMPLETE")
    return True
