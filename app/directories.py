"""Each class answers a port of one feature, which says what it needs, with another feature."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import repository as accounts
from app.clusters import repository as clusters
from app.clusters.addon_service import AddonService
from app.clusters.models import Addon, Cluster
from app.clusters.schemas import ClusterSpec
from app.core.caller import Caller
from app.db.base import ResourceColumns
from app.db.session import Database
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud
from app.nodegroups import live as nodegroups_live
from app.nodegroups import repository as nodegroup_rows
from app.nodegroups import service as nodegroups
from app.nodegroups.models import Nodegroup
from app.nodegroups.ports import ClusterView
from app.nodegroups.schemas import NodegroupSpec
from app.nodegroups.service import NodegroupService
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


class ClusterDirectory:
    """Clusters, as node groups ask for them."""

    def __init__(self, addons: AddonService) -> None:
        self._addons = addons

    async def get(self, session: AsyncSession, project_id: str, reference: str, *, lock: bool = False) -> ClusterView:
        """Return a cluster of the project by id or name."""
        return _view(await clusters.get(session, project_id, reference, lock=lock))

    async def by_id(self, session: AsyncSession, cluster_id: str) -> ClusterView:
        """Return a cluster by its id, also a deleted one."""
        return _view(await clusters.by_id(session, cluster_id))

    async def begin_waiting_addons(
        self, session: AsyncSession, caller: Caller, cluster_id: str, needs: Sequence[Needs]
    ) -> None:
        """Begin to install the addons that waited for a node group."""
        await self._addons.begin_waiting(session, caller, await clusters.by_id(session, cluster_id), needs=needs)


class NodegroupDirectory:
    """Node groups, as clusters ask for them."""

    def __init__(self, service: NodegroupService) -> None:
        self._service = service
        self.retry = service.retry
        self.taints = service.taints
        self.any_active = service.any_active
        self.coming = service.coming

    def parse(self, raw: Sequence[dict[str, Any]], cluster: str) -> list[NodegroupSpec]:
        """Check the node groups of a cluster spec."""
        return nodegroups.parse(raw, cluster)

    async def check(
        self, cloud: Cloud, specs: Sequence[NodegroupSpec], cluster: ClusterSpec, facts: dict[str, Any]
    ) -> None:
        """Ask AWS what can be known before anything begins."""
        zones = facts.get("zones") or facts.get("subnet_zones", {}).values()
        for index, spec in enumerate(specs):
            await nodegroups_live.check(
                cloud, spec, vpc_id=cluster.network.vpc_id, zones=zones, pointer=f"/nodegroups/{index}"
            )

    async def begin_create(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: Cluster,
        specs: Sequence[NodegroupSpec],
        *,
        parent_id: str,
    ) -> list[Operation]:
        """Begin to create node groups of a cluster that is being created."""
        return await self._service.create_with_cluster(session, caller, cluster.id, specs, parent_id=parent_id)

    async def begin_delete(
        self, session: AsyncSession, caller: Caller, cluster_id: str, *, needs: Sequence[Needs], parent_id: str
    ) -> list[Operation]:
        """Begin to delete every node group of a cluster."""
        return await self._service.delete_with_cluster(session, caller, cluster_id, needs=needs, parent_id=parent_id)


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
        """Return what is at work on a cluster, its node groups and addons: the first two must be created first."""
        rows = [cluster.id]
        rows += [group.id for group in await nodegroup_rows.of_cluster(session, cluster.id)]
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

    async def check(self, project_id: str, wanted: Sequence[Wanted], cluster: ClusterSpec) -> None:
        """Look at their charts before anything begins."""
        await self._releases.check(project_id, wanted, str(cluster.version))


class TagDirectory:
    """The tags of every kind of resource, as webhooks ask for them."""

    tables: Mapping[str, type[ResourceColumns]] = {
        "cluster": Cluster,
        "nodegroup": Nodegroup,
        "addon": Addon,
        "registry": Registry,
        "release": Release,
    }

    async def of(self, session: AsyncSession, resource_type: str, resource_id: str) -> dict[str, str]:
        """Return the tags of a resource, also of a deleted one."""
        table = self.tables.get(resource_type)
        row = await session.get(table, resource_id) if table else None
        return row.tags if row else {}


def _view(cluster: Cluster) -> ClusterView:
    # What AWS has, except while it is being changed: nodes come after that.
    spec = cluster.spec if cluster.phase in ("creating", "updating") else cluster.applied_spec
    return ClusterView(
        id=cluster.id,
        name=cluster.name,
        project_id=cluster.project_id,
        account_id=cluster.account_id,
        region=cluster.region,
        phase=cluster.phase,
        version=spec["version"],
        ip_family=spec["network"]["ip_family"],
        outputs=cluster.outputs,
        facts=cluster.facts,
    )


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
