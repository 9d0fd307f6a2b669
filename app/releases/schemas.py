"""What callers send and see of releases."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.core.fields import Spec, Tags, is_label_value, label_key
from app.gateways.helm.strvals import path_of
from app.operations.schemas import Condition, Phase

_QUOTA_KEY = re.compile(r"[a-z0-9]([A-Za-z0-9./-]{0,200}[A-Za-z0-9])?")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        label_key(key)
        if not is_label_value(value):
            raise ValueError(f"{key!r}: {value[:80]!r} is not a Kubernetes label value")
    return labels


def _quota(quota: dict[str, str]) -> dict[str, str]:
    for key, value in quota.items():
        if not _QUOTA_KEY.fullmatch(key):
            raise ValueError(f"{key[:80]!r} is not a resource of a ResourceQuota")
        if not _QUANTITY.fullmatch(value):
            raise ValueError(f"{key!r}: {value[:40]!r} is not a quantity")
    return quota


ReleaseName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        min_length=1,
        max_length=53,
        examples=["shop"],
    ),
]
"""A release's name as Helm takes it (pkg/chart/common/util/validate_name.go: 53, so that suffixes still fit)."""

Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63, examples=["sock-shop"])]


def _place(text: str) -> str:
    path_of(text)  # SetExpressionError is a ValueError, which pydantic tells
    return text


SecretPlace = Annotated[str, Field(min_length=1, max_length=1024, examples=["auth.seed"]), AfterValidator(_place)]
"""A place in values, as on the left side of helm's `--set`: `a.b`, `list[0].x`, `a\\.b` for a key with a dot."""

ReleaseReference = Annotated[
    str, Field(pattern=r"^([a-z0-9][-a-z0-9]*/)?[a-z0-9][-a-z0-9._]*$", max_length=120, examples=["istiod"])
]


