"""The catalogue's roots: every error that a caller may see descends from one of these.

No HTTP status stands here: `app/http/problems.py` maps each category to its status once.
A feature's `errors.py` subclasses a category and gives a stable `code`; the docstring says when it is raised.
"""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong place of a request: a JSON pointer (RFC 6901, `""` is the whole body) and what is wrong with it."""

    pointer: str
    detail: str


class SlipwayError(Exception):
    """An error with a stable code; `facts` are members of the problem document (JSON values only)."""

    code: str
    title: str

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class MalformedError(SlipwayError):
    """The request cannot be parsed at all."""

    code = "malformed"
    title = "The request cannot be parsed"


class UnauthenticatedError(SlipwayError):
    """No valid credentials were sent."""

    code = "unauthenticated"
    title = "Credentials are missing or wrong"


class ForbiddenError(SlipwayError):
    """The caller may not do this."""

    code = "forbidden"
    title = "Not allowed"


class NotFoundError(SlipwayError):
    """What the request names does not exist."""

    code = "not_found"
    title = "Not found"


class ConflictError(SlipwayError):
    """The request is right, but not in the present state."""

    code = "conflict"
    title = "Conflict with the present state"


class PreconditionFailedError(SlipwayError):
    """`If-Match` names another generation."""

    code = "precondition_failed"
    title = "The resource has changed"


class TooLargeError(SlipwayError):
    """The body is over the limit."""

    code = "body_too_large"
    title = "The body is too large"


class UnsupportedMediaTypeError(SlipwayError):
    """The content type is not one that this path takes."""

    code = "unsupported_media_type"
    title = "Unsupported content type"


class InvalidError(SlipwayError):
    """The request parses and its content is wrong; `errors` names each place."""

    code = "invalid"
    title = "The request is not valid"

    def __init__(self, message: str, errors: list[FieldError] | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.errors = errors or []

    def below(self, pointer: str) -> Self:
        """Return the error as one of what stands at `pointer` of a request."""
        self.errors = [FieldError(pointer + found.pointer, found.detail) for found in self.errors]
        return self


class TooManyRequestsError(SlipwayError):
    """The caller has as many of something as it may have at once; try again after `retry_after` seconds."""

    code = "too_many_requests"
    title = "Too many at once"

    def __init__(self, message: str, *, retry_after: int = 5, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after = retry_after


class UnavailableError(SlipwayError):
    """Something that the answer needs does not answer now; try again after `retry_after` seconds."""

    code = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, message: str, *, retry_after: int = 5, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after = retry_after
