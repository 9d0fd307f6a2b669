"""A cluster as those see it that belong to it: what kinds, releases and templates may know of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.clusters.models import Cluster
from app.clusters.schemas import ClusterSpec


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What is known of a cluster.

    Attributes:
        phase: As the contract names phases.
        version: Kubernetes minor that it has, or is being brought to: `1.34`.
        ip_family: `ipv4` or `ipv6`.
        outputs: The cluster's outputs, by the contract's names; empty until it is there.
        facts: `zones` (of a VPC that the cluster makes) and `subnet_zones` (zone by subnet); once it is there,
            `public_subnet_ids`, `private_subnet_ids`, `node_subnet_ids`, too.
        tags: The caller's.
        applied_version: Kubernetes minor that it has; "" until it is there.
    """

    id: str
    name: str
    project_id: str
    account_id: str
    region: str
    phase: str
    version: str
    ip_family: str
    outputs: Mapping[str, Any]
    facts: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    applied_version: str = ""

    @classmethod
    def of(cls, cluster: Cluster) -> "ClusterView":
        """Return the view of a row."""
        # What AWS has, except while it is being changed: what belongs to it comes after that.
        spec = cluster.spec if cluster.phase in ("creating", "updating") else cluster.applied_spec
        return cls(
            id=cluster.id,
            name=cluster.name,
            project_id=cluster.project_id,
            account_id=cluster.account_id,
            region=cluster.region,
            phase=cluster.phase,
            version=spec["version"],
            ip_family=spec["network"]["ip_family"],
            outputs=cluster.outputs,
            facts=cluster.facts,
            tags=cluster.tags,
            applied_version=cluster.applied_spec["version"] if cluster.observed_generation else "",
        )

    @classmethod
    def planned(
        cls, spec: ClusterSpec, facts: Mapping[str, Any], *, project_id: str = "", account_id: str
    ) -> "ClusterView":
        """Return the view of a cluster that is asked for and has no row yet; its VPC is known if it was given."""
        return cls(
            id="clu_" + "0" * 26,
            name=spec.name,
            project_id=project_id,
            account_id=account_id,
            region=spec.region,
            phase="creating",
            version=str(spec.version),
            ip_family=spec.network.ip_family,
            outputs={"vpc_id": spec.network.vpc_id} if spec.network.vpc_id else {},
            facts=facts,
            tags=spec.tags,
        )

    @property
    def cluster_name(self) -> str:
        """Its name, as what belongs to it is named and tagged."""
        return self.name

    @property
    def title(self) -> str:
        """What it is for people, at the begin of a sentence."""
        return f"Cluster {self.name!r}"

    @property
    def is_there(self) -> bool:
        """Whether AWS has it."""
        return bool(self.outputs.get("arn"))

    @property
    def zones(self) -> frozenset[str]:
        """The zones that its subnets lie in; empty if they are not known."""
        return frozenset(self.facts.get("zones") or self.facts.get("subnet_zones", {}).values())

    @property
    def endpoint(self) -> str:
        """URL of the API server; "" until it is there."""
        return self.outputs.get("endpoint") or ""

    @property
    def certificate_authority(self) -> str:
        """Certificate of the API server, base64 of PEM; "" until it is there."""
        return self.outputs.get("certificate_authority") or ""
