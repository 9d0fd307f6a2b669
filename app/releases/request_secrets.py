"""Secrets that values refer to, as requests need them: looked at before anything begins, compared."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from app.core.errors import FieldError
from app.gateways.aws.cloud import Clouds
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.clients import KubernetesClients
from app.releases import resolutions
from app.releases.errors import SecretUnreachableError, secret_problem
from app.releases.models import Release
from app.releases.ports import ClusterView
from app.releases.reconcile import connection_of
from app.releases.references import Reference, filled, references_in
from app.releases.resolve import Resolved, Resolver, Unresolved
from app.releases.secrets.opened import Opened

REQUEST_SECONDS = 5.0
"""How long a cluster may take to give a Secret while a caller waits."""
PLACEHOLDER = "reference"
"""What a chart's schema is asked with in the place of a secret that is not there yet."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Values of a request, as far as their secrets could be had.

    Attributes:
        values: For helm; `PLACEHOLDER` where a secret is yet to come.
        open: JSON pointers into the values of what is yet to come.
    """

    values: Opened
    open: tuple[str, ...] = ()

    def is_open(self, pointer: str) -> bool:
        """Tell whether what a schema says of a place may be for want of a secret there, below it or above it."""
        return any(f"{one}/".startswith(f"{pointer}/") or pointer.startswith(f"{one}/") for one in self.open)


@dataclass(frozen=True, slots=True)
class Stale:
    """A reference whose secret is not what was installed.

    Attributes:
        reference: Which.
        status: `unknown` if it can't be compared now.
        message: Why.
    """

    reference: Reference
    status: Literal["changed", "not_found", "unknown"]
    message: str


def unasked(values: Opened) -> Checked:
    """Return values whose secrets are not asked for: there is no cluster yet."""
    return _checked(values, Resolved(), references_in(values.values))


class RequestSecrets:
    """Reads secrets while a caller waits."""

    def __init__(self, clouds: Clouds, kubernetes: KubernetesClients, resolver: Resolver) -> None:
        self._clouds = clouds
        self._kubernetes = kubernetes
        self.resolver = resolver

    async def check(
        self, values: Opened, cluster: ClusterView, namespace: str, *, may_come: bool, pointer: str = "/values"
    ) -> Checked:
        """Look at the secrets of a request's values.

        Args:
            values: With references that were checked.
            cluster: Where the release belongs.
            namespace: Of the release.
            may_come: Whether a Secret that is not there may be made by what the release waits for.
            pointer: Where the values stand in the request.

        Raises:
            SecretError: one can't be had, and will not be by waiting.
        """
        references = references_in(values.values)
        found = await self._resolve(references, cluster, namespace)
        passing = [each for each in found.missing if _away(each) or (may_come and each.state == "absent")]
        self._refuse([each for each in found.missing if each not in passing], pointer)
        return await asyncio.to_thread(_checked, values, found, [each.reference for each in found.missing])

    async def needed(
        self, values: Opened, cluster: ClusterView, namespace: str, *, pointer: str = "/values"
    ) -> Checked:
        """Return values with all their secrets.

        Raises:
            SecretError: one can't be had.
            SecretUnreachableError: what keeps one does not answer.
        """
        found = await self._resolve(references_in(values.values), cluster, namespace)
        self._refuse([each for each in found.missing if not (_away(each) and _unclear(each))], pointer)
        for each in found.missing:
            raise SecretUnreachableError(each.failure.message, hint=each.failure.hint)
        return await asyncio.to_thread(_checked, values, found, ())

    def same_for(self, release_id: str) -> Callable[[Any, str], bool | None]:
        """Return what tells whether a value is the secret of a release that has a fingerprint."""
        return lambda value, fingerprint: self.resolver.is_same(release_id, value, fingerprint)

    async def stale(self, release: Release, cluster: ClusterView) -> list[Stale]:
        """Return the references whose secrets are no longer what the installed revision was given."""
        known = resolutions.of_revision(release.facts, release.outputs.get("revision"))
        found = await self._resolve([each.reference for each in known], cluster, release.namespace)
        lost = {each.reference.path: each for each in found.missing}
        result: list[Stale] = []
        for each in known:
            path = each.reference.path
            if path in lost:
                status: Literal["not_found", "unknown"] = "unknown" if _unclear(lost[path]) else "not_found"
                result.append(Stale(each.reference, status, lost[path].failure.message))
                continue
            same = self.resolver.is_same(release.id, found.found[path], each.fingerprint)
            if same is None:
                result.append(Stale(each.reference, "unknown", "the key of its fingerprint is gone"))
            elif not same:
                result.append(Stale(each.reference, "changed", f"{each.reference} has changed since it was installed"))
        return result

    async def _resolve(self, references: Sequence[Reference], cluster: ClusterView, namespace: str) -> Resolved:
        if not references:
            return Resolved()
        if all(each.kind != "from_secret" for each in references):
            return await self.resolver.resolve(references, cluster, namespace, None)
        async with self._opened(cluster) as kubernetes:
            return await self.resolver.resolve(references, cluster, namespace, kubernetes)

    @asynccontextmanager
    async def _opened(self, cluster: ClusterView) -> AsyncIterator[Kubernetes | None]:
        connection = await connection_of(self._clouds, cluster) if cluster.phase in ("active", "updating") else None
        if connection is None:
            yield None
            return
        async with self._kubernetes.of(connection, request_seconds=REQUEST_SECONDS) as kubernetes:
            yield kubernetes

    def _refuse(self, missing: Sequence[Unresolved], pointer: str) -> None:
        if missing:
            first = missing[0].failure
            places = [FieldError(pointer + each.reference.pointer, each.failure.message) for each in missing]
            raise secret_problem(first.code, first.message, places, first.hint)


def _checked(values: Opened, found: Resolved, missing: Sequence[Reference]) -> Checked:
    whole = found.filled(values)
    if missing:
        standing_in = dict.fromkeys((each.path for each in missing), PLACEHOLDER)
        whole = whole.with_values(filled(whole.values, standing_in), public=[PLACEHOLDER])
    return Checked(whole, tuple(each.pointer for each in missing))


def _away(each: Unresolved) -> bool:
    return each.state == "away"


def _unclear(each: Unresolved) -> bool:
    return not each.failure.code.endswith("not_found")
