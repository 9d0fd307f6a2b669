"""What CloudFormation says about a stack, as plain values, and what each stack state means.

Source of the states: AWS CloudFormation User Guide, "Understand CloudFormation stack creation events" /
"Stack status codes" (view-stack-events.html).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

CREATING = frozenset({"CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"})
"""A create runs, or what it made is being taken away again. Accepts only a delete."""

UPDATING = frozenset(
    {
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "IMPORT_IN_PROGRESS",
        "IMPORT_ROLLBACK_IN_PROGRESS",
    }
)
"""An update runs or is being undone. In the two clean-up states the new (old) resources already serve, while the
replaced ones are being deleted; no further update is taken until that ends."""

DELETING = frozenset({"DELETE_IN_PROGRESS"})
"""A delete runs."""

IN_PROGRESS = CREATING | UPDATING | DELETING
"""CloudFormation is at work. `REVIEW_IN_PROGRESS` isn't one: such a stack only holds change sets and waits for us."""

EMPTY = frozenset({"REVIEW_IN_PROGRESS"})
"""A change set of type CREATE made the stack and none was executed yet: it has no resources and no template."""

STABLE = frozenset(
    {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    }
)
"""Settled and takes an update: the last good template holds."""

FAILED = frozenset(
    {
        "CREATE_FAILED",
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_FAILED",
        "DELETE_FAILED",
        "IMPORT_ROLLBACK_FAILED",
    }
)
"""Settled and needs somebody. After a failed create (`CREATE_FAILED`, `ROLLBACK_COMPLETE`, `ROLLBACK_FAILED`) the
stack can only be deleted; `UPDATE_ROLLBACK_FAILED` wants `continue_update_rollback`; `DELETE_FAILED` another delete."""

