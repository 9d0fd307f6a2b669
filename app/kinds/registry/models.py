"""Table of registries."""

from typing import ClassVar

from app.db.base import ResourceColumns, live_unique_index, page_index


class Registry(ResourceColumns, table=True):
    """An ECR repository: its desired spec and what was observed of it."""

    TYPE: ClassVar[str] = "registry"
    __tablename__ = "registries"
    __table_args__ = (
        page_index("registries"),
        live_unique_index("uq_registries_live_name", "account_id", "region", "name"),
    )
