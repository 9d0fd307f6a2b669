"""`Idempotency-Key`: one change for one key, however often and however concurrently the request is sent.

A key is first reserved in a transaction of its own, so that a second request sees it at once. The answer is stored in
the transaction that makes the change: either both are there or neither. Whoever reserved a key and died with it loses
it after `LAPSE_SECONDS`; should they be merely slow, their change is refused when they try to store the answer.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Executable, Result, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.core.crypto import Place
from app.core.errors import FieldError
from app.core.ids import new_id
from app.db.sealed import place
from app.db.types import utcnow
from app.http.errors import IdempotencyInProgressError, IdempotencyKeyReusedError, InvalidIdempotencyKeyError
from app.http.models import IdempotencyKey

LAPSE_SECONDS = 15.0
RETENTION_SECONDS = 48 * 3600.0
"""The contract promises 24 hours."""

_LONGEST_PATH = 512
_POINTER = "/header/Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered first."""

    status: int
    headers: dict[str, str]
    body: str | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """One key of one project, method and path, held by this request (`owner`)."""

    project_id: str
    method: str
    path: str
    key: str
    fingerprint: str
    owner: str = field(default_factory=lambda: new_id("req"))

    @property
    def place(self) -> Place:
        """Where the answer is kept."""
        return place(IdempotencyKey, "body", self.project_id, self.method, self.path, self.key)

    def _columns(self) -> dict[str, str]:
        return {"project_id": self.project_id, "method": self.method, "path": self.path, "key": self.key}


def reservation(project_id: str, method: str, path: str, key: str, fingerprint: str) -> Reservation:
    """Return the reservation to ask for.

    Raises:
        InvalidIdempotencyKeyError: the key is empty, over 255 characters, or not visible ASCII.
    """
    if not 1 <= len(key) <= 255 or not all("!" <= character <= "~" for character in key):
        detail = "must be 1 to 255 visible ASCII characters"
        raise InvalidIdempotencyKeyError(f"Idempotency-Key {detail}.", [FieldError(_POINTER, detail)])
    if len(path) > _LONGEST_PATH:
        path = hashlib.sha256(path.encode("utf-8", "replace")).hexdigest()
    return Reservation(project_id, method, path, key, fingerprint)


def fingerprint(body: bytes, content_type: str, query: str) -> str:
    """Return what tells two requests apart: the bytes of the body, the content type and the query."""
    digest = hashlib.sha256()
    for part in (body, content_type.encode(), query.encode("utf-8", "replace")):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


async def reserve(session: AsyncSession, wanted: Reservation) -> Answer | None:
    """Reserve the key and return None, or return the answer that it already has.

    Raises:
        IdempotencyKeyReusedError: the key belongs to a request with another body, content type or query.
        IdempotencyInProgressError: the same request is being answered right now.
    """
    if await _insert(session, wanted):
        return None
    query = select(IdempotencyKey).where(*_of(wanted)).with_for_update()
    row = (await session.execute(query)).scalar_one_or_none()
    if row is None:  # released this very moment
        raise _in_progress()
    if row.status is None and await _take_over(session, wanted):
        return None
    if row.fingerprint != wanted.fingerprint:
        raise IdempotencyKeyReusedError(
            "The idempotency key was used for a request with another body, content type or query; use a new one.",
            [FieldError(_POINTER, "was used for another request")],
        )
    if row.status is None:
        raise _in_progress()
    return Answer(row.status, row.headers, row.body)


async def store(session: AsyncSession, held: Reservation, answer: Answer) -> None:
    """Keep the answer, in the transaction that makes the change.

    Raises:
        IdempotencyInProgressError: the reservation lapsed and is somebody else's now; the change must not be made.
    """
    values = {"status": answer.status, "headers": answer.headers, "body": answer.body}
    if not await _changed(session, update(IdempotencyKey).where(*_held_by(held)).values(**values)):
        raise _in_progress()


async def release(session: AsyncSession, held: Reservation) -> None:
    """Free a key whose request made no change; one that has its answer is kept."""
    await session.execute(delete(IdempotencyKey).where(*_held_by(held)))


async def delete_expired(session: AsyncSession) -> int:
    """Delete keys older than `RETENTION_SECONDS` and return how many there were."""
    statement = delete(IdempotencyKey).where(col(IdempotencyKey.created_at) < utcnow(-RETENTION_SECONDS))
    return await _changed(session, statement)


async def _insert(session: AsyncSession, wanted: Reservation) -> bool:
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    values = wanted._columns() | {"fingerprint": wanted.fingerprint, "owner": wanted.owner, "headers": {}}
    statement = dialect.insert(IdempotencyKey).values(**values).on_conflict_do_nothing()
    inserted = await session.execute(statement.returning(col(IdempotencyKey.owner)))
    return inserted.scalar_one_or_none() is not None


async def _take_over(session: AsyncSession, wanted: Reservation) -> bool:
    """Take a reservation that has lapsed, whatever its request was: it never got an answer."""
    statement = (
        update(IdempotencyKey)
        .where(*_of(wanted), col(IdempotencyKey.status).is_(None))
        .where(col(IdempotencyKey.created_at) < utcnow(-LAPSE_SECONDS))
        .values(owner=wanted.owner, fingerprint=wanted.fingerprint, created_at=utcnow())
    )
    return await _changed(session, statement) == 1


async def _changed(session: AsyncSession, statement: Executable) -> int:
    result: Result[Any] = await session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - what every change returns
    return result.rowcount


def _of(key: Reservation) -> list[ColumnElement[bool]]:
    return [col(getattr(IdempotencyKey, name)) == value for name, value in key._columns().items()]


def _held_by(held: Reservation) -> list[ColumnElement[bool]]:
    return [*_of(held), col(IdempotencyKey.owner) == held.owner, col(IdempotencyKey.status).is_(None)]


def _in_progress() -> IdempotencyInProgressError:
    return IdempotencyInProgressError("The first request with this idempotency key is being answered; ask again.")
