"""Change sets: what they would change, and their execution."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from ministack.core.responses import get_account_id, get_region

from . import engine, update
from .changes import changes, nothing_to_do
from .model import STORE, ChangeSet, Stack
from .stacks_api import check_name, check_updatable, outdate, repeats, review_stack, start
from .template import blueprint_of
from .wire import ApiError, Params, invalid, page

_EMPTY = "The submitted information didn't contain changes. Submit different information to create a change set."

# The event loop itself holds on to tasks only weakly.
_COMPUTING: set[asyncio.Task[None]] = set()


def find_set(params: Params) -> ChangeSet:
    """The change set that the call names, by its id or by its name and stack."""
    name, stack_name = params.need("ChangeSetName"), params.get("StackName")
    if name.startswith("arn:"):
        found = STORE.change_sets.get(name)
    else:
        if not stack_name:
            raise invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
        stack = STORE.find(stack_name)
        if stack is None:
            raise invalid(f"Stack [{stack_name}] does not exist")
        found = _named(stack, name)
    if found is None:
        raise ApiError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)
    return found


def _named(stack: Stack, name: str) -> ChangeSet | None:
    return next((c for c in STORE.change_sets.values() if c.stack is stack and c.name == name), None)


async def create_change_set(params: Params) -> dict[str, str]:
    """CreateChangeSet. A call repeated with its token gives the same change set."""
    name, stack_name = params.need("ChangeSetName"), params.need("StackName")
    kind = params.get("ChangeSetType", "UPDATE")
    stack = STORE.find(stack_name)
    existing = _named(stack, name) if stack else None
    if existing:
        token = params.get("ClientToken")
        if token and token == existing.token:
            return {"Id": existing.id, "StackId": existing.stack.id}
        if existing.blueprint.body != params.get("TemplateBody"):
            why = f"ChangeSet {name} cannot be created due to a mismatch with existing attribute Template"
        else:
            why = f"ChangeSet {name} already exists"
        raise ApiError("AlreadyExistsException", why)
    if kind == "CREATE":
        stack = _stack_to_create(params, stack, name)
    elif stack is None or stack.status == "DELETE_COMPLETE":
        raise invalid(f"Stack [{stack_name}] does not exist")
    else:
        check_updatable(stack)
    blueprint = blueprint_of(params, stack.blueprint)
    change_set = ChangeSet(
        id=f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:changeSet/{name}/{uuid.uuid4()}",
        name=name,
        stack=stack,
        kind=kind,
        blueprint=blueprint,
        description=params.get("Description"),
        token=params.get("ClientToken"),
        on_failure=params.get("OnStackFailure"),
    )
    STORE.change_sets[change_set.id] = change_set
    task = asyncio.get_running_loop().create_task(_compute(change_set))
    _COMPUTING.add(task)
    task.add_done_callback(_COMPUTING.discard)
    return {"Id": change_set.id, "StackId": stack.id}


def _stack_to_create(params: Params, stack: Stack | None, change_set: str) -> Stack:
    if stack is None or stack.status == "DELETE_COMPLETE":
        check_name(params.need("StackName"))
        return review_stack(params)
    if stack.status != "REVIEW_IN_PROGRESS":
        raise invalid(
            f"Stack [{stack.name}] already exists and cannot be created again with the changeSet [{change_set}]."
        )
    return stack


async def _compute(change_set: ChangeSet) -> None:
    """AWS works the changes out in the background: a caller must wait for the status."""
    await asyncio.sleep(0.02)
    stack = change_set.stack
    try:
        change_set.changes = changes(stack, change_set.blueprint)
        empty = change_set.kind == "UPDATE" and nothing_to_do(stack, change_set.blueprint)
    except ValueError as error:
        change_set.status, change_set.reason = "FAILED", str(error)
        return
    if empty:
        change_set.status, change_set.reason = "FAILED", _EMPTY
    else:
        change_set.status, change_set.execution = "CREATE_COMPLETE", "AVAILABLE"


async def describe_change_set(params: Params) -> dict[str, Any]:
    """DescribeChangeSet; executed ones too."""
    found = find_set(params)
    shown, token = page(found.changes, params)
    return {
        "ChangeSetName": found.name,
        "ChangeSetId": found.id,
        "StackId": found.stack.id,
        "StackName": found.stack.name,
        "Description": found.description,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": "****" if item.get("NoEcho") else str(item["Value"])}
            for key, item in found.blueprint.parameters.items()
        ],
        "CreationTime": found.created_at,
        "ExecutionStatus": found.execution,
        "Status": found.status,
        "StatusReason": found.reason,
        "NotificationARNs": found.stack.notification_arns,
        "RollbackConfiguration": {"RollbackTriggers": []},
        "Capabilities": found.blueprint.capabilities,
        "Tags": [{"Key": key, "Value": value} for key, value in found.blueprint.tags.items()],
        "Changes": shown,
        "NextToken": token,
        "IncludeNestedStacks": False,
        "OnStackFailure": found.on_failure,
    }


async def execute_change_set(params: Params) -> dict[str, str]:
    """ExecuteChangeSet. A call repeated with its token does nothing more."""
    change_set = find_set(params)
    stack = change_set.stack
    operation = f"ExecuteChangeSet {change_set.id}"
    if repeats(stack, params, operation):
        return {}
    if change_set.execution != "AVAILABLE":
        status = change_set.status if change_set.execution == "UNAVAILABLE" else change_set.execution
        kind = "status" if change_set.execution == "UNAVAILABLE" else "execution status"
        raise ApiError(
            "InvalidChangeSetStatus",
            f"ChangeSet [{change_set.id}] cannot be executed in its current {kind} of [{status}]",
        )
    creates = stack.status == "REVIEW_IN_PROGRESS"
    if not creates:
        check_updatable(stack)
    start(stack, params, operation)
    outdate(stack, change_set.id)
    change_set.execution = "EXECUTE_IN_PROGRESS"
    stack.change_set_id = change_set.id
    failing = change_set.on_failure or ("DO_NOTHING" if params.flag("DisableRollback") else "")
    if creates:
        stack.on_failure = failing or stack.on_failure
        stack.blueprint = change_set.blueprint
        stack.set_status("CREATE_IN_PROGRESS", "User Initiated")
        work = engine.create_stack(stack)
    else:
        stack.set_status("UPDATE_IN_PROGRESS", "User Initiated")
        work = update.update_stack(stack, change_set.blueprint, failing == "DO_NOTHING")
    engine.begin(stack, _execute(change_set, work))
    return {}


async def _execute(change_set: ChangeSet, work: Any) -> None:
    try:
        await work
    finally:
        good = change_set.stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        change_set.execution = "EXECUTE_COMPLETE" if good else "EXECUTE_FAILED"


async def delete_change_set(params: Params) -> dict[str, str]:
    """DeleteChangeSet. One that is not there counts as deleted."""
    try:
        found = find_set(params)
    except ApiError as error:
        if error.code == "ChangeSetNotFound":
            return {}
        raise
    if found.execution == "EXECUTE_IN_PROGRESS":
        raise ApiError(
            "InvalidChangeSetStatus",
            f"ChangeSet [{found.id}] cannot be deleted in its current execution status of [{found.execution}]",
        )
    STORE.change_sets.pop(found.id, None)
    return {}


async def list_change_sets(params: Params) -> dict[str, Any]:
    """ListChangeSets: those that were not executed."""
    name = params.need("StackName")
    stack = STORE.find(name)
    if stack is None:
        raise invalid(f"Stack [{name}] does not exist")
    hidden = ("EXECUTE_COMPLETE", "EXECUTE_FAILED")
    found = [c for c in STORE.change_sets.values() if c.stack is stack and c.execution not in hidden]
    shown, token = page(found, params)
    summaries = [
        {
            "StackId": stack.id, "StackName": stack.name, "ChangeSetId": c.id, "ChangeSetName": c.name,
            "ExecutionStatus": c.execution, "Status": c.status, "StatusReason": c.reason, "CreationTime": c.created_at,
            "Description": c.description,
        }
        for c in shown
    ]  # fmt: skip
    return {"Summaries": summaries, "NextToken": token}
