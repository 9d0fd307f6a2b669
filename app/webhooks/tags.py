"""The tags of what an event is about: webhooks filter by them."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters.models import Cluster
from app.db.base import ResourceColumns
from app.kinds.all import KINDS
from app.releases.models import Release

TABLES: Mapping[str, type[ResourceColumns]] = {
    "cluster": Cluster,
    "release": Release,
    **{kind.type: kind.table for kind in KINDS.values()},
}
"""Where the resources of each type are."""


async def tags_of(session: AsyncSession, resource_type: str, resource_id: str) -> dict[str, str]:
    """Return the tags of a resource, also of a deleted one; none for a type that has no tags."""
    table = TABLES.get(resource_type)
    row = await session.get(table, resource_id) if table else None
    return row.tags if row else {}
