"""Table of managed node groups."""

from typing import ClassVar

from sqlmodel import Field

from app.db.base import ResourceColumns, live_unique_index, page_index


class Nodegroup(ResourceColumns, table=True):
    """A managed node group: its desired spec and what was observed of it."""

    TYPE: ClassVar[str] = "nodegroup"
    __tablename__ = "nodegroups"
    __table_args__ = (page_index("nodegroups"), live_unique_index("uq_nodegroups_live_name", "cluster_id", "name"))

    cluster_id: str = Field(max_length=40, foreign_key="clusters.id", index=True)
