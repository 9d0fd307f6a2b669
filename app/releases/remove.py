"""How releases are uninstalled and tested."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.contract import Cancelled, Context, Done, Ending, Fail, NewEvent, Outcome, Wait
from app.engine.models import Operation
from app.gateways.helm import errors as helm
from app.gateways.helm.records import objects_of, records
from app.gateways.helm.release import Hook
from app.gateways.helm.releases import Change
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.diagnosis import Diagnosis, diagnose_removal
from app.gateways.kubernetes.errors import KubernetesError
from app.gateways.kubernetes.objects import Json
from app.operations.records import Asked, Found
from app.releases.activity import CancelledByCallerError, Telling, supervised
from app.releases.models import Release
from app.releases.observe import hook_cause
from app.releases.reconcile import ReleaseReconciler, Work

FORCED_SECONDS = 30.0
"""How long a delete that may leave things behind waits for a cluster that does not answer."""


class DeleteRelease(ReleaseReconciler):
    """Uninstall: helm deletes the objects and waits until they are gone, load balancers of services with them."""

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing; what never touched the cluster, or went with it, needs nothing."""
        if context.phase == "begin" and (gone := await self._is_gone(context)) is not None:
            context.warn(gone) if gone else None
            return Done()
        outcome = await super().reconcile(context)
        if isinstance(outcome, Fail) and Asked.of(context.operation.input).force:
            context.warn(f"The release is left behind in its cluster: {outcome.failure.message}")
            return Done()
        return outcome

    async def _is_gone(self, context: Context) -> str | None:
        """Return None if there may be something to uninstall, else what the caller should know about it (or "")."""
        work = await self._load(context)
        if not work.release.facts.get("begun") or work.connection is None:
            return ""
        cloud = await self._tools.clouds.of(work.cluster.account_id, work.cluster.region)
        if await cloud.eks.describe_cluster(work.cluster.name) is None:
            return f"AWS has no cluster {work.cluster.name!r} any more; its releases went with it."
        return None

    async def act(self, context: Context, work: Work, kubernetes: Kubernetes) -> Outcome:
        """Let helm uninstall."""
        context.step("uninstall")
        work.progress.running = True
        await context.intend()
        release = work.release
        left = max(1.0, self.seconds_left(work))
        objects = await _objects(kubernetes, release)  # once they are deleted helm forgets the release, gone or not
        change = Change(timeout_seconds=left, tell=Telling(context))
        run = self.releases(work).uninstall(release.name, namespace=release.namespace, change=change)
        try:
            await supervised(context, self._tools.database, run, to_the_end=True)
        except (helm.ClusterUnreachable, helm.Unauthorized):
            raise
        except helm.HelmError as error:
            if isinstance(error, helm.Killed | helm.Cancelled) and self.seconds_left(work) > 0:
                return Wait(1.0)  # what the killed one left is repaired first
            await self.repair(context, work, kubernetes)
            cause = await _what_stays(kubernetes, objects, release.namespace, error)
            return Fail(error.as_failure(resource=release.name, diagnosis=cause))
        work.progress.running = work.progress.begun = False
        return Done()

    async def not_now(
        self, context: Context, work: Work, error: KubernetesError | helm.HelmError, *, patience: float | None = None
    ) -> Outcome:
        """Wait for a cluster that does not answer; not for long if the release may be left behind."""
        if work.asked.force and patience is None:
            patience = FORCED_SECONDS
        return await super().not_now(context, work, error, patience=patience)


class TestRelease(ReleaseReconciler):
    """Test: helm runs the chart's tests; the release itself stays as it is."""

    async def act(self, context: Context, work: Work, kubernetes: Kubernetes) -> Outcome:
        """Let helm test."""
        context.step("test")
        release = work.release
        left = max(1.0, self.seconds_left(work))
        run = self.releases(work).test(
            release.name, namespace=release.namespace, timeout_seconds=left, tell=Telling(context)
        )
        try:
            found = await supervised(context, self._tools.database, run)
        except CancelledByCallerError:
            return Cancelled()
        except (helm.ClusterUnreachable, helm.Unauthorized):
            raise
        except (helm.Killed, helm.Cancelled) as error:
            left = self.seconds_left(work)
            return Wait(2.0) if left > 0 else Fail(self.failure(work, error))
        except helm.HelmError as error:
            return Fail(self.failure(work, error))
        for test in found.tests:
            context.events.append(NewEvent("release.test", f"{test.kind}/{test.name} {test.phase}", data=_brief(test)))
        work.progress.facts = {"tests": [_brief(test) for test in found.tests]}
        if found.error is None:
            return Done()
        diagnosis = await hook_cause(kubernetes, found.tests, release.namespace)
        return Fail(found.error.as_failure(resource=release.name, diagnosis=diagnosis))

    async def settle_phase(self, session: AsyncSession, release: Release, operation: Operation, ending: Ending) -> None:
        """Note how the tests went."""
        release.facts = {**release.facts, **Found.of(operation.data).facts}


async def _objects(kubernetes: Kubernetes, release: Release) -> list[Json]:
    try:
        known = await records(kubernetes, release.name, release.namespace)
        return await objects_of(known[-1]) if known else []
    except helm.HelmError:
        return []


async def _what_stays(
    kubernetes: Kubernetes, objects: list[Json], namespace: str, error: helm.HelmError
) -> Diagnosis | None:
    """Return what is not gone in time, and for whom it waits; None if that is not known, or not the question."""
    if not isinstance(error, helm.WaitTimeout):
        return None
    try:
        return await diagnose_removal(kubernetes, objects, namespace=namespace)
    except KubernetesError:
        return None


def _brief(test: Hook) -> dict[str, str | None]:
    def text(at: datetime | None) -> str | None:
        return at.isoformat() if at else None

    return {
        "name": test.name,
        "phase": test.phase,
        "started_at": text(test.started_at),
        "completed_at": text(test.completed_at),
    }
