"""What callers send and see where a release is looked at in its cluster."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.fields import Spec


class RollbackRequest(Spec):
    """Which revision to bring back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"revision": 1}]})

    revision: int = Field(ge=1, le=2**31 - 1, description="Of `/history`.")


class RevisionOut(BaseModel):
    """A revision of a release, as Helm keeps it."""

    model_config = ConfigDict(title="Revision")

    revision: int
    status: str = Field(examples=["deployed", "superseded", "failed"])
    chart: str = Field(examples=["sock-shop-0.1.0"])
    app_version: str
    description: str
    updated_at: datetime | None


class ManifestOut(BaseModel):
    """What a revision installed; the data of Secrets is hidden."""

    model_config = ConfigDict(title="Manifest")

    revision: int
    manifest: str = Field(description="YAML documents, without hooks.")
    hooks: str = Field(description="YAML documents of hooks and tests.")


class NotesOut(BaseModel):
    """What the chart tells its users."""

    model_config = ConfigDict(title="Notes")

    revision: int
    notes: str


class PodOut(BaseModel):
    """A pod in short."""

    name: str
    ready: bool
    phase: str
    reason: str = Field(description="Why it is not ready.")
    message: str
    node: str
    restarts: int


class ResourceOut(BaseModel):
    """An object of the manifest, as it is now."""

    model_config = ConfigDict(title="Resource")

    api_version: str
    kind: str
    namespace: str
    name: str
    ready: bool
    reason: str = Field(description="Why it is not ready.")
    message: str
    pods: list[PodOut]


class FieldChangeOut(BaseModel):
    """A field that would change."""

    pointer: str
    before: Any = None
    after: Any = None


class ObjectChangeOut(BaseModel):
    """What would happen to an object."""

    api_version: str
    kind: str
    namespace: str
    name: str
    action: Literal["create", "change", "delete", "none", "refused"]
    fields: list[FieldChangeOut]
    message: str


_CHANGE_EXAMPLE: dict[str, Any] = {
    "api_version": "apps/v1",
    "kind": "Deployment",
    "namespace": "sock-shop",
    "name": "front-end",
    "action": "change",
    "fields": [{"pointer": "/spec/replicas", "before": 1, "after": 2}],
    "message": "",
}


class DiffOut(BaseModel):
    """What a change of the spec would change in the cluster, found by a server-side dry run."""

    model_config = ConfigDict(
        title="Diff",
        json_schema_extra={"examples": [{"revision": 1, "changes": [_CHANGE_EXAMPLE], "unchanged": 4}]},
    )

    revision: int = Field(description="That is installed now; 0 if there is none.")
    changes: list[ObjectChangeOut]
    unchanged: int = Field(description="Objects that would stay as they are.")


class SecretDriftOut(BaseModel):
    """A value that refers to a secret which is no longer what was installed."""

    model_config = ConfigDict(title="SecretDrift")

    pointer: str = Field(description="Of the reference, into the values.")
    reference: dict[str, Any]
    status: Literal["changed", "not_found", "unknown"] = Field(
        description="`unknown`: it cannot be compared now, which by itself is no drift."
    )
    message: str


class DriftOut(BaseModel):
    """How the live objects differ from what Slipway installed."""

    model_config = ConfigDict(
        title="Drift",
        json_schema_extra={
            "examples": [{"drifted": True, "revision": 1, "expected_revision": 1, "changes": [_CHANGE_EXAMPLE]}]
        },
    )

    drifted: bool
    revision: int = Field(description="The newest one in the cluster.")
    expected_revision: int | None = Field(description="The newest one that Slipway made.")
    changes: list[ObjectChangeOut] = Field(description="What bringing the objects back in line would change.")
    secrets: list[SecretDriftOut] = Field(
        default=[],
        description="References whose secrets are no longer what was installed; `PATCH` with `{}` takes them up.",
    )
