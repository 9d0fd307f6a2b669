"""What node groups need of other features; a root wires it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.operations.service import Needs


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What node groups know of their cluster.

    Attributes:
        phase: As the contract names phases.
        version: Kubernetes minor that the cluster's spec asks for, `1.34`.
        outputs: The cluster's outputs, by the contract's names.
        facts: `zones` (of a VPC that the cluster makes) and `subnet_zones` (zone by subnet); once it is there,
            `public_subnet_ids`, `private_subnet_ids`, `node_subnet_ids`, too.
    """

    id: str
    name: str
    project_id: str
    account_id: str
    region: str
    phase: str
    version: str
    ip_family: str
    outputs: dict[str, Any]
    facts: dict[str, Any]

    @property
    def zones(self) -> frozenset[str]:
        """The zones that the cluster's subnets lie in; empty if they are not known."""
        return frozenset(self.facts.get("zones") or self.facts.get("subnet_zones", {}).values())


class Clusters(Protocol):
    """Knows clusters."""

    async def get(self, session: AsyncSession, project_id: str, reference: str, *, lock: bool = False) -> ClusterView:
        """Return a cluster of the project by id or name."""
        ...

    async def by_id(self, session: AsyncSession, cluster_id: str) -> ClusterView:
        """Return a cluster by its id, also a deleted one."""
        ...

    async def begin_waiting_addons(
        self, session: AsyncSession, caller: Caller, cluster_id: str, needs: Sequence[Needs]
    ) -> None:
        """Begin to install the addons that waited for a node group."""
        ...
