"""Old operations go, in small batches, so that no transaction is long; their events and dependencies go with them."""

from sqlalchemy import delete, select
from sqlmodel import col

from app.db.session import Database
from app.db.types import utcnow
from app.engine.models import LIVE, Operation

BATCH = 500
DAY_SECONDS = 86_400.0


async def delete_old(database: Database, days: int) -> int:
    """Delete operations that ended more than `days` ago and are no live one's parent; return how many."""
    deleted = 0
    while True:
        async with database.write() as session:
            kept = select(col(Operation.parent_id)).where(
                col(Operation.parent_id).is_not(None),
                (col(Operation.finished_at).is_(None)) | (col(Operation.finished_at) >= utcnow(-days * DAY_SECONDS)),
            )
            old = (
                select(col(Operation.id))
                .where(
                    col(Operation.status).not_in(LIVE),
                    col(Operation.finished_at) < utcnow(-days * DAY_SECONDS),
                    col(Operation.id).not_in(kept),
                )
                .order_by(col(Operation.parent_id).is_(None), col(Operation.id))  # children before their parents
                .limit(BATCH)
            )
            ids = (await session.execute(old)).scalars().all()
            if not ids:
                return deleted
            children = select(col(Operation.id)).where(col(Operation.parent_id).in_(ids))
            await session.execute(delete(Operation).where(col(Operation.id).in_(children)))
            await session.execute(delete(Operation).where(col(Operation.id).in_(ids)))
            deleted += len(ids)
