"""How operations on releases are carried out: wait for the cluster, prepare, run helm, and put right what it left.

All that helm did is told by the intents: `begun` says that helm may have touched the cluster for this release, and
`running` that a helm of ours may have been killed, so that what it left pending is repaired before anything else. It is
safe to do so: the operation is ours under its lease, and a helm does not outlive the process that started it.
"""

import asyncio
import logging
import random
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository as clusters
from app.clusters.view import ClusterView
from app.core.failure import Cause, Failure
from app.core.secrets.scope import current
from app.db.base import APPLIED
from app.db.session import Database
from app.engine.contract import Advance, Cancelled, Context, Ending, Fail, NewEvent, Outcome, Reconciler, Wait
from app.engine.models import Operation
from app.gateways.aws.cloud import Clouds
from app.gateways.helm import errors as helm
from app.gateways.helm.client import Helm
from app.gateways.helm.errors import HelmError
from app.gateways.helm.releases import Releases
from app.gateways.helm.repair import repair_pending
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.clients import KubernetesClients
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.errors import Forbidden, KubernetesError, Unauthorized
from app.operations.records import Asked
from app.operations.transitions import Verb, settle, with_condition
from app.releases import repository, resolutions
from app.releases.activity import Places
from app.releases.charts import Charts
from app.releases.errors import ValuesLostError
from app.releases.models import Release, ReleaseRevision
from app.releases.operation_secrets import hide_installed
from app.releases.progress import AskedOfRelease, Progress
from app.releases.resolve import Resolver
from app.releases.sealed import SealedValues
from app.releases.secrets.opened import Opened

log = logging.getLogger(__name__)

CALL_SECONDS = 8.0
"""How long one call of an API server may take before it is taken as away."""
ACCESS_SECONDS = 60.0
"""How long a cluster may refuse us: EKS takes some seconds to heed a new access entry."""
PAUSE_SECONDS = 2.0
"""Before helm is begun again after it could not do its work."""
UNREACHABLE = "ClusterReachable"
"""Condition that is `False` while an operation waits for a cluster that does not answer."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What reconcilers of releases work with."""

    database: Database
    clouds: Clouds
    sealed: SealedValues
    helm: Helm
    kubernetes: KubernetesClients
    charts: Charts
    places: Places
    resolver: Resolver


@dataclass(slots=True)
class Work:
    """One operation's release, as a call of its reconciler finds it.

    Attributes:
        release: Its row.
        cluster: Where it is.
        now: By the database's clock.
        connection: To its API server; None if there never was one.
        values: Of the spec, secret ones too; references as they are.
        asked: What the operation was begun with.
        progress: How far it is; what is assigned is written with the result, and by `Context.intend`.
    """

    release: Release
    cluster: ClusterView
    now: datetime
    connection: Connection | None
    values: Opened
    asked: AskedOfRelease
    progress: Progress


