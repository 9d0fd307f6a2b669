"""Secrets that values refer to, as operations need them: read just before helm runs, waited for, noted."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from app.clusters.view import ClusterView
from app.core.secrets.scope import current
from app.db.session import Database
from app.engine.contract import Context, Fail, NewEvent, Wait
from app.gateways.helm.errors import HelmError
from app.gateways.helm.records import decode_record, records
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.errors import KubernetesError
from app.releases import repository, resolutions
from app.releases.models import Release
from app.releases.references import references_in
from app.releases.resolutions import Known
from app.releases.resolve import Resolved, Resolver
from app.releases.secrets.opened import Opened
from app.releases.values import of_helm

AGAIN_SECONDS = 3.0
"""How often a secret that is not there yet is looked for."""
WAITED_FOR = "release.secret_awaited"
"""Type of the event that says so."""
NEWEST = 2
"""Revisions whose values are hidden in what is said of a release now: the one that serves, and one that failed."""


async def resolve(
    context: Context,
    resolver: Resolver,
    values: Opened,
    release: Release,
    cluster: ClusterView,
    kubernetes: Kubernetes,
    *,
    seconds_left: float,
) -> Resolved | Wait | Fail:
    """Return what the references of a release stand for now.

    A Secret, or a key of one, that is not there is waited for as the kubelet does it: a release that this one depends
    on, or a controller, may be about to make it. What is not in Secrets Manager fails at once: nothing that Slipway
    starts would make it.

    Args:
        context: Of the operation.
        resolver: Reads them.
        values: Of the release's spec.
        release: The release.
        cluster: Its cluster.
        kubernetes: Its API server.
        seconds_left: Until the operation's time is over.
    """
    found = await resolver.resolve(references_in(values.values), cluster, release.namespace, kubernetes)
    for each in sorted(found.missing, key=lambda one: one.state != "refused"):
        if each.state == "refused" or seconds_left <= 0:
            return Fail(each.failure)
        message = f"Waiting for {each.reference}, which {each.reference.pointer} of the values refers to: "
        message += each.failure.message
        if message not in context.warnings:
            context.warn(message)
            context.events.append(NewEvent(WAITED_FOR, message, data={"pointer": each.reference.pointer}))
        return Wait(AGAIN_SECONDS)
    return found


async def note(
    context: Context, database: Database, resolver: Resolver, release: Release, values: Opened, found: Resolved
) -> None:
    """Write down, before helm is given secrets, where they stand and by what they are known again.

    What helm keeps of a revision can be read from then on, so it must be known what to hide in it.
    """
    known = [
        Known(each, resolver.fingerprint(release.id, found.found[each.path]))
        for each in references_in(values.values)
        if each.path in found.found
    ]
    if not known:
        return
    async with database.write() as session:
        row = await repository.get(session, release.project_id, release.id, lock=True)
        row.facts = resolutions.noted(row.facts, context.operation.id, known)
        release.facts = row.facts


async def hide_installed(kubernetes: Kubernetes, release: Release) -> None:
    """Hide the secrets that helm was given for the newest revisions, as far as these can be read.

    What the cluster says may quote them: they are not those of now.
    """
    if not resolutions.paths(release.facts):
        return
    with contextlib.suppress(KubernetesError, HelmError):
        for record in (await records(kubernetes, release.name, release.namespace))[-NEWEST:]:
            await asyncio.to_thread(_hide, record, release)
        await current().prepare()


def _hide(record: Mapping[str, Any], release: Release) -> None:
    of_helm(decode_record(record).get("config") or {}, release.spec, release.facts, None)
