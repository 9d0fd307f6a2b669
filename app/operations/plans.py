"""What a change would do, as callers see it: `?dry_run=true`."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.cloudformation.plan import ResourceChange, changes_between
from app.core.validation import at_pointer, differences
from app.engine.models import Operation
from app.operations.prepared import Prepared, StackChange


class PropertyChangeOut(BaseModel):
    """A property of a resource of the stack that would be another one."""

    model_config = ConfigDict(title="PropertyChange")

    name: str = Field(examples=["ScalingConfig"])
    before: Any = None
    after: Any = None


class ResourceChangeOut(BaseModel):
    """A resource of the stack that would be added, changed or removed."""

    model_config = ConfigDict(title="ResourceChange")

    logical_id: str = Field(examples=["Nodegroup"])
    type: str = Field(examples=["AWS::EKS::Nodegroup"])
    action: Literal["add", "modify", "remove"]
    properties: list[PropertyChangeOut] = []


class StackPlanOut(BaseModel):
    """What would become of a stack."""

    model_config = ConfigDict(title="StackPlan")

    stack: str = Field(description="Its name; of one that is not there yet the form of its name.")
    resources: list[ResourceChangeOut]


class FieldPlanOut(BaseModel):
    """A field of the spec that would be another one."""

    model_config = ConfigDict(title="FieldPlan")

    pointer: str = Field(examples=["/scaling/max"])
    before: Any = None
    after: Any = None


class PlanStepOut(BaseModel):
    """An operation that would be begun."""

    model_config = ConfigDict(title="PlanStep")

    kind: str = Field(examples=["nodegroup.update"])
    resource: str = Field(description="Its name.", examples=["workers"])


class PlanOut(BaseModel):
    """What a change would do; nothing has begun."""

    model_config = ConfigDict(title="Plan")

    valid: bool = True
    steps: list[PlanStepOut]
    spec_diff: list[FieldPlanOut]
    stacks: list[StackPlanOut]
    warnings: list[str] = []


def plan_out(prepared: Prepared, begun: Sequence[Operation]) -> PlanOut:
    """Return what a prepared change would do. Slow: use a thread.

    Args:
        prepared: The change.
        begun: The operations that it began when it was rehearsed.
    """
    before, after = prepared.before or {}, prepared.after or {}
    return PlanOut(
        steps=[PlanStepOut(kind=each.kind, resource=each.resource_name) for each in begun],
        spec_diff=[
            *(
                FieldPlanOut(pointer=pointer, before=at_pointer(before, pointer), after=at_pointer(after, pointer))
                for pointer in differences(before, after, "")
            ),
            *(
                FieldPlanOut(pointer=each.pointer, before=each.before, after=each.after)
                for each in prepared.secretive()
            ),
        ],
        stacks=[_stack_out(change) for change in prepared.stacks() if any(change)],
        warnings=list(prepared.warnings),
    )


def _stack_out(change: StackChange) -> StackPlanOut:
    before, after = change
    named = after or before
    assert named is not None  # noqa: S101 - one of them is there
    return StackPlanOut(stack=named.name, resources=[_resource_out(each) for each in changes_between(before, after)])


def _resource_out(change: ResourceChange) -> ResourceChangeOut:
    properties = [PropertyChangeOut(name=each.name, before=each.before, after=each.after) for each in change.properties]
    return ResourceChangeOut(
        logical_id=change.logical_id, type=change.type, action=change.action, properties=properties
    )
