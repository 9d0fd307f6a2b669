"""Makes the services of a process and gives each what it needs."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from app.accounts.clouds import AccountClouds
from app.clusters.changes import ClusterChanges
from app.clusters.dependencies import ClusterFeature
from app.clusters.live import LiveChecks
from app.clusters.reconcile import CreateCluster, DeleteCluster, UpdateCluster
from app.clusters.service import ClusterService
from app.core.crypto import Vault, open_vault
from app.core.outbound import Rules
from app.core.settings import Settings
from app.db.session import Database
from app.engine.contract import Reconciler
from app.gateways.aws.clients import AwsClients
from app.gateways.helm.client import Helm
from app.gateways.helm.process import Limits
from app.gateways.kubernetes.clients import KubernetesClients
from app.kinds.addon.with_cluster import ClusterAddons
from app.kinds.all import KINDS, reconcilers
from app.kinds.changes import Changes
from app.kinds.parts import Parts
from app.operations.group import GroupReconciler
from app.operations.group_kinds import GROUP_KINDS
from app.operations.service import Ledger
from app.registries.charts import RegistryCharts
from app.registries.dependencies import RegistryFeature
from app.registries.images import ImageLists
from app.releases.activity import Places
from app.releases.changes import ReleaseChanges
from app.releases.charts import Charts
from app.releases.credentials import CredentialService
from app.releases.dependencies import ReleaseFeature
from app.releases.install import EnsureRelease, RollbackRelease
from app.releases.live import ChartChecks
from app.releases.reader import ReleaseReader
from app.releases.reconcile import Tools
from app.releases.remove import DeleteRelease, TestRelease
from app.releases.request_secrets import RequestSecrets
from app.releases.resolve import Resolver
from app.releases.sealed import SealedValues
from app.releases.service import ReleaseService
from app.releases.with_cluster import ClusterReleases
from app.webhooks.outbox import Outbox
from app.webhooks.service import WebhookService


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that roots hand to routes and to the engine."""

    ledger: Ledger
    clouds: AccountClouds
    clusters: ClusterFeature
    changes: Changes
    registries: RegistryFeature
    releases: ReleaseFeature
    helm: Helm
    vault: Vault
    outbox: Outbox
    webhooks: WebhookService
    reconcilers: Mapping[str, Reconciler]
    open: contextlib.AsyncExitStack

    async def aclose(self) -> None:
        """Close what they keep open: charts, and connections to clusters."""
        await self.open.aclose()


@dataclass(frozen=True, slots=True)
class _Releases:
    """What the wiring of releases gives to the rest."""

    feature: ReleaseFeature
    of_clusters: ClusterReleases
    helm: Helm
    open: contextlib.AsyncExitStack
    reconcilers: Mapping[str, Reconciler]


def _wire_releases(
    settings: Settings, database: Database, ledger: Ledger, clouds: AccountClouds, vault: Vault
) -> _Releases:
    rules = Rules.of(settings)
    # A lost lease is noticed after three quarters of it; helm has to be gone before the rest is over.
    limits = Limits(grace_seconds=settings.lease_seconds / 5)
    helm = Helm(
        settings.helm,
        rules=rules,
        limits=limits,
        max_changes=settings.helm_max_changes,
        confined=settings.helm_confinement,
    )
    of_registries = RegistryCharts(database, clouds)
    charts = Charts(helm, database, vault, of_registries)
    sealed = SealedValues(vault)
    service = ReleaseService(ledger, of_registries, sealed, max_bytes=settings.max_body_bytes)
    ledger.register("release", service)
    checks = ChartChecks(helm, charts, rules)
    places = Places(settings.helm_max_changes, settings.helm_max_per_cluster)
    kubernetes = KubernetesClients()
    resolver = Resolver(clouds, vault)
    tools = Tools(database, clouds, sealed, helm, kubernetes, charts, places, resolver)
    reader = ReleaseReader(clouds, helm, kubernetes, charts)
    secrets = RequestSecrets(clouds, kubernetes, resolver)
    ensure = EnsureRelease(tools)
    kept_open = contextlib.AsyncExitStack()
    kept_open.push_async_callback(charts.aclose)
    kept_open.push_async_callback(kubernetes.aclose)
    return _Releases(
        ReleaseFeature(
            ReleaseChanges(database, service, sealed, checks, secrets, reader),
            ledger,
            sealed,
            reader,
            CredentialService(vault),
            secrets,
        ),
        ClusterReleases(database, service, checks, secrets),
        helm,
        kept_open,
        {
            "release.create": ensure,
            "release.update": ensure,
            "release.rollback": RollbackRelease(tools),
            "release.test": TestRelease(tools),
            "release.delete": DeleteRelease(tools),
        },
    )


def wire(settings: Settings, database: Database, clients: AwsClients) -> Services:
    """Return the services of a process."""
    vault = open_vault(settings)
    outbox = Outbox(database.notifier)
    database.phase_observers.append(outbox.phases)
    ledger = Ledger(database.notifier)
    clouds = AccountClouds(database, clients)
    changes = Changes(database, clouds, ledger, KINDS)
    addons = ClusterAddons(changes)
    changes.followers["nodegroup"] = addons.install_after
    parts = Parts(changes)
    releases = _wire_releases(settings, database, ledger, clouds, vault)
    cluster_service = ClusterService(ledger, parts, addons, releases.of_clusters)
    ledger.register("cluster", cluster_service)
    cluster_changes = ClusterChanges(
        database,
        clouds,
        cluster_service,
        LiveChecks(),
        parts,
        releases.of_clusters,
    )
    for kind in KINDS:
        ledger.register(kind, changes)
    return Services(
        ledger=ledger,
        clouds=clouds,
        clusters=ClusterFeature(cluster_changes, ledger, clouds),
        changes=changes,
        registries=RegistryFeature(clouds, ImageLists()),
        releases=releases.feature,
        helm=releases.helm,
        vault=vault,
        outbox=outbox,
        webhooks=WebhookService(vault, Rules.of(settings), outbox, database.notifier),
        open=releases.open,
        reconcilers={
            **dict.fromkeys(GROUP_KINDS, GroupReconciler(database)),
            "cluster.create": CreateCluster(database, clouds),
            "cluster.update": UpdateCluster(database, clouds),
            "cluster.delete": DeleteCluster(database, clouds),
            **reconcilers(database, clouds),
            **releases.reconcilers,
        },
    )
