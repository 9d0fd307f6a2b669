"""Tables of clusters and their addons."""

from typing import ClassVar

from sqlmodel import Field

from app.db.base import ResourceColumns, live_unique_index, page_index

WAITING = "waiting"
"""Phase of an addon that waits for the cluster's first node group: no operation installs it yet."""


class Cluster(ResourceColumns, table=True):
    """An EKS cluster: its desired spec and what was observed of it."""

    TYPE: ClassVar[str] = "cluster"
    __tablename__ = "clusters"
    __table_args__ = (
        page_index("clusters"),
        live_unique_index("uq_clusters_live_name", "account_id", "region", "name"),
    )


class Addon(ResourceColumns, table=True):
    """An EKS addon of a cluster that is its own stack; `vpc-cni` and `kube-proxy` belong to the cluster's stack."""

    TYPE: ClassVar[str] = "addon"
    __tablename__ = "addons"
    __table_args__ = (page_index("addons"), live_unique_index("uq_addons_live_name", "cluster_id", "name"))

    cluster_id: str = Field(max_length=40, foreign_key="clusters.id", index=True)
