"""What every change has in common: who asks, `If-Match`, `Idempotency-Key`, one transaction, one stored answer.

A handler takes `change: ChangeDep` and, inside `async with change.transaction() as session:`, does its work and ends
with `return await change.accepted(session, operation)`; the commit comes before the response is sent.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import Caller
from app.core.errors import FieldError
from app.db.session import Database
from app.http import etag, idempotency
from app.http.caller import CallerDep
from app.http.errors import NotSupportedYetError

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
"""When to look at a new operation for the first time: changes take minutes."""


class ReplayedAnswer(Exception):  # noqa: N818 - not an error: it ends the request with the answer of the first one
    """The key has its answer; `StrictRoute` sends it."""

    def __init__(self, response: Response) -> None:
        super().__init__("replayed")
        self.response = response


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
        *,
        if_match: etag.EntityTags | None = None,
        callback_url: str | None = None,
        reservation: idempotency.Reservation | None = None,
    ) -> None:
        self.caller = caller
        self.if_match = if_match
        self.callback_url = callback_url
        self._database = database
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

    async def accepted(self, session: AsyncSession, operation: BaseModel) -> Response:
        """Return 202 with the operation (a model with an `id`): the work goes on in the background.

        Raises:
            IdempotencyInProgressError: see `answer`.
        """
        headers = {"Location": f"/operations/{getattr(operation, 'id')}", "Retry-After": str(RETRY_AFTER_SECONDS)}  # noqa: B009 - any model with an id
        return await self.answer(session, 202, operation, headers)

    async def answer(
        self, session: AsyncSession, status: int, body: BaseModel | None, headers: dict[str, str] | None = None
    ) -> Response:
        """Return an answer and keep it for the idempotency key, in this session's transaction.

        Raises:
            IdempotencyInProgressError: this request took so long that another one took over its key; the
                transaction must not commit.
        """
        text = None if body is None else body.model_dump_json(by_alias=True)
        answer = idempotency.Answer(status, headers or {}, text)
        if self._reservation is not None:
            await idempotency.store(session, self._reservation, answer)
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


async def begin_change(
    request: Request,
    caller: CallerDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 255 visible ASCII characters; the same key gives the first answer again.",
        ),
    ] = None,
    if_match: Annotated[str | None, Header(alias="If-Match", description="The ETag that the change builds on.")] = None,
    callback_url: Annotated[str | None, Query(description="Called when the operation has ended.")] = None,
) -> Change:
    """Return the change that the request begins, its idempotency key reserved.

    Raises:
        ReplayedAnswer: the key has its answer already.
        SlipwayError: a header is malformed, or the key is in use.
    """
    if callback_url is not None:
        # The column is there; what sends callbacks comes with the webhooks. Better refused than never called.
        raise NotSupportedYetError(
            "callback_url is not supported yet.", [FieldError("/query/callback_url", "is not supported yet")]
        )
    database: Database = request.app.state.database
    tags = None if if_match is None else etag.EntityTags(if_match)
    wanted = None
    if idempotency_key is not None:
        wanted = await _wanted(request, caller, idempotency_key)
        async with database.write() as session:
            stored = await idempotency.reserve(session, wanted)
        if stored is not None:
            raise ReplayedAnswer(_response(stored, replayed=True))
    change = Change(database, caller, if_match=tags, callback_url=callback_url, reservation=wanted)
    request.state.change = change
    return change


async def _wanted(request: Request, caller: Caller, key: str) -> idempotency.Reservation:
    content_type = request.headers.get("content-type", "").strip().lower()
    fingerprint = idempotency.fingerprint(await request.body(), content_type, request.url.query)
    return idempotency.reservation(caller.project_id, request.method, request.url.path, key, fingerprint)


ChangeDep = Annotated[Change, Depends(begin_change, scope="function")]
