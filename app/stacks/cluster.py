"""The cluster's stack: control plane, its network and roles, the addons that come before any node.

What is not in it: the control plane's log group, which EKS writes again after a delete (the reconciler owns it), and
all that has a stack of its own (node groups, other addons, access entries of callers).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from troposphere import GetAtt, Ref, Sub, Template, ec2, eks, iam, kms

from app.stacks.addon import add_addon
from app.stacks.naming import MAX_LENGTH, short_id, slug, stack_name
from app.stacks.network import IpFamily, Network, NetworkParts, add_network
from app.stacks.template import (
    CAPABILITY_IAM,
    StackTemplate,
    Value,
    add_outputs,
    comma_list,
    managed_policy,
    new_template,
    render,
    stack_tags,
    tag_list,
    trust,
)

AuthenticationMode = Literal["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"]
SupportType = Literal["STANDARD", "EXTENDED"]
LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]

FIRST_ADDONS = ("vpc-cni", "kube-proxy")
"""The addons of this stack: no node becomes Ready without them, and neither needs a node to become active."""

KMS_PENDING_DAYS = 7


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the Kubernetes API answers.

    Attributes:
        public: From the internet.
        private: From inside the VPC. At least one of both must be true (AWS checks).
        public_cidrs: IPv4 or IPv6 blocks that the public one answers to; empty means everywhere.
    """

    public: bool = True
    private: bool = False
    public_cidrs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Encryption:
    """Envelope encryption of Kubernetes secrets.

    Attributes:
        key_arn: A symmetric KMS key of the cluster's region, or None: then the stack makes a key and an alias.
    """

    key_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the Kubernetes API.

    Attributes:
        mode: EKS's authentication mode; it only ever goes CONFIG_MAP, API_AND_CONFIG_MAP, API.
        admin_role_arn: Slipway's own IAM role (a role's ARN, not an assumed session's). It gets an access entry with
            AmazonEKSClusterAdminPolicy, unless the cluster bootstraps its creator. None makes no entry.
        bootstrap_creator: Whether EKS makes the principal that creates the cluster an administrator. AWS demands it
            in mode CONFIG_MAP, and can only replace the cluster to change it
            (`BootstrapClusterCreatorAdminPermissions`: "Update requires: Replacement"). So: the mode of the
            cluster's *creation* decides, once; keep the value when a cluster moves on from CONFIG_MAP. EKS then makes
            the creator's entry itself, and a second one would clash.
    """

    mode: AuthenticationMode = "API_AND_CONFIG_MAP"
    admin_role_arn: str | None = None
    bootstrap_creator: bool = False


@dataclass(frozen=True, slots=True)
class FirstAddon:
    """One of `FIRST_ADDONS` as the caller wants it; without a version AWS's default."""

    name: str
    version: str | None = None
    configuration: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ClusterInput:
    """All that a cluster's stack is made from.

    Attributes:
        resource_id: `clu_…`.
        name: The EKS cluster's name: 1 to 100 letters, digits, `-`, `_`.
        network: A VPC to make or one that exists.
        version: `1.34`, or None for EKS's default at creation.
        endpoints: Where the Kubernetes API answers.
        access: Who may use it.
        log_types: Control-plane logs to send to CloudWatch; none switches them off.
        encryption: None leaves secrets to the key that AWS owns (EKS encrypts with it since 1.28).
        ip_family: `ipv6` gives pods and services IPv6 addresses; needs vpc-cni.
        service_ipv4_cidr: Block of service addresses, /12 to /24 inside a private range; not with ipv6.
        deletion_protection: Makes EKS refuse to delete the cluster until it is switched off.
        support_type: What happens at the end of standard support: STANDARD upgrades, EXTENDED costs.
        zonal_shift: ARC zonal shift; None leaves it alone.
        with_oidc: Makes an IAM OIDC provider, for IAM roles for service accounts.
        first_addons: vpc-cni and kube-proxy as the caller wants them; what is left out is added with defaults.
        tags: The caller's tags.
    """

    resource_id: str
    name: str
    network: Network
    version: str | None = None
    endpoints: Endpoints = field(default_factory=Endpoints)
    access: Access = field(default_factory=Access)
    log_types: tuple[LogType, ...] = ()
    encryption: Encryption | None = None
    ip_family: IpFamily = "ipv4"
    service_ipv4_cidr: str | None = None
    deletion_protection: bool = False
    support_type: SupportType | None = None
    zonal_shift: bool | None = None
    with_oidc: bool = False
    first_addons: tuple[FirstAddon, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def cluster_stack_name(resource_id: str, name: str) -> str:
    """Return the name of a cluster's stack."""
    return stack_name("cluster", resource_id, name)


def cluster_template(spec: ClusterInput) -> StackTemplate:
    """Return the stack of a cluster.

    Outputs: `Arn`, `Endpoint`, `CertificateAuthorityData` (base64), `OidcIssuer` (URL), `VpcId`, `SubnetIds`,
    `PublicSubnetIds`, `PrivateSubnetIds`, `NodeSubnetIds` (comma lists; the last one is where node groups go by
    default; a list that would be empty is no output), `SecurityGroupId` (the cluster security group),
    `NodeSecurityGroupId` (the shared one), `RoleArn`, and if they exist `KeyArn`, `OidcProviderArn`.

    Raises:
        InvalidError: The network cannot be laid out (pointers of the cluster spec), or see `render`.
    """
    template = new_template("Slipway: an EKS cluster")
    parts = add_network(template, spec.network, spec.name, spec.ip_family)
    role = _service_role(template)
    control_plane_group = _control_plane_security_group(template, parts, spec.name)
    key_arn = _key(template, spec)
    cluster = template.add_resource(
        eks.Cluster("Cluster", **_cluster_properties(spec, parts, GetAtt(role, "Arn"), control_plane_group, key_arn))
    )
    _shared_node_security_group(template, parts, spec.name)
    entry = _admin_entry(template, spec)
    _first_addons(template, spec, entry)
    outputs = _outputs(parts, cluster, role)
    if key_arn != "":
        outputs["KeyArn"] = key_arn
    if spec.with_oidc:
        outputs["OidcProviderArn"] = _oidc_provider(template)
    add_outputs(template, outputs)
    return StackTemplate(
        name=cluster_stack_name(spec.resource_id, spec.name),
        body=render(template),
        capabilities=(CAPABILITY_IAM,),
        tags=stack_tags(spec.resource_id, spec.name, spec.tags),
    )


def _cluster_properties(
    spec: ClusterInput, parts: NetworkParts, role_arn: Value, security_group: Value, key_arn: Value
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "Name": spec.name,
        "RoleArn": role_arn,
        "ResourcesVpcConfig": _vpc_config(spec.endpoints, parts, security_group),
        "AccessConfig": eks.AccessConfig(
            AuthenticationMode=spec.access.mode,
            BootstrapClusterCreatorAdminPermissions=spec.access.bootstrap_creator,
        ),
        # The addons are EKS addons from the start; this cannot be changed later.
        "BootstrapSelfManagedAddons": False,
        "KubernetesNetworkConfig": _kubernetes_network(spec),
        "Logging": eks.Logging(
            ClusterLogging=eks.ClusterLogging(
                EnabledTypes=[eks.LoggingTypeConfig(Type=name) for name in sorted(spec.log_types)]
            )
        ),
        "DeletionProtection": spec.deletion_protection,
    }
    if spec.version:
        properties["Version"] = spec.version
    if key_arn != "":
        properties["EncryptionConfig"] = [
            eks.EncryptionConfig(Provider=eks.Provider(KeyArn=key_arn), Resources=["secrets"])
        ]
    if spec.support_type:
        properties["UpgradePolicy"] = eks.UpgradePolicy(SupportType=spec.support_type)
    if spec.zonal_shift is not None:
        properties["ZonalShiftConfig"] = eks.ZonalShiftConfig(Enabled=spec.zonal_shift)
    if spec.tags:
        properties["Tags"] = tag_list(spec.tags)
    return properties


def _vpc_config(endpoints: Endpoints, parts: NetworkParts, security_group: Value) -> eks.ResourcesVpcConfig:
    properties: dict[str, Any] = {}
    if endpoints.public and endpoints.public_cidrs:
        properties["PublicAccessCidrs"] = list(endpoints.public_cidrs)
    return eks.ResourcesVpcConfig(
        SubnetIds=list(parts.subnets),
        SecurityGroupIds=[security_group],
        EndpointPublicAccess=endpoints.public,
        EndpointPrivateAccess=endpoints.private,
        **properties,
    )


def _kubernetes_network(spec: ClusterInput) -> eks.KubernetesNetworkConfig:
    properties: dict[str, Any] = {"IpFamily": spec.ip_family}
    if spec.service_ipv4_cidr and spec.ip_family == "ipv4":
        properties["ServiceIpv4Cidr"] = spec.service_ipv4_cidr
    return eks.KubernetesNetworkConfig(**properties)


def _service_role(template: Template) -> iam.Role:
    role = iam.Role(
        "ServiceRole",
        AssumeRolePolicyDocument=trust("eks.amazonaws.com"),
        ManagedPolicyArns=[
            managed_policy("AmazonEKSClusterPolicy"),
            # Security groups for pods, and trunk interfaces of Windows nodes.
            managed_policy("AmazonEKSVPCResourceController"),
        ],
    )
    return template.add_resource(role)


def _control_plane_security_group(template: Template, parts: NetworkParts, cluster: str) -> Value:
    """Add the group of the control plane's own interfaces: without rules, a handle for rules of the caller's own."""
    group = ec2.SecurityGroup(
        "ControlPlaneSecurityGroup",
        GroupDescription="Communication between the control plane and node groups",
        VpcId=parts.vpc_id,
        Tags=tag_list({"Name": f"{cluster}/control-plane"}),
    )
    return GetAtt(template.add_resource(group), "GroupId")


def _shared_node_security_group(template: Template, parts: NetworkParts, cluster: str) -> None:
    """Add the group for nodes that EKS does not manage, open to each other and both ways to the cluster's own group.

    Managed nodes are members of the cluster security group. A self-managed node, or anything else that has to talk to
    pods, joins this one.
    """
    group = ec2.SecurityGroup(
        "NodeSecurityGroup",
        GroupDescription="Communication between all nodes of the cluster",
        VpcId=parts.vpc_id,
        Tags=tag_list({"Name": f"{cluster}/nodes"}),
    )
    nodes: Value = GetAtt(template.add_resource(group), "GroupId")
    managed: Value = GetAtt("Cluster", "ClusterSecurityGroupId")
    rules: tuple[tuple[str, Value, Value, str], ...] = (
        ("NodesFromNodes", nodes, nodes, "All nodes to each other"),
        ("NodesFromManaged", nodes, managed, "Managed nodes and control plane to other nodes"),
        ("ManagedFromNodes", managed, nodes, "Other nodes to managed nodes and control plane"),
    )
    for title, target, source, description in rules:
        template.add_resource(
            ec2.SecurityGroupIngress(
                title,
                GroupId=target,
                SourceSecurityGroupId=source,
                IpProtocol="-1",
                Description=description,
            )
        )


def _key(template: Template, spec: ClusterInput) -> Value:
    """Return the ARN of the key for secrets, which is added if there is none to take; "" means no key at all."""
    if spec.encryption is None:
        return ""
    if spec.encryption.key_arn:
        return spec.encryption.key_arn
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
        "Action": "kms:*",
        "Resource": "*",
    }
    key = kms.Key(
        "Key",
        Description="Envelope encryption of Kubernetes secrets",
        EnableKeyRotation=True,
        PendingWindowInDays=KMS_PENDING_DAYS,
        KeyPolicy={"Version": "2012-10-17", "Statement": [statement]},
    )
    template.add_resource(key)
    alias = f"alias/slipway-{slug(spec.name)[:MAX_LENGTH]}-{short_id(spec.resource_id)}"
    template.add_resource(kms.Alias("KeyAlias", AliasName=alias, TargetKeyId=Ref(key)))
    return GetAtt(key, "Arn")


