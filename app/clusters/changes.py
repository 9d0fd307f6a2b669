"""The use cases of clusters, whoever asks: each looks, at AWS too, in no transaction, and gives a `Prepared` change."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository
from app.clusters.live import PLACEHOLDER_ID, PLACEHOLDER_ROLE, LiveChecks
from app.clusters.models import Cluster
from app.clusters.ports import Accounts, Parts, Registries, Releases
from app.clusters.render import cluster_stack
from app.clusters.requests import ClusterRequest, read_patch, read_request
from app.clusters.schemas import ClusterSpec
from app.clusters.service import ClusterService
from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.core.errors import InvalidError
from app.db.session import Database
from app.engine.models import Operation
from app.gateways.aws.cloud import Clouds
from app.operations.prepared import Begin, Prepared, StackChange


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for beside the cluster, as those gave it that know it."""

    parts: Sequence[Any]
    registries: Sequence[Any]
    releases: Sequence[Any]


class ClusterChanges:
    """Create, update and delete of clusters."""

    def __init__(
        self,
        database: Database,
        clouds: Clouds,
        service: ClusterService,
        live: LiveChecks,
        accounts: Accounts,
        parts: Parts,
        registries: Registries,
        releases: Releases,
    ) -> None:
        self._database = database
        self._clouds = clouds
        self._service = service
        self._live = live
        self._accounts = accounts
        self._parts = parts
        self._registries = registries
        self._releases = releases

    async def create(self, caller: Caller, document: Any) -> Prepared:
        """Prepare a cluster, and what its request holds beside it.

        Args:
            caller: Who asks.
            document: Slipway's own request or an eksctl ClusterConfig: parsed JSON, or bytes of YAML.

        Raises:
            MalformedError: YAML that is none.
            InvalidError: something is not valid, or AWS does not have it; with pointers into the caller's document.
            SlipwayError: there is no such account, or AWS cannot be asked.
        """
        request = read_request(document, tuple(self._parts.fields))
        try:
            return await self._prepared(caller, request)
        except InvalidError as error:
            raise request.in_their_words(error) from error

    async def update(self, caller: Caller, row: Cluster, patch: dict[str, Any]) -> Prepared:
        """Prepare a merge patch of a cluster's spec.

        Raises:
            ImmutableFieldError: AWS could only replace the cluster for one of the changes.
            InvalidError: the patched spec is not valid, or AWS does not have what it names.
            SlipwayError: the cluster is being deleted or changed, or AWS cannot be asked.
        """
        wish = read_patch(row.spec, patch)
        async with self._database.read() as session:
            await self._service.check_change(session, row, wish)
        spec, facts = await self._live.change(await self._clouds.of(row.account_id, row.region), row, wish)

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            locked = await repository.get(session, caller.project_id, row.id, lock=True)
            how.check_match(locked.generation)
            return await self._service.update(
                session, caller, locked, spec, seen=row, facts=facts, callback_url=how.callback_url
            )

        def stacks() -> list[StackChange]:
            return [(_stack_of(row), cluster_stack(row.id, spec, facts or row.facts))]

        known = row.applied_spec if row.observed_generation else None
        return Prepared(known, spec.model_dump(mode="json"), stacks, begin)

    async def delete(self, caller: Caller, row: Cluster) -> Prepared:
        """Prepare to delete a cluster with all that belongs to it."""

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            locked = await repository.get(session, caller.project_id, row.id, lock=True)
            how.check_match(locked.generation)
            return await self._service.delete(session, caller, locked, callback_url=how.callback_url)

        known = row.applied_spec if row.observed_generation else None
        return Prepared(known, None, lambda: [(_stack_of(row), None)], begin)

    async def _prepared(self, caller: Caller, request: ClusterRequest) -> Prepared:
        wanted = await asyncio.to_thread(self._wanted, request)
        async with self._database.read() as session:
            account = await self._accounts.account_id(session, caller.project_id, request.spec.account)
            existing = await repository.named(session, account, request.spec.region, request.spec.name)
        spec: ClusterSpec = request.spec
        facts: dict[str, Any] = {}
        if existing is None:  # else the transaction says so
            spec, facts = await self._look(caller, request, wanted, account)

        async def begin(session: AsyncSession, how: Begin) -> Operation:
            try:
                return await self._service.create(
                    session,
                    caller,
                    spec,
                    wanted.parts,
                    wanted.registries,
                    wanted.releases,
                    facts=facts,
                    warnings=request.warnings,
                    whole=request.whole,
                    callback_url=how.callback_url,
                )
            except InvalidError as error:
                raise request.in_their_words(error) from error

        def stacks() -> list[StackChange]:
            own = cluster_stack(PLACEHOLDER_ID, spec, {**facts, "slipway_role_arn": PLACEHOLDER_ROLE})
            view = ClusterView.planned(spec, facts, account_id=account)
            return [(None, stack) for stack in (own, *self._parts.stacks(wanted.parts, view))]

        return Prepared(None, spec.model_dump(mode="json"), stacks, begin, request.warnings)

    def _wanted(self, request: ClusterRequest) -> Wanted:
        spec = request.spec
        return Wanted(
            self._parts.parse(request.parts, spec.name),
            self._registries.parse(request.registries, region=spec.region, account=spec.account),
            self._releases.parse(request.releases, spec.name),
        )

    async def _look(
        self, caller: Caller, request: ClusterRequest, wanted: Wanted, account: str
    ) -> tuple[ClusterSpec, dict[str, Any]]:
        """Ask AWS and the charts' sources what can be known before anything begins."""
        cloud = await self._clouds.of(account, request.spec.region)
        spec, facts = await self._live.creation(cloud, request.spec, request.expectations)
        await self._parts.check(cloud, wanted.parts, ClusterView.planned(spec, facts, account_id=account))
        await self._registries.check(cloud, wanted.registries)
        await self._releases.check(caller.project_id, wanted.releases, spec)
        return spec, facts


def _stack_of(row: Cluster) -> Any:
    """Return the stack that AWS has of a cluster; None if it never came to be."""
    if not row.observed_generation:
        return None
    return cluster_stack(row.id, ClusterSpec.model_validate(row.applied_spec), row.facts)
