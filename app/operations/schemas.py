"""What callers see of operations and of every resource's status."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.engine.models import Operation, OperationEvent

Phase = Literal["creating", "active", "updating", "deleting", "failed"]
OperationStatus = Literal["pending", "running", "succeeded", "failed", "cancelled"]
StepStatus = Literal["pending", "running", "succeeded", "failed", "cancelled", "skipped"]

_OPERATION_EXAMPLE: dict[str, Any] = {
    "id": "op_01jd3x8k7q2v5w9z4c6b8n0m1r",
    "kind": "nodegroup.create",
    "status": "failed",
    "resource": {"type": "nodegroup", "id": "ng_01jd3x8k7q2v5w9z4c6b8n0m1t", "name": "gpu"},
    "parent_id": None,
    "children": [],
    "depends_on": [],
    "retry_of": None,
    "progress": {"done": 0, "total": 1},
    "steps": [
        {
            "name": "create_stack",
            "status": "failed",
            "started_at": "2026-11-23T08:00:02.113000Z",
            "finished_at": "2026-11-23T08:01:14.502000Z",
        }
    ],
    "warnings": [],
    "error": {
        "code": "quota_exceeded",
        "message": "Stack slipway-gpu failed: AWS::EKS::Nodegroup Nodegroup",
        "hint": "Ask for a higher vCPU quota in Service Quotas, or choose another instance type.",
        "cause": {
            "resource": "Nodegroup",
            "type": "AWS::EKS::Nodegroup",
            "aws_code": "VcpuLimitExceeded",
            "message": "You have requested more vCPU capacity than your current vCPU limit of 0 allows",
        },
        "retryable": False,
    },
    "created_at": "2026-11-23T08:00:01.870000Z",
    "started_at": "2026-11-23T08:00:02.101000Z",
    "finished_at": "2026-11-23T08:01:14.502000Z",
}


class ResourceRef(BaseModel):
    """The resource that an operation is about."""

    type: str = Field(examples=["cluster"])
    id: str = Field(examples=["clu_01jd3x8k7q2v5w9z4c6b8n0m1r"])
    name: str = Field(examples=["eksdemo"])


class OperationChild(BaseModel):
    """One of the operations that a parent holds together."""

    id: str
    kind: str
    status: OperationStatus
    resource: ResourceRef


class Step(BaseModel):
    """A step, in the order in which steps are taken."""

    name: str
    status: StepStatus
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Progress(BaseModel):
    """How many of the steps (and children) are done."""

    done: int
    total: int


class CauseOut(BaseModel):
    """The first resource that failed, in AWS's words."""

    resource: str
    type: str
    aws_code: str | None = None
    message: str


class OperationError(BaseModel):
    """Why an operation failed and what to do about it."""

    code: str = Field(description="Stable, snake_case.")
    message: str
    hint: str | None = None
    cause: CauseOut | None = None
    retryable: bool = Field(description="Whether the same request may succeed later without a change of input.")


class OperationOut(BaseModel):
    """An operation: a change that was asked for, and how far it is."""

    model_config = ConfigDict(title="Operation", json_schema_extra={"examples": [_OPERATION_EXAMPLE]})

    id: str
    kind: str
    status: OperationStatus
    resource: ResourceRef
    parent_id: str | None = None
    children: list[OperationChild] = []
    depends_on: list[str] = []
    retry_of: str | None = None
    progress: Progress
    steps: list[Step]
    warnings: list[str]
    error: OperationError | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class EventOut(BaseModel):
    """One thing that happened."""

    model_config = ConfigDict(title="Event")

    id: str = Field(description="Grows with time; what Last-Event-ID and page tokens count by.", examples=["42"])
    operation_id: str
    resource: ResourceRef
    at: datetime
    type: str = Field(examples=["stack.event", "operation.step", "operation.succeeded"])
    message: str
    data: dict[str, Any] = {}


class Condition(BaseModel):
    """One thing observed of a resource."""

    type: str = Field(examples=["Ready", "Synced"])
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: datetime


def resource_ref(operation: Operation) -> ResourceRef:
    """Return the reference to what an operation is about."""
    return ResourceRef(type=operation.resource_type, id=operation.resource_id, name=operation.resource_name)


def operation_out(operation: Operation, children: list[Operation], depends_on: list[str]) -> OperationOut:
    """Return what callers see of a row, its children (oldest first) and the ids it depends on."""
    done = sum(step["status"] in ("succeeded", "skipped") for step in operation.steps)
    done += sum(child.finished_at is not None for child in children)
    total = len(operation.steps) + len(children)
    return OperationOut(
        id=operation.id,
        kind=operation.kind,
        status=operation.status,
        resource=resource_ref(operation),
        parent_id=operation.parent_id,
        children=[
            OperationChild(
                id=child.id,
                kind=child.kind,
                status=child.status,
                resource=resource_ref(child),
            )
            for child in children
        ],
        depends_on=depends_on,
        retry_of=operation.retry_of,
        progress=Progress(done=done, total=total),
        steps=[Step.model_validate(step) for step in operation.steps],
        warnings=operation.warnings,
        error=OperationError.model_validate(operation.error) if operation.error else None,
        created_at=operation.created_at,
        started_at=operation.started_at,
        finished_at=operation.finished_at,
    )


def event_out(event: OperationEvent, resource: ResourceRef) -> EventOut:
    """Return what callers see of an event row."""
    return EventOut(
        id=str(event.seq),
        operation_id=event.operation_id,
        resource=resource,
        at=event.at,
        type=event.type,
        message=event.message,
        data=event.data,
    )
