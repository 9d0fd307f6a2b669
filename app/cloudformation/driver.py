"""Brings one CloudFormation stack to a template, or away, one short call at a time.

Level-triggered: each call looks at the stack first and does the one next thing. Before each side effect the intent is
written; names and tokens derive from the operation, so that a call that is made again after a crash is the same call.
What it keeps stands in `context.data[key]`, a `StackState`. An intent is counted in its `done` once the call has
returned, so that neither a refused call nor one whose answer was lost makes another token of the next one.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

from app.cloudformation.events import is_of, stack_event
from app.cloudformation.models import WATCHER
from app.cloudformation.root_cause import failure_of
from app.core.failure import Failure
from app.core.record import Record
from app.engine.contract import Cancelled, Context, Fail, TransientError, Wait, Watch
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from app.gateways.aws.stack import (
    DELETED,
    EMPTY,
    IN_PROGRESS,
    ONLY_DELETABLE,
    Change,
    ChangeSet,
    Stack,
    StackEvent,
)
from app.stacks.naming import change_set_name, client_token
from app.stacks.template import REPLACEABLE_TYPES, StackTemplate

log = logging.getLogger(__name__)

OPERATION_TAG = "slipway:operation"
"""The operation that created the stack: tells a stack of ours from one that an earlier operation left."""

RECHECK_SECONDS = 120.0
"""How long a stack is waited for without word from the poller."""

CHANGE_SET_SECONDS = 1.5
"""AWS computes a change set in some seconds; ListStacks does not show it."""

DELETE_TRIES = 2
"""Deletes of one operation before it fails, or forces one: a network interface that lingers often goes by itself."""

LAG_SECONDS = 2.0
"""After which AWS has mostly heard of its own doings."""

Intent = Literal["create", "change", "execute", "cancel", "continue", "clear", "remove"]


class StackState(Record):
    """What the driver keeps of a stack under its key, from one look to the next.

    Attributes:
        intent: What it was about to do last.
        stack_id: ARN of the stack.
        change_set: Name of the last change set.
        changes: Its number.
        deleting: A delete was sent that has not been seen to fail.
        done: How often each intent was carried out.
    """

    intent: str | None = None
    stack_id: str | None = None
    change_set: str = ""
    changes: int = 0
    deleting: bool = False
    done: dict[str, int] = {}


class ChangeSets(Record):
    """What the driver keeps beside its keys: of the operation, because several keys may mean one stack."""

    change_sets: int = 0


def was_touched(data: Mapping[str, Any], key: str = "stack") -> bool:
    """Tell whether a driver has looked at its stack, and may have changed it."""
    return key in data


Replaces = Callable[[Change], bool]


def _is_replaceable(change: Change) -> bool:
    return change.type in REPLACEABLE_TYPES


def _wait_for(stack_id: str) -> Wait:
    return Wait(RECHECK_SECONDS, Watch(WATCHER, stack_id))


class StackDriver:
    """One stack of one operation."""

    def __init__(self, context: Context, cloudformation: CloudFormation, key: str = "stack") -> None:
        self._context = context
        self._cloudformation = cloudformation
        self._key = key

    @property
    def _state(self) -> StackState:
        return StackState.within(self._context.data.setdefault(self._key, {}))

    @property
    def has_worked(self) -> bool:
        """Whether it has begun something, or waited for what somebody else had begun."""
        return bool(self._context.data.get(self._key))

    async def ensure(self, template: StackTemplate, *, may_replace: Replaces = _is_replaceable) -> Stack | Wait | Fail:
        """Bring the stack to the template; return it once it is there.

        Args:
            template: What it should be; its name finds the stack.
            may_replace: Which resources may be replaced; an update that would replace any other is refused.

        Raises:
            AwsError: AWS refused a call, or does not answer.
        """
        stack = await self._find(template.name)
        if stack is None:
            return await self._create(template)
        if stack.status in IN_PROGRESS:
            return await self._wait(stack)
        match self._state.intent:
            case "create" if stack.tags.get(OPERATION_TAG) == self._context.operation.id:
                return await self._created(stack)
            case "execute" | "change":
                return await self._carry_change(stack, template, may_replace)
        return await self._begin(stack, template)

    async def remove(self, name: str, *, force: bool = False) -> Wait | Fail | None:
        """Take the stack away, in whatever state it is; None once it is gone.

        Args:
            name: Its name.
            force: What cannot be deleted is left behind (FORCE_DELETE_STACK) instead of failing; a warning names it.
        """
        stack = await self._find(name)
        if stack is None:
            return None
        if stack.status in IN_PROGRESS and stack.status != "CREATE_IN_PROGRESS":
            return await self._wait(stack)
        return await self._delete(stack, "remove", force=force)

    async def cancel_update(self, name: str) -> Wait | Cancelled | Fail | None:
        """Take an update back, where AWS allows it; None if there is nothing to take back (any more)."""
        if self._state.intent not in ("change", "execute", "cancel"):
            return None
        stack = await self._find(name)
        if stack is None:
            return None
        if stack.status == "UPDATE_IN_PROGRESS" and self._state.intent != "change":
            await self._intend("cancel", of=stack.id)
            try:
                await self._cloudformation.cancel_update(stack.id, self._token("cancel", 1))
            except (Conflict, InvalidRequest) as error:  # it has moved on since we looked
                log.info("the update of %s is not cancelled: %s", stack.name, error)
            return _wait_for(stack.id)
        if stack.status in IN_PROGRESS:
            return await self._wait(stack)
        return await self._taken_back(stack)

    async def _taken_back(self, stack: Stack) -> Wait | Cancelled | Fail | None:
        change_set = await self._cloudformation.describe_change_set(stack.id, self._state.change_set)
        if change_set is not None and change_set.execution_status == "EXECUTE_IN_PROGRESS":
            return Wait(CHANGE_SET_SECONDS)
        if change_set is not None and not change_set.execution_status.startswith("EXECUTE"):
            await self._cloudformation.delete_change_set(stack.id, change_set.name)
            return Cancelled()
        if not self._is_last(stack):
            return Cancelled()
        if stack.status == "UPDATE_ROLLBACK_FAILED":
            return await self._failed(stack)
        await self._record_events(stack)
        return Cancelled() if stack.status.startswith("UPDATE_ROLLBACK") else None

    async def _find(self, name: str) -> Stack | None:
        known = self._state.stack_id
        stack = await self._cloudformation.describe(known or name)
        if known and (stack is None or stack.status in DELETED):
            if stack is not None:
                await self._record_events(stack)
            stack = await self._cloudformation.describe(name)
        return None if stack is None or stack.status in DELETED else stack

    async def _begin(self, stack: Stack, template: StackTemplate) -> Stack | Wait | Fail:
        """Start from a settled stack that this operation has not touched, or has cleared the way of."""
        if stack.status in ONLY_DELETABLE | EMPTY or stack.status == "DELETE_FAILED":
            return await self._clear(stack)
        if stack.status == "UPDATE_ROLLBACK_FAILED":
            return await self._continue_rollback(stack)
        return await self._change(stack, template)

    async def _continue_rollback(self, stack: Stack) -> Wait | Fail:
        if self._done("continue"):
            return await self._failed(stack)
        await self._intend("continue", of=stack.id)
        await self._cloudformation.continue_update_rollback(stack.id, self._token("continue", 1))
        self._count("continue")
        return _wait_for(stack.id)

    async def _clear(self, stack: Stack) -> Wait | Fail:
        """Delete what an earlier operation left in a state that takes no update."""
        return await self._delete(stack, "clear", force=True)

    async def _create(self, template: StackTemplate) -> Wait:
        await self._intend("create")
        try:
            stack_id = await self._cloudformation.create(
                template.name,
                template.body,
                self._token("create", self._done("create") + 1),
                capabilities=template.capabilities,
                tags={**template.tags, OPERATION_TAG: self._context.operation.id},
            )
        except AlreadyExists as error:  # an earlier stack of that name is not quite gone, or ours was not listed yet
            raise TransientError(error.as_failure(resource=template.name), retry_after=LAG_SECONDS) from error
        self._count("create")
        self._state.stack_id = stack_id
        return _wait_for(stack_id)

    async def _created(self, stack: Stack) -> Stack | Fail:
        if stack.status == "CREATE_COMPLETE":
            await self._record_events(stack)
            return stack
        return await self._failed(stack)

    async def _change(self, stack: Stack, template: StackTemplate) -> Wait:
        made = ChangeSets.within(self._context.data)
        made.change_sets += 1
        number = made.change_sets
        name, state = change_set_name(self._context.operation.id, number), self._state
        state.change_set, state.changes = name, number
        await self._intend("change", of=stack.id)
        tags = dict(template.tags)
        if OPERATION_TAG in stack.tags:  # a changed tag would touch every resource of the stack
            tags[OPERATION_TAG] = stack.tags[OPERATION_TAG]
        try:
            await self._cloudformation.create_change_set(
                stack.id,
                name,
                template.body,
                self._token("change", number),
                capabilities=template.capabilities,
                tags=tags,
            )
        except AlreadyExists:
            log.info("change set %s is there already", name)
        except Conflict as error:  # somebody else began an update since we looked
            raise TransientError(error.as_failure(resource=stack.name), retry_after=LAG_SECONDS) from error
        return Wait(CHANGE_SET_SECONDS / 3)  # a small one is there at once

    async def _carry_change(self, stack: Stack, template: StackTemplate, may_replace: Replaces) -> Stack | Wait | Fail:
        change_set = await self._cloudformation.describe_change_set(stack.id, self._state.change_set)
        if change_set is None or change_set.execution_status == "OBSOLETE":
            return await self._updated(stack) if self._is_last(stack) else await self._change(stack, template)
        if change_set.execution_status == "AVAILABLE":
            return await self._execute(stack, change_set, may_replace)
        if change_set.is_pending or change_set.execution_status == "EXECUTE_IN_PROGRESS":
            return Wait(CHANGE_SET_SECONDS)
        if change_set.execution_status.startswith("EXECUTE"):
            return await self._executed(stack)
        await self._cloudformation.delete_change_set(stack.id, change_set.name)
        if change_set.is_empty:
            return stack
        return Fail(Failure("change_set_failed", f"AWS could not plan the update: {change_set.status_reason}"))

    async def _executed(self, stack: Stack) -> Stack | Wait | Fail:
        """Look at the stack again: it was described before its change set, and perhaps before the update began."""
        now = await self._cloudformation.describe(stack.id)
        if now is None:
            return Wait(CHANGE_SET_SECONDS)
        return await self._wait(now) if now.status in IN_PROGRESS else await self._updated(now)

    async def _execute(self, stack: Stack, change_set: ChangeSet, may_replace: Replaces) -> Wait | Fail:
        refused = [change for change in change_set.changes if change.replaces and not may_replace(change)]
        if refused:
            await self._cloudformation.delete_change_set(stack.id, change_set.name)
            names = ", ".join(f"{change.type} {change.logical_id}" for change in refused)
            return Fail(
                Failure(
                    "replacement_refused",
                    f"The update would replace {names}, which nobody asked for; nothing was changed.",
                    hint="Change what can be changed in place, or create a new resource beside this one.",
                )
            )
        await self._intend("execute", of=stack.id)
        try:
            token = self._token("execute", self._state.changes)
            await self._cloudformation.execute_change_set(stack.id, change_set.name, token)
        except (Conflict, NotFound) as error:  # executed before a crash, or outdated, since we looked: look again
            raise TransientError(error.as_failure(resource=stack.name), retry_after=LAG_SECONDS) from error
        return _wait_for(stack.id)

    async def _updated(self, stack: Stack) -> Stack | Fail:
        if stack.status == "UPDATE_COMPLETE":
            await self._record_events(stack)
            return stack
        return await self._failed(stack)

    async def _wait(self, stack: Stack) -> Wait:
        self._state.stack_id = stack.id
        return _wait_for(stack.id)

    async def _failed(self, stack: Stack) -> Fail:
        events = await self._record_events(stack)
        return Fail(failure_of(stack.status, events, reason=stack.status_reason))

    async def _delete(self, stack: Stack, intent: Literal["remove", "clear"], *, force: bool) -> Wait | Fail:
        """Delete a settled stack; again if that failed, by force if need be and allowed."""
        failed = stack.status == "DELETE_FAILED"
        state = self._state
        if failed and state.deleting:
            state.deleting = False
            self._count(intent)
        tries = self._done(intent)
        forced = force and failed and tries >= DELETE_TRIES
        if tries >= (DELETE_TRIES + 1 if force else DELETE_TRIES):
            return await self._failed(stack)
        if forced:
            await self._warn_of_leftovers(stack)
        await self._intend(intent, of=stack.id)
        try:
            await self._cloudformation.delete(stack.id, self._token(intent, tries + 1), force=forced)
        except Conflict as error:  # it moved into a state that takes no delete yet
            raise TransientError(error.as_failure(resource=stack.name), retry_after=5.0) from error
        self._state.deleting = True
        return _wait_for(stack.id)

    async def _warn_of_leftovers(self, stack: Stack) -> None:
        for resource in await self._cloudformation.resources(stack.id):
            if resource.status == "DELETE_FAILED":
                self._context.warn(
                    f"{resource.type} {resource.physical_id or resource.logical_id} could not be deleted and is left "
                    f"behind: {resource.reason}"
                )

    async def _record_events(self, stack: Stack) -> list[StackEvent]:
        """Keep the stack's events of this operation with the operation; return all that the stack has."""
        events = await self._cloudformation.events(stack.id)
        operation = self._context.operation
        self._context.events.extend(stack_event(event) for event in events if is_of(event, operation))
        return events

    def _is_last(self, stack: Stack) -> bool:
        """Tell whether our change set made the stack's last change."""
        return f"/{self._state.change_set}/" in (stack.change_set_id or "")

    def _done(self, intent: str) -> int:
        return self._state.done.get(intent, 0)

    def _count(self, intent: str) -> None:
        state = self._state
        state.done = {**state.done, intent: self._done(intent) + 1}

    def _token(self, what: str, attempt: int) -> str:
        return client_token(self._context.operation.id, f"{self._key}-{what}", attempt)

    async def _intend(self, intent: Intent, *, of: str | None = None) -> None:
        """Write down what is about to be done, and to which stack; None is one that is yet to be created."""
        state = self._state
        state.intent, state.stack_id = intent, of
        await self._context.intend()
