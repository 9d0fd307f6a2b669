"""What endpoints are sent, `{type, timestamp, data}` as in Standard Webhooks; the models are the documentation too."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field

from app.kinds.all import KINDS
from app.operations.schemas import OperationOut, OperationStatus, Phase, ResourceRef, Step

LARGEST = 64 * 1024
"""Bytes of a payload; of a bigger one only ids and links are sent."""

PING = "webhook.ping"
ENDINGS = ("operation.succeeded", "operation.failed", "operation.cancelled")
STEP = "operation.step"
PATHS = {
    "cluster": "/clusters",
    **{kind.type: kind.path for kind in KINDS.values() if not kind.managed},
    "release": "/releases",
}
"""The types of resources whose phases are told, each with the path of its list."""

if TYPE_CHECKING:
    EventType: TypeAlias = str
    PhaseEventType: TypeAlias = str
else:  # made of the list of kinds, which mypy does not run
    PhaseEventType = Literal[tuple(f"{type_}.phase_changed" for type_ in PATHS)]
    EventType = Literal[(*ENDINGS, STEP, *get_args(PhaseEventType))]
"""What an endpoint can ask for; `webhook.ping` comes when it is asked for."""

_SEQUENCE = "Grows from event to event of one resource; one with a lower number than the last one seen is older news."


class Links(BaseModel):
    """Paths of the API."""

    operation: str | None = Field(default=None, examples=["/operations/op_01jd3x8k7q2v5w9z4c6b8n0m1r"])
    resource: str | None = Field(default=None, examples=["/clusters/clu_01jd3x8k7q2v5w9z4c6b8n0m1r"])


class OperationStub(BaseModel):
    """An operation that is too big to be sent: read it at its link."""

    id: str
    kind: str
    status: OperationStatus
    resource: ResourceRef


class OperationData(BaseModel):
    """What an event says of an operation."""

    operation: OperationOut | OperationStub
    cut: bool = Field(default=False, description="It was too big: `operation` holds ids only, the link has it all.")
    sequence: int = Field(description=_SEQUENCE)
    links: Links


class StepData(OperationData):
    """What an event says of a step."""

    step: Step


class PhaseData(BaseModel):
    """What an event says of a resource's phase."""

    resource: ResourceRef
    phase: Phase | Literal["deleted"]
    previous_phase: Phase | None = None
    sequence: int = Field(description=_SEQUENCE)
    links: Links


class PingData(BaseModel):
    """What a ping says."""

    webhook_id: str
    sequence: int = Field(description=_SEQUENCE)


class OperationEnded(BaseModel):
    """An operation has ended; its `error` says why if it failed."""

    type: Literal["operation.succeeded", "operation.failed", "operation.cancelled"]
    timestamp: datetime
    data: OperationData


class OperationStepped(BaseModel):
    """A step of an operation has begun or ended."""

    type: Literal["operation.step"]
    timestamp: datetime
    data: StepData


class PhaseChanged(BaseModel):
    """A resource is in another phase."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "nodegroup.phase_changed",
                    "timestamp": "2026-11-23T08:01:14.502000Z",
                    "data": {
                        "resource": {"type": "nodegroup", "id": "ng_01jd3x8k7q2v5w9z4c6b8n0m1t", "name": "gpu"},
                        "phase": "active",
                        "previous_phase": "creating",
                        "sequence": 3,
                        "links": {"operation": None, "resource": "/nodegroups/ng_01jd3x8k7q2v5w9z4c6b8n0m1t"},
                    },
                }
            ]
        }
    )

    type: PhaseEventType
    timestamp: datetime
    data: PhaseData


class Pinged(BaseModel):
    """Somebody asked for a ping."""

    type: Literal["webhook.ping"]
    timestamp: datetime
    data: PingData


def operation_payload(
    type: str,  # noqa: A002 - the field's own name
    at: datetime,
    operation: OperationOut,
    sequence: int,
    step: dict[str, Any] | None = None,
) -> str:
    """Return the JSON of an event about an operation, cut to ids and links if it is too big."""
    links = Links(operation=f"/operations/{operation.id}", resource=resource_path(operation.resource))
    stub = OperationStub(id=operation.id, kind=operation.kind, status=operation.status, resource=operation.resource)
    text = ""
    for shown, cut in ((operation, False), (stub, True)):
        values: dict[str, Any] = {"operation": shown, "cut": cut, "sequence": sequence, "links": links}
        if step is None:
            text = OperationEnded(type=type, timestamp=at, data=OperationData(**values)).model_dump_json()
        else:
            data = StepData(**values, step=Step.model_validate(step))
            text = OperationStepped(type=type, timestamp=at, data=data).model_dump_json()
        if len(text.encode()) <= LARGEST:
            break
    return text


def resource_path(resource: ResourceRef) -> str | None:
    """Return the path of a resource, or None for what has none of its own (addons)."""
    path = PATHS.get(resource.type)
    return f"{path}/{resource.id}" if path else None
