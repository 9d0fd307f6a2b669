"""What every change has in common: who asks, `If-Match`, `Idempotency-Key`, one transaction, one stored answer.

A handler takes `change: ChangeDep` and, inside `async with change.transaction() as session:`, does its work and ends
with `return await change.accepted(session, operation)`; the commit comes before the response is sent.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.core.crypto import UndecryptableError, Vault
from app.core.outbound import Rules, destination
from app.core.secrets.scope import scope_or_none
from app.db.sealed import MarkedText
from app.db.session import Database
from app.http import etag, idempotency
from app.http.caller import CallerDep
from app.http.errors import AnswerLostError

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
"""When to look at a new operation for the first time: changes take minutes."""


class ReplayedAnswer(Exception):  # noqa: N818 - not an error: it ends the request with the answer of the first one
    """The key has its answer; `StrictRoute` sends it."""

    def __init__(self, response: Response) -> None:
        super().__init__("replayed")
        self.response = response


class _RolledBackError(Exception):
    """A rehearsal is over."""


class Change:
    """One request that changes something.

    Attributes:
        caller: Who asks.
        if_match: The entity tags of `If-Match`, or None when it was not sent.
        callback_url: Whom to call when the operation has ended.
    """

    def __init__(
        self,
        database: Database,
        caller: Caller,
        vault: Vault,
        *,
        if_match: etag.EntityTags | None = None,
        callback_url: str | None = None,
        reservation: idempotency.Reservation | None = None,
    ) -> None:
        self.caller = caller
        self.if_match = if_match
        self.callback_url = callback_url
        self._database = database
        self._vault = vault
        self._reservation = reservation
        self._answered = False

    def check_match(self, generation: int) -> None:
        """Compare `If-Match` with the resource's generation.

        Raises:
            PreconditionFailedError: it was sent and does not hold.
        """
        etag.check_match(self.if_match, generation)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open the one transaction of this change; commits when the block ends, rolls back when it raises."""
        async with self._database.write() as session:
            yield session
        if self._answered:
            self._reservation = None  # the key has its answer: there is nothing to free

    @asynccontextmanager
    async def rehearsal(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that is rolled back when the block ends: what it wrote was never there."""
        try:
            async with self._database.write() as session:
                yield session
                raise _RolledBackError
        except _RolledBackError:
            pass

    async def accepted(self, session: AsyncSession, operation: BaseModel) -> Response:
        """Return 202 with the operation (a model with an `id`): the work goes on in the background.

        Raises:
            IdempotencyInProgressError: see `answer`.
        """
        headers = {"Location": f"/operations/{getattr(operation, 'id')}", "Retry-After": str(RETRY_AFTER_SECONDS)}  # noqa: B009 - any model with an id
        return await self.answer(session, 202, operation, headers)

    async def answer(
        self,
        session: AsyncSession,
        status: int,
        body: BaseModel | None,
        headers: dict[str, str] | None = None,
        *,
        secret: bool = False,
    ) -> Response:
        """Return an answer and keep it for the idempotency key, in this session's transaction.

        Args:
            session: The transaction.
            status: 2xx.
            body: None has no content.
            headers: Beside those that every answer has.
            secret: It holds a secret, and is kept encrypted.

        Raises:
            IdempotencyInProgressError: this request took so long that another one took over its key; the
                transaction must not commit.
        """
        text = None if body is None else body.model_dump_json(by_alias=True)
        if text and (secrets := scope_or_none()):
            text = (await secrets.document(text.encode())).decode()
        answer = idempotency.Answer(status, headers or {}, text)
        if self._reservation is not None:
            kept = answer
            if secret and text:
                kept = replace(answer, body=MarkedText.MARK + self._vault.encrypt(text, self._reservation.place))
            await idempotency.store(session, self._reservation, kept)
            self._answered = True
        return _response(answer)

    async def finish(self) -> None:
        """Free the key unless the change was made; called when the handler is through, however it ended."""
        if self._reservation is None:
            return
        try:
            async with self._database.write() as session:
                await idempotency.release(session, self._reservation)
        except SQLAlchemyError as error:
            log.warning("an idempotency key could not be released, it lapses by itself: %s", error)


def _response(answer: idempotency.Answer, *, replayed: bool = False) -> Response:
    headers = dict(answer.headers)
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.body, answer.status, headers, None if answer.body is None else "application/json")


KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 visible ASCII characters; the same key gives the first answer again.",
        json_schema_extra={"pattern": "^[!-~]{1,255}$"},
    ),
]
MatchHeader = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag that the change builds on.",
        json_schema_extra={"pattern": '^([*]|"[0-9]+")$'},
    ),
]


async def begin_change(
    request: Request,
    caller: CallerDep,
    idempotency_key: KeyHeader = None,
    if_match: MatchHeader = None,
    callback_url: Annotated[
        str | None,
        Query(
            description="Called when the operation has ended, signed with the project's callback secret. HTTPS, at a "
            "public address.",
            examples=["https://deploys.example.com/slipway"],
        ),
    ] = None,
) -> Change:
    """Return the change that the request begins, its idempotency key reserved.

    Raises:
        ReplayedAnswer: the key has its answer already.
        SlipwayError: a header is malformed, the key is in use, or the callback URL may not be called.
    """
    if callback_url is not None:
        destination(callback_url, Rules.of(request.app.state.settings), pointer="/query/callback_url")
    return await _begin(request, caller, idempotency_key, if_match, callback_url)


async def begin_direct_change(
    request: Request, caller: CallerDep, idempotency_key: KeyHeader = None, if_match: MatchHeader = None
) -> Change:
    """Return a change that is made at once: it begins no operation, so there is nothing to call back for."""
    return await _begin(request, caller, idempotency_key, if_match, None)


async def _begin(
    request: Request, caller: Caller, key: str | None, if_match: str | None, callback_url: str | None
) -> Change:
    database: Database = request.app.state.database
    vault: Vault = request.app.state.vault
    tags = None if if_match is None else etag.EntityTags(if_match)
    wanted = None
    if key is not None:
        wanted = await _wanted(request, caller, key)
        async with database.write() as session:
            stored = await idempotency.reserve(session, wanted)
        if stored is not None:
            raise ReplayedAnswer(_response(_unsealed(stored, wanted, vault), replayed=True))
    change = Change(database, caller, vault, if_match=tags, callback_url=callback_url, reservation=wanted)
    request.state.change = change
    return change


def _unsealed(stored: idempotency.Answer, reservation: idempotency.Reservation, vault: Vault) -> idempotency.Answer:
    if stored.body is None or not stored.body.startswith(MarkedText.MARK):
        return stored
    try:
        return replace(stored, body=vault.decrypt(stored.body.removeprefix(MarkedText.MARK), reservation.place))
    except UndecryptableError as error:
        raise AnswerLostError(f"The change was made, but its first answer is lost: {error}.") from error


async def _wanted(request: Request, caller: Caller, key: str) -> idempotency.Reservation:
    content_type = request.headers.get("content-type", "").strip().lower()
    fingerprint = idempotency.fingerprint(await request.body(), content_type, request.url.query)
    return idempotency.reservation(caller.project_id, request.method, request.url.path, key, fingerprint)


ChangeDep = Annotated[Change, Depends(begin_change, scope="function")]
DirectChangeDep = Annotated[Change, Depends(begin_direct_change, scope="function")]
