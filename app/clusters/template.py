"""The cluster's stack: control plane, its network and roles, the addons that come before any node.

What is not in it: the control plane's log group, which EKS writes again after a delete (the reconciler owns it), and
all that has a stack of its own (node groups, other addons, access entries of callers).
"""

from collections.abc import Mapping
from typing import Any

from troposphere import GetAtt, Ref, Sub, Template, ec2, eks, iam, kms

from app.clusters.schemas import AddonSpec, ClusterSpec, EndpointsSpec, NetworkSpec
from app.stacks.addon import add_addon
from app.stacks.naming import MAX_LENGTH, short_id, slug, stack_name
from app.stacks.network import DEFAULT_CIDR, GivenNetwork, Network, NetworkParts, OwnNetwork, add_network
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

Facts = Mapping[str, Any]

FIRST_ADDONS = ("vpc-cni", "kube-proxy")
"""The addons of this stack: no node becomes Ready without them, and neither needs a node to become active."""

KMS_PENDING_DAYS = 7


def cluster_stack_name(resource_id: str, name: str) -> str:
    """Return the name of a cluster's stack."""
    return stack_name("cluster", resource_id, name)


def cluster_stack(cluster_id: str, spec: ClusterSpec, facts: Facts) -> StackTemplate:
    """Return the stack of a cluster.

    Outputs: `Arn`, `Endpoint`, `CertificateAuthorityData` (base64), `OidcIssuer` (URL), `VpcId`, `SubnetIds`,
    `PublicSubnetIds`, `PrivateSubnetIds`, `NodeSubnetIds` (comma lists; the last one is where node groups go by
    default; a list that would be empty is no output), `SecurityGroupId` (the cluster security group),
    `NodeSecurityGroupId` (the shared one), `RoleArn`, and if they exist `KeyArn`, `OidcProviderArn`.

    Args:
        cluster_id: `clu_…`.
        spec: What is asked for.
        facts: `zones` (names, for a VPC that is made), `control_plane_zone`; `slipway_role_arn`, a role's ARN, not an
            assumed session's, which gets an access entry with AmazonEKSClusterAdminPolicy unless the cluster
            bootstraps its creator; `bootstrap_creator`, see below; `addon_versions` (of `vpc-cni` and `kube-proxy`
            where the spec names none, once an upgrade moved them).

    `bootstrap_creator` tells whether EKS makes the principal that creates the cluster an administrator. AWS demands it
    in mode CONFIG_MAP, and can only replace the cluster to change it (`BootstrapClusterCreatorAdminPermissions`:
    "Update requires: Replacement"). So the mode of the cluster's *creation* decides, once, and the value is kept when a
    cluster moves on from CONFIG_MAP. EKS then makes the creator's entry itself, and a second one would clash.

    Raises:
        InvalidError: The network cannot be laid out (pointers of the cluster spec), or see `render`.
    """
    template = new_template("Slipway: an EKS cluster")
    parts = add_network(template, _network(spec, facts), spec.name, spec.network.ip_family)
    role = _service_role(template)
    control_plane_group = _control_plane_security_group(template, parts, spec.name)
    key_arn = _key(template, spec, cluster_id)
    properties = _cluster_properties(spec, parts, GetAtt(role, "Arn"), control_plane_group, key_arn)
    bootstraps: bool = facts.get("bootstrap_creator", False)
    properties["AccessConfig"] = eks.AccessConfig(
        AuthenticationMode=spec.access.mode, BootstrapClusterCreatorAdminPermissions=bootstraps
    )
    cluster = template.add_resource(eks.Cluster("Cluster", **properties))
    _shared_node_security_group(template, parts, spec.name)
    entry = _admin_entry(template, None if bootstraps else facts.get("slipway_role_arn"), spec.access.mode)
    _first_addons(template, spec, facts.get("addon_versions", {}), entry)
    outputs = _outputs(parts, cluster, role)
    if key_arn != "":
        outputs["KeyArn"] = key_arn
    if spec.access.oidc:
        outputs["OidcProviderArn"] = _oidc_provider(template)
    add_outputs(template, outputs)
    return StackTemplate(
        name=cluster_stack_name(cluster_id, spec.name),
        body=render(template),
        capabilities=(CAPABILITY_IAM,),
        tags=stack_tags(cluster_id, spec.name, spec.tags),
    )


def cluster_outputs(outputs: dict[str, str]) -> dict[str, Any]:
    """Return the contract's outputs from those of the stack."""
    return {
        "arn": outputs.get("Arn"),
        "endpoint": outputs.get("Endpoint"),
        "certificate_authority": outputs.get("CertificateAuthorityData"),
        "oidc_issuer": outputs.get("OidcIssuer"),
        "vpc_id": outputs.get("VpcId"),
        "subnet_ids": _split(outputs.get("SubnetIds")),
        "security_group_id": outputs.get("SecurityGroupId"),
        "role_arn": outputs.get("RoleArn"),
    }


