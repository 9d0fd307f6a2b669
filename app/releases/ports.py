"""What releases need of other features; a root wires it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.gateways.helm.chart import Credential, OciChart
from app.operations.service import Needs


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What releases know of their cluster.

    Attributes:
        phase: As the contract names phases.
        version: Kubernetes minor that the cluster's spec asks for, `1.34`.
        endpoint: `https://…` of its API server; "" while there is none.
        certificate_authority: Base64 of its PEM bundle; "" likewise.
    """

    id: str
    name: str
    project_id: str
    account_id: str
    region: str
    phase: str
    version: str
    endpoint: str
    certificate_authority: str


class Clusters(Protocol):
    """Knows clusters, and what of them is still to come."""

    async def get(self, session: AsyncSession, project_id: str, reference: str) -> ClusterView:
        """Return a cluster of the project by id or name."""
        ...

    async def by_id(self, session: AsyncSession, cluster_id: str) -> ClusterView:
        """Return a cluster by its id, also a deleted one."""
        ...

    async def needs(self, session: AsyncSession, cluster: ClusterView) -> Sequence[Needs]:
        """Return what must come before something is installed: the cluster, its node groups, its addons.

        Creates of the cluster and of node groups must succeed; other changes must only end.
        """
        ...


@dataclass(frozen=True, slots=True)
class RegistryView:
    """What releases know of a registry of the project.

    Attributes:
        id: `reg_…`.
        name: Of the registry.
        is_there: Whether charts can be pulled from it now; else `Registries.needs` says what must come first.
    """

    id: str
    name: str
    is_there: bool


@dataclass(frozen=True, slots=True)
class RegistryChart:
    """Where a chart of a registry is, and what opens it.

    Attributes:
        source: `oci://…`, its version, and the digest of its manifest.
        credential: Good for some hours.
    """

    source: OciChart
    credential: Credential


class Registries(Protocol):
    """Knows the project's registries and the charts in them."""

    async def get(self, session: AsyncSession, project_id: str, reference: str) -> RegistryView:
        """Return a registry of the project by id or name.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is being deleted, or the name is not unique.
        """
        ...

    async def needs(self, session: AsyncSession, registry_id: str) -> Sequence[Needs]:
        """Return what must come before a chart can be pulled: the registry's create, if it still runs."""
        ...

    async def chart(self, registry_id: str, name: str, version: str | None, digest: str | None) -> RegistryChart:
        """Return where a chart of a registry is; asks AWS, outside of any transaction.

        Args:
            registry_id: `reg_…`.
            name: Of the chart.
            version: None for the newest.
            digest: Of the manifest, if only that one will do.

        Raises:
            HelmError: `ChartNotFound` or `ChartVersionNotFound`.
            AwsError: AWS could not be asked.
        """
        ...
