"""The use cases of releases, whoever asks: each looks, at AWS and clusters too, and gives a `Prepared` change."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository as clusters
from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.core.errors import FieldError
from app.core.merge_patch import merge_patch
from app.core.secrets.scope import current
from app.core.validation import validate
from app.db.base import APPLIED
from app.db.session import Database
from app.engine.models import Operation
from app.operations.prepared import Begin, FieldChange, Prepared, StackChange
from app.releases import repository
from app.releases.charts import pinned
from app.releases.errors import SecretError, ValuesLostError
from app.releases.live import ChartChecks
from app.releases.models import Release, ReleaseRevision
from app.releases.reader import Drift, ReleaseReader
from app.releases.references import references_in
from app.releases.request_secrets import RequestSecrets
from app.releases.resolutions import secrets_of, with_references
from app.releases.schemas import ReleaseSpec
from app.releases.sealed import SealedValues
from app.releases.secrets.opened import Opened
from app.releases.service import ReleaseService
from app.releases.values import of_row, values_changes


@dataclass(frozen=True, slots=True)
class _Installed:
    """What helm has of a release, as far as Slipway made it.

    Attributes:
        spec: As rows keep it; None if it never came to be.
        values: Opens its values; None if they are not known, or their key is gone.
    """

    spec: Mapping[str, Any] | None
    values: Callable[[], Opened | None]


@dataclass(frozen=True, slots=True)
class _Target:
    """What a rollback brings back; `anew` renders it with the secrets of now."""

    spec: dict[str, Any]
    values: Opened
    chart: dict[str, Any]
    anew: bool


class ReleaseChanges:
    """Create, update, rollback, test and delete of releases."""

    def __init__(
        self,
        database: Database,
        service: ReleaseService,
        sealed: SealedValues,
        charts: ChartChecks,
        secrets: RequestSecrets,
        reader: ReleaseReader,
    ) -> None:
        self._database = database
        self._service = service
        self._sealed = sealed
        self._charts = charts
        self._secrets = secrets
        self._reader = reader

    async def create(self, caller: Caller, spec: ReleaseSpec) -> Prepared:
        """Prepare to install a chart; a release of a cluster that is still being created will wait for it.

        Raises:
            InvalidError: the chart cannot be had, or does not take the values.
            SlipwayError: there is no such cluster or registry, or a secret cannot be had.
        """
        values = await asyncio.to_thread(self._service.wanted, spec)
        async with self._database.read() as session:
            cluster = ClusterView.of(await clusters.get(session, caller.project_id, spec.cluster))
            existing = await repository.named(session, cluster.id, spec.namespace, spec.name)
            registry = await self._service.registry(session, caller.project_id, spec)
        chart = None
        if existing is None and cluster.phase not in ("deleting", "failed"):  # else the transaction says so
            secrets = await self._secrets.check(values, cluster, spec.namespace, may_come=bool(spec.depends_on))
            chart = await self._charts.check(
                spec,
                values,
                project_id=caller.project_id,
                kubernetes_version=cluster.version,
                registry=registry,
                secrets=secrets,
            )

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            found = ClusterView.of(await clusters.get(session, caller.project_id, spec.cluster))
            return await self._service.create(session, caller, found, spec, values, how, chart=chart)

        return _prepared(_Installed(None, lambda: None), spec.document(), values, begin)

    async def update(
        self, caller: Caller, row: Release, patch: dict[str, Any], *, replace_values: bool = False
    ) -> Prepared:
        """Prepare a merge patch of a release's spec; one that failed to be installed is installed with it.

        Args:
            caller: Who asks.
            row: The release.
            patch: Of its spec.
            replace_values: Its `values` stand in place of all that the release had.

        Raises:
            ImmutableFieldError: that would be another release.
            InvalidError: the patched spec is not valid, or the chart does not take the values.
            SlipwayError: the release or its cluster is being deleted or changed, or a secret cannot be had.
        """
        spec, values = await self._patched(row, patch, replace_values=replace_values)
        async with self._database.read() as session:
            cluster = await self._service.check_change(session, row, spec)
            registry = await self._service.registry(session, row.project_id, spec)
            installed = await self._installed(session, row)
        secrets = await self._secrets.check(
            values,
            cluster,
            spec.namespace,
            may_come=bool(spec.depends_on),
            pointer="" if replace_values else "/values",
        )
        chart = await self._charts.check(
            spec,
            values,
            project_id=row.project_id,
            kubernetes_version=cluster.version,
            registry=registry,
            pin=pinned(row.facts.get("chart"), spec.chart),
            secrets=secrets,
        )

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            locked = await _locked(session, caller, row, how)
            return await self._service.update(session, caller, locked, spec, values, how, seen=row, chart=chart)

        return _prepared(installed, spec.document(), values, begin)

    async def rollback(self, caller: Caller, row: Release, cluster: ClusterView, revision: int) -> Prepared:
        """Prepare to bring an older revision back, as a new one.

        Args:
            caller: Who asks.
            row: The release.
            cluster: Where it is.
            revision: Helm's number.

        Raises:
            RevisionNotFoundError: helm keeps none of that number.
            SecretError: the revision refers to a secret that cannot be had.
            SlipwayError: the release is not installed or is being changed, or the cluster cannot be asked.
        """
        async with self._database.read() as session:
            await self._service.check_installed(session, row)
            kept = await repository.revision(session, row.id, revision)
            installed = await self._installed(session, row)
        target = await self._target(row, cluster, revision, kept)

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            locked = await _locked(session, caller, row, how)
            return await self._service.rollback(
                session, caller, locked, revision, target.spec, target.values, target.chart, how, anew=target.anew
            )

        return _prepared(installed, target.spec, target.values, begin)

    async def test(self, caller: Caller, row: Release) -> Prepared:
        """Prepare to run the chart's tests; nothing of the spec changes."""

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            return await self._service.test(session, caller, await _locked(session, caller, row, how), how)

        return Prepared(row.spec, row.spec, _no_stacks, begin)

    async def delete(self, caller: Caller, row: Release) -> Prepared:
        """Prepare to uninstall a release; a create that runs will be superseded."""
        async with self._database.read() as session:
            installed = await self._installed(session, row)

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            return await self._service.delete(session, caller, await _locked(session, caller, row, how), how)

        return _prepared(installed, None, None, begin)

    async def diff(self, row: Release, cluster: ClusterView, patch: dict[str, Any]) -> Drift:
        """Return what an update with this patch would change in the cluster, by a server-side dry run.

        Raises:
            InvalidError: the patched spec is not valid, or the chart does not take the values.
            SlipwayError: a secret cannot be had, or the cluster cannot be asked.
        """
        spec, values = await self._patched(row, patch)
        async with self._database.read() as session:
            registry = await self._service.registry(session, row.project_id, spec)
        pin = pinned(row.facts.get("chart"), spec.chart)
        secrets = await self._secrets.needed(values, cluster, spec.namespace)
        await self._charts.check(
            spec,
            values,
            project_id=row.project_id,
            kubernetes_version=cluster.version,
            registry=registry,
            pin=pin,
            secrets=secrets,
        )
        return await self._reader.preview(
            row, cluster, spec, secrets.values, registry_id=registry.id if registry else None, pin=pin
        )

    async def _patched(
        self, row: Release, patch: dict[str, Any], *, replace_values: bool = False
    ) -> tuple[ReleaseSpec, Opened]:
        before = await asyncio.to_thread(self._sealed.opened, row)
        document = merge_patch({**row.spec, "values": {} if replace_values else before.values}, patch)
        if replace_values:
            document["values"] = patch["values"]  # a null in there is Helm's: it takes a default of the chart away
        spec = validate(ReleaseSpec, document)
        place = "" if replace_values else "/values"
        return spec, await asyncio.to_thread(self._service.wanted, spec, before, values_pointer=place)

    async def _target(self, row: Release, cluster: ClusterView, revision: int, kept: ReleaseRevision | None) -> _Target:
        """Find out what a revision was made of; one that somebody made with helm itself keeps the release's spec."""
        present = await self._reader.get(row, cluster, revision)
        if kept is None:
            current().add(secrets_of(present.values, row.facts))
            by_hand = with_references(dict(present.values), row.facts, self._secrets.same_for(row.id))
            values = await asyncio.to_thread(of_row, by_hand, row.spec, row.facts)
            return _Target(row.spec, values, row.facts.get("chart") or {}, anew=False)
        values = await asyncio.to_thread(self._sealed.opened, row, kept)
        anew = bool(references_in(values.values))
        if anew:
            try:
                await self._secrets.check(values, cluster, row.namespace, may_come=False)
            except SecretError as error:
                error.errors = [FieldError("/revision", each.detail) for each in error.errors]
                raise
        return _Target(kept.spec, values, kept.chart, anew)

    async def _installed(self, session: AsyncSession, row: Release) -> _Installed:
        if not row.observed_generation:
            return _Installed(None, lambda: None)
        revision = row.outputs.get("revision")
        kept = await repository.revision(session, row.id, revision) if revision else None

        def values() -> Opened | None:
            if kept is None and row.facts.get(APPLIED) not in (None, row.spec):
                return None
            try:
                return self._sealed.opened(row, kept)
            except ValuesLostError:
                return None

        return _Installed(kept.spec if kept else row.applied_spec, values)


async def _locked(session: AsyncSession, caller: Caller, row: Release, how: Begin) -> Release:
    locked = await repository.get(session, caller.project_id, row.id, lock=True)
    how.check_match(locked.generation)
    return locked


def _no_stacks() -> Sequence[StackChange]:
    return ()


def _prepared(
    installed: _Installed,
    spec: Mapping[str, Any] | None,
    values: Opened | None,
    begin: Callable[[AsyncSession, Begin], Awaitable[Operation]],
) -> Prepared:
    def secretive() -> Sequence[FieldChange]:
        return values_changes(installed.values(), values)

    return Prepared(installed.spec, spec, _no_stacks, begin, secretive=secretive)
