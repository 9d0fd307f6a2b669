"""`managedNodeGroups` -> node group specs, with what eksctl fills in where a file says nothing."""

from typing import Any

from app.clusters.clusterconfig import schema
from app.clusters.clusterconfig.draft import Draft
from app.clusters.clusterconfig.images import DEFAULT_FAMILY, FAMILIES, ami_type
from app.clusters.clusterconfig.network import Network
from app.clusters.clusterconfig.placement import put_placement
from app.clusters.clusterconfig.reading import Found, Section
from app.clusters.clusterconfig.report import Report, at
from app.clusters.clusterconfig.taints import put_taints, taints
from app.clusters.clusterconfig.values import choice, flag, text, text_map, texts, whole

DEFAULT_INSTANCE_TYPE = "m5.large"
DEFAULT_NODES = 2
DEFAULT_DISK_GIB = 80

MAX_NODE_GROUPS = 200
"""EKS has 30 in a cluster, unless an account's quota was raised."""

_OTHER_VOLUMES = dict.fromkeys(("gp2", "io1", "io2", "sc1", "st1"))

MANAGED_NODE_GROUP = Section(
    schema.MANAGED_NODE_GROUP,
    readers={
        "amiFamily": choice(FAMILIES),
        "availabilityZones": texts,
        "desiredCapacity": whole,
        "instanceType": text,
        "instanceTypes": texts,
        "labels": text_map,
        "maxSize": whole,
        "minSize": whole,
        "name": text,
        "privateNetworking": flag,
        "spot": flag,
        "ssh.allow": flag,
        "ssh.publicKey": text,
        "ssh.publicKeyName": text,
        "ssh.sourceSecurityGroupIds": texts,
        "subnets": texts,
        "tags": text_map,
        "taints": taints,
        "updateConfig.maxUnavailable": whole,
        "updateConfig.maxUnavailablePercentage": whole,
        "volumeEncrypted": flag,
        "volumeSize": whole,
        "volumeType": choice({"gp3": "gp3", **_OTHER_VOLUMES}),
    },
    harmless={
        "disableIMDSv1": (True,),
        "disablePodIMDS": (False,),
        "efaEnabled": (False,),
        "enableDetailedMonitoring": (False,),
        **{f"iam.withAddonPolicies.{name}": (False,) for name in schema.NODE_ADDON_POLICIES},
        "nodeRepairConfig.enabled": (False,),
        "propagateASGTags": (False,),
        "securityGroups.withLocal": (False,),
        "securityGroups.withShared": (False,),
        "ssh.enableSsm": (True,),
        "volumeIOPS": (3000,),
        "volumeThroughput": (125,),
    },
    required=("name",),
    hints={"ssh.publicKeyPath": ": the file is on your machine; send its text as publicKey"},
)

COPIED = (
    ("name", "/name"),
    ("labels", "/labels"),
    ("tags", "/tags"),
    ("updateConfig.maxUnavailable", "/update/max_unavailable"),
    ("updateConfig.maxUnavailablePercentage", "/update/max_unavailable_percent"),
)


def nodegroup(found: Found, index: int, network: Network, report: Report) -> Draft:
    """Translate one group that was read; the draft is complete only when the report stays without errors."""
    draft = Draft(f"/nodegroups/{index}", found.pointer)
    for source, target in COPIED:
        if found.get(source) is not None:
            draft.put(target, found.get(source), found.where(source))
    _put_scaling(found, draft)
    _put_instances(found, draft, report)
    _put_update(found, draft, report)
    put_taints(found, draft, report)
    put_placement(found, network, draft, report)
    _put_ssh(found, draft, report)
    return draft


