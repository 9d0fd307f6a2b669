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
from app.stacks.taints import Taint
from app.stacks.template import StackTemplate


class Accounts(Protocol):
    """Knows the project's AWS accounts."""

    async def account_id(self, session: AsyncSession, project_id: str, reference: str) -> str:
        """Return the id of an account, by id or name."""
        ...


class Parts(Protocol):
    """Knows every kind of resource that is a stack below a cluster."""

    fields: Mapping[str, str]
    """The fields of a cluster's request that hold them, each with the type of its resources."""

    def parse(self, raw: Mapping[str, Sequence[dict[str, Any]]], cluster: str) -> list[Any]:
        """Check what a request holds, by field; raises InvalidError with pointers that begin with the field."""
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
        """Begin to create what belongs to a cluster that is being created."""
        ...

    async def begin_delete(
        self,
        session: AsyncSession,
        caller: Caller,
        cluster_id: str,
        *,
        after_addons: bool,
        needs: Sequence[Needs],
        parent_id: str,
    ) -> list[Operation]:
        """Begin to delete what a cluster has, after `needs`: what goes before its addons, or what goes after them."""
        ...

    async def retry(self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str) -> Operation:
        """Begin a failed operation of one of them again."""
        ...


class Nodes(Protocol):
    """Knows whether pods have somewhere to run."""

    async def coming(self, session: AsyncSession, cluster_id: str) -> list[str]:
        """Return the operations that create or change node groups of a cluster now."""
        ...

    async def taints(self, session: AsyncSession, cluster_id: str) -> list[list[Taint]]:
        """Return the taints of each node group of a cluster."""
        ...

    async def any_active(self, session: AsyncSession, cluster_id: str) -> bool:
        """Tell whether the cluster has a node group that serves."""
        ...


class Registries(Protocol):
    """Knows registries, which may be asked for with a cluster and then stand on their own."""

    def parse(self, raw: Sequence[dict[str, Any]], *, region: str, account: str) -> list[Any]:
        """Check the registries of a cluster spec; raises InvalidError with pointers below `/registries`."""
        ...

    async def check(self, cloud: Cloud, specs: Sequence[Any]) -> None:
        """Ask AWS what can be known before anything begins."""
        ...

    async def begin_create(
        self, session: AsyncSession, caller: Caller, specs: Sequence[Any], *, parent_id: str
    ) -> list[Operation]:
        """Begin to create registries beside a cluster."""
        ...

    async def retry(self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str) -> Operation:
        """Begin a failed operation of a registry again."""
        ...


class Releases(Protocol):
    """Knows the Helm releases of a cluster."""

    def parse(self, raw: Sequence[dict[str, Any]], cluster: str) -> list[Any]:
        """Check the releases of a cluster spec; raises InvalidError with pointers below `/releases`."""
        ...

    async def check(self, project_id: str, wanted: Sequence[Any], cluster: ClusterSpec, account_id: str) -> None:
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

    async def retry(self, session: AsyncSession, caller: Caller, operation: Operation, *, parent_id: str) -> Operation:
        """Begin a failed operation of a release again."""
        ...
