"""Where a node group's nodes are: public subnets unless `privateNetworking` is true, as eksctl places them.

In an existing VPC that ends in subnet ids. In a VPC that is yet to be made no ids exist: the group says `subnet_type`
(public, private) and, if the file limits them, `zones`.
"""

from app.clusters.clusterconfig.draft import Draft
from app.clusters.clusterconfig.network import Network, is_zone
from app.clusters.clusterconfig.reading import Found
from app.clusters.clusterconfig.report import Report, at, quoted

_OTHER = {"public": "private", "private": "public"}


def put_placement(found: Found, network: Network, draft: Draft, report: Report) -> None:
    """Write `/subnets`, or `/subnet_type` and `/zones`, of a node group."""
    kind = "private" if found.get("privateNetworking") else "public"
    if not network.existing:
        _put_zones(found, network, kind, draft, report)
    elif network.complete:
        _put_ids(found, network, kind, draft, report)


def _put_zones(found: Found, network: Network, kind: str, draft: Draft, report: Report) -> None:
    draft.put("/subnet_type", kind, found.where("privateNetworking"))
    zones: dict[str, str] = {}
    for path in ("availabilityZones", "subnets"):
        for name, pointer in _asked(found, path).items():
            if path == "subnets" and not is_zone(name):
                report.wrong(pointer, f"{quoted(name)} is no zone, and subnets can be named only in an existing VPC")
            elif network.zones is not None and name not in network.zones:
                similar = report.similar(name, network.zones)
                report.wrong(pointer, f"{quoted(name)} is not one of the cluster's availabilityZones{similar}")
            else:
                zones.setdefault(name, pointer)
    if zones:
        draft.put("/zones", list(zones), found.where("availabilityZones", "subnets"))
        for index, pointer in enumerate(zones.values()):
            draft.trace(f"/zones/{index}", pointer)


def _put_ids(found: Found, network: Network, kind: str, draft: Draft, report: Report) -> None:
    given = network.subnets[kind]
    by_zone = network.by_zone(kind)
    chosen: dict[str, str] = {}  # id -> the pointer that asks for it
    for zone, pointer in _asked(found, "availabilityZones").items():
        ids = by_zone.get(zone, [])
        if not ids:
            report.wrong(pointer, f"no {kind} subnet of the file is in {quoted(zone)}")
        for subnet_id in ids:
            chosen.setdefault(subnet_id, pointer)
    for name, pointer in _asked(found, "subnets").items():
        for subnet_id in _named(name, by_zone, network, kind, pointer, report):
            chosen.setdefault(subnet_id, pointer)
    if not found.get("availabilityZones") and not found.get("subnets"):
        chosen = {subnet.id: found.where("privateNetworking") for subnet in given.values()}
        if not chosen and not (found.tried("availabilityZones") or found.tried("subnets")):
            value = "true" if kind == "public" else "false"
            pointer = at(found.pointer, "privateNetworking")
            report.wrong(pointer, f"the file has only {_OTHER[kind]} subnets, so that this must be {value}")
    if chosen:
        draft.put("/subnets", list(chosen), found.where("subnets", "availabilityZones", "privateNetworking"))
        for index, pointer in enumerate(chosen.values()):
            draft.trace(f"/subnets/{index}", pointer)


def _asked(found: Found, path: str) -> dict[str, str]:
    """The names of a list, and where each stands first."""
    names: list[str] = found.get(path) or []
    places: dict[str, str] = {}
    for index, name in enumerate(names):
        places.setdefault(name, at(found.where(path), index))
    return places


def _named(
    name: str, by_zone: dict[str, list[str]], network: Network, kind: str, pointer: str, report: Report
) -> list[str]:
    """Find the subnets that a group means: by their name in the file, by zone, or by id."""
    given, others = network.subnets[kind], network.subnets[_OTHER[kind]]
    if name in given:
        return [given[name].id]
    if name in by_zone:
        return by_zone[name]
    if name.startswith("subnet-"):
        return [name]
    if name in others:
        needed = "true" if kind == "public" else "false"
        report.wrong(pointer, f"{quoted(name)} is a {_OTHER[kind]} subnet: privateNetworking must be {needed} for it")
    else:
        report.wrong(pointer, f"{quoted(name)} is none of the {kind} subnets{report.similar(name, given)}")
    return []
