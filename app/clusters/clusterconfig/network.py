"""`vpc` and what belongs to it -> `network`, and the subnets that node groups may name.

A file either names an existing VPC with its subnets, or lets one be made. Beside ids it may say what the VPC and the
subnets are like (blocks, zones): nothing is made of that, but it is kept as expectations that can be checked.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.clusters.clusterconfig import schema
from app.clusters.clusterconfig.draft import Draft
from app.clusters.clusterconfig.reading import Found, Section
from app.clusters.clusterconfig.report import Report, at
from app.clusters.clusterconfig.values import cidr, text

DEFAULT_CIDR = "192.168.0.0/16"
DEFAULT_ZONES = 3
DEFAULT_NAT = "single"
"""What eksctl makes when a file says nothing."""

MAX_SUBNETS = 200
"""Of each kind; it is AWS's quota of subnets in a VPC."""

SUBNET = Section(
    schema.SUBNET,
    readers={"id": text, "az": text, "cidr": cidr},
    required=("id",),
    hints={"id": ": finding a subnet by its cidr or az is not supported yet"},
)

_ZONE_NAME = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]+[a-z]")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the document says of a resource that exists already: that its `attribute` has the `value`."""

    pointer: str
    resource: str
    attribute: Literal["cidr", "zone"]
    value: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet that the document names."""

    id: str
    zone: str | None
    pointer: str


@dataclass
class Network:
    """What node groups need to know; when it isn't `complete`, something was wrong and nothing is concluded from it."""

    existing: bool
    complete: bool = True
    subnets: dict[str, dict[str, Subnet]] = field(default_factory=lambda: {"public": {}, "private": {}})
    zones: frozenset[str] | None = None
    expectations: list[Expectation] = field(default_factory=list)

    def by_zone(self, kind: str) -> dict[str, list[str]]:
        """The ids of the public or private subnets of each zone."""
        result: dict[str, list[str]] = {}
        for subnet in self.subnets[kind].values():
            if subnet.zone is not None:
                result.setdefault(subnet.zone, []).append(subnet.id)
        return result


def is_zone(name: str) -> bool:
    """Tell whether a name is formed like an availability zone's, such as us-west-2a."""
    return _ZONE_NAME.fullmatch(name) is not None


def network(found: Found, draft: Draft, report: Report) -> Network:
    """Write `/network` of the cluster's spec."""
    existing = found.tried("vpc.id") or found.tried("vpc.subnets")
    result = Network(existing)
    (_existing if existing else _made)(found, draft, report, result)
    if "network" in draft.spec:
        draft.trace("/network", found.where("vpc"))
    return result


def _made(found: Found, draft: Draft, report: Report, result: Network) -> None:
    zones = found.get("availabilityZones")
    result.zones = frozenset(zones) if zones else None
    fields: tuple[tuple[str, str, Any], ...] = (
        ("cidr", "vpc.cidr", DEFAULT_CIDR),
        ("zones", "availabilityZones", DEFAULT_ZONES),
        ("nat", "vpc.nat.gateway", DEFAULT_NAT),
    )
    for target, source, default in fields:
        value = found.get(source) or default
        draft.put(f"/network/{target}", value, found.where(source, "vpc"))


def _existing(found: Found, draft: Draft, report: Report, result: Network) -> None:
    if not found.tried("vpc.id"):
        report.wrong(at(found.where("vpc"), "id"), "is required beside subnets: Slipway doesn't look for their VPC")
    vpc_id = found.get("vpc.id")
    if vpc_id is not None:
        draft.put("/network/vpc_id", vpc_id, found.where("vpc.id"))
        if found.get("vpc.cidr"):
            result.expectations.append(Expectation(found.where("vpc.cidr"), vpc_id, "cidr", found.get("vpc.cidr")))
    if found.get("availabilityZones"):
        report.wrong(found.where("availabilityZones"), "cannot stand beside vpc.id: the subnets tell the zones")
    if found.get("vpc.nat.gateway") not in (None, "none"):
        report.warn(found.where("vpc.nat.gateway"), "an existing VPC keeps the NAT gateways that it has")
    for kind in ("public", "private"):
        _read_subnets(found, kind, result)
    if result.complete and not any(result.subnets.values()):
        report.wrong(at(found.where("vpc"), "subnets"), "is required beside vpc.id, with at least one subnet")
        result.complete = False
    _put_subnets(found, draft, result)


def _read_subnets(found: Found, kind: str, result: Network) -> None:
    subnets: Mapping[str, Found] | None = found.get(f"vpc.subnets.{kind}")
    if subnets is None:
        result.complete = result.complete and not found.tried(f"vpc.subnets.{kind}")
        return
    for name, subnet in subnets.items():
        subnet_id = subnet.get("id")
        if subnet_id is None or any(subnet.tried(key) and subnet.get(key) is None for key in ("az", "cidr")):
            result.complete = False  # the report says why
            continue
        zone = subnet.get("az") or (name if is_zone(name) else None)
        result.subnets[kind][name] = Subnet(subnet_id, zone, subnet.where("id"))
        if zone is not None:
            result.expectations.append(Expectation(subnet.where("az"), subnet_id, "zone", zone))
        if subnet.get("cidr") is not None:
            result.expectations.append(Expectation(subnet.where("cidr"), subnet_id, "cidr", subnet.get("cidr")))


def _put_subnets(found: Found, draft: Draft, result: Network) -> None:
    if not any(result.subnets.values()):
        return
    for kind, subnets in result.subnets.items():
        target, source = f"/network/subnets/{kind}", f"vpc.subnets.{kind}"
        draft.put(target, [subnet.id for subnet in subnets.values()], found.where(source, "vpc.subnets"))
        for index, subnet in enumerate(subnets.values()):
            draft.trace(at(target, index), subnet.pointer)
    draft.trace("/network/subnets", found.where("vpc.subnets"))
