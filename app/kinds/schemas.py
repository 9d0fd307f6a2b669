"""What callers see of every kind: a resource's desired `spec` and observed `status`."""

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, create_model

from app.kinds.kind import Kind
from app.operations.schemas import Condition, Phase

_STATUS = ("phase", "conditions", "outputs", "observed_generation")


def out_model(kind: Kind[Any]) -> Any:
    """Return the model of a kind's resources, under the names that the document has: `Nodegroup`, `NodegroupStatus`."""
    status: Any = create_model(
        f"{kind.word}Status",
        __doc__=f"The observed state of {kind.a_title}.",
        phase=(Phase, ...),
        conditions=(list[Condition], ...),
        outputs=(kind.outputs, ...),
        observed_generation=(int, ...),
    )
    owner: Any = dict.fromkeys(kind.scope.shown, (str, ...))
    return create_model(
        f"{kind.word}Out",
        __config__=ConfigDict(title=kind.word, json_schema_extra={"examples": [_example(kind)]}),
        __doc__=f"{kind.about}: desired `spec`, observed `status`.",
        id=(str, ...),
        name=(str, ...),
        **owner,
        spec=(kind.spec, ...),
        status=(status, ...),
        generation=(int, ...),
        created_at=(datetime, ...),
        updated_at=(datetime, ...),
        deleted_at=(datetime | None, None),
    )


def _example(kind: Kind[Any]) -> dict[str, Any]:
    spec: Any = kind.spec.model_validate(kind.example)
    return {
        "id": f"{kind.prefix}_01jd3x8k7q2v5w9z4c6b8n0m1t",
        "name": kind.name_of(spec),
        **kind.scope.shown,
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
