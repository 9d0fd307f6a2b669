"""What callers see of every kind: a resource's desired `spec` and observed `status`."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, create_model

from app.kinds.kind import Kind
from app.operations.schemas import Condition, Phase

Spec = TypeVar("Spec", bound=BaseModel)
Outputs = TypeVar("Outputs", bound=BaseModel)

_STATUS = ("phase", "conditions", "outputs", "observed_generation")


class ResourceStatus(BaseModel, Generic[Outputs]):
    """The observed state."""

    phase: Phase
    conditions: list[Condition]
    outputs: Outputs
    observed_generation: int


class ResourceOut(BaseModel, Generic[Spec, Outputs]):
    """Something that belongs to a cluster: desired `spec`, observed `status`."""

    id: str
    name: str
    cluster_id: str
    spec: Spec
    status: ResourceStatus[Outputs]
    generation: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


def out_model(kind: Kind[Any]) -> Any:
    """Return the model of a kind's resources, under the names that the document has: `Nodegroup`, `NodegroupStatus`."""
    base: Any = ResourceOut[kind.spec, kind.outputs]  # type: ignore[name-defined]
    status: Any = create_model(
        f"{kind.word}Status",
        __base__=ResourceStatus[kind.outputs],  # type: ignore[name-defined]
        __doc__=f"The observed state of {a(kind.title)}.",
    )
    made: Any = create_model(
        f"{kind.word}Out",
        __base__=base,
        __doc__=f"{kind.about}: desired `spec`, observed `status`.",
        status=(status, ...),
    )
    made.model_config = {**made.model_config, "title": kind.word, "json_schema_extra": {"examples": [_example(kind)]}}
    made.model_rebuild(force=True)
    return made


def _example(kind: Kind[Any]) -> dict[str, Any]:
    spec: Any = kind.spec.model_validate(kind.example)
    return {
        "id": f"{kind.prefix}_01jd3x8k7q2v5w9z4c6b8n0m1t",
        "name": kind.name_of(spec),
        "cluster_id": "clu_01jd3x8k7q2v5w9z4c6b8n0m1r",
        "spec": dict(kind.example),
        "status": {
            "phase": "active",
            "conditions": [],
            "outputs": dict(kind.example_outputs),
            "observed_generation": 1,
        },
        "generation": 1,
        "created_at": "2026-11-23T08:00:00Z",
        "updated_at": "2026-11-23T08:10:00Z",
    }


def resource_out(model: Any, row: Any) -> Any:
    """Return what callers see of a row."""
    columns = row.model_dump()
    return model.model_validate({**columns, "status": {name: columns[name] for name in _STATUS}})


def a(title: str) -> str:
    """Return a noun with its article."""
    return f"an {title}" if title[0].lower() in "aeiou" else f"a {title}"
