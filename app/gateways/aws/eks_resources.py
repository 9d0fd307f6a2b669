"""What EKS says about its resources, as plain values, and how to read them from its answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class HealthIssue:
    """One thing that EKS finds wrong: `code` is EKS's (`NodeCreationFailure`), `resources` are ids or names."""

    code: str
    message: str
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster (DescribeCluster).

    Attributes:
        name: Name.
        arn: ARN.
        status: `CREATING`, `ACTIVE`, `DELETING`, `FAILED`, `UPDATING`, `PENDING`.
        version: Kubernetes minor, `1.34`.
        platform_version: `eks.7`.
        endpoint: URL of the API server; None while it is being created.
        certificate_authority: Base64 of the PEM bundle that signs the endpoint; None while it is being created.
        oidc_issuer: URL, if there is one yet.
        role_arn: The cluster's own role.
        vpc_id: VPC.
        subnet_ids: Subnets of the control plane's interfaces.
        security_group_id: The cluster security group that EKS made.
        authentication_mode: `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
        public_access: Whether the endpoint answers the internet.
        private_access: Whether the endpoint answers inside the VPC.
        public_access_cidrs: From where.
        service_cidr: IPv4 (or IPv6) range of Services.
        log_types: Control plane logs that are switched on.
        upgrade_policy: `STANDARD` or `EXTENDED`.
        deletion_protection: Whether EKS refuses a delete.
        tags: Tags.
        issues: What EKS finds wrong with it.
        created_at: When it was created.
    """

    name: str
    arn: str
    status: str
    version: str
    platform_version: str | None
    endpoint: str | None
    certificate_authority: str | None
    oidc_issuer: str | None
    role_arn: str | None
    vpc_id: str | None
    subnet_ids: tuple[str, ...]
    security_group_id: str | None
    authentication_mode: str | None
    public_access: bool
    private_access: bool
    public_access_cidrs: tuple[str, ...]
    service_cidr: str | None
    log_types: tuple[str, ...]
    upgrade_policy: str | None
    deletion_protection: bool
    tags: Mapping[str, str]
    issues: tuple[HealthIssue, ...]
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Nodegroup:
    """A managed node group (DescribeNodegroup).

    Attributes:
        name: Name.
        arn: ARN.
        cluster: Name of its cluster.
        status: `CREATING`, `ACTIVE`, `UPDATING`, `DELETING`, `CREATE_FAILED`, `DELETE_FAILED`, `DEGRADED`.
        version: Kubernetes minor.
        release_version: AMI release.
        minimum: Least nodes.
        maximum: Most nodes.
        desired: What the Auto Scaling group is told now; an autoscaler may have changed it.
        instance_types: Instance types, empty when the launch template names one.
        capacity_type: `ON_DEMAND`, `SPOT`, `CAPACITY_BLOCK`.
        ami_type: EKS's name, or `CUSTOM`.
        role_arn: The nodes' role.
        subnet_ids: Subnets.
        labels: Kubernetes labels.
        taints: (key, value, effect as EKS spells it).
        autoscaling_groups: Names of its Auto Scaling groups.
        tags: Tags.
        issues: What EKS finds wrong with it.
    """

    name: str
    arn: str
    cluster: str
    status: str
    version: str | None
    release_version: str | None
    minimum: int
    maximum: int
    desired: int
    instance_types: tuple[str, ...]
    capacity_type: str
    ami_type: str | None
    role_arn: str | None
    subnet_ids: tuple[str, ...]
    labels: Mapping[str, str]
    taints: tuple[tuple[str, str, str], ...]
    autoscaling_groups: tuple[str, ...]
    tags: Mapping[str, str]
    issues: tuple[HealthIssue, ...]


@dataclass(frozen=True, slots=True)
class ClusterVersion:
    """A Kubernetes version that EKS knows (DescribeClusterVersions).

    Attributes:
        version: Minor, `1.34`.
        status: `STANDARD_SUPPORT`, `EXTENDED_SUPPORT` or `UNSUPPORTED`.
        is_default: What EKS takes when none is asked for.
        released: When EKS began to offer it.
        standard_support_ends: From then on extended support, at a price.
        extended_support_ends: From then on EKS upgrades by itself.
    """

    version: str
    status: str
    is_default: bool
    released: datetime | None
    standard_support_ends: datetime | None
    extended_support_ends: datetime | None


@dataclass(frozen=True, slots=True)
class AddonVersion:
    """A version of an addon that fits a cluster version (DescribeAddonVersions).

    Attributes:
        version: `v1.11.4-eksbuild.2`.
        is_default: Whether EKS takes it for that cluster version when none is asked for.
        architectures: `amd64`, `arm64`.
        compute_types: `ec2`, `fargate`, `auto`, …; empty means no word on it.
        requires_iam: Whether it needs permissions of AWS's.
        requires_configuration: Whether it can't run without a configuration.
    """

    version: str
    is_default: bool
    architectures: tuple[str, ...] = ()
    compute_types: tuple[str, ...] = ()
    requires_iam: bool = False
    requires_configuration: bool = False


def minor_of(version: str) -> tuple[int, ...]:
    """Return a version as numbers, so that 1.9 comes before 1.10."""
    return tuple(int(part) for part in version.split(".") if part.isascii() and part.isdigit() and len(part) < 10)


def issues_of(data: Mapping[str, Any]) -> tuple[HealthIssue, ...]:
    """Read `health.issues` of a cluster, node group or addon."""
    issues = (data.get("health") or {}).get("issues") or ()
    return tuple(
        HealthIssue(issue.get("code", ""), issue.get("message", ""), tuple(issue.get("resourceIds") or ()))
        for issue in issues
    )


def cluster_of(data: Mapping[str, Any]) -> Cluster:
    """Read `DescribeCluster.cluster`."""
    vpc = data.get("resourcesVpcConfig") or {}
    network = data.get("kubernetesNetworkConfig") or {}
    logs = (data.get("logging") or {}).get("clusterLogging") or ()
    return Cluster(
        name=data["name"],
        arn=data["arn"],
        status=data["status"],
        version=data["version"],
        platform_version=data.get("platformVersion"),
        endpoint=data.get("endpoint") or None,
        certificate_authority=(data.get("certificateAuthority") or {}).get("data") or None,
        oidc_issuer=((data.get("identity") or {}).get("oidc") or {}).get("issuer"),
        role_arn=data.get("roleArn"),
        vpc_id=vpc.get("vpcId") or None,
        subnet_ids=tuple(vpc.get("subnetIds") or ()),
        security_group_id=vpc.get("clusterSecurityGroupId") or None,
        authentication_mode=(data.get("accessConfig") or {}).get("authenticationMode"),
        public_access=vpc.get("endpointPublicAccess", True),
        private_access=vpc.get("endpointPrivateAccess", False),
        public_access_cidrs=tuple(vpc.get("publicAccessCidrs") or ()),
        service_cidr=network.get("serviceIpv4Cidr") or network.get("serviceIpv6Cidr"),
        log_types=tuple(kind for setup in logs if setup.get("enabled") for kind in setup.get("types", ())),
        upgrade_policy=(data.get("upgradePolicy") or {}).get("supportType"),
        deletion_protection=data.get("deletionProtection", False),
        tags=data.get("tags") or {},
        issues=issues_of(data),
        created_at=data.get("createdAt"),
    )


def nodegroup_of(data: Mapping[str, Any]) -> Nodegroup:
    """Read `DescribeNodegroup.nodegroup`."""
    scaling = data.get("scalingConfig") or {}
    groups = (data.get("resources") or {}).get("autoScalingGroups") or ()
    return Nodegroup(
        name=data["nodegroupName"],
        arn=data["nodegroupArn"],
        cluster=data["clusterName"],
        status=data["status"],
        version=data.get("version"),
        release_version=data.get("releaseVersion"),
        minimum=scaling.get("minSize", 0),
        maximum=scaling.get("maxSize", 0),
        desired=scaling.get("desiredSize", 0),
        instance_types=tuple(data.get("instanceTypes") or ()),
        capacity_type=data.get("capacityType", "ON_DEMAND"),
        ami_type=data.get("amiType"),
        role_arn=data.get("nodeRole"),
        subnet_ids=tuple(data.get("subnets") or ()),
        labels=data.get("labels") or {},
        taints=tuple(
            (taint.get("key", ""), taint.get("value", ""), taint.get("effect", ""))
            for taint in data.get("taints") or ()
        ),
        autoscaling_groups=tuple(group["name"] for group in groups),
        tags=data.get("tags") or {},
        issues=issues_of(data),
    )


def cluster_version_of(data: Mapping[str, Any]) -> ClusterVersion:
    """Read one entry of `DescribeClusterVersions.clusterVersions`."""
    return ClusterVersion(
        version=data["clusterVersion"],
        status=data.get("versionStatus") or data.get("status", "").upper().replace("-", "_"),
        is_default=data.get("defaultVersion", False),
        released=data.get("releaseDate"),
        standard_support_ends=data.get("endOfStandardSupportDate"),
        extended_support_ends=data.get("endOfExtendedSupportDate"),
    )


def addon_version_of(data: Mapping[str, Any], cluster_version: str) -> AddonVersion:
    """Read one entry of `DescribeAddonVersions.addons[].addonVersions`."""
    fits = [entry for entry in data.get("compatibilities", ()) if entry.get("clusterVersion") == cluster_version]
    return AddonVersion(
        version=data["addonVersion"],
        is_default=any(entry.get("defaultVersion") for entry in fits),
        architectures=tuple(data.get("architecture") or ()),
        compute_types=tuple(data.get("computeTypes") or ()),
        requires_iam=data.get("requiresIamPermissions", False),
        requires_configuration=data.get("requiresConfiguration", False),
    )
