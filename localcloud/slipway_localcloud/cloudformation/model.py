"""What CloudFormation remembers: stacks, their resources and events, and change sets."""

from __future__ import annotations

import asyncio
import copy
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import get_account_id, get_region

STACK_TYPE = "AWS::CloudFormation::Stack"


def now() -> str:
    """The time as CloudFormation writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass
class Blueprint:
    """What a stack is, or is to be, made from: template, parameters and tags."""

    body: str
    document: dict[str, Any]
    parameters: dict[str, dict[str, Any]]
    conditions: dict[str, bool]
    tags: dict[str, str]
    capabilities: list[str]

    def definition(self, logical_id: str) -> dict[str, Any]:
        """The template's words about a resource."""
        found: dict[str, Any] = self.document["Resources"][logical_id]
        return found

    def active(self) -> list[str]:
        """The logical ids whose condition holds."""
        resources = self.document.get("Resources") or {}
        return [k for k, v in resources.items() if not v.get("Condition") or self.conditions.get(v["Condition"], True)]


@dataclass
class Resource:
    """A resource of a stack. `properties` are the resolved ones of the template, without stack tags."""

    logical_id: str
    type: str
    physical_id: str = ""
    status: str = ""
    reason: str = ""
    properties: dict[str, Any] = field(default_factory=dict)
    applied: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    definition: dict[str, Any] = field(default_factory=dict)
    dependencies: set[str] = field(default_factory=set)
    updated_at: str = field(default_factory=now)

    def snapshot(self) -> Resource:
        """A copy that later changes leave alone."""
        return copy.copy(self)


@dataclass
class Journal:
    """What an update has done so far: what its rollback needs."""

    previous: dict[str, Resource]
    previous_blueprint: Blueprint
    touched: set[str] = field(default_factory=set)
    created: list[Resource] = field(default_factory=list)
    replaced: list[Resource] = field(default_factory=list)


@dataclass
class Stack:
    """A stack, from its creation until after its deletion."""

    id: str
    name: str
    account: str
    region: str
    blueprint: Blueprint
    status: str = ""
    reason: str = ""
    created_at: str = field(default_factory=now)
    updated_at: str = ""
    deleted_at: str = ""
    on_failure: str = "ROLLBACK"
    termination_protection: bool = False
    role_arn: str = ""
    timeout_minutes: str = ""
    notification_arns: list[str] = field(default_factory=list)
    outputs: list[dict[str, str]] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    token: str = ""
    change_set_id: str = ""
    journal: Journal | None = None
    task: asyncio.Task[None] | None = None
    cancel: asyncio.Event = field(default_factory=asyncio.Event)

    def set_status(self, status: str, reason: str = "") -> None:
        """Moves the stack on and says so in its events."""
        self.status = status
        self.reason = reason
        if status.startswith("UPDATE_IN"):
            self.updated_at = now()
        if status == "DELETE_COMPLETE":
            self.deleted_at = now()
        self._event(self.name, self.id, STACK_TYPE, status, reason, None)

    def set_resource(self, resource: Resource, status: str, reason: str = "") -> None:
        """Moves a resource on and says so in the stack's events."""
        resource.status = status
        resource.reason = reason
        resource.updated_at = now()
        self._event(resource.logical_id, resource.physical_id, resource.type, status, reason, resource.properties)

    def _event(
        self, logical: str, physical: str, type_: str, status: str, reason: str, properties: dict[str, Any] | None
    ) -> None:
        unique = str(uuid.uuid4())
        self.events.append(
            {
                "StackId": self.id,
                "EventId": unique if type_ == STACK_TYPE else f"{logical}-{status}-{unique}",
                "StackName": self.name,
                "LogicalResourceId": logical,
                "PhysicalResourceId": physical,
                "ResourceType": type_,
                "Timestamp": now(),
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
                "ResourceProperties": properties,
                "ClientRequestToken": self.token,
            }
        )

    @property
    def busy(self) -> bool:
        """Whether an operation is at work on the stack."""
        return self.status.endswith("IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"


@dataclass
class ChangeSet:
    """A change set; `execution` is its ExecutionStatus."""

    id: str
    name: str
    stack: Stack
    kind: str
    blueprint: Blueprint
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    execution: str = "UNAVAILABLE"
    description: str = ""
    token: str = ""
    on_failure: str = ""
    created_at: str = field(default_factory=now)
    changes: list[dict[str, Any]] = field(default_factory=list)


class Store:
    """All stacks and change sets of all accounts and regions."""

    def __init__(self) -> None:
        self._stacks: dict[tuple[str, str], dict[str, Stack]] = {}
        self._names: dict[tuple[str, str, str], Stack] = {}
        self.change_sets: dict[str, ChangeSet] = {}

    def add(self, stack: Stack) -> None:
        """Keeps a new stack, and gives it its name."""
        self._stacks.setdefault((stack.account, stack.region), {})[stack.id] = stack
        self._names[stack.account, stack.region, stack.name] = stack

    def here(self) -> list[Stack]:
        """All stacks of the caller's account and region, deleted ones too, newest first."""
        return list(reversed(self._stacks.get((get_account_id(), get_region()), {}).values()))

    def everywhere(self) -> list[Stack]:
        """All stacks of all accounts and regions."""
        return [stack for group in self._stacks.values() for stack in group.values()]

    def named(self, name: str) -> Stack | None:
        """The stack that has this name now."""
        stack = self._names.get((get_account_id(), get_region(), name))
        return stack if stack and stack.status != "DELETE_COMPLETE" else None

    def find(self, name_or_id: str) -> Stack | None:
        """A stack by its name (live ones only) or its id (deleted ones too)."""
        if name_or_id.startswith("arn:"):
            return self._stacks.get((get_account_id(), get_region()), {}).get(name_or_id)
        return self.named(name_or_id)

    def forget(self, stack: Stack) -> None:
        """Drops a stack that never came to be."""
        self._stacks[stack.account, stack.region].pop(stack.id, None)


STORE = Store()


def new_stack_id(name: str) -> str:
    """The id of a new stack: unlike its name, it is never used twice."""
    return f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:stack/{name}/{uuid.uuid1()}"
