"""The CloudFormation calls that change stacks."""

from __future__ import annotations

from ministack.core.responses import get_account_id, get_region

from . import engine, update
from .changes import nothing_to_do
from .model import STORE, Stack, new_stack_id, now
from .template import blueprint_of
from .wire import ApiError, Params, invalid

_UPDATABLE = {
    "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED", "IMPORT_COMPLETE",
}  # fmt: skip


def find(params: Params) -> Stack:
    """The stack that the call names. Raises AWS's error if there is none."""
    name = params.need("StackName")
    stack = STORE.find(name)
    if stack is None:
        raise invalid(f"Stack [{name}] does not exist")
    return stack


def live(params: Params) -> Stack:
    """The stack that the call names, if it is not deleted."""
    stack = find(params)
    if stack.status == "DELETE_COMPLETE":
        raise invalid(f"Stack [{stack.name}] does not exist")
    return stack


def repeats(stack: Stack, params: Params, operation: str) -> bool:
    """Whether this call was made before with the same token. Notes the token otherwise.

    AWS answers a token that belongs to another operation with TokenAlreadyExistsException.
    """
    token = params.get("ClientRequestToken")
    if not token:
        return False
    known = stack.tokens.get(token)
    if known not in (None, operation):
        raise ApiError("TokenAlreadyExistsException", f"A client request token already exists for this stack: {token}")
    return known is not None


def start(stack: Stack, params: Params, operation: str) -> None:
    """From here on the stack's events carry the token of this call."""
    stack.token = params.get("ClientRequestToken")
    if stack.token:
        stack.tokens[stack.token] = operation


def _new_stack(params: Params) -> Stack:
    name = params.need("StackName")
    on_failure = params.get("OnFailure")
    if on_failure and "DisableRollback" in params:
        raise invalid("You can specify either DisableRollback or OnFailure, but not both.")
    if params.flag("DisableRollback"):
        on_failure = "DO_NOTHING"
    return Stack(
        id=new_stack_id(name),
        name=name,
        account=get_account_id(),
        region=get_region(),
        blueprint=blueprint_of(params),
        on_failure=on_failure or "ROLLBACK",
        termination_protection=params.flag("EnableTerminationProtection"),
        role_arn=params.get("RoleARN"),
        timeout_minutes=params.get("TimeoutInMinutes"),
        notification_arns=params.strings("NotificationARNs"),
    )


async def create_stack(params: Params) -> dict[str, str]:
    """CreateStack. A call repeated with its token gives the same stack."""
    name = check_name(params.need("StackName"))
    existing = STORE.named(name)
    if existing:
        token = params.get("ClientRequestToken")
        if token and existing.tokens.get(token) == "CreateStack":
            return {"StackId": existing.id}
        raise ApiError("AlreadyExistsException", f"Stack [{name}] already exists")
    stack = _new_stack(params)
    STORE.add(stack)
    start(stack, params, "CreateStack")
    stack.set_status("CREATE_IN_PROGRESS", "User Initiated")
    engine.begin(stack, engine.create_stack(stack))
    return {"StackId": stack.id}


def check_name(name: str) -> str:
    """Refuses names that CloudFormation refuses."""
    ok = name[:1].isalpha() and name.isascii() and name.replace("-", "").isalnum() and len(name) <= 128
    if not ok:
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )
    return name


async def update_stack(params: Params) -> dict[str, str]:
    """UpdateStack."""
    stack = live(params)
    if repeats(stack, params, "UpdateStack"):
        return {"StackId": stack.id}
    check_updatable(stack)
    blueprint = blueprint_of(params, stack.blueprint)
    if nothing_to_do(stack, blueprint):
        raise invalid("No updates are to be performed.")
    start(stack, params, "UpdateStack")
    outdate(stack)
    stack.set_status("UPDATE_IN_PROGRESS", "User Initiated")
    engine.begin(stack, update.update_stack(stack, blueprint, params.flag("DisableRollback")))
    return {"StackId": stack.id}


def check_updatable(stack: Stack) -> None:
    """Refuses an update in a state in which there can be none."""
    if stack.status not in _UPDATABLE:
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")