def _admin_entry(template: Template, spec: ClusterInput) -> str | None:
    """Add the access entry of Slipway's own role and return its title.

    No entries exist in mode CONFIG_MAP, and a bootstrapped creator has one already.
    """
    access = spec.access
    if access.admin_role_arn is None or access.bootstrap_creator or access.mode == "CONFIG_MAP":
        return None
    policy = Sub("arn:${AWS::Partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy")
    entry = eks.AccessEntry(
        "AdminAccess",
        ClusterName=Ref("Cluster"),
        PrincipalArn=access.admin_role_arn,
        AccessPolicies=[eks.AccessPolicy(PolicyArn=policy, AccessScope=eks.AccessScope(Type="cluster"))],
    )
    template.add_resource(entry)
    return "AdminAccess"


def _first_addons(template: Template, spec: ClusterInput, entry: str | None) -> None:
    """Add vpc-cni and kube-proxy; they depend on Slipway's entry, so that a delete takes that away last."""
    given = {addon.name: addon for addon in spec.first_addons}
    for name in FIRST_ADDONS:
        title = "Addon" + "".join(word.capitalize() for word in name.split("-"))
        wanted = given.get(name, FirstAddon(name))
        addon = add_addon(
            template,
            name,
            Ref("Cluster"),
            spec.tags,
            version=wanted.version,
            configuration=wanted.configuration,
            title=title,
        )
        if entry:
            addon.DependsOn = entry


