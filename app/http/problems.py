"""Problem documents (RFC 9457): the one place where an error becomes a status. Nothing here ever answers 500."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.core.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidError,
    MalformedError,
    NotFoundError,
    PreconditionFailedError,
    SlipwayError,
    TooLargeError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from app.core.secrets.scope import scope_or_none
from app.core.validation import field_errors, invalid
from app.db.session import is_away
from app.http.errors import MethodNotAllowedError, NoSuchPathError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

STATUS: dict[type[SlipwayError], int] = {
    MalformedError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    MethodNotAllowedError: 405,
    ConflictError: 409,
    PreconditionFailedError: 412,
    TooLargeError: 413,
    UnsupportedMediaTypeError: 415,
    InvalidError: 422,
    TooManyRequestsError: 429,
    UnavailableError: 503,
}
"""Each category of errors and its status; a subclass has its category's."""


class ProblemField(BaseModel):
    """One wrong place of the request."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"pointer": "/scaling/max", "detail": "must be at least 1"}]}
    )

    pointer: str = Field(
        description="JSON pointer into the body; `/query/…`, `/path/…` and `/header/…` name parameters.",
    )
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). Further members hold facts, such as the `operation_id` of what is in the way."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:slipway:problem:operation_in_progress",
                    "title": "Another operation is in progress",
                    "status": 409,
                    "detail": "cluster eksdemo is being changed by op_01jd3x8k7q2v5w9z4c6b8n0m1r.",
                    "code": "operation_in_progress",
                    "operation_id": "op_01jd3x8k7q2v5w9z4c6b8n0m1r",
                }
            ]
        },
    )

    type: str = Field(description="A URN that ends with `code`.")
    title: str
    status: int
    detail: str = Field(description="What is wrong with this request, in a sentence.")
    code: str = Field(description="Stable, snake_case.")
    errors: list[ProblemField] | None = Field(default=None, description="Wrong places, for 422.")


def status_of(error: SlipwayError) -> int:
    """Return the status of an error's category."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    facts: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem document; a 503 always says when to come back."""
    body: dict[str, Any] = dict(facts or {})
    body |= {"type": f"urn:slipway:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    if errors:
        body["errors"] = [{"pointer": error.pointer, "detail": error.detail} for error in errors]
    if (secrets := scope_or_none()) is not None:
        body = secrets.value(body)
    content = json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "replace")
    all_headers = dict(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        all_headers.setdefault("Retry-After", str(RETRY_SECONDS))
    return Response(content, status, all_headers, MEDIA_TYPE)


def problem_of(error: SlipwayError) -> Response:
    """Return the problem document of an error that a caller may see."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if (retry_after := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(retry_after)
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="slipway"'
    elif isinstance(error, MethodNotAllowedError):
        headers["Allow"] = error.allow
    elif isinstance(error, TooLargeError):
        headers["Connection"] = "close"  # the rest of the body is not read
    errors = error.errors if isinstance(error, InvalidError) else ()
    return problem(status, error.code, error.title, error.message, errors=errors, facts=error.facts, headers=headers)


def problem_of_unforeseen(error: Exception) -> Response:
    """Return the answer to what nobody foresaw: 503, because a caller can only try again; the log has the trace."""
    if is_away(error):
        log.warning("the database does not answer: %s", error)
        return problem(503, "database_unavailable", "Temporarily unavailable", "The database does not answer now.")
    log.error("a request failed unexpectedly", exc_info=error)
    return problem(503, "internal_error", "Temporarily unavailable", "The request failed unexpectedly; it is logged.")


def invalid_request(error: RequestValidationError, model: Any = None) -> InvalidError:
    """Return FastAPI's validation error as ours; `model` is the body's type, to guess what unknown fields mean."""
    places: list[FieldError] = []
    for part in ("body", "query", "path", "header", "cookie"):
        inner = [dict(found, loc=found["loc"][1:]) for found in error.errors() if found["loc"][0] == part]
        if part == "body":
            places += field_errors(inner, error.body, model)
        else:
            # The parameters themselves aren't at hand: their names are all that the locations hold.
            names = {found["loc"][0]: None for found in inner if found["loc"]}
            places += field_errors(inner, names, pointer=f"/{part}")
    return invalid(places)


def _from_starlette(error: HTTPException, request: Request) -> SlipwayError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NoSuchPathError("There is nothing at this path.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowedError(f"{request.method} is not a method of this path.", ", ".join(_methods_of(request)))
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLargeError("The body is too large.")
    return MalformedError(str(error.detail))


def _methods_of(request: Request) -> list[str]:
    """Return the methods that the path takes; each is a route of its own."""
    scopes = {method: dict(request.scope, method=method) for method in ("DELETE", "GET", "PATCH", "POST", "PUT")}
    routes = request.app.routes
    return [
        method for method, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]


def install(app: FastAPI) -> None:
    """Have `app` answer its errors with problem documents."""

    async def slipway_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, SlipwayError)  # noqa: S101 - Starlette's signature cannot say it
        return problem_of(error)

    async def validation_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return problem_of(invalid_request(error))

    async def starlette_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        return problem_of(_from_starlette(error, request))

    async def database_error(_request: Request, error: Exception) -> Response:
        return problem_of_unforeseen(error)

    app.add_exception_handler(SlipwayError, slipway_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, starlette_error)
    app.add_exception_handler(SQLAlchemyError, database_error)
