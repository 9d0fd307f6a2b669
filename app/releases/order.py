"""What a release waits for: its cluster and node groups, its chart's registry, and the releases that it depends on."""

import contextlib
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters.view import ClusterView
from app.core.errors import FieldError, InvalidError
from app.core.ids import looks_like_id
from app.kinds import rows as kind_rows
from app.kinds.all import KINDS
from app.operations import repository as operations
from app.operations.service import Needs
from app.registries.charts import RegistryCharts
from app.releases import repository
from app.releases.errors import DependencyNotReadyError
from app.releases.models import Release
from app.releases.schemas import ReleaseSpec


class Dependencies:
    """Finds what must come first."""

    def __init__(self, registries: RegistryCharts) -> None:
        self._registries = registries

    async def of_cluster(self, session: AsyncSession, cluster: ClusterView) -> list[Needs]:
        """Return what is at work on a cluster and what belongs to it.

        Creates of the cluster and of node groups must succeed; other changes must only end.
        """
        ids = [cluster.id]
        for kind in KINDS.values():
            ids += [row.id for row in await kind_rows.of_cluster(session, kind, cluster.id)]
        return [
            Needs(live.id, "success" if live.kind in ("cluster.create", "nodegroup.create") else "end")
            for live in await operations.live_of_many(session, ids)
        ]

    async def needs(
        self,
        session: AsyncSession,
        cluster: ClusterView,
        spec: ReleaseSpec,
        registry_id: str | None,
        *,
        own_id: str | None = None,
    ) -> list[Needs]:
        """Return what must come before a release is installed or changed.

        Raises:
            InvalidError: it depends on a release that the cluster does not have, or on itself.
            DependencyNotReadyError: on one that is not there, and that nothing is at work on.
        """
        found = {need.operation_id: need for need in await self.of_cluster(session, cluster)}
        if registry_id is not None:
            found |= {need.operation_id: need for need in await self._registries.needs(session, registry_id)}
        releases = await repository.of_cluster(session, cluster.id) if spec.depends_on else ()
        for index, reference in enumerate(spec.depends_on):
            release = _named(releases, reference, spec.namespace, f"/depends_on/{index}")
            if release.id == own_id:
                detail = "a release cannot depend on itself"
                raise InvalidError(f"{detail[0].upper()}{detail[1:]}.", [FieldError(f"/depends_on/{index}", detail)])
            live = await operations.live_of(session, release.id)
            if release.phase in ("deleting", "failed") and (live is None or live.kind == "release.delete"):
                raise DependencyNotReadyError(
                    f"Release {release.name!r}, which this one depends on, is {release.phase}.", release_id=release.id
                )
            if live is not None and live.kind != "release.test":
                found[live.id] = Needs(live.id)
        return list(found.values())


def deletion_order(releases: Sequence[Release]) -> list[tuple[Release, list[str]]]:
    """Return the releases of a cluster, dependents first, each with the ids of those that depend on it."""
    dependents: dict[str, list[str]] = {release.id: [] for release in releases}
    for release in releases:
        for reference in release.spec.get("depends_on", ()):
            needed = _meant(releases, reference, release.namespace)
            if len(needed) == 1:
                dependents[releases[needed[0]].id].append(release.id)
    by_id = {release.id: release for release in releases}
    sorter = TopologicalSorter(dependents)
    with contextlib.suppress(CycleError):  # changes of releases can make one; it must hold no delete up
        sorter.prepare()
    order = _in_turn(sorter)
    order += [release_id for release_id in dependents if release_id not in order]
    return [(by_id[release_id], dependents[release_id]) for release_id in order]


def in_order(specs: Sequence[ReleaseSpec], pointer: str) -> list[int]:
    """Return the places of the releases of one request, those first that others depend on.

    Raises:
        InvalidError: they depend on each other in a circle, or on one that the request does not have.
    """
    needed: dict[int, list[int]] = {}
    errors: list[FieldError] = []
    for index, spec in enumerate(specs):
        needed[index] = []
        for place, reference in enumerate(spec.depends_on):
            found = _meant(specs, reference, spec.namespace)
            if len(found) == 1:
                needed[index].append(found[0])
            else:
                detail = "is the name of no release of this request" if not found else "is not unique: add namespace/"
                errors.append(FieldError(f"{pointer}/{index}/depends_on/{place}", detail))
    if errors:
        raise InvalidError("A release depends on one that is not there.", errors)
    sorter = TopologicalSorter(needed)
    try:
        sorter.prepare()
    except CycleError as error:
        circle: list[int] = error.args[1]
        found_at = FieldError(f"{pointer}/{min(circle)}/depends_on", "depends, by others, on itself")
        raise InvalidError("The releases depend on each other.", [found_at]) from error
    return _in_turn(sorter)


def _in_turn(sorter: TopologicalSorter[Any]) -> list[Any]:
    """Return what a prepared sorter gives, without what goes in a circle or comes after one."""
    order: list[Any] = []
    while ready := sorter.get_ready():
        order += sorted(ready)
        sorter.done(*ready)
    return order


def _named(releases: Sequence[Release], reference: str, namespace: str, pointer: str) -> Release:
    found = _meant(releases, reference, namespace)
    if len(found) == 1:
        return releases[found[0]]
    detail = "is not unique: add namespace/" if found else "the cluster has no such release"
    raise InvalidError("A release depends on one that is not there.", [FieldError(pointer, detail)])


def _meant(releases: Sequence[Release | ReleaseSpec], reference: str, namespace: str) -> list[int]:
    """Return the places of the releases that a reference may mean: an id, `namespace/name`, or a name.

    A name means the release of the same namespace, or else that of any other.
    """
    if looks_like_id(reference):
        return [place for place, known in enumerate(releases) if isinstance(known, Release) and known.id == reference]
    where, slash, name = reference.rpartition("/")
    named = [place for place, known in enumerate(releases) if known.name == name]
    within = [place for place in named if releases[place].namespace == (where if slash else namespace)]
    return within if within or slash else named
