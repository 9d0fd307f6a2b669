"""Each class answers a port of one feature, which says what it needs, with another feature."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import repository as accounts
from app.clusters import repository as clusters
from app.clusters.models import Addon, Cluster
from app.clusters.schemas import ClusterSpec
from app.db.base import ResourceColumns
from app.db.session import Database
from app.gateways.aws.cloud import Cloud
from app.kinds import rows as kind_rows
from app.kinds.all import KINDS
from app.operations import repository as operations
from app.operations.service import Needs
from app.registries import live as registries_live
from app.registries import repository as registry_rows
from app.registries import service as registries
from app.registries.charts import RegistryCharts
from app.registries.models import Registry
from app.registries.schemas import RegistrySpec
from app.registries.service import RegistryService
from app.releases.models import Release
from app.releases.ports import ClusterView as ReleaseClusterView
from app.releases.ports import RegistryChart, RegistryView
from app.releases.with_cluster import ClusterReleases, Wanted
from app.releases.with_cluster import parse as parse_releases


class AccountDirectory:
    """Accounts, as clusters ask for them."""

    async def account_id(self, session: AsyncSession, project_id: str, reference: str) -> str:
        """Return the id of an account, by id or name."""
        return await accounts.account_id(session, project_id, reference)


class RegistryDirectory:
    """Registries, as clusters ask for them."""

    def __init__(self, database: Database, service: RegistryService) -> None:
        self._database = database
        self.retry = service.retry
        self.begin_create = service.create_with_cluster

    def parse(self, raw: Sequence[dict[str, Any]], *, region: str, account: str) -> list[RegistrySpec]:
        """Check the registries of a cluster spec."""
        specs = registries.parse(raw, region=region, account=account)
        for index, spec in enumerate(specs):
            registries_live.check_form(spec, f"/registries/{index}")
        return specs

    async def check(self, cloud: Cloud, specs: Sequence[RegistrySpec]) -> None:
        """Ask AWS what can be known before anything begins; of names that Slipway has, the transaction says so."""
        async with self._database.read() as session:
            known = [await registry_rows.named(session, cloud.account.id, cloud.region, spec.name) for spec in specs]
        for spec, existing in zip(specs, known, strict=True):
            if existing is None:
                await registries_live.check_new(cloud, spec)


class ReleaseClusters:
    """Clusters, as releases ask for them."""

    async def get(self, session: AsyncSession, project_id: str, reference: str) -> ReleaseClusterView:
        """Return a cluster of the project by id or name."""
        return _release_view(await clusters.get(session, project_id, reference))

    async def by_id(self, session: AsyncSession, cluster_id: str) -> ReleaseClusterView:
        """Return a cluster by its id, also a deleted one."""
        return _release_view(await clusters.by_id(session, cluster_id))

    async def needs(self, session: AsyncSession, cluster: ReleaseClusterView) -> list[Needs]:
        """Return what is at work on a cluster and what belongs to it; cluster and node groups must be created first."""
        rows = [cluster.id]
        for kind in KINDS.values():
            rows += [row.id for row in await kind_rows.of_cluster(session, kind, cluster.id)]
        rows += [addon.id for addon in await clusters.addons_of(session, [cluster.id])]
        return [
            Needs(live.id, "success" if live.kind in ("cluster.create", "nodegroup.create") else "end")
            for live in await operations.live_of_many(session, rows)
        ]


class ReleaseRegistries:
    """Registries, as releases ask for them."""

    def __init__(self, charts: RegistryCharts) -> None:
        self._charts = charts
        self.needs = charts.needs

    async def get(self, session: AsyncSession, project_id: str, reference: str) -> RegistryView:
        """Return a registry of the project by id or name."""
        found = await self._charts.registry(session, project_id, reference)
        return RegistryView(found.id, found.name, is_there=bool(found.observed_generation))

    async def chart(self, registry_id: str, name: str, version: str | None, digest: str | None) -> RegistryChart:
        """Return where a chart of a registry is; asks AWS, outside of any transaction."""
        return RegistryChart(*await self._charts.locate(registry_id, name, version, digest))


class ReleaseDirectory:
    """Releases, as clusters ask for them."""

    def __init__(self, releases: ClusterReleases) -> None:
        self._releases = releases
        self.begin_create = releases.begin_create
        self.begin_delete = releases.begin_delete
        self.retry = releases.retry

    def parse(self, raw: Sequence[dict[str, Any]], cluster: str) -> list[Wanted]:
        """Check the releases of a cluster spec."""
        return parse_releases(raw, cluster, max_bytes=self._releases.max_bytes)

    async def check(self, project_id: str, wanted: Sequence[Wanted], cluster: ClusterSpec, account_id: str) -> None:
        """Look at their charts and secrets before anything begins."""
        planned = ReleaseClusterView(
            id="",
            name=cluster.name,
            project_id=project_id,
            account_id=account_id,
            region=cluster.region,
            phase="creating",
            version=str(cluster.version),
            endpoint="",
            certificate_authority="",
        )
        await self._releases.check(planned, wanted)


class TagDirectory:
    """The tags of every kind of resource, as webhooks ask for them."""

    tables: Mapping[str, type[ResourceColumns]] = {
        "cluster": Cluster,
        "addon": Addon,
        "registry": Registry,
        "release": Release,
        **{kind.type: kind.table for kind in KINDS.values()},
    }

    async def of(self, session: AsyncSession, resource_type: str, resource_id: str) -> dict[str, str]:
        """Return the tags of a resource, also of a deleted one."""
        table = self.tables.get(resource_type)
        row = await session.get(table, resource_id) if table else None
        return row.tags if row else {}


def _release_view(cluster: Cluster) -> ReleaseClusterView:
    return ReleaseClusterView(
        id=cluster.id,
        name=cluster.name,
        project_id=cluster.project_id,
        account_id=cluster.account_id,
        region=cluster.region,
        phase=cluster.phase,
        version=cluster.spec["version"],
        endpoint=cluster.outputs.get("endpoint") or "",
        certificate_authority=cluster.outputs.get("certificate_authority") or "",
    )
