"""Tells which objects of a release become ready while helm waits, and why others do not: helm says it at the end."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from app.gateways.helm.errors import HelmError
from app.gateways.helm.progress import Progress
from app.gateways.helm.records import label, objects_in, objects_of, records
from app.gateways.helm.release import PENDING, Release
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.diagnosis import diagnose
from app.gateways.kubernetes.errors import KubernetesError
from app.gateways.kubernetes.objects import Json, Ref, ref_of
from app.gateways.kubernetes.resources import Resource, read_resources
from app.releases.activity import Tell

WATCH_SECONDS = 1.5
"""How often what is not ready yet is looked at."""
EXPLAIN_SECONDS = 6.0
"""How long something may take before it is looked for why, down to the pods; and how often."""

_SLOW = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job", "Pod", "PersistentVolumeClaim"})
"""What takes its time; the rest is ready as soon as it is there."""

Objects = dict[Ref, Json]


async def watched(
    begin: Callable[[], Awaitable[Release]], kubernetes: Kubernetes, name: str, namespace: str, tell: Tell
) -> Release:
    """Have helm work on a release, and tell meanwhile which of its objects are ready.

    An object that is as the revision before left it is told of only if it is seen not to be ready: helm logs that it
    patched it either way.

    Args:
        begin: Starts what helm does.
        kubernetes: The cluster.
        name: Of the release.
        namespace: Of the release.
        tell: Hears of each object, as often as it has something new.

    Raises:
        Exception: what the work raises.
    """
    watch = _Watch(kubernetes, name, namespace, tell)
    await watch.remember()
    watching = asyncio.create_task(watch.run(), name="release-watch")
    try:
        release = await begin()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    watch.end(_slow(await objects_in(release.manifest), namespace))
    return release


class _Watch:
    """One change of a release."""

    def __init__(self, kubernetes: Kubernetes, name: str, namespace: str, tell: Tell) -> None:
        self._kubernetes = kubernetes
        self._name = name
        self._namespace = namespace
        self._tell = tell
        self._before: Objects = {}
        self._waited: set[Ref] = set()

    async def remember(self) -> None:
        """Read what is settled: as the last good revision has it, and the newest one, if that failed, too."""
        try:
            known = await self._records("deployed", "failed")
            good = [record for record in known if label(record, "status") == "deployed"]
            if good:
                settled, newest = await self._objects(good[-1]), await self._objects(known[-1])
                self._before = {ref: item for ref, item in settled.items() if newest.get(ref) == item}
        except (KubernetesError, HelmError):
            return  # then all are told of

    async def run(self) -> None:
        """Look at what helm waits for until all of it is ready."""
        objects: Objects | None = None
        waiting: Objects | None = None
        explain_at = time.monotonic() + EXPLAIN_SECONDS
        while waiting is None or waiting:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                if objects is None or waiting is None:
                    if pending := await self._records(*PENDING):
                        objects = waiting = await self._objects(pending[-1])
                    continue
                why = time.monotonic() >= explain_at
                found = await read_resources(
                    self._kubernetes, list(waiting.values()), namespace=self._namespace, with_pods=why
                )
                if why:
                    await self._explain(found)
                    explain_at = time.monotonic() + EXPLAIN_SECONDS
            except (KubernetesError, HelmError):
                continue  # helm says what is wrong, if it lasts
            still = {one.ref.within(self._namespace) for one in found if not one.readiness.ready}
            for resource in found:
                self._tell_of(resource, objects)
            waiting = {ref: item for ref, item in waiting.items() if ref in still}

    def end(self, objects: Objects) -> None:
        """Tell what became ready since the last look."""
        for ref, item in objects.items():
            self._tell_ready(ref, item)

    async def _explain(self, found: list[Resource]) -> None:
        """Tell why the first of what is not ready is not, if anything in the cluster says so."""
        cause = await diagnose(self._kubernetes, found, namespace=self._namespace)
        if cause is not None and cause.hint:  # the rest is no more than "not ready yet"
            culprit = cause.culprit
            self._tell(Progress("waiting", culprit.kind, culprit.namespace, culprit.name, cause.cause.message))

    def _tell_of(self, resource: Resource, objects: Objects) -> None:
        ref, readiness = resource.ref.within(self._namespace), resource.readiness
        if readiness.ready:
            self._tell_ready(ref, objects[ref])
            return
        self._waited.add(ref)
        status = f"{readiness.reason}: {readiness.message}".removesuffix(": ")
        self._tell(Progress("waiting", ref.kind, ref.namespace, ref.name, status))

    def _tell_ready(self, ref: Ref, item: Json) -> None:
        if ref in self._waited or self._before.get(ref) != item:
            self._tell(Progress("ready", ref.kind, ref.namespace, ref.name))

    async def _records(self, *status: str) -> list[Json]:
        return await records(self._kubernetes, self._name, self._namespace, status=status)

    async def _objects(self, record: Json) -> Objects:
        return _slow(await objects_of(record), self._namespace)


def _slow(objects: Iterable[Json], namespace: str) -> Objects:
    return {ref_of(item).within(namespace): item for item in objects if item.get("kind") in _SLOW}