def _put_scaling(found: Found, draft: Draft) -> None:
    """As eksctl: a bound that is missing is the number that is wanted, or two nodes.

    `desired` is sent only when the file has a number for it, or none at all: a group that an autoscaler runs has
    bounds only, and keeps the number that is live.
    """
    sent = [path for path in ("minSize", "maxSize", "desiredCapacity") if found.tried(path)]
    low = _first(found, DEFAULT_NODES, "minSize", "desiredCapacity")
    high = _first(found, low, "maxSize", "desiredCapacity")
    if not found.tried("maxSize"):
        high = max(high, 1)  # EKS wants room for one node, also in a group that begins empty
    draft.put("/scaling/min", low, found.where("minSize", "desiredCapacity"))
    draft.put("/scaling/max", high, found.where("maxSize", "desiredCapacity", "minSize"))
    if not sent or found.get("desiredCapacity") is not None:
        draft.put("/scaling/desired", _first(found, low, "desiredCapacity"), found.where("desiredCapacity"))


def _first(found: Found, default: int, *paths: str) -> int:
    return next((value for path in paths if (value := found.get(path)) is not None), default)


def _put_instances(found: Found, draft: Draft, report: Report) -> None:
    if found.tried("instanceType") and found.get("instanceTypes"):
        report.wrong(found.where("instanceType"), "cannot stand beside instanceTypes: give one of them")
    single: str | None = found.get("instanceType")
    several: list[str] = found.get("instanceTypes") or []
    origin = found.where("instanceTypes" if several else "instanceType")
    names = several or [single or DEFAULT_INSTANCE_TYPE]
    draft.put("/instance_types", names, origin)
    if not several:
        draft.trace("/instance_types/0", origin)
    image = ami_type(found.get("amiFamily") or DEFAULT_FAMILY, names, origin, report)
    draft.put("/ami_type", image, found.where("amiFamily", "instanceTypes", "instanceType"))
    draft.put("/capacity_type", "SPOT" if found.get("spot") else "ON_DEMAND", found.where("spot"))
    draft.put("/disk_size_gib", _first(found, DEFAULT_DISK_GIB, "volumeSize"), found.where("volumeSize"))
    if found.get("volumeEncrypted") is False:
        report.warn(found.where("volumeEncrypted"), "Slipway encrypts the disks of all nodes")


def _put_update(found: Found, draft: Draft, report: Report) -> None:
    if not found.tried("updateConfig"):
        return
    paths = ("updateConfig.maxUnavailable", "updateConfig.maxUnavailablePercentage")
    if sum(found.tried(path) for path in paths) != 1:
        report.wrong(found.where("updateConfig"), "must have maxUnavailable or maxUnavailablePercentage, not both")
    draft.trace("/update", found.where("updateConfig"))


def _put_ssh(found: Found, draft: Draft, report: Report) -> None:
    """As eksctl: a key means access unless `allow` is false, and without access the rest doesn't count."""
    keys = [path for path in ("ssh.publicKey", "ssh.publicKeyName") if found.tried(path)]
    allowed = found.get("ssh.allow")
    if allowed is None:
        allowed = bool(keys)
    if not allowed:
        if keys or found.get("ssh.sourceSecurityGroupIds"):
            report.warn(found.where("ssh"), "ssh is not allowed, so that its keys and security groups are not used")
        return
    if len(keys) > 1:
        report.wrong(found.where("ssh.publicKey"), "cannot stand beside publicKeyName: give one of them")
    ssh: dict[str, Any] = {}
    draft.put("/ssh", ssh, found.where("ssh"))
    for source, target in (
        ("ssh.publicKey", "public_key"),
        ("ssh.publicKeyName", "key_name"),
        ("ssh.sourceSecurityGroupIds", "source_security_groups"),
    ):
        if found.get(source) is not None:
            draft.put(f"/ssh/{target}", found.get(source), found.where(source))
    if not keys and not found.tried("ssh.publicKeyPath"):
        report.warn(
            at(found.where("ssh"), "allow"),
            "no key is given: Slipway makes a key pair, and its private key is in SSM Parameter Store"
            " (outputs.ssh_private_key_parameter)",
        )