def network_facts(outputs: dict[str, str], facts: Facts) -> dict[str, Any]:
    """Return what node groups need to know of the cluster's network, from its stack's outputs and earlier facts."""
    public, private = _split(outputs.get("PublicSubnetIds")), _split(outputs.get("PrivateSubnetIds"))
    found: dict[str, Any] = {
        "public_subnet_ids": public,
        "private_subnet_ids": private,
        "node_subnet_ids": _split(outputs.get("NodeSubnetIds")),
    }
    if "zones" in facts:  # a VPC of our own: each zone has a subnet of both kinds, in order
        zones = [*facts["zones"], *filter(None, [facts.get("control_plane_zone")])]
        found["subnet_zones"] = {**dict(zip(public, zones, strict=True)), **dict(zip(private, zones, strict=True))}
    return found


def _split(value: str | None) -> list[str]:
    return value.split(",") if value else []


def _network(spec: ClusterSpec, facts: Facts) -> Network:
    network = spec.network
    if network.vpc_id and network.subnets:
        return GivenNetwork(network.vpc_id, tuple(network.subnets.public), tuple(network.subnets.private))
    return OwnNetwork(
        zones=tuple(facts["zones"]),
        cidr=network.cidr or DEFAULT_CIDR,
        nat=network.nat or "single",
        control_plane_zone=facts.get("control_plane_zone"),
    )


def _cluster_properties(
    spec: ClusterSpec, parts: NetworkParts, role_arn: Value, security_group: Value, key_arn: Value
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "Name": spec.name,
        "RoleArn": role_arn,
        "ResourcesVpcConfig": _vpc_config(spec.endpoints, parts, security_group),
        # The addons are EKS addons from the start; this cannot be changed later.
        "BootstrapSelfManagedAddons": False,
        "KubernetesNetworkConfig": _kubernetes_network(spec.network),
        "Logging": eks.Logging(
            ClusterLogging=eks.ClusterLogging(
                EnabledTypes=[eks.LoggingTypeConfig(Type=name) for name in sorted(spec.logging.types)]
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
    if spec.upgrade_policy:
        properties["UpgradePolicy"] = eks.UpgradePolicy(SupportType=spec.upgrade_policy)
    if spec.zonal_shift is not None:
        properties["ZonalShiftConfig"] = eks.ZonalShiftConfig(Enabled=spec.zonal_shift)
    if spec.tags:
        properties["Tags"] = tag_list(spec.tags)
    return properties


def _vpc_config(endpoints: EndpointsSpec, parts: NetworkParts, security_group: Value) -> eks.ResourcesVpcConfig:
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


def _kubernetes_network(network: NetworkSpec) -> eks.KubernetesNetworkConfig:
    properties: dict[str, Any] = {"IpFamily": network.ip_family}
    if network.service_cidr and network.ip_family == "ipv4":
        properties["ServiceIpv4Cidr"] = network.service_cidr
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


def _key(template: Template, spec: ClusterSpec, cluster_id: str) -> Value:
    """Return the ARN of the key for secrets, which is added if there is none to take; "" means no key at all."""
    if spec.encryption is None:
        return ""
    if spec.encryption.kms_key:
        return spec.encryption.kms_key
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
    alias = f"alias/slipway-{slug(spec.name)[:MAX_LENGTH]}-{short_id(cluster_id)}"
    template.add_resource(kms.Alias("KeyAlias", AliasName=alias, TargetKeyId=Ref(key)))
    return GetAtt(key, "Arn")


def _admin_entry(template: Template, role_arn: str | None, mode: str) -> str | None:
    """Add the access entry of Slipway's own role, if it is to get one, and return its title.

    No entries exist in mode CONFIG_MAP.
    """
    if role_arn is None or mode == "CONFIG_MAP":
        return None
    policy = Sub("arn:${AWS::Partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy")
    entry = eks.AccessEntry(
        "AdminAccess",
        ClusterName=Ref("Cluster"),
        PrincipalArn=role_arn,
        AccessPolicies=[eks.AccessPolicy(PolicyArn=policy, AccessScope=eks.AccessScope(Type="cluster"))],
    )
    template.add_resource(entry)
    return "AdminAccess"


def _first_addons(template: Template, spec: ClusterSpec, versions: Mapping[str, str], entry: str | None) -> None:
    """Add vpc-cni and kube-proxy; they depend on Slipway's entry, so that a delete takes that away last."""
    given = {addon.name: addon for addon in spec.addons or ()}
    for name in FIRST_ADDONS:
        wanted = given.get(name) or AddonSpec(name=name)
        addon = add_addon(
            template,
            name,
            Ref("Cluster"),
            spec.tags,
            version=wanted.version or versions.get(name),
            configuration=wanted.configuration,
            title="Addon" + "".join(word.capitalize() for word in name.split("-")),
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