def _oidc_provider(template: Template) -> Value:
    provider = iam.OIDCProvider(
        "OidcProvider", Url=GetAtt("Cluster", "OpenIdConnectIssuerUrl"), ClientIdList=["sts.amazonaws.com"]
    )
    template.add_resource(provider)
    return GetAtt(provider, "Arn")


def _outputs(parts: NetworkParts, cluster: eks.Cluster, role: iam.Role) -> dict[str, Value]:
    return {
        "Arn": GetAtt(cluster, "Arn"),
        "Endpoint": GetAtt(cluster, "Endpoint"),
        "CertificateAuthorityData": GetAtt(cluster, "CertificateAuthorityData"),
        "OidcIssuer": GetAtt(cluster, "OpenIdConnectIssuerUrl"),
        "VpcId": parts.vpc_id,
        "SubnetIds": comma_list(parts.subnets),
        "PublicSubnetIds": comma_list(parts.public),
        "PrivateSubnetIds": comma_list(parts.private),
        "NodeSubnetIds": comma_list(parts.nodes),
        "SecurityGroupId": GetAtt(cluster, "ClusterSecurityGroupId"),
        "NodeSecurityGroupId": GetAtt("NodeSecurityGroup", "GroupId"),
        "RoleArn": GetAtt(role, "Arn"),
    }
