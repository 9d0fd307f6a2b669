"""Kinds in the request of a whole cluster, and in its delete: all of them, in order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters.models import Cluster
from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.core.errors import FieldError, InvalidError
from app.core.validation import repeated, validate
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud
from app.kinds import rows
from app.kinds.changes import Changes
from app.kinds.kind import Kind, Stage
from app.operations.prepared import Begin
from app.operations.service import Needs
from app.stacks.template import StackTemplate


@dataclass(frozen=True, slots=True)
class Part:
    """One resource of a cluster's request: its kind, its spec, and where it stands (`/nodegroups/0`)."""

    kind: Kind[Any]
    spec: Any
    pointer: str


class Parts:
    """What a cluster's own request may hold of every kind."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self.fields: Sequence[str] = [kind.plural for kind in changes.kinds.values() if not kind.managed]

    def parse(self, raw: Mapping[str, Sequence[dict[str, Any]]], own: Mapping[str, str]) -> list[Part]:
        """Check the specs of a cluster's request; see `parse`."""
        return parse(self._changes.kinds.values(), raw, own)

    async def check(self, cloud: Cloud, parts: Sequence[Part], cluster: ClusterView) -> None:
        """Ask AWS what can be known before anything begins.

        Raises:
            InvalidError: likewise.
            SlipwayError: a name is in use; or AWS cannot be asked.
        """
        placed = [(part, part.kind.scope.beside(cluster)) for part in parts]
        async with self._changes.database.read() as session:
            for part, owner in placed:
                await self._changes.refuse_taken(session, part.kind, owner, part.spec)
        for part, owner in placed:
            try:
                await self._changes.check_new(part.kind, part.spec, owner, cloud)
            except InvalidError as error:
                raise error.below(part.pointer) from error

    def stacks(self, parts: Sequence[Part], cluster: ClusterView) -> list[StackTemplate]:
        """Return the stack of each."""
        return [part.kind.preview(part.spec, part.kind.scope.beside(cluster)) for part in parts]

    async def begin_create(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, parts: Sequence[Part], *, parent_id: str
    ) -> list[Operation]:
        """Begin to create what stands in the request of a cluster that is being created."""
        view, how = ClusterView.of(cluster), Begin(parent_id=parent_id)
        begun = []
        for part in parts:
            owner = part.kind.scope.beside(view)
            try:
                begun.append(await self._changes.add(session, part.kind, caller, owner, part.spec, how))
            except InvalidError as error:
                raise error.below(part.pointer) from error
        return begun

    async def begin_delete(
        self, session: AsyncSession, caller: Caller, cluster_id: str, *, needs: Sequence[Needs], parent_id: str
    ) -> list[Operation]:
        """Begin to delete all that a cluster has, after `needs`; each stage after all of those before it.

        Creates that run are superseded, other changes are waited for.
        """
        begun: list[Operation] = []
        for stage in Stage:
            how = Begin(parent_id=parent_id, needs=[*needs, *(Needs(operation.id) for operation in begun)])
            begun += [
                await self._changes.remove(session, kind, caller, row, how)
                for kind in self._changes.kinds.values()
                if kind.stage == stage
                for row in await rows.of_cluster(session, kind, cluster_id)
            ]
        return begun


def parse(
    kinds: Iterable[Kind[Any]], raw: Mapping[str, Sequence[dict[str, Any]]], own: Mapping[str, str]
) -> list[Part]:
    """Check the specs of a cluster's request.

    Args:
        kinds: Which there are.
        raw: Documents without what names their owner, by the plural of their kind.
        own: What names the owner of each, by field: `cluster`, `region`, `account`.

    Raises:
        InvalidError: pointers begin with the plural.
    """
    found: list[Part] = []
    errors: list[FieldError] = []
    for kind in kinds:
        parts, wrong = _parse(kind, raw.get(kind.plural, ()), own)
        found += parts
        errors += wrong
    if errors:
        raise InvalidError("What belongs to the cluster is not valid.", errors)
    return found


def _parse(
    kind: Kind[Any], raw: Sequence[dict[str, Any]], own: Mapping[str, str]
) -> tuple[list[Part], list[FieldError]]:
    parts: list[Part] = []
    names: dict[str, str] = {}
    errors: list[FieldError] = []
    filled_in = {name: own[name] for name in kind.scope.fields}
    for index, document in enumerate(raw):
        pointer = f"/{kind.plural}/{index}"
        refused = kind.scope.given(document, own, kind.title)
        if refused:
            errors += [FieldError(f"{pointer}{each.pointer}", each.detail) for each in refused]
            continue
        try:
            spec = validate(kind.spec, {**document, **filled_in}, pointer=pointer)
        except InvalidError as error:
            errors += error.errors
        else:
            parts.append(Part(kind, spec, pointer))
            names[f"{pointer}/{kind.identity[0]}"] = kind.name_of(spec)
    return parts, [*errors, *repeated(names)]
