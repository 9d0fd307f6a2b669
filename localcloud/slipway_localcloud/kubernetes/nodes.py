"""Node groups as Node objects: names, labels, taints and sizes as on EKS. Pure but for the choice of addresses."""

from __future__ import annotations

import hashlib
import ipaddress
import random
from dataclasses import dataclass, field
from typing import Any

from .. import instances

Json = dict[str, Any]

EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
_JOINED = ("ACTIVE", "UPDATING", "DEGRADED")

# Pods that fit by network interfaces and addresses: https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html
_BURST_PODS = {"nano": 4, "micro": 4, "small": 11, "medium": 17, "large": 35, "xlarge": 58, "2xlarge": 58}
_PODS = {"medium": 8, "large": 29, "xlarge": 58, "2xlarge": 58, "3xlarge": 58}
_BIG_PODS = {"16xlarge": 737, "18xlarge": 737, "24xlarge": 737, "32xlarge": 737, "48xlarge": 737, "metal": 737}


@dataclass(frozen=True)
class Subnet:
    """Where a group's nodes may be."""

    zone: str
    zone_id: str
    cidr: str


@dataclass(frozen=True)
class Group:
    """A node group, as far as its nodes show it."""

    arn: str
    name: str
    region: str
    release: str
    size: int
    types: tuple[str, ...]
    spot: bool
    disk_gib: int
    ami_type: str
    subnets: tuple[Subnet, ...]
    labels: Json
    taints: tuple[tuple[str, str, str], ...]  # key, value, effect as Kubernetes spells it


@dataclass(frozen=True)
class Node:
    """One node as it should be. `fixed` never changes; labels and taints may."""

    name: str
    fixed: Json = field(compare=False)
    labels: Json
    taints: tuple[tuple[str, str, str], ...]

    def manifest(self) -> Json:
        """The Node object to create."""
        spec = {**self.fixed["spec"], "taints": taint_objects(self.taints)}
        metadata = {"name": self.name, "labels": self.labels}
        return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": self.fixed["status"]}


def taint_objects(taints: tuple[tuple[str, str, str], ...]) -> list[Json]:
    """Taints as Kubernetes writes them."""
    return [{"key": key, "effect": effect, **({"value": value} if value else {})} for key, value, effect in taints]


def group_of(record: Json, region: str, subnets: list[Json]) -> Group | None:
    """The group of an EKS record and its EC2 subnets; None while it has no nodes."""
    if record["status"] not in _JOINED or record["health"]["issues"] or not subnets:
        return None
    return Group(
        arn=record["nodegroupArn"],
        name=record["nodegroupName"],
        region=region,
        release=record["releaseVersion"],
        size=record["scalingConfig"]["desiredSize"],
        types=tuple(record["instanceTypes"]),
        spot=record["capacityType"] == "SPOT",
        disk_gib=record["diskSize"],
        ami_type=record["amiType"],
        subnets=tuple(Subnet(s["AvailabilityZone"], s.get("AvailabilityZoneId", ""), s["CidrBlock"]) for s in subnets),
        labels=dict(record["labels"]),
        taints=tuple((t["key"], t.get("value") or "", EFFECTS[t["effect"]]) for t in record["taints"]),
    )


@dataclass(frozen=True)
class _Instance:
    address: str
    subnet: Subnet
    type: str
    release: str


class Fleet:
    """The instances of all node groups of a cluster: who has which address, over scaling and replacement."""

    def __init__(self) -> None:
        self._instances: dict[str, list[_Instance]] = {}

    def desired(self, groups: list[Group]) -> dict[str, Node]:
        """The nodes that should be there, by name. A group of another release gets other instances."""
        self._instances = {g.arn: self._of(g) for g in groups}
        found = [_node(group, instance) for group in groups for instance in self._instances[group.arn]]
        return {node.name: node for node in found}

    def _of(self, group: Group) -> list[_Instance]:
        kept = [i for i in self._instances.get(group.arn, []) if i.release == group.release][: group.size]
        taken = {i.address for listed in self._instances.values() for i in listed} | {i.address for i in kept}
        for number in range(len(kept), group.size):
            subnet = group.subnets[number % len(group.subnets)]
            # On demand EKS takes the first type that it can get, for Spot it spreads over all.
            kind = group.types[number % len(group.types)] if group.spot else group.types[0]
            address = _free_address(subnet.cidr, taken)
            taken.add(address)
            kept.append(_Instance(address, subnet, kind, group.release))
        return kept


