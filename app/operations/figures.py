"""What `/metrics` tells of the ledger. The figures are the database's, so that every replica tells the same."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db.types import utcnow
from app.engine.models import LIVE, Operation


@dataclass(frozen=True, slots=True)
class Figures:
    """The ledger at one moment.

    Attributes:
        counts: Operations by (status, kind).
        oldest_pending_seconds: Age of the oldest pending operation, 0 without one.
        oldest_due_seconds: How long the most overdue operation has waited to be taken up, 0 when nothing is due.
        dead_letters: Operations given up on an error that nobody foresaw.
    """

    counts: dict[tuple[str, str], int]
    oldest_pending_seconds: float
    oldest_due_seconds: float
    dead_letters: int


async def read(session: AsyncSession) -> Figures:
    """Return the present figures."""
    by_status_and_kind = (
        select(col(Operation.status), col(Operation.kind), func.count())
        .group_by(col(Operation.status), col(Operation.kind))
        .order_by(col(Operation.status), col(Operation.kind))
    )
    counts = {(status, kind): count for status, kind, count in await session.execute(by_status_and_kind)}
    pending = select(func.min(col(Operation.created_at))).where(col(Operation.status) == "pending")
    due = select(func.min(col(Operation.next_run_at))).where(col(Operation.status).in_(LIVE))
    dead = select(func.count()).select_from(Operation).where(col(Operation.dead_letter).is_(True))
    clock: datetime = (await session.execute(select(utcnow()))).scalar_one()
    return Figures(
        counts=counts,
        oldest_pending_seconds=_age(clock, (await session.execute(pending)).scalar_one()),
        oldest_due_seconds=_age(clock, (await session.execute(due)).scalar_one()),
        dead_letters=(await session.execute(dead)).scalar_one(),
    )


def _age(clock: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (clock - since).total_seconds())
