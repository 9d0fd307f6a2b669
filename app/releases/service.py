"""The use cases of releases: each writes desired state and operation in the caller's transaction. No network."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository as clusters
from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.core.errors import FieldError
from app.core.ids import new_id
from app.db import resources
from app.db.base import ResourceColumns
from app.engine.models import Operation
from app.gateways.helm.strvals import MAX_BYTES
from app.operations import repository as operations
from app.operations.errors import ImmutableFieldError, NotRetryableError
from app.operations.prepared import Begin
from app.operations.records import Asked
from app.operations.service import Ledger, Needs, Plan
from app.operations.transitions import check_unchanged
from app.registries.charts import RegistryCharts
from app.releases import repository
from app.releases.charts import Pinned
from app.releases.errors import (
    ClusterDeletingError,
    ClusterFailedError,
    ReleaseDeletingError,
    ReleaseExistsError,
    ReleaseNotFoundError,
    ReleaseNotReadyError,
)
from app.releases.models import Release
from app.releases.order import Dependencies
from app.releases.plans import steps_of, target_of
from app.releases.progress import AskedOfRelease
from app.releases.schemas import ReleaseSpec
from app.releases.sealed import SealedValues
from app.releases.secrets.opened import Opened
from app.releases.values import PLACES, wanted

IDENTITY = ("cluster", "namespace", "name")


class ReleaseService:
    """Creates, changes and deletes releases, and knows how their operations are stopped and retried."""

    def __init__(
        self, ledger: Ledger, registries: RegistryCharts, sealed: SealedValues, *, max_bytes: int = MAX_BYTES
    ) -> None:
        self._ledger = ledger
        self._registries = registries
        self._sealed = sealed
        self.max_bytes = max_bytes
        self._dependencies = Dependencies(registries)

    def wanted(
        self, spec: ReleaseSpec, before: Opened | None = None, pointer: str = "", *, values_pointer: str = "/values"
    ) -> Opened:
        """Return the values that a request asks for; see `values.wanted`.

        Raises:
            InvalidError: with pointers into the request.
        """
        return wanted(spec, before, pointer, values_pointer=values_pointer, max_bytes=self.max_bytes)

    async def registry(self, session: AsyncSession, project_id: str, spec: ReleaseSpec) -> ResourceColumns | None:
        """Return the registry that the chart comes from, None if it comes from elsewhere.

        Raises:
            SlipwayError: there is no such registry, or it cannot be used.
        """
        if spec.chart.registry is None:
            return None
        return await self._registries.registry(session, project_id, spec.chart.registry)

    async def create(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: ClusterView,
        spec: ReleaseSpec,
        values: Opened,
        how: Begin,
        *,
        chart: Pinned | None,
    ) -> Operation:
        """Begin to install a release; one of a cluster that is still being created waits for it.

        Args:
            session: The transaction.
            caller: Who asks.
            cluster: Where.
            spec: What is asked for.
            values: Its values, `set` in them.
            how: How it is begun.
            chart: Which chart that is, if it could be found out already.

        Raises:
            ReleaseExistsError: the namespace has a release of that name.
            ClusterDeletingError: its cluster is being deleted.
            ClusterFailedError: its cluster never came to be.
            DependencyNotReadyError: a release that it depends on is not there.
        """
        refuse_unusable(cluster)
        existing = await repository.named(session, cluster.id, spec.namespace, spec.name)
        if existing is not None:
            raise _exists(spec, cluster, existing.id)
        registry = await self.registry(session, cluster.project_id, spec)
        registry_id = registry.id if registry else None
        needs = await self._dependencies.needs(session, cluster, spec, registry_id)
        release_id = new_id("rel")
        release = Release(
            id=release_id,
            project_id=cluster.project_id,
            account_id=cluster.account_id,
            region=cluster.region,
            name=spec.name,
            cluster_id=cluster.id,
            namespace=spec.namespace,
            spec=spec.document(),
            sealed_values=self._sealed.of_release(release_id, values.values),
            facts={PLACES: values.known.as_json()} if values.known.all else {},
            tags=spec.tags,
            phase="creating",
        )
        await resources.insert(session, release, _exists(spec, cluster, None))
        asked = AskedOfRelease(
            generation=1, usable=False, registry_id=registry_id, chart=chart.as_json() if chart else None
        )
        plan = Plan(
            "release.create",
            steps_of("release.create", release.spec),
            asked.as_json(),
            needs=needs,
            parent_id=how.parent_id,
            callback_url=how.callback_url,
        )
        return await self._ledger.begin(session, caller, target_of(release), plan)

    async def check_change(self, session: AsyncSession, release: Release, spec: ReleaseSpec) -> ClusterView:
        """Check that a release can be changed now, and to this spec; return its cluster.

        Raises:
            ImmutableFieldError: that would be another release.
            ReleaseDeletingError: it is being deleted.
            OperationInProgressError: it is being changed.
            ClusterFailedError: its cluster never came to be.
        """
        cluster = ClusterView.of(await clusters.by_id(session, release.cluster_id))
        await self._refuse_deleting(session, release, cluster)
        await self._ledger.check_free(session, release.id)
        changed = [field for field in IDENTITY if getattr(spec, field) != release.spec[field]]
        if changed:
            errors = [FieldError(f"/{field}", "identifies the release and cannot be changed") for field in changed]
            raise ImmutableFieldError("That would be another release.", errors)
        return cluster

    async def check_installed(self, session: AsyncSession, release: Release) -> ClusterView:
        """Check that a release is installed and can be worked on now; return its cluster.

        Raises:
            ReleaseNotReadyError: it was never installed.
            SlipwayError: as `check_change`.
        """
        cluster = ClusterView.of(await clusters.by_id(session, release.cluster_id))
        await self._refuse_deleting(session, release, cluster)
        await self._ledger.check_free(session, release.id)
        if not release.observed_generation:
            raise ReleaseNotReadyError(f"Release {release.name!r} is not installed; it is {release.phase}.")
        return cluster

    async def update(
        self,
        session: AsyncSession,
        caller: Caller,
        release: Release,
        spec: ReleaseSpec,
        values: Opened,
        how: Begin,
        *,
        seen: Release,
        chart: Pinned | None,
    ) -> Operation:
        """Begin to bring a release to a new spec; one that failed to be installed is installed with it.

        Args:
            session: The transaction.
            caller: Who asks.
            release: The release, locked.
            spec: The whole new spec.
            values: Its values, `set` in them.
            how: How it is begun.
            seen: The release as it was when the spec was checked.
            chart: Which chart that is.

        Raises:
            SlipwayError: as `check_change`.
        """
        cluster = await self.check_change(session, release, spec)
        check_unchanged(seen, release)
        registry = await self.registry(session, release.project_id, spec)
        registry_id = registry.id if registry else None
        needs = await self._dependencies.needs(session, cluster, spec, registry_id, own_id=release.id)
        usable = release.phase == "active"
        self._write(release, spec.document(), values)
        release.tags, release.phase = spec.tags, "updating"
        asked = AskedOfRelease(
            generation=release.generation,
            usable=usable,
            registry_id=registry_id,
            chart=chart.as_json() if chart else None,
        )
        plan = Plan(
            "release.update",
            steps_of("release.update" if release.observed_generation else "release.create", release.spec),
            asked.as_json(),
            needs=needs,
            callback_url=how.callback_url,
        )
        return await self._ledger.begin(session, caller, target_of(release), plan)

    async def rollback(
        self,
        session: AsyncSession,
        caller: Caller,
        release: Release,
        revision: int,
        spec: dict[str, Any],
        values: Opened,
        chart: dict[str, Any],
        how: Begin,
        *,
        anew: bool,
    ) -> Operation:
        """Begin to bring a release back to what one of its revisions was; its spec is that one's from now on.

        Args:
            session: The transaction.
            caller: Who asks.
            release: The release, locked.
            revision: Helm's number.
            spec: What that revision was made of, as rows keep it.
            values: Likewise.
            chart: Likewise.
            how: How it is begun.
            anew: Render it with the secrets of now, instead of what helm keeps of it.

        Raises:
            SlipwayError: as `check_installed`.
        """
        cluster = await self.check_installed(session, release)
        registry = await self.registry(session, release.project_id, ReleaseSpec.model_validate(spec)) if anew else None
        self._write(release, spec, values)
        release.tags, release.phase = spec.get("tags", {}), "updating"
        asked = AskedOfRelease(
            generation=release.generation,
            usable=True,
            registry_id=registry.id if registry else None,
            chart=chart,
            revision=revision,
            anew=anew,
        )
        plan = Plan(
            "release.rollback",
            steps_of("release.rollback", release.spec, anew=anew),
            asked.as_json(),
            needs=await self._dependencies.of_cluster(session, cluster),
            callback_url=how.callback_url,
        )
        return await self._ledger.begin(session, caller, target_of(release), plan)

    async def test(self, session: AsyncSession, caller: Caller, release: Release, how: Begin) -> Operation:
        """Begin to run the tests of a release.

        Raises:
            SlipwayError: as `check_installed`.
        """
        cluster = await self.check_installed(session, release)
        needs = await self._dependencies.of_cluster(session, cluster)
        plan = Plan("release.test", steps_of("release.test", release.spec), needs=needs, callback_url=how.callback_url)
        return await self._ledger.begin(session, caller, target_of(release), plan)

    async def delete(
        self,
        session: AsyncSession,
        caller: Caller,
        release: Release,
        how: Begin,
        *,
        force: bool = False,
    ) -> Operation:
        """Begin to uninstall a release; a create that runs is superseded.

        Args:
            session: The transaction.
            caller: Who asks.
            release: The release, locked.
            how: How it is begun; with its cluster (`how.parent_id`), any change that runs is superseded.
            force: Leave behind what cannot be uninstalled: it was tried before.

        Raises:
            OperationInProgressError: it is being changed.
        """
        live = await operations.live_of(session, release.id)
        needs = list(how.needs)
        if live is not None and (
            live.kind == "release.create" or how.parent_id is not None
        ):  # a cluster takes all with it
            await self._ledger.supersede(session, live)
            needs.append(Needs(live.id, "end"))
        else:
            await self._ledger.check_free(session, release.id)
        usable = release.phase == "active" or bool(live and Asked.of(live.input).usable)
        plan = Plan(
            "release.delete",
            steps_of("release.delete", release.spec),
            AskedOfRelease(usable=usable, force=force).as_json(),
            needs=needs,
            parent_id=how.parent_id,
            retry_of=how.retry_of,
            callback_url=how.callback_url,
        )
        release.phase = "deleting"
        return await self._ledger.begin(session, caller, target_of(release), plan)

    def is_cancellable(self, operation: Operation) -> bool:
        """Tell whether what runs can be stopped: all but a delete."""
        return operation.kind != "release.delete"

    async def retry(
        self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str | None = None
    ) -> Operation:
        """Begin a failed operation again from where it stopped."""
        try:
            release = await repository.get(session, caller.project_id, operation.resource_id, lock=True)
        except ReleaseNotFoundError as error:
            raise NotRetryableError(f"Release {operation.resource_name!r} is gone.") from error
        if operation.kind == "release.delete":
            how = Begin(parent_id=parent_id, retry_of=operation.id)
            return await self.delete(session, caller, release, how, force=True)
        cluster = ClusterView.of(await clusters.by_id(session, release.cluster_id))
        await self._refuse_deleting(session, release, cluster)
        if operation.kind != "release.test":
            release.phase = "creating" if operation.kind == "release.create" else "updating"
        spec = ReleaseSpec.model_validate(release.spec)
        registry_id = AskedOfRelease.of(operation.input).registry_id
        needs = await self._dependencies.needs(session, cluster, spec, registry_id, own_id=release.id)
        plan = Plan.again(operation, needs=needs, parent_id=parent_id)
        return await self._ledger.begin(session, caller, target_of(release), plan)

    def _write(self, release: Release, document: dict[str, Any], values: Opened) -> None:
        """Write the desired spec; one that is the same is no new generation."""
        if values.known.all:
            release.facts = {**release.facts, PLACES: values.known.as_json()}
        if document == release.spec and values.values == self._sealed.plain(release):
            return
        release.spec = document
        release.sealed_values = self._sealed.of_release(release.id, values.values)
        release.generation += 1

    async def _refuse_deleting(self, session: AsyncSession, release: Release, cluster: ClusterView) -> None:
        refuse_unusable(cluster)
        await self._ledger.check_stays(session, release, "Release", ReleaseDeletingError)


def refuse_unusable(cluster: ClusterView) -> None:
    """Raise if nothing can be installed into a cluster, now or later.

    Raises:
        ClusterDeletingError: it is being deleted.
        ClusterFailedError: it never came to be.
    """
    if cluster.phase == "deleting":
        raise ClusterDeletingError(f"Cluster {cluster.name!r} is being deleted.", cluster_id=cluster.id)
    if cluster.phase == "failed" and not cluster.endpoint:
        raise ClusterFailedError(f"Cluster {cluster.name!r} has failed.", cluster_id=cluster.id)


def _exists(spec: ReleaseSpec, cluster: ClusterView, release_id: str | None) -> ReleaseExistsError:
    facts = {"release_id": release_id} if release_id else {}
    return ReleaseExistsError(
        f"Namespace {spec.namespace!r} of cluster {cluster.name!r} has a release named {spec.name!r}.", **facts
    )