ONLY_DELETABLE = frozenset({"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""A create that failed: AWS refuses updates, and a create under the same name, until the stack is deleted."""

DELETED = frozenset({"DELETE_COMPLETE"})
"""Gone; found by its ARN for 90 days, not by its name."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack (DescribeStacks).

    Attributes:
        id: ARN; tells this stack from an earlier one of the same name.
        name: Name, unique per account and region among stacks that aren't deleted.
        status: AWS's state, see the sets of this module.
        status_reason: AWS's words on the state, mostly for failures.
        outputs: Output key to value.
        tags: Tags of the stack, which CloudFormation copies to its resources.
        parameters: Parameter key to value (`****` for NoEcho).
        created_at: When it was created; a stack out of REVIEW_IN_PROGRESS keeps the time of its first change set.
        updated_at: When the last update began.
        deleted_at: When the delete ended.
        protected: Whether termination protection is on.
        change_set_id: The change set that made the last change, if one did.
    """

    id: str
    name: str
    status: str
    status_reason: str | None
    outputs: Mapping[str, str]
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    created_at: datetime
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    protected: bool = False
    change_set_id: str | None = None


@dataclass(frozen=True, slots=True)
class StackSummary:
    """One line of ListStacks."""

    id: str
    name: str
    status: str
    status_reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StackEvent:
    """One event of a stack (DescribeStackEvents).

    Attributes:
        id: Unique among the events of the stack.
        at: When it happened, UTC.
        stack_id: ARN of the stack.
        logical_id: Logical id of the resource; the stack's name for the stack's own events.
        physical_id: Id in its service, once there is one; the stack's ARN for the stack's own events.
        type: CloudFormation type, `AWS::CloudFormation::Stack` for the stack's own events.
        status: Resource or stack state.
        reason: AWS's words, unedited.
        token: The ClientRequestToken of the call that began this, when it had one.
    """

    id: str
    at: datetime
    stack_id: str
    logical_id: str
    physical_id: str | None
    type: str
    status: str
    reason: str | None = None
    token: str | None = None

    @property
    def is_stack(self) -> bool:
        """Whether the event tells of the stack itself, and not of a resource (nor of a nested stack)."""
        return self.type == "AWS::CloudFormation::Stack" and self.physical_id == self.stack_id


@dataclass(frozen=True, slots=True)
class StackResource:
    """One resource of a stack (ListStackResources)."""

    logical_id: str
    physical_id: str | None
    type: str
    status: str
    reason: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What a change set would do to one resource.

    Attributes:
        action: `Add`, `Modify`, `Remove`, `Import` or `Dynamic`.
        logical_id: Logical id of the resource.
        type: CloudFormation type.
        physical_id: Id in its service, for what exists.
        replacement: `True`, `False` or `Conditional` (AWS's strings) for a `Modify`; None otherwise.
        scope: What is touched: `Properties`, `Metadata`, `Tags`, ….
        causes: Names of the properties that cause the change, with the recreation each needs
            (`Never`, `Conditionally`, `Always`).
    """

    action: str
    logical_id: str
    type: str
    physical_id: str | None = None
    replacement: str | None = None
    scope: tuple[str, ...] = ()
    causes: tuple[tuple[str, str], ...] = ()

    @property
    def replaces(self) -> bool:
        """Whether the resource may be made anew: `Conditional` counts, since nobody can promise that it isn't."""
        return self.action == "Modify" and self.replacement in {"True", "Conditional"}


_NO_CHANGE = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A change set (DescribeChangeSet, all pages).

    Attributes:
        id: ARN.
        name: Name, unique within the stack.
        stack_id: ARN of the stack.
        status: `CREATE_PENDING`, `CREATE_IN_PROGRESS`, `CREATE_COMPLETE`, `FAILED`, `DELETE_…`.
        status_reason: AWS's words, for `FAILED`.
        execution_status: `UNAVAILABLE`, `AVAILABLE`, `EXECUTE_IN_PROGRESS`, `EXECUTE_COMPLETE`, `EXECUTE_FAILED`,
            `OBSOLETE`.
        changes: What it would do.
    """

    id: str
    name: str
    stack_id: str
    status: str
    status_reason: str | None
    execution_status: str
    changes: tuple[Change, ...] = ()

    @property
    def is_pending(self) -> bool:
        """Whether AWS is still computing it."""
        return self.status in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}

    @property
    def is_empty(self) -> bool:
        """Whether it failed because there is nothing to change, which is how AWS says "up to date"."""
        return self.status == "FAILED" and any(words in (self.status_reason or "") for words in _NO_CHANGE)


def stack_of(data: Mapping[str, Any]) -> Stack:
    """Read one entry of `DescribeStacks.Stacks`."""
    return Stack(
        id=data["StackId"],
        name=data["StackName"],
        status=data["StackStatus"],
        status_reason=data.get("StackStatusReason"),
        outputs={item["OutputKey"]: item["OutputValue"] for item in data.get("Outputs", ())},
        tags=tags_of(data),
        parameters={item["ParameterKey"]: item.get("ParameterValue", "") for item in data.get("Parameters", ())},
        created_at=data["CreationTime"],
        updated_at=data.get("LastUpdatedTime"),
        deleted_at=data.get("DeletionTime"),
        protected=data.get("EnableTerminationProtection", False),
        change_set_id=data.get("ChangeSetId"),
    )


def event_of(data: Mapping[str, Any]) -> StackEvent:
    """Read one entry of `DescribeStackEvents.StackEvents`."""
    return StackEvent(
        id=data["EventId"],
        at=data["Timestamp"],
        stack_id=data["StackId"],
        logical_id=data.get("LogicalResourceId", ""),
        physical_id=data.get("PhysicalResourceId") or None,
        type=data.get("ResourceType", ""),
        status=data.get("ResourceStatus", ""),
        reason=data.get("ResourceStatusReason") or None,
        token=data.get("ClientRequestToken") or None,
    )


def resource_of(data: Mapping[str, Any]) -> StackResource:
    """Read one entry of `ListStackResources.StackResourceSummaries`."""
    return StackResource(
        logical_id=data["LogicalResourceId"],
        physical_id=data.get("PhysicalResourceId") or None,
        type=data["ResourceType"],
        status=data["ResourceStatus"],
        reason=data.get("ResourceStatusReason") or None,
        updated_at=data["LastUpdatedTimestamp"],
    )


def change_of(data: Mapping[str, Any]) -> Change:
    """Read one entry of `DescribeChangeSet.Changes` (its `ResourceChange`)."""
    change = data.get("ResourceChange", {})
    causes: dict[tuple[str, str], None] = {}
    for detail in change.get("Details", ()):
        target = detail.get("Target", {})
        causes[(target.get("Name") or target.get("Attribute", ""), target.get("RequiresRecreation", "Never"))] = None
    return Change(
        action=change.get("Action", "Modify"),
        logical_id=change.get("LogicalResourceId", ""),
        type=change.get("ResourceType", ""),
        physical_id=change.get("PhysicalResourceId") or None,
        replacement=change.get("Replacement") or None,
        scope=tuple(change.get("Scope", ())),
        causes=tuple(causes),
    )


def tags_of(data: Mapping[str, Any]) -> dict[str, str]:
    """Read AWS's `Tags: [{Key, Value}]` as a mapping."""
    return {item["Key"]: item.get("Value", "") for item in data.get("Tags", ())}
