"""Which changes of properties make CloudFormation replace a resource.

From the create-only properties of the public resource schemas and the "Update requires" lines of the
resource reference, for the types that templates of EKS clusters use.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class Replacement(Enum):
    """Whether a change replaces the resource, as DescribeChangeSet spells it."""

    YES = "True"
    NO = "False"
    MAYBE = "Conditional"


# Paths of create-only properties; one with a slash names a property within a property.
_CREATE_ONLY: dict[str, tuple[str, ...]] = {
    "AWS::EC2::VPC": ("CidrBlock", "Ipv4IpamPoolId", "Ipv4NetmaskLength", "VpcEncryptionControl"),
    "AWS::EC2::Subnet": (
        "VpcId", "AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "OutpostArn", "Ipv6Native",
        "Ipv4IpamPoolId", "Ipv4NetmaskLength", "Ipv6IpamPoolId", "Ipv6NetmaskLength",
    ),
    "AWS::EC2::VPCGatewayAttachment": ("VpcId",),
    "AWS::EC2::RouteTable": ("VpcId",),
    "AWS::EC2::Route": (
        "RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId",
    ),
    "AWS::EC2::SubnetRouteTableAssociation": ("SubnetId", "RouteTableId"),
    "AWS::EC2::EIP": ("NetworkBorderGroup", "TransferAddress", "IpamPoolId", "Address"),
    "AWS::EC2::NatGateway": (
        "VpcId", "SubnetId", "ConnectivityType", "AllocationId", "PrivateIpAddress", "AvailabilityMode",
    ),
    "AWS::EC2::EgressOnlyInternetGateway": ("VpcId",),
    "AWS::EC2::VPCCidrBlock": (
        "Ipv6Pool", "VpcId", "AmazonProvidedIpv6CidrBlock", "Ipv6CidrBlock", "CidrBlock", "Ipv4IpamPoolId",
        "Ipv4NetmaskLength", "Ipv6IpamPoolId", "Ipv6NetmaskLength", "Ipv6CidrBlockNetworkBorderGroup",
    ),
    "AWS::EC2::SecurityGroup": ("GroupDescription", "GroupName", "VpcId"),
    "AWS::EC2::SecurityGroupIngress": (
        "GroupName", "IpProtocol", "SourceSecurityGroupId", "SourcePrefixListId", "ToPort", "CidrIp",
        "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "FromPort", "GroupId", "CidrIpv6",
    ),
    "AWS::EC2::SecurityGroupEgress": (
        "IpProtocol", "DestinationSecurityGroupId", "ToPort", "CidrIp", "FromPort", "GroupId", "CidrIpv6",
        "DestinationPrefixListId",
    ),
    "AWS::EC2::LaunchTemplate": ("LaunchTemplateName",),
    "AWS::EC2::KeyPair": ("KeyName", "KeyType", "KeyFormat", "PublicKeyMaterial", "Tags"),
    "AWS::EKS::Cluster": (
        "OutpostConfig", "EncryptionConfig", "KubernetesNetworkConfig/IpFamily",
        "KubernetesNetworkConfig/ServiceIpv4Cidr", "AccessConfig/BootstrapClusterCreatorAdminPermissions",
        "Name", "RoleArn", "BootstrapSelfManagedAddons",
    ),
    "AWS::EKS::Nodegroup": (
        "CapacityType", "NodegroupName", "RemoteAccess", "NodeRole", "ClusterName", "InstanceTypes", "DiskSize",
        "AmiType", "Subnets",
    ),
    "AWS::EKS::Addon": ("ClusterName", "AddonName", "NamespaceConfig"),
    "AWS::EKS::AccessEntry": ("PrincipalArn", "ClusterName", "Type"),
    "AWS::EKS::FargateProfile": ("ClusterName", "FargateProfileName", "PodExecutionRoleArn", "Subnets", "Selectors"),
    "AWS::EKS::PodIdentityAssociation": ("ClusterName", "Namespace", "ServiceAccount"),
    "AWS::EKS::IdentityProviderConfig": ("Oidc", "Type", "IdentityProviderConfigName", "ClusterName"),
    "AWS::IAM::Role": ("Path", "RoleName"),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName", "Path"),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", "Description", "Path"),
    "AWS::IAM::OIDCProvider": ("Url",),
    "AWS::KMS::Alias": ("AliasName",),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::ECR::Repository": ("RepositoryName", "EncryptionConfiguration"),
}  # fmt: skip

# "Some interruptions or replacement": what happens depends on the values.
_SOMETIMES: dict[str, tuple[str, ...]] = {
    "AWS::EC2::VPC": ("InstanceTenancy",),
    "AWS::EC2::Subnet": ("Ipv6CidrBlock",),
}

# The property that names the resource: two of one name can't exist, so such a resource is never replaced.
_NAMES = {
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateName",
    "AWS::EC2::KeyPair": "KeyName",
    "AWS::EKS::Cluster": "Name",
    "AWS::EKS::Nodegroup": "NodegroupName",
    "AWS::EKS::FargateProfile": "FargateProfileName",
    "AWS::EKS::IdentityProviderConfig": "IdentityProviderConfigName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::ECR::Repository": "RepositoryName",
}


def custom_name(type_: str, properties: dict[str, Any]) -> str:
    """The name that the template gives the resource, or ""."""
    return str(properties.get(_NAMES.get(type_, ""), ""))


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The top-level properties that differ."""
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


def of_property(type_: str, name: str, old: dict[str, Any], new: dict[str, Any]) -> Replacement:
    """Whether the change of one top-level property replaces a resource of this type."""
    for path in _CREATE_ONLY.get(type_, ()):
        top, _, inner = path.partition("/")
        if top != name:
            continue
        before, after = old.get(top), new.get(top)
        if inner:
            before, after = (before or {}).get(inner), (after or {}).get(inner)
        if before != after:
            return Replacement.YES
    return Replacement.MAYBE if name in _SOMETIMES.get(type_, ()) else Replacement.NO


def of_change(old_type: str, new_type: str, old: dict[str, Any], new: dict[str, Any]) -> Replacement:
    """Whether going from the old properties to the new ones replaces the resource."""
    if old_type != new_type:
        return Replacement.YES
    found = {of_property(old_type, name, old, new) for name in changed(old, new)}
    return Replacement.YES if Replacement.YES in found else Replacement.NO
