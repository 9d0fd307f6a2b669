"""The Kubernetes versions and addons that this EKS offers, as of late 2026."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from typing import Any

from ..errors import AwsError
from .calendar import Calendar

_USUAL_DEFAULT = "1.34"

# version: patch, released, end of standard support, end of extended support
_VERSIONS = {
    "1.35": ("1.35.2", "2026-01-27", "2027-03-27", "2028-03-27"),
    "1.34": ("1.34.5", "2025-10-02", "2026-12-02", "2027-12-02"),
    "1.33": ("1.33.9", "2025-05-29", "2026-07-29", "2027-07-29"),
    "1.32": ("1.32.13", "2025-01-23", "2026-03-23", "2027-03-23"),
    "1.31": ("1.31.14", "2024-09-26", "2025-11-26", "2026-11-26"),
}
VERSIONS = tuple(_VERSIONS)
_NEWEST = VERSIONS[0]

# From the release of the default to the last day of the newest.
CALENDAR = Calendar(
    date(2026, 11, 15), date.fromisoformat(_VERSIONS[_USUAL_DEFAULT][1]), date.fromisoformat(_VERSIONS[_NEWEST][3])
)

# addon: (type, {version: Kubernetes versions it runs on}); the first version listed is the default of each.
_EVERY = tuple(VERSIONS)
_ADDONS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "vpc-cni": ("networking", {
        "v1.21.1-eksbuild.1": _EVERY, "v1.20.4-eksbuild.2": _EVERY, "v1.19.6-eksbuild.7": _EVERY,
    }),
    "coredns": ("networking", {
        "v1.13.1-eksbuild.1": ("1.35",), "v1.12.4-eksbuild.1": ("1.35", "1.34"),
        "v1.12.3-eksbuild.1": ("1.35", "1.34", "1.33"), "v1.11.4-eksbuild.24": ("1.33", "1.32", "1.31"),
        "v1.11.4-eksbuild.22": ("1.33", "1.32", "1.31"),
    }),
    "kube-proxy": ("networking", {
        "v1.35.0-eksbuild.2": ("1.35",), "v1.34.1-eksbuild.2": ("1.35", "1.34"), "v1.34.0-eksbuild.4": ("1.35", "1.34"),
        "v1.33.5-eksbuild.2": ("1.35", "1.34", "1.33"), "v1.32.9-eksbuild.2": ("1.35", "1.34", "1.33", "1.32"),
        "v1.31.13-eksbuild.2": ("1.34", "1.33", "1.32", "1.31"),
    }),
    "metrics-server": ("observability", {"v0.8.0-eksbuild.6": _EVERY, "v0.8.0-eksbuild.2": _EVERY}),
    "aws-ebs-csi-driver": ("storage", {"v1.54.0-eksbuild.1": _EVERY, "v1.53.0-eksbuild.1": _EVERY}),
    "aws-efs-csi-driver": ("storage", {"v2.1.15-eksbuild.1": _EVERY}),
    "snapshot-controller": ("storage", {"v8.3.0-eksbuild.1": _EVERY}),
    "eks-pod-identity-agent": ("security", {"v1.3.10-eksbuild.1": _EVERY, "v1.3.9-eksbuild.3": _EVERY}),
    "eks-node-monitoring-agent": ("observability", {"v1.4.2-eksbuild.1": _EVERY}),
    "amazon-cloudwatch-observability": ("observability", {"v4.7.0-eksbuild.1": _EVERY}),
}  # fmt: skip
_NEEDS_IAM = {"aws-ebs-csi-driver", "aws-efs-csi-driver", "vpc-cni", "amazon-cloudwatch-observability"}

# Addons whose pods are Deployments: without a node that takes them they never become healthy.
NEED_NODES = {
    "coredns", "metrics-server", "aws-ebs-csi-driver", "aws-efs-csi-driver", "snapshot-controller",
}  # fmt: skip

_SETTINGS = (
    "affinity", "autoScaling", "computeType", "controller", "corefile", "env", "init", "nodeAgent", "node",
    "nodeSelector", "podAnnotations", "podDisruptionBudget", "podLabels", "replicaCount", "resources", "sidecars",
    "tolerations", "topologySpreadConstraints", "enableNetworkPolicy", "enableWindowsIpam", "ipvs", "mode", "replicas",
    "metrics", "agent", "livenessProbeTimeoutSeconds", "readinessProbeTimeoutSeconds", "eniConfig",
    "defaultStorageClass", "addonResizer", "dnsPolicy", "priorityClassName", "updateStrategy", "hostNetwork", "args",
    "priority",
)  # fmt: skip


def _epoch(day: str) -> float:
    return datetime.combine(date.fromisoformat(day), time(), UTC).timestamp()


def _status(version: str) -> str:
    """On the calendar's day; the last day of extended support belongs to it. "" before the version's release."""
    released, standard, extended = map(date.fromisoformat, _VERSIONS[version][1:])
    day = CALENDAR.day
    if day < released:
        return ""
    if day < standard:
        return "STANDARD_SUPPORT"
    return "EXTENDED_SUPPORT" if day <= extended else "UNSUPPORTED"


def default_version() -> str:
    """The version of a cluster that asks for none: the usual one, or the newest once its standard support is over."""
    return _USUAL_DEFAULT if _status(_USUAL_DEFAULT) == "STANDARD_SUPPORT" else _NEWEST


def is_offered(version: str) -> bool:
    """Whether a cluster can be created in this version, or brought to it, on the calendar's day."""
    return version in VERSIONS and _status(version) in ("STANDARD_SUPPORT", "EXTENDED_SUPPORT")


