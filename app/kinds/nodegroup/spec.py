"""What callers send and see of managed node groups."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.core.fields import (
    KubernetesVersion,
    NodegroupName,
    SecurityGroupId,
    Spec,
    SubnetId,
    Zone,
    is_label_value,
    label_key,
    plain_key,
)
from app.kinds.kind import OwnedSpec

_EFFECTS = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}
_RESERVED_PREFIXES = ("kubernetes.io", "k8s.io", "eks.amazonaws.com", "slipway.dev")


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        plain_key(label_key(key))
        if any(key.rpartition("/")[0].endswith(reserved) for reserved in _RESERVED_PREFIXES):
            raise ValueError(f"{key!r}: labels under {', '.join(_RESERVED_PREFIXES)} are reserved")
        if not is_label_value(value):
            raise ValueError(f"{key!r}: {value[:80]!r} is not a Kubernetes label value")
    return labels


def _taint_value(value: str) -> str:
    if not is_label_value(value):
        raise ValueError(f"{value[:80]!r} is not a taint value")
    return value


def _effect(value: Any) -> Any:
    return _EFFECTS.get(value, value) if isinstance(value, str) else value


class TaintSpec(Spec):
    """A Kubernetes taint; the effect as EKS spells it, Kubernetes' spelling is accepted."""

    key: Annotated[str, AfterValidator(label_key)]
    value: Annotated[str, AfterValidator(_taint_value)] | None = None
    effect: Annotated[Literal["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"], BeforeValidator(_effect)]


class ScalingSpec(Spec):
    """Sizes in nodes; a `desired` that is not sent keeps the live one."""

    min: int = Field(default=1, ge=0, le=1000)
    max: int = Field(default=3, ge=1, le=1000)
    desired: int | None = Field(default=None, ge=0, le=1000)

    @model_validator(mode="after")
    def _ordered(self) -> "ScalingSpec":
        if self.min > self.max:
            raise ValueError("min is greater than max")
        if self.desired is not None and not self.min <= self.desired <= self.max:
            raise ValueError("desired must be between min and max")
        return self


class SshSpec(Spec):
    """Access by ssh; with neither key AWS makes one and keeps its private half in SSM Parameter Store."""

    key_name: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    public_key: (
        Annotated[str, Field(pattern=r"^(ssh-rsa|ssh-ed25519) [A-Za-z0-9+/=]+( .*)?$", max_length=4096)] | None
    ) = None
    source_security_groups: list[SecurityGroupId] = Field(default=[], max_length=5)

    @model_validator(mode="after")
    def _one_key(self) -> "SshSpec":
        if self.key_name and self.public_key:
            raise ValueError("give key_name or public_key, not both")
        return self


class UpdateSpec(Spec):
    """How many nodes an update may take away at once."""

    max_unavailable: int | None = Field(default=None, ge=1, le=100)
    max_unavailable_percent: int | None = Field(default=None, ge=1, le=100)

    @model_validator(mode="after")
    def _one(self) -> "UpdateSpec":
        if self.max_unavailable and self.max_unavailable_percent:
            raise ValueError("give max_unavailable or max_unavailable_percent, not both")
        return self


AmiType = Literal[
    "AL2023_x86_64_STANDARD",
    "AL2023_ARM_64_STANDARD",
    "AL2023_x86_64_NVIDIA",
    "AL2023_ARM_64_NVIDIA",
    "AL2023_x86_64_NEURON",
    "BOTTLEROCKET_x86_64",
    "BOTTLEROCKET_ARM_64",
    "BOTTLEROCKET_x86_64_FIPS",
    "BOTTLEROCKET_ARM_64_FIPS",
    "BOTTLEROCKET_x86_64_NVIDIA",
    "BOTTLEROCKET_ARM_64_NVIDIA",
]

NODEGROUP_EXAMPLE: dict[str, Any] = {
    "cluster": "shop",
    "name": "workers",
    "instance_types": ["m5.large"],
    "scaling": {"min": 2, "max": 4, "desired": 2},
    "labels": {"role": "worker"},
    "taints": [{"key": "dedicated", "value": "worker", "effect": "NO_SCHEDULE"}],
    "tags": {"team": "shop"},
}


class NodegroupSpec(OwnedSpec):
    """The desired state of a managed node group."""

    model_config = ConfigDict(json_schema_extra={"examples": [NODEGROUP_EXAMPLE]})

    name: NodegroupName
    version: KubernetesVersion | None = Field(default=None, description="None takes the cluster's at creation.")
    instance_types: list[Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$", max_length=40)]] = Field(
        default=["m5.large"], min_length=1, max_length=20
    )
    scaling: ScalingSpec = ScalingSpec()
    capacity_type: Literal["ON_DEMAND", "SPOT"] = "ON_DEMAND"
    ami_type: AmiType | None = Field(default=None, description="None takes Amazon Linux 2023 for the architecture.")
    disk_size_gib: int = Field(default=80, ge=20, le=16384)
    labels: Annotated[dict[str, str], AfterValidator(_labels)] = {}
    taints: list[TaintSpec] = Field(default=[], max_length=50)
    subnets: list[SubnetId] | None = Field(default=None, min_length=1, max_length=16)
    subnet_type: Literal["public", "private"] | None = Field(
        default=None, description="Which of the cluster's subnets; None: the private ones, if they have a way out."
    )
    zones: list[Zone] | None = Field(default=None, min_length=1, max_length=6, description="Only these zones.")
    ssh: SshSpec | None = None
    update: UpdateSpec = UpdateSpec()

    @model_validator(mode="after")
    def _placement(self) -> "NodegroupSpec":
        if self.subnets and (self.subnet_type or self.zones):
            raise ValueError("subnet_type and zones cannot stand beside subnets")
        keys = [(taint.key, taint.effect) for taint in self.taints]
        if len(set(keys)) != len(keys):
            raise ValueError("a taint stands twice")
        if len(set(self.instance_types)) != len(self.instance_types):
            raise ValueError("an instance type stands twice")
        return self


class NodegroupOutputs(BaseModel):
    """What AWS made."""

    arn: str | None = None
    role_arn: str | None = None
    ssh_private_key_parameter: str | None = Field(default=None, description="Name in SSM Parameter Store.")
