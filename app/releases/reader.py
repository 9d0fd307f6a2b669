"""What routes read of a release in its cluster, live: history, manifest, notes, resources, differences."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.gateways.aws.cloud import Clouds
from app.gateways.helm import errors as helm
from app.gateways.helm.client import Helm
from app.gateways.helm.release import Release as HelmRelease
from app.gateways.helm.release import Revision
from app.gateways.helm.releases import Releases
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.clients import KubernetesClients
from app.gateways.kubernetes.diff import ObjectChange, diff
from app.gateways.kubernetes.errors import KubernetesError, Unreachable
from app.gateways.kubernetes.objects import ManifestError, parse_manifest
from app.gateways.kubernetes.resources import Resource, read_resources
from app.releases.charts import Charts, Pinned
from app.releases.errors import (
    ClusterRefusesError,
    ClusterUnreachableError,
    HelmUnusableError,
    ReleaseNotReadyError,
    RevisionNotFoundError,
    chart_problem,
)
from app.releases.manifest import secrets_in, secrets_of
from app.releases.models import Release
from app.releases.observe import access
from app.releases.operation_secrets import hide_installed
from app.releases.ports import ClusterView
from app.releases.reconcile import connection_of
from app.releases.schemas import ReleaseSpec
from app.releases.secrets.charts import learn_from
from app.releases.secrets.opened import Opened
from app.releases.secrets.rendered import hide_secrets
from app.releases.values import of_helm

log = logging.getLogger(__name__)

READ_SECONDS = 40.0
"""How long a caller waits for a cluster."""
GLANCE_SECONDS = 3.0
"""How long a read of the resource itself waits for it; after that it tells what was seen last."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How a release differs from what Slipway installed.

    Attributes:
        revision: The newest one in the cluster.
        changes: What bringing its manifest in line would change.
    """

    revision: int
    changes: list[ObjectChange]


class ReleaseReader:
    """Reads releases in their clusters; errors are those that callers see."""

    def __init__(self, clouds: Clouds, helm: Helm, kubernetes: KubernetesClients, charts: Charts) -> None:
        self._clouds = clouds
        self._helm = helm
        self._kubernetes = kubernetes
        self._charts = charts

    async def get(self, release: Release, cluster: ClusterView, revision: int | None = None) -> HelmRelease:
        """Return a revision of a release as helm has it, secrets and all; None is the newest.

        Raises:
            SlipwayError: it is not there, or the cluster cannot be asked.
        """
        async with self._opened(release, cluster) as (releases, _):
            try:
                return await releases.get(release.name, namespace=release.namespace, revision=revision)
            except helm.ReleaseNotFound as error:
                if revision is None:
                    raise
                raise RevisionNotFoundError(f"Release {release.name!r} has no revision {revision}.") from error

    async def rendered(self, release: Release, cluster: ClusterView, revision: int | None = None) -> HelmRelease:
        """Return a revision whose manifest and notes are to be shown: its secrets, and the chart's own, are hidden.

        Raises:
            SlipwayError: as `get`.
        """
        async with self._opened(release, cluster) as (releases, _):
            name, namespace = release.name, release.namespace
            values = asyncio.create_task(releases.values(name, namespace=namespace, revision=revision))
            try:
                found = await self.get(release, cluster, revision)
                defaults = dict(await values)
            finally:
                values.cancel()
                await asyncio.gather(values, return_exceptions=True)
            await asyncio.to_thread(_hide, release, found, defaults)
            return found

    async def history(self, release: Release, cluster: ClusterView) -> list[Revision]:
        """Return the revisions that helm keeps, newest first.

        Raises:
            SlipwayError: as `get`.
        """
        async with self._opened(release, cluster) as (releases, _):
            return (await releases.history(release.name, namespace=release.namespace))[::-1]

    async def all_values(self, release: Release, cluster: ClusterView, revision: int | None) -> Opened:
        """Return the values of a revision with those of the chart under them.

        Raises:
            SlipwayError: as `get`.
        """
        async with self._opened(release, cluster) as (releases, _):
            values = await releases.values(release.name, namespace=release.namespace, revision=revision)
            return await asyncio.to_thread(of_helm, dict(values), release.spec, release.facts, revision)

    async def resources(self, release: Release, cluster: ClusterView) -> list[Resource]:
        """Return the objects of the manifest as they are now, with their pods.

        Raises:
            SlipwayError: as `get`.
        """
        async with self._opened(release, cluster) as (releases, kubernetes):
            found = await releases.get(release.name, namespace=release.namespace)
            objects = await _objects(found.manifest)
            return await read_resources(kubernetes, objects, namespace=release.namespace)

    async def drift(self, release: Release, cluster: ClusterView) -> Drift:
        """Return how the live objects differ from the manifest that is installed.

        Raises:
            SlipwayError: as `get`.
        """
        async with self._opened(release, cluster) as (releases, kubernetes):
            found = await releases.get(release.name, namespace=release.namespace)
            objects = await _objects(found.manifest)
            changes = await diff(kubernetes, objects, objects, namespace=release.namespace, release=release.name)
            return Drift(found.revision, [change for change in changes if change.action != "none"])

    async def preview(
        self,
        release: Release,
        cluster: ClusterView,
        spec: ReleaseSpec,
        values: Opened,
        *,
        registry_id: str | None,
        pin: Pinned | None,
    ) -> Drift:
        """Return what bringing the release to another spec would change: a server-side dry run.

        Raises:
            InvalidError: the chart cannot be had, or does not render with these values.
            SlipwayError: as `get`.
        """
        async with self._opened(release, cluster) as (releases, kubernetes):
            present = await releases.find(release.name, namespace=release.namespace)
            try:
                async with self._charts.fetch(
                    cluster.project_id, spec.chart, registry_id=registry_id, pin=pin
                ) as chart:
                    await learn_from(chart, values)
                    wanted = await releases.preview(release.name, chart, values.values, namespace=release.namespace)
            except (helm.ChartInvalid, helm.ChartNotFound, helm.ValuesInvalid, helm.RenderError) as error:
                raise chart_problem(error, "") from error
            except (
                helm.RepositoryUnreachable, helm.RepositoryInvalid, helm.RepositoryDenied, helm.Unconfined,
            ) as error:  # fmt: skip
                raise chart_problem(error, "") from error
            changes = await diff(
                kubernetes,
                await _objects(wanted.manifest),
                await _objects(present.manifest) if present else [],
                namespace=release.namespace,
                release=release.name,
            )
            return Drift(present.revision if present else 0, changes)

    async def glance(self, release: Release, cluster: ClusterView) -> dict[str, Any] | None:
        """Return how to reach what a release serves: now if its cluster answers quickly, else as it was seen last."""
        known: dict[str, Any] | None = release.facts.get("access")
        serving: Sequence[dict[str, str]] = release.facts.get("serving") or ()
        if not serving or release.phase == "deleting":
            return known
        try:
            async with asyncio.timeout(GLANCE_SECONDS):
                connection = await connection_of(self._clouds, cluster)
                if connection is None:
                    return known
                async with self._kubernetes.of(connection, request_seconds=GLANCE_SECONDS) as kubernetes:
                    return await access(kubernetes, serving, release.namespace)
        except (KubernetesError, TimeoutError) as error:
            log.info("%s is shown as it was seen last: %s", release.id, error)
            return known

    @asynccontextmanager
    async def _opened(self, release: Release, cluster: ClusterView) -> AsyncIterator[tuple[Releases, Kubernetes]]:
        connection = await connection_of(self._clouds, cluster)
        if connection is None:
            raise ReleaseNotReadyError(f"Cluster {cluster.name!r} has no endpoint (yet).", cluster_id=cluster.id)
        try:
            async with asyncio.timeout(READ_SECONDS), self._kubernetes.of(connection) as kubernetes:
                await hide_installed(kubernetes, release)
                yield Releases(self._helm, connection), kubernetes
        except TimeoutError as error:
            raise ClusterUnreachableError(f"Cluster {cluster.name!r} did not answer in time.") from error
        except KubernetesError as error:
            raise _kubernetes_problem(error, cluster) from error
        except helm.HelmError as error:
            raise _helm_problem(error, release, cluster) from error


async def _objects(manifest: str) -> list[dict[str, Any]]:
    try:
        objects = await asyncio.to_thread(parse_manifest, manifest)
    except ManifestError as error:
        raise ClusterRefusesError(f"The release's manifest cannot be read: {error}.") from error
    hide_secrets(secret for item in objects for secret in secrets_in(item))
    return objects


def _hide(release: Release, found: HelmRelease, values: dict[str, Any]) -> None:
    """Hide what a revision holds: its values, those of the chart under them, and what its Secrets have in them."""
    for each in (dict(found.values), values):
        of_helm(each, release.spec, release.facts, found.revision)
    for manifest in (found.manifest, *(hook.manifest for hook in found.hooks)):
        hide_secrets(secrets_of(manifest))


def _kubernetes_problem(error: KubernetesError, cluster: ClusterView) -> ClusterUnreachableError | ClusterRefusesError:
    failure = error.as_failure()
    facts: dict[str, Any] = {"hint": failure.hint, "cluster_id": cluster.id, "reason": failure.code}
    if isinstance(error, Unreachable):
        return ClusterUnreachableError(f"Cluster {cluster.name!r} cannot be asked: {failure.message}", **facts)
    return ClusterRefusesError(f"Cluster {cluster.name!r} refuses: {failure.message}", **facts)


def _helm_problem(
    error: helm.HelmError, release: Release, cluster: ClusterView
) -> ClusterUnreachableError | ClusterRefusesError | HelmUnusableError | ReleaseNotReadyError:
    if isinstance(error, helm.BinaryUnusable):
        return HelmUnusableError(error.message, retry_after=300, hint=error.hint)
    if isinstance(error, helm.ReleaseNotFound):
        return ReleaseNotReadyError(f"Cluster {cluster.name!r} has no release {release.name!r}.", hint=error.hint)
    failure = error.as_failure()
    facts: dict[str, Any] = {"hint": failure.hint, "cluster_id": cluster.id, "reason": failure.code}
    if isinstance(error, helm.ClusterUnreachable | helm.WaitTimeout):
        return ClusterUnreachableError(f"Cluster {cluster.name!r} cannot be asked: {failure.message}", **facts)
    return ClusterRefusesError(f"Cluster {cluster.name!r} refuses: {failure.message}", **facts)
