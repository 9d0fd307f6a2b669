"""What callers send and see of clusters."""

import ipaddress
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.core.fields import (
    Cidr,
    Ipv4Cidr,
    KubernetesVersion,
    Region,
    ResourceName,
    Spec,
    SubnetId,
    Tags,
    VpcId,
    Zone,
)
from app.operations.schemas import Condition, Phase

LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]

RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
"""What CloudWatch Logs takes (PutRetentionPolicy `retentionInDays`)."""


class Subnets(Spec):
    """Subnets of a VPC that exists; together in two zones or more."""

    public: list[SubnetId] = Field(default=[], max_length=16)
    private: list[SubnetId] = Field(default=[], max_length=16)


class NetworkSpec(Spec):
    """Either a VPC to make (`cidr`, `zones`, `nat`) or one that exists (`vpc_id`, `subnets`)."""

    cidr: Ipv4Cidr | None = Field(default=None, description="Block of the VPC to make, /16 to /24; 192.168.0.0/16.")
    zones: Annotated[int, Field(ge=1, le=3)] | Annotated[list[Zone], Field(min_length=1, max_length=6)] | None = Field(
        default=None, description="How many zones, or which; 3."
    )
    nat: Literal["none", "single", "per_zone"] | None = Field(default=None, description="NAT gateways; single.")
    vpc_id: VpcId | None = None
    subnets: Subnets | None = None
    ip_family: Literal["ipv4", "ipv6"] = "ipv4"
    service_cidr: Ipv4Cidr | None = Field(default=None, description="Block of service addresses, /12 to /24.")

    @model_validator(mode="after")
    def _one_way(self) -> "NetworkSpec":
        own = [name for name in ("cidr", "zones", "nat") if getattr(self, name) is not None]
        if self.vpc_id and own:
            raise ValueError(f"{own[0]} cannot stand beside vpc_id: give a VPC or have one made")
        if bool(self.vpc_id) != bool(self.subnets):
            raise ValueError("vpc_id and subnets belong together")
        if self.subnets and len({*self.subnets.public, *self.subnets.private}) < 2:
            raise ValueError("EKS needs at least two subnets, in two zones")
        if self.subnets and {*self.subnets.public} & {*self.subnets.private}:
            raise ValueError("a subnet is either public or private")
        return self

    @model_validator(mode="after")
    def _blocks(self) -> "NetworkSpec":
        if self.cidr:
            block = ipaddress.ip_network(self.cidr)
            if not 16 <= block.prefixlen <= 24:
                raise ValueError("cidr must be between /16 and /24")
        if self.service_cidr:
            services = ipaddress.ip_network(self.service_cidr)
            if self.ip_family == "ipv6":
                raise ValueError("service_cidr is for ipv4; EKS chooses the block of an ipv6 cluster")
            if not 12 <= services.prefixlen <= 24 or not services.is_private:
                raise ValueError("service_cidr must be between /12 and /24 in a private range")
            if not self.vpc_id and services.overlaps(ipaddress.ip_network(self.cidr or "192.168.0.0/16")):
                raise ValueError("service_cidr overlaps with the VPC's cidr")
        return self


class EndpointsSpec(Spec):
    """Where the Kubernetes API answers."""

    public: bool = True
    private: bool = False
    public_cidrs: list[Cidr] = Field(default=[], max_length=40, description="Who may use the public one; empty: all.")

    @model_validator(mode="after")
    def _reachable(self) -> "EndpointsSpec":
        if not self.public and not self.private:
            raise ValueError("one of public and private must be true")
        if self.public_cidrs and not self.public:
            raise ValueError("public_cidrs needs public: true")
        return self


class LoggingSpec(Spec):
    """Control-plane logs in CloudWatch."""

    types: list[LogType] = []
    retention_days: int | None = Field(default=None, description="None keeps them for ever.")

    @model_validator(mode="after")
    def _retention(self) -> "LoggingSpec":
        if self.retention_days is not None and self.retention_days not in RETENTION_DAYS:
            raise ValueError(f"retention_days must be one of {', '.join(map(str, RETENTION_DAYS))}")
        if len(set(self.types)) != len(self.types):
            raise ValueError("types has a type twice")
        return self


class EncryptionSpec(Spec):
    """Envelope encryption of secrets with a customer key; with no `kms_key` one is made."""

    kms_key: (
        Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+$")] | None
    ) = Field(default=None, examples=["arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"])


class AccessSpec(Spec):
    """Who may use the Kubernetes API."""

    mode: Literal["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"] = "API_AND_CONFIG_MAP"
    creator_admin: bool = Field(
        default=True,
        description="Slipway's own role is an administrator, by an explicit access entry. Slipway needs it.",
    )
    oidc: bool = Field(default=False, description="Make an IAM OIDC provider, for IAM roles for service accounts.")

    @model_validator(mode="after")
    def _needed(self) -> "AccessSpec":
        if not self.creator_admin:
            raise ValueError("creator_admin: false is not supported yet: Slipway could not reach the cluster")
        return self


