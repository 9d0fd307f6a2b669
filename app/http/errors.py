"""Errors of the HTTP layer itself."""

from app.core.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    SlipwayError,
    TooManyRequestsError,
    UnavailableError,
)


class NoSuchPathError(NotFoundError):
    """The API has no such path."""


class MethodNotAllowedError(SlipwayError):
    """The path is there and does not take this method; the `Allow` header lists what it takes."""

    code = "method_not_allowed"
    title = "Method not allowed"

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class InvalidPageTokenError(InvalidError):
    """The page token was not given out by this list with these filters."""

    code = "invalid_page_token"
    title = "The page token does not belong to this list"


class InvalidIdempotencyKeyError(InvalidError):
    """An idempotency key has 1 to 255 visible ASCII characters."""

    code = "invalid_idempotency_key"
    title = "The idempotency key is not valid"


class IdempotencyKeyReusedError(InvalidError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    title = "The idempotency key belongs to another request"


class AnswerLostError(ConflictError):
    """The change was made, and its answer, which held a secret, can no longer be decrypted."""

    code = "answer_lost"
    title = "The first answer cannot be given again"


class IdempotencyInProgressError(ConflictError):
    """The first request with this key is being answered at this moment."""

    code = "idempotency_in_progress"
    title = "The first request with this key is still being answered"
    retry_after = 1


class OverloadedError(UnavailableError):
    """The process answers as many requests, or streams, as it may at once."""

    code = "overloaded"
    title = "Too much at once"


class TooManyStreamsError(TooManyRequestsError):
    """One key follows as many event streams as one key may."""

    code = "too_many_streams"
    title = "Too many event streams"
