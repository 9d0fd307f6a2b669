"""How releases are installed, upgraded and rolled back, and what becomes of what failed."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from app.core.failure import Cause, Failure
from app.engine.contract import Advance, Cancelled, Context, Done, Fail, NewEvent, Outcome, Wait
from app.gateways.helm import errors as helm
from app.gateways.helm.chart import Chart
from app.gateways.helm.release import Release
from app.gateways.helm.releases import Change
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.errors import KubernetesError
from app.gateways.kubernetes.namespaces import apply_namespace, namespace_phase
from app.releases import operation_secrets
from app.releases.activity import CancelledByCallerError, Telling, supervised
from app.releases.charts import Pinned, pinned
from app.releases.observe import root_cause, seen_of
from app.releases.reconcile import ReleaseReconciler, Work, failure_of, later, without_secrets
from app.releases.resolve import Resolved
from app.releases.schemas import ReleaseSpec
from app.releases.secrets.charts import learn_from, learn_from_manifest
from app.releases.secrets.opened import Opened
from app.releases.values import PLACES
from app.releases.watch import watched

SHORTEST_SECONDS = 1.0
"""Helm is not begun for less."""
MOST_KILLS = 10
"""How often a helm that somebody kills is begun again."""
RECOVER_SECONDS = 60.0
"""The least time to take back what failed: it must not fail for the short patience that it is there to mend."""
_RETRIED = (helm.Killed, helm.Cancelled)


class EnsureRelease(ReleaseReconciler):
    """Create and update: the release is brought to its spec, whatever state it is in."""

    async def prepare(self, context: Context, work: Work, kubernetes: Kubernetes) -> Failure | None:
        """See that the namespace is there, and make it if that is asked for."""
        name, wanted = work.release.namespace, work.release.spec["create_namespace"]
        phase = await namespace_phase(kubernetes, name)
        context.step("prepare_namespace")
        if phase == "Terminating":
            return _no_namespace(helm.NamespaceTerminating, name, "is being deleted")
        if wanted is True and phase is None:
            await apply_namespace(kubernetes, name, is_new=True)
        elif isinstance(wanted, dict):
            await apply_namespace(
                kubernetes,
                name,
                labels=wanted["labels"],
                quota=wanted["quota"],
                default_deny=wanted["network_policy"],
                is_new=phase is None,
            )
        elif phase is None:
            return _no_namespace(helm.NamespaceNotFound, name, "is not there")
        return None

    async def act(self, context: Context, work: Work, kubernetes: Kubernetes) -> Outcome:
        """Fetch the chart and let helm install or upgrade."""
        context.step("fetch_chart")
        await context.intend()
        spec = ReleaseSpec.model_validate(work.release.spec)
        pin = pinned(context.data.get("chart") or context.operation.input.get("chart"), spec.chart)
        registry_id = context.operation.input.get("registry_id")
        try:
            async with self._tools.charts.fetch(
                work.release.project_id, spec.chart, registry_id=registry_id, pin=pin
            ) as chart:
                await learn_from(chart, work.values)
                await context.intend(chart=Pinned.of(chart, spec.chart).as_json())
                return await self._with_chart(context, work, kubernetes, chart)
        except (helm.ClusterUnreachable, helm.Unauthorized):
            raise
        except helm.HelmError as error:
            return self._not_fetched(context, work, error)

    def _not_fetched(self, context: Context, work: Work, error: helm.HelmError) -> Outcome:
        if error.retryable and self.seconds_left(context, work) > 0:
            context.warn(f"The chart's source does not answer, trying again: {error.message}")
            return Wait(5.0)
        return Fail(error.as_failure(resource=str(work.release.spec["chart"]), type="Chart"))

    async def _with_chart(self, context: Context, work: Work, kubernetes: Kubernetes, chart: Chart) -> Outcome:
        context.step(self._step(context))
        done = await self._done_before(context, work)
        if done is None:
            foreign = await self._foreign(context, work, kubernetes)
            if foreign is not None:
                return Fail(foreign)
            values = await self._with_secrets(context, work, kubernetes)
            if not isinstance(values, Opened):
                return values
            left = self.seconds_left(context, work)
            if left < SHORTEST_SECONDS:
                return await self.failed(context, work, kubernetes, helm.WaitTimeout("no time was left to install it"))
            await context.intend(begun=True, running=True)
            change = self._change(context, work)
            run = partial(
                self.releases(work).upgrade,
                work.release.name,
                chart,
                values.values,
                namespace=work.release.namespace,
                change=change,
            )
            try:
                done = await self._watched(context, work, kubernetes, change, run)
            except helm.HelmError as error:
                return await self.failed(context, work, kubernetes, error)
            except CancelledByCallerError:
                return await self.stopped(context, work, kubernetes)
        return await self.installed(context, work, kubernetes, done)

    async def _with_secrets(self, context: Context, work: Work, kubernetes: Kubernetes) -> Opened | Outcome:
        """Return the values with the secrets that they refer to."""
        found = await operation_secrets.resolve(
            context,
            self._tools.resolver,
            work.values,
            work.release,
            work.cluster,
            kubernetes,
            seconds_left=self.seconds_left(context, work) - SHORTEST_SECONDS,
        )
        if not isinstance(found, Resolved):
            return found
        if found.found:
            await operation_secrets.note(
                context, self._tools.database, self._tools.resolver, work.release, work.values, found
            )
        return await asyncio.to_thread(found.filled, work.values)

    async def _watched(
        self,
        context: Context,
        work: Work,
        kubernetes: Kubernetes,
        change: Change,
        run: Callable[[], Awaitable[Release]],
    ) -> Release:
        assert change.tell is not None  # noqa: S101 - `_change` gives it
        release = work.release
        if change.wait != "hooks":
            run = partial(watched, run, kubernetes, release.name, release.namespace, change.tell)
        return await supervised(context, self._tools.database, run())

    def _change(self, context: Context, work: Work) -> Change:
        return Change(
            timeout_seconds=max(SHORTEST_SECONDS, self.seconds_left(context, work)),
            wait=work.release.spec["wait"],
            description=f"{context.operation.kind} {context.operation.id}",
            tell=Telling(context),
        )

    def _step(self, context: Context) -> str:
        return next(name for name in _names(context) if name in ("install", "upgrade", "roll_back"))

    async def _done_before(self, context: Context, work: Work) -> Release | None:
        """Return what an earlier call of this very operation installed, if its result was lost on the way."""
        if "running" not in context.data:
            return None
        found = await self.releases(work).find(work.release.name, namespace=work.release.namespace)
        if found is None or found.status != "deployed":
            return None
        return found if found.description.endswith(context.operation.id) else None

    async def _foreign(self, context: Context, work: Work, kubernetes: Kubernetes) -> Failure | None:
        """Return why a release of this name must be left alone: it is there, and not by us."""
        if context.data.get("begun") or work.release.facts.get("begun"):
            return None
        labels = f"owner=helm,name={work.release.name}"
        if not await kubernetes.list("v1", "Secret", namespace=work.release.namespace, labels=labels, limit=1):
            return None
        message = f"namespace {work.release.namespace} has a release {work.release.name} that Slipway did not install"
        return self.failure(work, helm.NameInUse(message))

    async def installed(self, context: Context, work: Work, kubernetes: Kubernetes, release: Release) -> Outcome:
        """Note what is there now, and end."""
        chart: dict[str, Any] = context.data.get("chart") or {}
        context.data["running"] = False
        context.data["outputs"] = {
            "revision": release.revision,
            "chart_version": chart.get("version"),
            "app_version": chart.get("app_version"),
            "chart_digest": chart.get("digest"),
        }
        await learn_from_manifest(release.manifest, work.values)
        context.data["facts"] = {"chart": chart, PLACES: work.values.known.as_json()}
        try:
            context.data["facts"] |= await seen_of(kubernetes, release)
        except KubernetesError as error:
            context.warn(f"How to reach the release could not be read: {error.message}")
        return Done()

    async def failed(self, context: Context, work: Work, kubernetes: Kubernetes, error: helm.HelmError) -> Outcome:
        """Go on after helm has failed: again if it could not do its work, else to why and to what `on_failure` says."""
        if isinstance(error, helm.ClusterUnreachable | helm.Unauthorized):
            raise error  # what it left is repaired when the cluster is back
        await self.repair(context, work, kubernetes)
        left = self.seconds_left(context, work)
        if isinstance(error, _RETRIED) and left > 0 and context.data.get("kills", 0) < MOST_KILLS:
            context.warn(f"helm was stopped from outside and is begun again: {error.message}")
            await context.intend(kills=context.data.get("kills", 0) + 1)
            return Advance("helm")
        if isinstance(error, helm.ReleaseInProgress) and left > 0:
            context.warn("Another helm works on this release; waiting for its end.")
            return Wait(5.0)
        diagnosis = await root_cause(self.releases(work), kubernetes, work.release.name, work.release.namespace, error)
        failure = without_secrets(error.as_failure(resource=work.release.name, diagnosis=diagnosis))
        if work.release.spec["on_failure"] == "keep" or "recover" not in _names(context):
            return Fail(failure)
        context.step_ended(self._step(context), "failed")
        return await self._to_recover(context, work, failure=failure.as_json())

    async def stopped(self, context: Context, work: Work, kubernetes: Kubernetes) -> Outcome:
        """End after a cancel has ended helm, or a delete has taken over."""
        await self.repair(context, work, kubernetes)
        if context.operation.superseded or "recover" not in _names(context):
            return Cancelled()
        context.step_ended(self._step(context), "cancelled")
        return await self._to_recover(context, work, failure=None)

    async def stop(self, context: Context, work: Work) -> Outcome:
        """End an operation that is to be cancelled while no helm runs; what an earlier call began is put right."""
        if "running" not in context.data or work.connection is None:
            return Cancelled()
        try:
            async with self.kubernetes(work) as kubernetes:
                return await self.stopped(context, work, kubernetes)
        except KubernetesError as error:
            context.warn(f"What helm left could not be put right: {error.message}")
            return Cancelled()

    async def _to_recover(self, context: Context, work: Work, *, failure: dict[str, Any] | None) -> Outcome:
        context.step("recover")
        deadline = later(work.now, max(RECOVER_SECONDS, work.release.spec["timeout_seconds"]))
        await context.intend(failure=failure, deadline=deadline)
        return Advance("recover")

    async def recover(self, context: Context, work: Work, kubernetes: Kubernetes) -> Outcome:
        """Bring back the last revision that succeeded, or take away what never did."""
        release, revision = work.release, work.release.outputs.get("revision")
        left = self.seconds_left(context, work)
        change = self._change(context, work)
        problem = ""
        try:
            await self.repair(context, work, kubernetes)
            await context.intend(running=True)
            if release.observed_generation and revision:
                await self._bring_back(context, work, revision, change)
            else:
                run = self.releases(work).uninstall(release.name, namespace=release.namespace, change=change)
                await supervised(context, self._tools.database, run, to_the_end=True)
                context.data["begun"] = False
            context.data["running"] = False
        except (helm.HelmError, KubernetesError) as error:
            if error.retryable and left > 0:
                return Wait(5.0)
            problem = error.message
        context.step_ended("recover", "failed" if problem else "succeeded")
        if problem:
            context.warn(f"What failed could not be taken back: {problem}")
        failure = context.data.get("failure")
        return Fail(failure_of(failure)) if failure else Cancelled()

    async def _bring_back(self, context: Context, work: Work, revision: int, change: Change) -> None:
        release, releases = work.release, self.releases(work)
        present = await releases.get(release.name, namespace=release.namespace)
        if present.status != "deployed":
            run = releases.rollback(release.name, revision, namespace=release.namespace, change=change)
            present = await supervised(context, self._tools.database, run, to_the_end=True)
        context.data |= {"outputs": {"revision": present.revision}, "recovered": revision}
        context.events.append(NewEvent("release.recovered", f"revision {present.revision} is as {revision} was"))


class RollbackRelease(EnsureRelease):
    """Rollback: helm brings an older revision back, as a new one."""

    async def prepare(self, context: Context, work: Work, kubernetes: Kubernetes) -> Failure | None:
        """See that the cluster answers."""
        await namespace_phase(kubernetes, work.release.namespace)
        return None

    async def act(self, context: Context, work: Work, kubernetes: Kubernetes) -> Outcome:
        """Let helm roll back; what refers to secrets is rendered anew, with those of now."""
        if context.operation.input.get("anew"):
            return await super().act(context, work, kubernetes)
        context.step("roll_back")
        release, wanted = work.release, context.operation.input["revision"]
        releases = self.releases(work)
        context.data["chart"] = context.operation.input["chart"]
        try:
            present = await releases.get(release.name, namespace=release.namespace)
            before = context.data.get("before", present.revision)
            if present.revision > before and present.status == "deployed":
                return await self.installed(context, work, kubernetes, present)
            await context.intend(before=before, running=True)
            change = self._change(context, work)
            run = partial(releases.rollback, release.name, wanted, namespace=release.namespace, change=change)
            done = await self._watched(context, work, kubernetes, change, run)
        except helm.HelmError as error:
            return await self.failed(context, work, kubernetes, error)
        except CancelledByCallerError:
            return await self.stopped(context, work, kubernetes)
        return await self.installed(context, work, kubernetes, done)


def _names(context: Context) -> list[str]:
    return [step["name"] for step in context.steps]


def _no_namespace(kind: type[helm.HelmError], name: str, what: str) -> Failure:
    message = f"namespace {name} {what}"
    return Failure(kind.code, message, kind.hint, Cause(name, "Namespace", message), kind.retryable)
