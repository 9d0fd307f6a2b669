"""The tables of the document itself and of its addons: how each key is read, and which field of the spec it becomes."""

from typing import Any

from app.clusters.clusterconfig import schema
from app.clusters.clusterconfig.network import MAX_SUBNETS, SUBNET
from app.clusters.clusterconfig.nodegroups import MANAGED_NODE_GROUP, MAX_NODE_GROUPS
from app.clusters.clusterconfig.reading import Section, named, objects
from app.clusters.clusterconfig.report import Report, at, quoted
from app.clusters.clusterconfig.values import (
    choice,
    cidr,
    configuration,
    constant,
    flag,
    kind,
    text,
    text_map,
    texts,
    version,
    whole,
)

MAX_ADDONS = 200

DEFAULT_ADDONS = ("coredns", "metrics-server")
"""What eksctl adds to any list of addons, besides vpc-cni and kube-proxy, which belong to every cluster of Slipway."""

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def log_types(value: Any, pointer: str, report: Report) -> list[str] | None:
    """Read the control plane's log types; `*` and `all` are all of them."""
    if not isinstance(value, list):
        report.wrong(pointer, f"must be a list and is {kind(value)}")
        return None
    chosen: set[str] = set()
    for index, item in enumerate(value):
        word = text(item, at(pointer, index), report)
        if word in ("*", "all"):
            chosen.update(LOG_TYPES)
        elif word in LOG_TYPES:
            chosen.add(word)
        elif word is not None:
            detail = f"{quoted(word)} is not one of {', '.join(LOG_TYPES)}, all{report.similar(word, LOG_TYPES)}"
            report.wrong(at(pointer, index), detail)
    return [name for name in LOG_TYPES if name in chosen]


def addon_version(value: Any, pointer: str, report: Report) -> str | None:
    """Read an addon's version; eksctl's `latest` isn't one, and EKS's default is what no version gets."""
    word = version(value, pointer, report)
    if word == "latest":
        report.wrong(pointer, '"latest" is not supported yet: name a version, or leave it out for EKS\'s default')
        return None
    return word


ADDON = Section(
    schema.ADDON,
    readers={"name": text, "version": addon_version, "configurationValues": configuration},
    harmless={
        "useDefaultPodIdentityAssociations": (False,),
        **{f"wellKnownPolicies.{name}": (False,) for name in schema.WELL_KNOWN_POLICIES},
    },
    required=("name",),
)

CLUSTER = Section(
    schema.CLUSTER,
    readers={
        "accessConfig.authenticationMode": choice({word: word for word in ("API_AND_CONFIG_MAP", "API", "CONFIG_MAP")}),
        "accessConfig.bootstrapClusterCreatorAdminPermissions": flag,
        "addons": objects(ADDON, MAX_ADDONS),
        "apiVersion": constant("eksctl.io/v1alpha5"),
        "availabilityZones": texts,
        "cloudWatch.clusterLogging.enableTypes": log_types,
        "cloudWatch.clusterLogging.logRetentionInDays": whole,
        "iam.withOIDC": flag,
        "kind": constant("ClusterConfig"),
        "kubernetesNetworkConfig.ipFamily": choice({"IPv4": "ipv4", "IPv6": "ipv6"}),
        "kubernetesNetworkConfig.serviceIPv4CIDR": cidr,
        "managedNodeGroups": objects(MANAGED_NODE_GROUP, MAX_NODE_GROUPS),
        "metadata.annotations": text_map,
        "metadata.name": text,
        "metadata.region": text,
        "metadata.tags": text_map,
        "metadata.version": version,
        "secretsEncryption.keyARN": text,
        "upgradePolicy.supportType": choice({"STANDARD": "STANDARD", "EXTENDED": "EXTENDED"}),
        "vpc.cidr": cidr,
        "vpc.clusterEndpoints.privateAccess": flag,
        "vpc.clusterEndpoints.publicAccess": flag,
        "vpc.id": text,
        "vpc.nat.gateway": choice({"Disable": "none", "Single": "single", "HighlyAvailable": "per_zone"}),
        "vpc.publicAccessCIDRs": texts,
        "vpc.subnets.private": named(SUBNET, MAX_SUBNETS),
        "vpc.subnets.public": named(SUBNET, MAX_SUBNETS),
        "zonalShiftConfig.enabled": flag,
    },
    harmless={
        "addonsConfig.autoApplyPodIdentityAssociations": (False,),
        "addonsConfig.disableDefaultAddons": (False,),
        "autoModeConfig.enabled": (False,),
        "iam.vpcResourceControllerPolicy": (True,),
        "metadata.forceUpdateVersion": (False,),
        "privateCluster.enabled": (False,),
        "privateCluster.skipEndpointCreation": (False,),
        "vpc.autoAllocateIPv6": (False,),
        "vpc.controlPlaneEgressMode": ("AWS_MANAGED",),
        "vpc.controlPlaneOnPrivateSubnets": (False,),
        "vpc.manageSharedNodeSecurityGroupRules": (True,),
    },
    required=("apiVersion", "kind", "metadata", "metadata.name", "metadata.region", "secretsEncryption.keyARN"),
    hints={"nodeGroups": ": self-managed groups; use managedNodeGroups"},
)

COPIED = (
    ("metadata.name", "/name"),
    ("metadata.region", "/region"),
    ("metadata.version", "/version"),
    ("metadata.tags", "/tags"),
    ("vpc.publicAccessCIDRs", "/endpoints/public_cidrs"),
    ("cloudWatch.clusterLogging.enableTypes", "/logging/types"),
    ("cloudWatch.clusterLogging.logRetentionInDays", "/logging/retention_days"),
    ("secretsEncryption.keyARN", "/encryption/kms_key"),
    ("iam.withOIDC", "/access/oidc"),
    ("kubernetesNetworkConfig.ipFamily", "/network/ip_family"),
    ("kubernetesNetworkConfig.serviceIPv4CIDR", "/network/service_cidr"),
    ("upgradePolicy.supportType", "/upgrade_policy"),
    ("zonalShiftConfig.enabled", "/zonal_shift"),
)

DEFAULTED: tuple[tuple[str, str, Any], ...] = (
    ("vpc.clusterEndpoints.publicAccess", "/endpoints/public", True),
    ("vpc.clusterEndpoints.privateAccess", "/endpoints/private", False),
    ("accessConfig.authenticationMode", "/access/mode", "API_AND_CONFIG_MAP"),
    ("accessConfig.bootstrapClusterCreatorAdminPermissions", "/access/creator_admin", True),
)
"""What eksctl does when a file says nothing is said in the spec, whatever Slipway's own defaults are."""

SECTIONS = (
    ("/endpoints", "vpc.clusterEndpoints"),
    ("/logging", "cloudWatch.clusterLogging"),
    ("/encryption", "secretsEncryption"),
    ("/access", "accessConfig"),
    ("/addons", "addons"),
)
"""Objects of the spec, and the section that a complaint about the whole of one is about."""