def outdate(stack: Stack, but: str = "") -> None:
    """The stack changes: change sets made for what it was can't be executed any more."""
    for change_set in STORE.change_sets.values():
        if change_set.stack is stack and change_set.id != but and change_set.execution == "AVAILABLE":
            change_set.execution = "OBSOLETE"


async def delete_stack(params: Params) -> None:
    """DeleteStack. A stack that is not there counts as deleted; a creation at work gives way."""
    stack = STORE.find(params.need("StackName"))
    if stack is None or stack.status == "DELETE_COMPLETE":
        return
    if repeats(stack, params, "DeleteStack") or stack.status == "DELETE_IN_PROGRESS":
        return
    if stack.termination_protection:
        raise invalid(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
    if stack.busy and stack.status.startswith("UPDATE"):
        raise invalid(f"Stack [{stack.id}] cannot be deleted while in status {stack.status}")
    retain = set(params.strings("RetainResources"))
    if retain and stack.status != "DELETE_FAILED":
        raise invalid(
            f"Invalid operation on stack [{stack.id}]. Resources to retain can only be specified for a stack in "
            "DELETE_FAILED state"
        )
    unknown = sorted(retain - set(stack.resources))
    if unknown:
        raise invalid(f"The specified resources to retain do not exist in the stack: [{', '.join(unknown)}]")
    start(stack, params, "DeleteStack")
    outdate(stack)
    if stack.status == "REVIEW_IN_PROGRESS":
        stack.set_status("DELETE_COMPLETE")
        return
    force = params.get("DeletionMode") == "FORCE_DELETE_STACK"
    if force and stack.status != "DELETE_FAILED":
        raise invalid("Force delete stack can only be performed on stacks in DELETE_FAILED status")
    task, stack.task = stack.task, None
    stack.set_status("DELETE_IN_PROGRESS", "User Initiated")
    if task and not task.done():
        stack.task = task
        await engine.stop(stack)
    engine.begin(stack, engine.delete_stack(stack, retain, force))


async def cancel_update(params: Params) -> None:
    """CancelUpdateStack."""
    stack = live(params)
    if repeats(stack, params, "CancelUpdateStack"):
        return
    if stack.status != "UPDATE_IN_PROGRESS":
        raise invalid("CancelUpdateStack cannot be called from current stack status")
    start(stack, params, "CancelUpdateStack")
    stack.cancel.set()


async def continue_rollback(params: Params) -> dict[str, str]:
    """ContinueUpdateRollback."""
    stack = live(params)
    if repeats(stack, params, "ContinueUpdateRollback"):
        return {}
    if stack.status != "UPDATE_ROLLBACK_FAILED" or stack.journal is None:
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not continue rollback.")
    skip = frozenset(params.strings("ResourcesToSkip"))
    wrong = sorted(k for k in skip if k not in stack.resources or stack.resources[k].status != "UPDATE_FAILED")
    if wrong:
        raise invalid(f"The following resources to skip are not in UPDATE_FAILED state: [{', '.join(wrong)}]")
    start(stack, params, "ContinueUpdateRollback")
    engine.begin(stack, update.roll_back(stack, "User Initiated", skip))
    stack.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    return {}


async def rollback_stack(params: Params) -> dict[str, str]:
    """RollbackStack, for what DisableRollback left as it was."""
    stack = live(params)
    if repeats(stack, params, "RollbackStack"):
        return {"StackId": stack.id}
    if stack.status == "CREATE_FAILED":
        operation = engine.roll_back_creation(stack, "User Initiated")
    elif stack.status == "UPDATE_FAILED" and stack.journal:
        operation = update.roll_back(stack, "User Initiated")
    else:
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
    start(stack, params, "RollbackStack")
    engine.begin(stack, operation)
    return {"StackId": stack.id}


async def termination_protection(params: Params) -> dict[str, str]:
    """UpdateTerminationProtection."""
    stack = live(params)
    stack.termination_protection = params.flag("EnableTerminationProtection")
    return {"StackId": stack.id}


def review_stack(params: Params) -> Stack:
    """The stack that a change set of type CREATE makes, waiting for the set's execution."""
    stack = _new_stack(params)
    stack.created_at = now()
    STORE.add(stack)
    stack.set_status("REVIEW_IN_PROGRESS", "User Initiated")
    return stack