class ChartSpec(Spec):
    """Where the chart is: in a `repository` with an index, in an `oci` registry, or in a `registry` of the project."""

    repository: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="URL of the folder that holds index.yaml.", examples=["https://charts.example.com"]
    )
    oci: Annotated[str, Field(pattern=r"^oci://[!-~]+$", max_length=2048)] | None = Field(
        default=None,
        description="The chart in an OCI registry, without tag.",
        examples=["oci://registry.example.com/charts/sock-shop"],
    )
    registry: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="Id or name of a registry of the project."
    )
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=250)] | None = Field(
        default=None, description="Of the chart; not beside `oci`, whose last part it is."
    )
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z^~<>=*][ -~]*$", max_length=100)] | None = Field(
        default=None,
        description="A version, or a range as Helm takes it (`^1.2`). None is the newest. What it was at acceptance "
        "stays until the chart of the spec changes.",
        examples=["0.1.0"],
    )

    @model_validator(mode="after")
    def _one_source(self) -> "ChartSpec":
        sources = [name for name in ("repository", "oci", "registry") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError("give one of repository, oci and registry")
        if (self.name is None) != (self.oci is not None):
            raise ValueError("name must be left out beside oci" if self.oci else f"name is needed beside {sources[0]}")
        return self


class NamespaceSpec(Spec):
    """The namespace to make, and what belongs into it."""

    labels: Annotated[dict[str, str], AfterValidator(_labels)] = Field(
        default={}, max_length=50, examples=[{"pod-security.kubernetes.io/enforce": "baseline"}]
    )
    quota: Annotated[dict[str, str], AfterValidator(_quota)] = Field(
        default={}, max_length=50, description="Hard limits of a ResourceQuota.", examples=[{"requests.cpu": "4"}]
    )
    network_policy: bool = Field(
        default=False, description="Pods are reached from their own namespace only; what goes out stays allowed."
    )


WaitStrategy = Literal["watcher", "legacy", "hooks"]

RELEASE_EXAMPLE: dict[str, Any] = {
    "cluster": "shop",
    "namespace": "sock-shop",
    "name": "my-release",
    "chart": {"repository": "https://charts.example.com", "name": "sock-shop", "version": "0.1.0"},
    "values": {"ingress": {"enabled": True}},
    "create_namespace": True,
    "timeout_seconds": 600,
    "on_failure": "rollback",
    "tags": {"team": "shop"},
}


class ReleaseSpec(Spec):
    """The desired state of a Helm release."""

    model_config = ConfigDict(json_schema_extra={"examples": [RELEASE_EXAMPLE]})

    cluster: str = Field(max_length=100, description="Id or name of the cluster.")
    namespace: Namespace
    name: ReleaseName
    chart: ChartSpec
    values: dict[str, Any] = Field(
        default={},
        description="As in a values file. Secret ones are shown as `(redacted)`, also within other texts; sent "
        'back in their places, they stay. `{"from_secret": {"name", "key"}}` and `{"from_secrets_manager": {"arn", '
        '"key"}}` stand for secrets kept elsewhere, which are read when helm runs and never stored.',
    )
    set: list[Annotated[str, Field(min_length=1, max_length=8192)]] = Field(
        default=[],
        max_length=200,
        description="As after helm's `--set`; they are read into `values`, and shown there.",
        examples=[["ingress.enabled=true"]],
    )
    secret_values: list[SecretPlace] = Field(
        default=[],
        max_length=200,
        description="Places in `values` that are secret though neither their names nor the chart tell: `a.b`, "
        "`list[0].x`, as on the left side of helm's `--set`. All below one is.",
    )
    create_namespace: bool | NamespaceSpec = Field(
        default=False, description="Make the namespace if it is not there; an object says what belongs into it."
    )
    wait: WaitStrategy = Field(
        default="watcher",
        description="What success waits for: `watcher` for every object by its status, `legacy` as Helm 3 did, `hooks` "
        "for hooks only.",
    )
    timeout_seconds: int = Field(default=300, ge=1, le=86400, description="For the whole operation.")
    on_failure: Literal["keep", "rollback", "uninstall"] = Field(
        default="keep",
        description="What becomes of what failed or was cancelled: it stays, or the release goes back to the revision "
        "before. One that never came to be is uninstalled by both `rollback` and `uninstall`.",
    )
    depends_on: list[ReleaseReference] = Field(
        default=[],
        max_length=20,
        description="Releases of the same cluster that must be there first: ids, names, or `namespace/name`.",
    )
    tags: Tags = {}

    def document(self) -> dict[str, Any]:
        """Return what is kept in the clear: all but the values; a replica of before knows no `secret_values`."""
        left_out = {"values", "set"} if self.secret_values else {"values", "set", "secret_values"}
        return self.model_dump(mode="json", exclude=left_out)


class ReleaseOutputs(BaseModel):
    """What is installed."""

    revision: int | None = None
    chart_version: str | None = None
    app_version: str | None = None
    chart_digest: str | None = Field(
        default=None, description="`sha256:…` of the archive, or of the manifest in an OCI registry."
    )


class PortOut(BaseModel):
    """A port of a service."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    node_port: int | None = None


class ServiceAccessOut(BaseModel):
    """How to reach a service."""

    name: str
    namespace: str
    type: str
    cluster_host: str = Field(description="Its name inside the cluster.")
    ports: list[PortOut]
    addresses: list[str] = Field(description="Of its load balancer, once there is one.")
    port_forward: str = Field(description="The command that makes it reachable on one's own machine.")


class IngressAccessOut(BaseModel):
    """How to reach what an ingress routes."""

    name: str
    namespace: str
    class_name: str
    urls: list[str]
    addresses: list[str] = Field(description="Of its load balancer, once there is one; its hosts' DNS points there.")
    services: list[str]


class AccessOut(BaseModel):
    """How to reach what the release serves; what users want most comes first."""

    services: list[ServiceAccessOut] = []
    ingresses: list[IngressAccessOut] = []
    port_forward: str = ""
    observed_at: datetime | None = None


class TestOut(BaseModel):
    """How a test of the release went when it last ran."""

    name: str
    phase: str = Field(description="`Succeeded`, `Failed`, `Running`, `Unknown`; empty if it never ran.")
    started_at: datetime | None = None
    completed_at: datetime | None = None


class ReleaseStatus(BaseModel):
    """The observed state of a release."""

    phase: Phase
    conditions: list[Condition]
    outputs: ReleaseOutputs
    observed_generation: int
    access: AccessOut | None = Field(default=None, description="From the live objects; null before it is installed.")
    tests: list[TestOut] = []


class ReleaseOut(BaseModel):
    """A Helm release: desired `spec`, observed `status`."""

    model_config = ConfigDict(
        title="Release",
        json_schema_extra={
            "examples": [
                {
                    "id": "rel_01jd3x8k7q2v5w9z4c6b8n0m1t",
                    "name": "my-release",
                    "namespace": "sock-shop",
                    "cluster_id": "clu_01jd3x8k7q2v5w9z4c6b8n0m1r",
                    "spec": RELEASE_EXAMPLE,
                    "status": {
                        "phase": "active",
                        "conditions": [],
                        "outputs": {
                            "revision": 1,
                            "chart_version": "0.1.0",
                            "app_version": "1.0",
                            "chart_digest": "sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
                        },
                        "observed_generation": 1,
                        "access": None,
                        "tests": [],
                    },
                    "generation": 1,
                    "created_at": "2026-11-23T08:00:00Z",
                    "updated_at": "2026-11-23T08:01:00Z",
                }
            ]
        },
    )

    id: str
    name: str
    namespace: str
    cluster_id: str
    spec: ReleaseSpec
    status: ReleaseStatus
    generation: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