class ReleaseReconciler(Reconciler):
    """What all operations of releases share: the cluster is waited for, then helm works while there is a place."""

    phases: ClassVar[tuple[str, ...]] = ("begin", "helm", "recover")
    activities: ClassVar[frozenset[str]] = frozenset(phases)

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    @abstractmethod
    async def act(self, context: Context, work: Work, kubernetes: Kubernetes) -> Outcome:
        """Do with helm what the operation is for."""

    async def recover(self, context: Context, work: Work, kubernetes: Kubernetes) -> Outcome:
        """Do what `on_failure` says."""
        raise NotImplementedError(f"{context.operation.kind} recovers nothing")

    async def prepare(self, context: Context, work: Work, kubernetes: Kubernetes) -> Failure | None:
        """Do what must be done before helm can; return why it cannot."""
        await kubernetes.version()
        return None

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        try:
            work = await self._load(context)
        except ValuesLostError as error:
            return Fail(Failure(error.code, error.message, hint="Give Slipway the key back, or PUT the values anew."))
        if context.operation.cancel_requested and context.phase != "recover":
            return await self.stop(context, work)
        if context.phase == "begin" and (ended := await self._begin(context, work)) is not None:
            return ended
        if not self._tools.places.has_room(work.cluster.id):
            return Advance("helm") if context.phase == "begin" else Wait(random.uniform(0.3, 0.9))  # noqa: S311
        with self._tools.places.taken(work.cluster.id):
            async with self.kubernetes(work) as kubernetes:
                try:
                    await hide_installed(kubernetes, work.release)
                    if context.phase == "recover":
                        return await self.recover(context, work, kubernetes)
                    await self.repair(context, work, kubernetes)
                    return await self.act(context, work, kubernetes)
                except (KubernetesError, helm.ClusterUnreachable, helm.Unauthorized) as error:
                    return await self.not_now(context, work, error, patience=patience_with(error))

    async def stop(self, context: Context, work: Work) -> Outcome:
        """End an operation that is to be cancelled while no helm runs."""
        return Cancelled()

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Write phase, conditions, outputs and facts into the release's row, and what the new revision is made of."""
        release = await repository.by_id(session, operation.resource_id)
        progress = Progress.of(operation.data)
        if progress.begun is not None or progress.running is not None:  # also if a delete takes over
            release.facts = {
                **release.facts,
                "begun": release.facts.get("begun", False) or bool(progress.begun),
                "running": bool(progress.running),
            }
        if operation.superseded:
            return
        await self.settle_phase(session, release, operation, ending)
        revision = progress.outputs.get("revision")
        if ending == "succeeded" and revision:
            facts = resolutions.settled(release.facts, operation.id, revision)
            release.facts = {**facts, APPLIED: release.spec}
            await self._keep_revision(session, release, revision, release, progress.chart or {})
        elif revision and progress.recovered is not None:
            old = await repository.revision(session, release.id, progress.recovered)
            release.facts = resolutions.settled(release.facts, operation.id, revision, like=progress.recovered)
            if old is not None:
                await self._keep_revision(session, release, revision, old, old.chart)

    async def settle_phase(self, session: AsyncSession, release: Release, operation: Operation, ending: Ending) -> None:
        """Write phase and conditions."""
        verb: Verb | None = "update" if operation.kind == "release.rollback" else None
        usable, progress = Asked.of(operation.input).usable, Progress.of(operation.data)
        if operation.kind == "release.create" and ending == "cancelled" and progress.begun:
            verb = "update"  # what was begun is still in the cluster, so the release is not gone
        if operation.kind == "release.delete":
            usable = usable and progress.running is None
        settle(release, operation, ending, usable=usable, verb=verb)

    @asynccontextmanager
    async def kubernetes(self, work: Work) -> AsyncIterator[Kubernetes]:
        """Give the client of the release's cluster."""
        assert work.connection is not None  # noqa: S101 - `_begin` came first
        async with self._tools.kubernetes.of(work.connection, request_seconds=CALL_SECONDS) as client:
            yield client

    def releases(self, work: Work) -> Releases:
        """Return the releases of the cluster."""
        assert work.connection is not None  # noqa: S101 - `_begin` came first
        return Releases(self._tools.helm, work.connection)

    async def repair(self, context: Context, work: Work, kubernetes: Kubernetes) -> None:
        """Take the release out of `pending-*` if a helm of ours may have left it there.

        Raises:
            KubernetesError: the cluster cannot be asked.
        """
        running = work.progress.running
        if not (work.release.facts.get("running", False) if running is None else running):
            return
        for repaired in await repair_pending(kubernetes, work.release.name, namespace=work.release.namespace):
            message = f"helm had been stopped in {repaired.was}: revision {repaired.revision} is marked as failed"
            context.events.append(NewEvent("release.repaired", message, data={"revision": repaired.revision}))
        work.progress.running = False
        await context.intend()

    def seconds_left(self, work: Work) -> float:
        """Return the seconds until the operation's time is over."""
        assert work.progress.deadline is not None  # noqa: S101 - `_begin` came first
        return (work.progress.deadline - work.now).total_seconds()

    def failure(self, work: Work, error: HelmError) -> Failure:
        """Return the operation's failure for what helm said."""
        return error.as_failure(resource=work.release.name)

    async def not_now(
        self, context: Context, work: Work, error: KubernetesError | HelmError, *, patience: float | None = None
    ) -> Outcome:
        """Wait for a cluster that does not answer, and say so; fail when the operation's time is over.

        Args:
            context: Of the operation.
            work: Likewise.
            error: What it was.
            patience: Seconds since the first such answer after which it is no use to wait on.
        """
        first = work.progress.away_since
        waited = (work.now - first).total_seconds() if first else 0.0
        over = self.seconds_left(work) <= 0 or (patience is not None and waited > patience)
        failure = without_secrets(error.as_failure(resource=work.cluster.name, type="Cluster"))
        if over or not (error.retryable or patience is not None):
            return Fail(failure)
        if first is None:
            message = f"Cluster {work.cluster.name!r} cannot be used now, waiting for it: {failure.message}"
            context.warn(message)
            context.events.append(NewEvent("release.cluster_unreachable", message))
            work.progress.away_since = work.now
            await context.intend()
            await self._set_reachable(work, "False", failure)
        if context.phase == "begin":
            return Wait(min(15.0, 1.0 + waited / 4))
        await asyncio.sleep(PAUSE_SECONDS)  # an activity may
        return Advance("begin")

    async def _begin(self, context: Context, work: Work) -> Outcome | None:
        """Wait for the cluster and prepare it; return None once helm can work."""
        context.step("wait_for_cluster")
        if work.connection is None:
            failure = Failure("cluster_not_ready", f"Cluster {work.cluster.name!r} has no endpoint.")
            return Fail(failure)
        if work.progress.deadline is None:
            work.progress.deadline = work.now + timedelta(seconds=work.release.spec["timeout_seconds"])
            await context.intend()
        try:
            async with self.kubernetes(work) as kubernetes:
                failure_or_none = await self.prepare(context, work, kubernetes)
        except KubernetesError as error:
            return await self.not_now(context, work, error, patience=patience_with(error))
        if work.progress.away_since is not None:
            work.progress.away_since = None
            context.events.append(
                NewEvent("release.cluster_reachable", f"Cluster {work.cluster.name!r} answers again.")
            )
            await self._set_reachable(work, "True", None)
        return Fail(failure_or_none) if failure_or_none else None

    async def _load(self, context: Context) -> Work:
        async with self._tools.database.read() as session:
            release = await repository.by_id(session, context.operation.resource_id)
            cluster = ClusterView.of(await clusters.by_id(session, release.cluster_id))
            now = await repository.now(session)
        values = await asyncio.to_thread(self._tools.sealed.opened, release)
        await current().prepare()
        connection = await connection_of(self._tools.clouds, cluster)
        asked, progress = AskedOfRelease.of(context.operation.input), Progress.within(context.data)
        return Work(release, cluster, now, connection, values, asked, progress)

    async def _set_reachable(self, work: Work, status: str, failure: Failure | None) -> None:
        async with self._tools.database.write() as session:
            release = await repository.get(session, work.release.project_id, work.release.id, lock=True)
            release.conditions = with_condition(
                release.conditions,
                UNREACHABLE,
                status,
                "Answers" if failure is None else "Unreachable",
                failure.message if failure else "",
                work.now,
            )

    async def _keep_revision(
        self,
        session: AsyncSession,
        release: Release,
        revision: int,
        made_of: Release | ReleaseRevision,
        chart: dict[str, Any],
    ) -> None:
        try:
            sealed = self._tools.sealed.of_revision(made_of, release.id, revision)
        except ValuesLostError as error:  # what helm did is done; a rollback to it takes helm's own record
            log.warning("revision %d of %s is not kept: %s", revision, release.id, error.message)
            return
        row = ReleaseRevision(
            release_id=release.id, revision=revision, spec=made_of.spec, sealed_values=sealed, chart=chart
        )
        await session.merge(row)


async def connection_of(clouds: Clouds, cluster: ClusterView) -> Connection | None:
    """Return the way to a cluster's API server, None if it has none (yet)."""
    if not cluster.endpoint:
        return None
    cloud = await clouds.of(cluster.account_id, cluster.region)
    return Connection(cluster.endpoint, cluster.certificate_authority, lambda: cloud.eks.token(cluster.name))


def patience_with(error: KubernetesError | HelmError) -> float | None:
    """Return for how long a refusal may be one that passes: the cluster's own check of tokens can be late, too."""
    return ACCESS_SECONDS if isinstance(error, Unauthorized | Forbidden | helm.Unauthorized) else None


def without_secrets(failure: Failure) -> Failure:
    """Return the failure as it may be kept elsewhere than in what the engine writes, which hides secrets itself."""
    return failure.mapped(current().text)


def failure_of(document: dict[str, Any]) -> Failure:
    """Return a failure from its JSON form."""
    cause = Cause(**document["cause"]) if document["cause"] else None
    return Failure(document["code"], document["message"], document["hint"], cause, document["retryable"])
