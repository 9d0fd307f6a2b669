"""Releases that come and go with their cluster: those of its own request, and all of it when it is deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.core.errors import FieldError, InvalidError, NotFoundError
from app.core.validation import repeated, validate
from app.db.session import Database
from app.engine.models import Operation
from app.gateways.helm.strvals import MAX_BYTES
from app.operations import repository as operations
from app.operations.service import Needs
from app.releases import repository
from app.releases.charts import Pinned
from app.releases.live import ChartChecks
from app.releases.order import deletion_order, in_order
from app.releases.ports import Clusters
from app.releases.schemas import ReleaseSpec
from app.releases.secrets.opened import Opened, check_needles
from app.releases.service import ReleaseService
from app.releases.values import wanted as wanted_values

POINTER = "/releases"


@dataclass(slots=True)
class Wanted:
    """A release of a cluster's request.

    Attributes:
        index: Its place in the request.
        spec: What is asked for.
        values: Its values, `set` in them.
        chart: Which chart that is, once it was looked at.
    """

    index: int
    spec: ReleaseSpec
    values: Opened
    chart: Pinned | None = None


class ClusterReleases:
    """The releases of a cluster, as its own operations begin and end them."""

    def __init__(
        self,
        database: Database,
        service: ReleaseService,
        clusters: Clusters,
        checks: ChartChecks,
    ) -> None:
        self._database = database
        self._service = service
        self._clusters = clusters
        self._checks = checks
        self.max_bytes = service.max_bytes
        self.retry = service.retry

    async def check(self, project_id: str, wanted: Sequence[Wanted], kubernetes_version: str) -> None:
        """Look at the charts, and note in `wanted` which they are; one of a registry that is yet to come stays unknown.

        Args:
            project_id: Whose registries and credentials count.
            wanted: As `parse` gave them.
            kubernetes_version: Of the cluster, `1.34`.

        Raises:
            InvalidError: pointers are below `/releases`.
        """
        for release in wanted:
            try:
                async with self._database.read() as session:
                    registry = await self._service.registry(session, project_id, release.spec)
            except NotFoundError:
                registry = None  # it may be one of the same request; the transaction finds it, or says that it is not
            release.chart = await self._checks.check(
                release.spec,
                release.values,
                project_id=project_id,
                kubernetes_version=kubernetes_version,
                registry=registry,
                pointer=f"{POINTER}/{release.index}",
            )

    async def begin_create(
        self, session: AsyncSession, caller: Caller, cluster_id: str, wanted: Sequence[Wanted], *, parent_id: str
    ) -> list[Operation]:
        """Begin to install the releases of a cluster's request, those first that others depend on."""
        if not wanted:
            return []
        cluster = await self._clusters.by_id(session, cluster_id)
        return [
            await self._service.create_in(
                session, caller, cluster, release.spec, release.values, chart=release.chart, parent_id=parent_id
            )
            for release in wanted
        ]

    async def begin_delete(
        self, session: AsyncSession, caller: Caller, cluster_id: str, *, parent_id: str, force: bool
    ) -> list[Operation]:
        """Begin to uninstall every release of a cluster, those first that depend on others.

        Args:
            session: The transaction.
            caller: Who asks.
            cluster_id: Whose.
            parent_id: The delete of the cluster.
            force: Leave behind what cannot be uninstalled: it was tried before.
        """
        begun: dict[str, Operation] = {}
        for release, dependents in deletion_order(await repository.of_cluster(session, cluster_id)):
            live = await operations.live_of(session, release.id)
            if live is not None and live.kind == "release.delete":
                begun[release.id] = live
                continue
            needs = [Needs(begun[dependent].id, "end") for dependent in dependents if dependent in begun]
            begun[release.id] = await self._service.delete(
                session, caller, release, needs=needs, parent_id=parent_id, force=force
            )
        return list(begun.values())


def parse(raw: Sequence[dict[str, Any]], cluster: str, *, max_bytes: int = MAX_BYTES) -> list[Wanted]:
    """Check the releases that stand in a cluster's request; return them, those first that others depend on.

    Slow with many secrets: use a thread.

    Raises:
        InvalidError: pointers are below `/releases`.
    """
    wanted: list[Wanted] = []
    errors: list[FieldError] = []
    for index, document in enumerate(raw):
        pointer = f"{POINTER}/{index}"
        if "cluster" in document:
            errors.append(FieldError(f"{pointer}/cluster", "must be left out: the release belongs to this cluster"))
            continue
        try:
            spec = validate(ReleaseSpec, {**document, "cluster": cluster}, pointer=pointer)
            values = wanted_values(spec, pointer=pointer, max_bytes=max_bytes)
        except InvalidError as error:
            errors.extend(error.errors)
        else:
            wanted.append(Wanted(index, spec, values))
    errors += repeated(
        {f"{POINTER}/{release.index}/name": f"{release.spec.namespace}/{release.spec.name}" for release in wanted}
    )
    if errors:
        raise InvalidError("The releases are not valid.", errors)
    check_needles((secret for release in wanted for secret in release.values.secrets), POINTER)
    return [wanted[place] for place in in_order([release.spec for release in wanted], POINTER)]
