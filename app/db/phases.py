"""Which resources change their phase in a transaction: seen where rows are flushed, so that nobody has to tell it.

Only changes made through mapped rows are seen, not bulk `UPDATE` statements; no feature sets phases by those.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.db.base import ResourceColumns

DELETED = "deleted"
"""What is said of a row that is marked as deleted; not a phase of its own."""


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """A resource whose phase is another one at the end of a transaction than at its beginning (None: it is new)."""

    row: ResourceColumns
    before: str | None
    after: str


PhaseObserver = Callable[[AsyncSession, Sequence[PhaseChange]], Awaitable[None]]
"""Hears of the changes before the commit; what it writes is as certain as they are."""


class PhaseWatch:
    """Remembers the first phase of each row that a session changes."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._before: dict[str, tuple[ResourceColumns, str | None]] = {}
        event.listen(session.sync_session, "before_flush", self._flushing)

    async def changes(self) -> list[PhaseChange]:
        """Flush, and return what changed, by id."""
        await self._session.flush()
        found = []
        for _, (row, before) in sorted(self._before.items()):
            after = DELETED if row.deleted_at is not None else row.phase
            if after != before:
                found.append(PhaseChange(row, before, after))
        return found

    def _flushing(self, session: Session, _context: Any, _instances: Any) -> None:
        for row in (*session.new, *session.dirty):
            if isinstance(row, ResourceColumns) and row.id not in self._before:
                attributes = inspect(row).attrs
                phase = attributes.phase.history
                if phase.has_changes() or attributes.deleted_at.history.has_changes():
                    before = phase.deleted[0] if phase.deleted else row.phase
                    self._before[row.id] = (row, None if row in session.new else before)
