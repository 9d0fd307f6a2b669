"""What clusters need of other features; a root wires it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters.models import Cluster
from app.clusters.schemas import ClusterSpec
from app.clusters.view import ClusterView
from app.core.caller import Caller
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud
from app.operations.service import Needs
from app.stacks.template import StackTemplate


class Parts(Protocol):
    """Knows every kind of resource that may stand in a cluster's own request."""

    fields: Sequence[str]
    """The fields of a cluster's request that hold them."""

    def parse(self, raw: Mapping[str, Sequence[dict[str, Any]]], own: Mapping[str, str]) -> list[Any]:
        """Check what a request holds, by field; raises InvalidError with pointers that begin with the field.

        `own` is what names the cluster, and where it is: `cluster`, `region`, `account`.
        """
        ...

    async def check(self, cloud: Cloud, parts: Sequence[Any], cluster: ClusterView) -> None:
        """Ask AWS what can be known before anything begins; raises InvalidError likewise."""
        ...

    def stacks(self, parts: Sequence[Any], cluster: ClusterView) -> list[StackTemplate]:
        """Return the stack of each."""
        ...

    async def begin_create(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, parts: Sequence[Any], *, parent_id: str
    ) -> list[Operation]:
        """Begin to create what stands in the request of a cluster that is being created."""
        ...

    async def begin_delete(
        self, session: AsyncSession, caller: Caller, cluster_id: str, *, needs: Sequence[Needs], parent_id: str
    ) -> list[Operation]:
        """Begin to delete all that a cluster has, in order, after `needs`."""
        ...


class Addons(Protocol):
    """Knows the addons that are stacks of their own; they follow the cluster's spec."""

    async def differ(self, session: AsyncSession, cluster: Cluster, spec: ClusterSpec, *, retagged: bool) -> bool:
        """Tell whether they are not those that a spec asks for; raises OperationInProgressError."""
        ...

    async def bring(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster: Cluster,
        *,
        needs: Sequence[Needs],
        parent_id: str | None,
        retagged: bool = False,
        upgrades: bool = False,
    ) -> None:
        """Begin what leads to those that the cluster's spec asks for, after `needs`."""
        ...

    async def install(
        self, session: AsyncSession, caller: Caller, cluster: Cluster, *, needs: Sequence[Needs], parent_id: str | None
    ) -> None:
        """Begin to install those that wait, if there is a node group, or will be one after `needs`."""
        ...

    async def follow_upgrade(self, session: AsyncSession, caller: Caller, cluster: Cluster, upgrade: Operation) -> None:
        """After an upgrade, bring those without a version of their own to EKS's default."""
        ...


class Releases(Protocol):
    """Knows the Helm releases of a cluster."""

    def parse(self, raw: Sequence[dict[str, Any]], cluster: str) -> list[Any]:
        """Check the releases of a cluster spec; raises InvalidError with pointers below `/releases`."""
        ...

    async def check(self, cluster: ClusterView, wanted: Sequence[Any]) -> None:
        """Look at their charts and secrets before anything begins, and note which charts they are.

        Raises:
            InvalidError: likewise.
        """
        ...

    async def begin_create(
        self, session: AsyncSession, caller: Caller, cluster_id: str, wanted: Sequence[Any], *, parent_id: str
    ) -> list[Operation]:
        """Begin to install releases into a cluster that is being created, with all that is begun for it already."""
        ...

    async def begin_delete(
        self, session: AsyncSession, caller: Caller, cluster_id: str, *, parent_id: str, force: bool
    ) -> list[Operation]:
        """Begin to uninstall every release of a cluster; `force` leaves behind what cannot be uninstalled."""
        ...
