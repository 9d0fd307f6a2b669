"""What the resources of a kind belong to, a cluster or an account in a region: all that differs between both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import repository as accounts
from app.clusters import repository as clusters
from app.clusters.view import ClusterView
from app.core.errors import FieldError
from app.kinds import errors
from app.operations import repository as operations
from app.operations.service import Needs


class Owner(Protocol):
    """What every kind may know of what its resource belongs to."""

    @property
    def project_id(self) -> str:
        """Whose it is."""

    @property
    def account_id(self) -> str:
        """The AWS account that it is in, `acc_…`."""

    @property
    def region(self) -> str:
        """The region that it is in."""

    @property
    def cluster_name(self) -> str | None:
        """Of the cluster that it is; it names and tags the stacks of what belongs to it."""

    @property
    def title(self) -> str:
        """What it is for people, at the begin of a sentence: `Cluster 'shop'`."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account in a region, as what belongs to it sees it."""

    project_id: str
    account_id: str
    region: str

    @property
    def cluster_name(self) -> None:
        """None: it is no cluster."""

    @property
    def title(self) -> str:
        """What it is for people, at the begin of a sentence."""
        return f"The account in {self.region}"


O = TypeVar("O", bound=Owner)  # noqa: E741 - an owner


class Scope(Protocol[O]):
    """What the resources of a kind belong to.

    Attributes:
        fields: Of the spec, which name the owner; they cannot be changed.
        columns: Of a row, which are the owner: a name is unique among the rows that are equal in them.
        shown: Those of them that callers see beside the spec, each with an example.
        query: The parameter that tells owners apart where a name stands for several resources.
    """

    fields: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]
    shown: ClassVar[Mapping[str, str]]
    query: ClassVar[str]

    async def named(self, session: AsyncSession, project_id: str, spec: Any, *, lock: bool = False) -> O:
        """Return the owner that a spec names.

        Raises:
            SlipwayError: the project has none of that name.
        """
        ...

    async def of_row(self, session: AsyncSession, row: Any) -> O:
        """Return the owner of a row, also one that is gone."""
        ...

    def beside(self, cluster: ClusterView) -> O:
        """Return the owner of what stands in a cluster's own request."""
        ...

    def values(self, owner: O) -> dict[str, str]:
        """Return what `columns` hold for an owner."""
        ...

    def refuse_new(self, owner: O) -> None:
        """Raise ConflictError if the owner is not fit for anything new."""
        ...

    def refuse_change(self, owner: O) -> None:
        """Raise ConflictError if what the owner has cannot be changed any more."""
        ...

    async def needs(self, session: AsyncSession, owner: O) -> list[Needs]:
        """Return what of the owner must come first."""
        ...

    def given(self, document: Mapping[str, Any], own: Mapping[str, str], title: str) -> list[FieldError]:
        """Return which fields of a document in a cluster's own request are not for the caller to say.

        Args:
            document: What was sent.
            own: What the cluster's request says for each of `fields`.
            title: Of the kind.
        """
        ...


class ClusterScope:
    """A cluster has it, and takes it along."""

    fields: ClassVar[tuple[str, ...]] = ("cluster",)
    columns: ClassVar[tuple[str, ...]] = ("cluster_id",)
    shown: ClassVar[Mapping[str, str]] = {"cluster_id": "clu_01jd3x8k7q2v5w9z4c6b8n0m1r"}
    query: ClassVar[str] = "cluster"

    async def named(self, session: AsyncSession, project_id: str, spec: Any, *, lock: bool = False) -> ClusterView:
        """Return the cluster that a spec names."""
        return ClusterView.of(await clusters.get(session, project_id, spec.cluster, lock=lock))

    async def of_row(self, session: AsyncSession, row: Any) -> ClusterView:
        """Return a row's cluster."""
        return ClusterView.of(await clusters.by_id(session, row.cluster_id))

    def beside(self, cluster: ClusterView) -> ClusterView:
        """Return the cluster itself."""
        return cluster

    def values(self, owner: ClusterView) -> dict[str, str]:
        """Return the cluster's id."""
        return {"cluster_id": owner.id}

    def refuse_new(self, owner: ClusterView) -> None:
        """Refuse a cluster that is being deleted, or has failed."""
        self.refuse_change(owner)
        if owner.phase == "failed":
            raise errors.cluster_failed(owner)

    def refuse_change(self, owner: ClusterView) -> None:
        """Refuse a cluster that is being deleted."""
        if owner.phase == "deleting":
            raise errors.ClusterDeletingError(f"Cluster {owner.name!r} is being deleted.", cluster_id=owner.id)

    async def needs(self, session: AsyncSession, owner: ClusterView) -> list[Needs]:
        """Return the cluster's live operation: its create must succeed, any other change of it must end."""
        live = await operations.live_of(session, owner.id)
        if live is None and not owner.is_there:
            raise errors.cluster_failed(owner)
        return [Needs(live.id, "end" if owner.is_there else "success")] if live else []

    def given(self, document: Mapping[str, Any], _own: Mapping[str, str], title: str) -> list[FieldError]:
        """Refuse a cluster: it is this one."""
        if "cluster" not in document:
            return []
        return [FieldError("/cluster", f"must be left out: the {title} belongs to this cluster")]


class AccountScope:
    """It stands by itself in an account and region, also if a cluster's request brought it."""

    fields: ClassVar[tuple[str, ...]] = ("region", "account")
    columns: ClassVar[tuple[str, ...]] = ("account_id", "region")
    shown: ClassVar[Mapping[str, str]] = {}
    query: ClassVar[str] = "region"

    async def named(self, session: AsyncSession, project_id: str, spec: Any, *, lock: bool = False) -> AccountView:
        """Return the account and region that a spec names; there is nothing to lock, for nothing there changes."""
        account_id = await accounts.account_id(session, project_id, spec.account)
        return AccountView(project_id, account_id, spec.region)

    async def of_row(self, session: AsyncSession, row: Any) -> AccountView:
        """Return a row's account and region."""
        return AccountView(row.project_id, row.account_id, row.region)

    def beside(self, cluster: ClusterView) -> AccountView:
        """Return the cluster's account and region."""
        return AccountView(cluster.project_id, cluster.account_id, cluster.region)

    def values(self, owner: AccountView) -> dict[str, str]:
        """Return the account's id, and the region."""
        return {"account_id": owner.account_id, "region": owner.region}

    def refuse_new(self, owner: AccountView) -> None:
        """Refuse nothing."""

    def refuse_change(self, owner: AccountView) -> None:
        """Refuse nothing."""

    async def needs(self, session: AsyncSession, owner: AccountView) -> list[Needs]:
        """Return nothing: an account is there."""
        return []

    def given(self, document: Mapping[str, Any], own: Mapping[str, str], title: str) -> list[FieldError]:
        """Refuse another place than the cluster's."""
        return [
            FieldError(f"/{name}", f"must be the cluster's, {own[name]}, or left out")
            for name in self.fields
            if document.get(name, own[name]) != own[name]
        ]


CLUSTER = ClusterScope()
ACCOUNT = AccountScope()
