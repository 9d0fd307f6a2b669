"""eksctl's ClusterConfig (eksctl.io/v1alpha5) -> a cluster spec and node group specs, in the contract's field names.

Only the document's own form is judged here: known keys, types, words, and what doesn't go together in it. Whether the
specs that come out can be built (names, overlapping blocks, bounds) is for those who validate specs; with
`Translation.original_pointer` they can say it in terms of the document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.clusters.clusterconfig.cluster import CLUSTER, COPIED, DEFAULT_ADDONS, DEFAULTED, SECTIONS
from app.clusters.clusterconfig.draft import Draft
from app.clusters.clusterconfig.network import Expectation, network
from app.clusters.clusterconfig.nodegroups import nodegroup
from app.clusters.clusterconfig.reading import Found, read
from app.clusters.clusterconfig.report import Report, at, quoted


@dataclass(frozen=True)
class Translation:
    """What a ClusterConfig asks for.

    Attributes:
        cluster: The cluster's spec, without its node groups.
        nodegroups: A spec for each managed node group, without `cluster`, in the document's order.
        warnings: What was accepted and works in a way that the caller should know; each begins with a pointer.
        expectations: What the document says of a VPC and subnets that exist already.
        origins: Pointer in the translation (`/network/cidr`, `/nodegroups/0/scaling/min`) -> pointer in the document.
    """

    cluster: dict[str, Any]
    nodegroups: list[dict[str, Any]]
    warnings: list[str] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)

    def original_pointer(self, target_pointer: str) -> str:
        """Find the place of the document that a field of the specs comes from, or the nearest one around it.

        Node groups are at `/nodegroups/{index}`, the cluster's fields at the root. The answer always points at
        something that is in the document; `""` is the whole of it.
        """
        pointer = target_pointer
        while pointer and pointer not in self.origins:
            pointer = pointer.rpartition("/")[0]
        return self.origins.get(pointer, "")


def translate(document: Any) -> Translation:
    """Translate a document that was parsed from JSON or YAML.

    Raises:
        InvalidError: Something in the document is wrong or not supported yet; its `errors` name every such place
            by its JSON pointer in the document. Nothing else is raised, whatever the document holds.
    """
    report = Report()
    found = read(CLUSTER, document, "", report)
    cluster = Draft("", "")
    for source, target in COPIED:
        if found.get(source) is not None:
            cluster.put(target, found.get(source), found.where(source))
    for source, target, default in DEFAULTED:
        value = found.get(source)
        section = source.rpartition(".")[0]
        cluster.put(target, default if value is None else value, found.where(source, section))
    net = network(found, cluster, report)
    _put_addons(found, cluster, report)
    for target, source in SECTIONS:
        if found.tried(source):
            cluster.trace(target, found.where(source))
    if found.tried("metadata.annotations"):
        report.warn(found.where("metadata.annotations"), "annotations are not kept; eksctl ignores them too")
    groups: list[Found] = found.get("managedNodeGroups") or []
    _check_names(groups, "node group", report)
    drafts = [nodegroup(group, index, net, report) for index, group in enumerate(groups) if group.is_object]
    report.raise_if_wrong()
    origins = {"/nodegroups": found.where("managedNodeGroups"), **cluster.origins}
    for draft in drafts:
        origins |= draft.origins
    return Translation(cluster.spec, [draft.spec for draft in drafts], report.warnings, net.expectations, origins)


def _put_addons(found: Found, cluster: Draft, report: Report) -> None:
    """As eksctl: a list of addons adds to the usual ones. In a cluster spec it stands in their place."""
    addons: list[Found] | None = found.get("addons")
    if not addons:
        return
    _check_names(addons, "addon", report)
    fields = {"name": "name", "version": "version", "configurationValues": "configuration"}
    specs = [
        {target: addon.get(source) for source, target in fields.items() if addon.get(source) is not None}
        for addon in addons
    ]
    names = {str(addon.get("name")).lower() for addon in addons}
    added = [{"name": name} for name in DEFAULT_ADDONS if name not in names]
    cluster.put("/addons", specs + added, found.where("addons"))
    for index in range(len(specs), len(specs) + len(added)):
        cluster.trace(f"/addons/{index}", found.where("addons"))
    for index, addon in enumerate(addons):
        for source, target in fields.items():
            cluster.trace(f"/addons/{index}/{target}", addon.where(source))


def _check_names(things: list[Found], what: str, report: Report) -> None:
    seen: set[str] = set()
    for thing in things:
        name = thing.get("name")
        if name is not None and name in seen:
            report.wrong(at(thing.pointer, "name"), f"the {what} {quoted(name)} is in the file twice")
        seen.add(name)