class AddonSpec(Spec):
    """An EKS addon."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100, examples=["coredns"])]
    version: Annotated[str, Field(pattern=r"^v[0-9][0-9A-Za-z.-]*$", max_length=64)] | None = Field(
        default=None, description="None takes EKS's default for the cluster's version."
    )
    configuration: dict[str, Any] | None = Field(default=None, description="By the addon's own schema.")


CLUSTER_EXAMPLE: dict[str, Any] = {
    "name": "shop",
    "region": "us-west-2",
    "version": "1.34",
    "network": {"cidr": "10.20.0.0/16", "zones": 3, "nat": "single"},
    "endpoints": {"public": True, "private": True, "public_cidrs": ["203.0.113.0/24"]},
    "logging": {"types": ["api", "audit"], "retention_days": 30},
    "tags": {"team": "shop"},
}


class ClusterSpec(Spec):
    """The desired state of a cluster."""

    model_config = ConfigDict(json_schema_extra={"examples": [CLUSTER_EXAMPLE]})

    name: ResourceName
    region: Region
    account: str = Field(default="default", max_length=64, description="Id or name of the AWS account.")
    version: KubernetesVersion | None = Field(default=None, description="None takes EKS's default at creation.")
    network: NetworkSpec = NetworkSpec()
    endpoints: EndpointsSpec = EndpointsSpec()
    logging: LoggingSpec = LoggingSpec()
    encryption: EncryptionSpec | None = None
    access: AccessSpec = AccessSpec()
    addons: list[AddonSpec] | None = Field(
        default=None,
        max_length=50,
        description="None installs coredns and metrics-server; vpc-cni and kube-proxy always belong to a cluster.",
    )
    deletion_protection: bool = False
    upgrade_policy: Literal["STANDARD", "EXTENDED"] | None = None
    zonal_shift: bool | None = None
    tags: Tags = {}

    @model_validator(mode="after")
    def _addons_once(self) -> "ClusterSpec":
        names = [addon.name for addon in self.addons or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"addon {twice} stands twice")
        return self


Documents = Annotated[list[dict[str, Any]], Field(max_length=30)]
"""Specs of one kind in a cluster's request."""


class ClusterCreate(ClusterSpec):
    """A cluster, with what belongs to it in the same request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **CLUSTER_EXAMPLE,
                    "nodegroups": [{"name": "workers", "scaling": {"min": 2, "max": 4, "desired": 2}}],
                    "releases": [
                        {
                            "name": "my-release",
                            "namespace": "sock-shop",
                            "chart": {"repository": "https://charts.example.com", "name": "sock-shop"},
                            "create_namespace": True,
                        }
                    ],
                }
            ]
        }
    )

    nodegroups: list[dict[str, Any]] = Field(
        default=[], max_length=30, description="Node group specs without `cluster`; see `NodegroupSpec`."
    )
    releases: list[dict[str, Any]] = Field(
        default=[], max_length=50, description="Helm releases without `cluster`; see `ReleaseSpec`."
    )


class ClusterOutputs(BaseModel):
    """What AWS made."""

    arn: str | None = None
    endpoint: str | None = None
    certificate_authority: str | None = Field(default=None, description="Base64 of the PEM bundle.")
    oidc_issuer: str | None = None
    vpc_id: str | None = None
    subnet_ids: list[str] = []
    security_group_id: str | None = None
    role_arn: str | None = None


class AddonStatus(BaseModel):
    """How far an addon is; `waiting` for the first node group, or the phase of a resource."""

    name: str
    phase: Phase | Literal["waiting"]
    version: str | None = None
    message: str = ""


class ClusterStatus(BaseModel):
    """The observed state of a cluster."""

    phase: Phase
    conditions: list[Condition]
    outputs: ClusterOutputs
    observed_generation: int
    addons: list[AddonStatus] = []


class ClusterOut(BaseModel):
    """A cluster: desired `spec`, observed `status`."""

    model_config = ConfigDict(
        title="Cluster",
        json_schema_extra={
            "examples": [
                {
                    "id": "clu_01jd3x8k7q2v5w9z4c6b8n0m1r",
                    "name": "shop",
                    "spec": CLUSTER_EXAMPLE,
                    "status": {
                        "phase": "active",
                        "conditions": [
                            {
                                "type": "Ready",
                                "status": "True",
                                "reason": "Available",
                                "message": "",
                                "last_transition_time": "2026-11-23T08:10:00Z",
                            }
                        ],
                        "outputs": {"arn": "arn:aws:eks:us-west-2:111122223333:cluster/shop"},
                        "observed_generation": 1,
                        "addons": [{"name": "coredns", "phase": "active", "version": None, "message": ""}],
                    },
                    "generation": 1,
                    "created_at": "2026-11-23T08:00:00Z",
                    "updated_at": "2026-11-23T08:10:00Z",
                }
            ]
        },
    )

    id: str
    name: str
    spec: ClusterSpec
    status: ClusterStatus
    generation: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