def _free_address(cidr: str, taken: set[str]) -> str:
    network = ipaddress.ip_network(cidr)
    # AWS keeps the first four addresses and the last one of a subnet.
    while True:
        address = str(network[random.randrange(4, network.num_addresses - 1)])
        if address not in taken:
            return address


def max_pods(instance_type: str) -> int:
    """How many pods EKS lets run on an instance type."""
    family, _, size = instance_type.partition(".")
    if family.startswith("t"):
        return _BURST_PODS.get(size, 58)
    return _PODS.get(size) or _BIG_PODS.get(size, 234)


def sizes(instance_type: str, disk_gib: int) -> tuple[Json, Json]:
    """Capacity and allocatable, with what EKS reserves for the system."""
    found = instances.find(instance_type)
    vcpus, memory = (found.vcpus, found.memory_mib) if found else (2, 8192)
    pods = max_pods(instance_type)
    # The kernel takes its part of the memory before the kubelet counts.
    usable = memory - memory * 3 // 100 - (200 if memory > 1024 else 60)
    reserved = 11 * pods + 255 + 100
    cpu = 60 + (10 if vcpus > 1 else 0) + sum(5 for _ in range(2, min(vcpus, 4))) + max(0, vcpus - 4) * 2.5
    capacity = {
        "cpu": str(vcpus),
        "memory": f"{usable * 1024}Ki",
        "pods": str(pods),
        "ephemeral-storage": f"{disk_gib * 1024 * 1024 - 12 * 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    }
    allocatable = {
        **capacity,
        "cpu": f"{vcpus * 1000 - int(cpu)}m",
        "memory": f"{max(usable - reserved, 64) * 1024}Ki",
        "ephemeral-storage": str(disk_gib * 1024**3 * 9 // 10 - 1024**3),
    }
    return capacity, allocatable


def _node(group: Group, instance: _Instance) -> Node:
    name = f"ip-{instance.address.replace('.', '-')}.{group.region}.compute.internal"
    digest = hashlib.sha256(f"{group.arn} {name}".encode()).hexdigest()
    found = instances.find(instance.type)
    architecture = "arm64" if found and found.family.architecture == "arm64" else "amd64"
    capacity, allocatable = sizes(instance.type, group.disk_gib)
    status = {
        "capacity": capacity,
        "allocatable": allocatable,
        "addresses": [
            {"type": "InternalIP", "address": instance.address},
            {"type": "InternalDNS", "address": name},
            {"type": "Hostname", "address": name},
        ],
        "nodeInfo": _info(group, digest, architecture),
    }
    provider = f"aws:///{instance.subnet.zone}/i-{digest[:17]}"
    labels = {**group.labels, **_labels(group, instance, name, architecture)}
    return Node(name, {"spec": {"providerID": provider}, "status": status}, labels, group.taints)


def _labels(group: Group, instance: _Instance, name: str, architecture: str) -> Json:
    zone, kind = instance.subnet.zone, instance.type
    image = hashlib.sha256(f"{group.ami_type} {group.release}".encode()).hexdigest()[:17]
    return {
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/instance-type": kind,
        "beta.kubernetes.io/os": "linux",
        "eks.amazonaws.com/capacityType": "SPOT" if group.spot else "ON_DEMAND",
        "eks.amazonaws.com/nodegroup": group.name,
        "eks.amazonaws.com/nodegroup-image": f"ami-{image}",
        "failure-domain.beta.kubernetes.io/region": group.region,
        "failure-domain.beta.kubernetes.io/zone": zone,
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": kind,
        "topology.kubernetes.io/region": group.region,
        "topology.kubernetes.io/zone": zone,
        **({"topology.k8s.aws/zone-id": instance.subnet.zone_id} if instance.subnet.zone_id else {}),
    }


def _info(group: Group, digest: str, architecture: str) -> Json:
    version, _, day = group.release.partition("-")
    return {
        "architecture": architecture,
        "bootID": _uuid(digest[::-1]),
        "containerRuntimeVersion": "containerd://2.1.5",
        "kernelVersion": f"6.12.53-69.119.amzn2023.{'aarch64' if architecture == 'arm64' else 'x86_64'}",
        "kubeProxyVersion": "",
        "kubeletVersion": f"v{version}-eks-{digest[:7]}",
        "machineID": digest[:32],
        "operatingSystem": "linux",
        "osImage": f"Amazon Linux 2023.9.{day}",
        "systemUUID": _uuid(digest),
    }


def _uuid(digest: str) -> str:
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