def describe_versions() -> list[dict[str, Any]]:
    """The ClusterVersionInformation of each version that is out by the calendar's day, newest first."""
    return [
        {
            "clusterVersion": version,
            "clusterType": "eks",
            "defaultPlatformVersion": "eks.12",
            "defaultVersion": version == default_version(),
            "releaseDate": _epoch(released),
            "endOfStandardSupportDate": _epoch(standard),
            "endOfExtendedSupportDate": _epoch(extended),
            "status": status.lower().replace("_", "-"),
            "versionStatus": status,
            "kubernetesPatchVersion": patch,
        }
        for version, (patch, released, standard, extended) in _VERSIONS.items()
        if (status := _status(version))
    ]


def release_version(version: str) -> str:
    """The newest AMI release for a Kubernetes version."""
    return f"{_VERSIONS[version][0]}-20261105"


def minor(version: str) -> int:
    """The number after the dot."""
    return int(version.split(".")[1])


def addon_versions(cluster_version: str | None, name: str | None) -> list[dict[str, Any]]:
    """The AddonInfo of DescribeAddonVersions."""
    if name and name not in _ADDONS:
        raise AwsError("InvalidParameterException", f"Addon {name} specified is not supported")
    found = []
    for addon, (kind, versions) in _ADDONS.items():
        if name in (None, "", addon):
            listed = [_addon_version(addon, v, runs, cluster_version) for v, runs in versions.items()]
            found.append(
                {
                    "addonName": addon,
                    "type": kind,
                    "owner": "aws",
                    "publisher": "eks",
                    "defaultNamespace": "kube-system",
                    "addonVersions": [item for item in listed if item["compatibilities"]],
                }
            )
    return found


def _addon_version(addon: str, version: str, runs: tuple[str, ...], cluster_version: str | None) -> dict[str, Any]:
    return {
        "addonVersion": version,
        "architecture": ["amd64", "arm64"],
        "computeTypes": ["ec2", "auto", "hybrid"],
        "compatibilities": [
            {
                "clusterVersion": k,
                "platformVersions": ["*"],
                "defaultVersion": default_addon_version(addon, k) == version,
            }
            for k in runs
            if cluster_version in (None, "", k)
        ],
        "requiresConfiguration": False,
        "requiresIamPermissions": addon in _NEEDS_IAM,
    }


def default_addon_version(addon: str, cluster_version: str) -> str:
    """The version that EKS takes when none is asked for."""
    if addon not in _ADDONS:
        raise AwsError("InvalidParameterException", f"Addon {addon} specified is not supported")
    return _default(addon, cluster_version)


def _default(addon: str, cluster_version: str) -> str:
    fit = [version for version, runs in _ADDONS[addon][1].items() if cluster_version in runs]
    own = [version for version in fit if version.startswith(f"v{cluster_version}.")]
    return (own or fit)[0]


def check_addon_version(addon: str, version: str, cluster_version: str) -> None:
    """Refuses a version that does not exist or does not run on the cluster."""
    default_addon_version(addon, cluster_version)
    if cluster_version not in _ADDONS[addon][1].get(version, ()):
        raise AwsError("InvalidParameterException", "Addon version specified is not supported")


def configuration_schema(addon: str, version: str) -> str:
    """The JSON schema of an addon's configuration values (a short one: its keys, not their insides)."""
    if addon not in _ADDONS or version not in _ADDONS[addon][1]:
        raise AwsError("ResourceNotFoundException", f"No addon found with name {addon} and version {version}", 404)
    return json.dumps(
        {
            "$schema": "http://json-schema.org/draft-06/schema#",
            "type": "object",
            "additionalProperties": False,
            "properties": {key: {} for key in _SETTINGS},
        }
    )


def check_configuration(values: str) -> dict[str, Any]:
    """Parses an addon's configuration values (JSON or YAML). Raises AwsError as EKS does."""
    import yaml

    refused = "ConfigurationValue provided in request is not supported: "
    try:
        document = yaml.safe_load(values) if values else {}
    except yaml.YAMLError as error:
        raise AwsError("InvalidParameterException", refused + "not valid JSON or YAML") from error
    unknown = sorted(set(document) - set(_SETTINGS)) if isinstance(document, dict) else ["$"]
    if unknown:
        raise AwsError(
            "InvalidParameterException",
            f"{refused}Json schema validation failed with error: [$.{unknown[0]}: is not defined in the schema "
            "and the schema does not allow additional properties]",
        )
    return dict(document)
