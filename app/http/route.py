"""The route class of every router: `APIRouter(route_class=StrictRoute)`.

Handlers declare pydantic bodies the ordinary way, so that the OpenAPI document is right, and still get: the caller
checked before a byte of the body is read; unknown query parameters refused; a limited body, with a content type that
the route takes, parsed strictly (no key twice, no NaN); validation errors with JSON pointers.
"""

from collections.abc import Callable, Coroutine, Iterator
from email.message import Message
from typing import Any, TypeVar, get_args, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.core.documents import parse_json
from app.core.errors import FieldError, InvalidError, SlipwayError, TooLargeError, UnsupportedMediaTypeError
from app.core.secrets.scope import current
from app.core.validation import did_you_mean, invalid
from app.http.caller import get_caller
from app.http.change import Change, ReplayedAnswer
from app.http.errors import NoSuchPathError
from app.http.problems import invalid_request

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
MEDIA_TYPES_KEY = "x-slipway-media-types"
"""How a route tells `http/openapi.py` its body's content types; taken out of the document there."""

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def accepts(*media_types: str) -> Callable[[_Endpoint], _Endpoint]:
    """Say which content types a handler's body may have, where they are not the usual ones of its method.

    What is not JSON reaches a handler as `bytes`.
    """

    def mark(endpoint: _Endpoint) -> _Endpoint:
        endpoint.__dict__["media_types"] = media_types
        return endpoint

    return mark


class StrictRequest(Request):
    """A request whose body has been read and parsed."""

    def __init__(self, request: Request, body: bytes, document: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._read = body
        self._document = document

    async def body(self) -> bytes:
        """Return the bytes."""
        return self._read

    async def json(self) -> Any:
        """Return the parsed document."""
        return self._document


class StrictRoute(APIRoute):
    """A route that is strict about what it is sent; see the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.openapi_extra = (self.openapi_extra or {}) | {MEDIA_TYPES_KEY: list(media_types_of(self))}

    def get_route_handler(self) -> _Handler:
        """Return FastAPI's handler with the checks before it and the idempotency key's release after it."""
        original = super().get_route_handler()
        dependants = list(_flat(self.dependant))
        needs_caller = any(dependant.call is get_caller for dependant in dependants)
        parameters = {field.alias: _is_list(field) for dependant in dependants for field in dependant.query_params}
        model = self.body_field.field_info.annotation if self.body_field else None

        async def handle(request: Request) -> Response:
            if needs_caller:
                await get_caller(request)
            _check_path_and_query(request, parameters)
            strict = await self._strict(request)
            try:
                return await _without_secrets(await original(strict))
            except RequestValidationError as error:
                raise invalid_request(error, model) from None
            except ReplayedAnswer as replay:
                return replay.response
            except SlipwayError:
                await current().prepare()  # the problem names what is wrong, in a moment
                raise
            finally:
                change: Change | None = getattr(request.state, "change", None)
                if change is not None:
                    await change.finish()

        return handle

    async def _strict(self, request: Request) -> Request:
        """Read and parse the body."""
        if request.method not in _BODY_METHODS:
            return request
        body = await _read(request, request.app.state.settings.max_body_bytes)
        if not body:
            return StrictRequest(request, b"", None)
        if self.body_field is None:
            raise InvalidError("This request takes no body.", [FieldError("", "must be empty")])
        media_type = _check_media_type(request, media_types_of(self))
        document = parse_json(body) if media_type.endswith("json") else None
        return StrictRequest(request, body, document)


async def _without_secrets(response: Response) -> Response:
    """Return an answer without the secrets that were opened for it; a stream's were hidden when they were written."""
    if secrets := current():
        media_type = response.headers.get("content-type", "")
        body = getattr(response, "body", b"")
        if body and media_type.startswith(JSON):
            response.body = await secrets.document(bytes(body))
            response.headers["content-length"] = str(len(response.body))
    return response


def media_types_of(route: APIRoute) -> tuple[str, ...]:
    """Return the content types that a route's body may have."""
    usual = (MERGE_PATCH, JSON) if "PATCH" in (route.methods or ()) else (JSON,)
    marked: tuple[str, ...] = getattr(route.endpoint, "media_types", usual)
    return marked


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for child in dependant.dependencies:
        yield from _flat(child)


def _is_list(field: Any) -> bool:
    annotation = field.field_info.annotation
    return any(get_origin(kind) is list for kind in (annotation, *get_args(annotation)))


def _check_path_and_query(request: Request, parameters: dict[str, bool]) -> None:
    if "\0" in request.url.path or any("\0" in value for value in request.path_params.values()):
        raise NoSuchPathError("There is nothing at this path.")
    errors: list[FieldError] = []
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        pointer = f"/query/{name}"
        if name not in parameters:
            errors.append(FieldError(pointer, "unknown parameter" + did_you_mean(name, parameters)))
        elif name in seen and not parameters[name]:
            errors.append(FieldError(pointer, "is given twice"))
        elif "\0" in value:
            errors.append(FieldError(pointer, "holds a NUL character"))
        seen.add(name)
    if errors:
        raise invalid(errors[:50], len(errors))


async def _read(request: Request, limit: int) -> bytes:
    """Return the body; stop reading as soon as it is over the limit, told by its length or not."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The body is over the limit of {limit} bytes.", limit=limit)


def _check_media_type(request: Request, allowed: tuple[str, ...]) -> str:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    media_type = header.get_content_type() if "/" in header["content-type"] else ""
    charset = header.get_content_charset("utf-8")
    if media_type not in allowed:
        given = f"{media_type!r} is not" if media_type else "the request has none of"
        raise UnsupportedMediaTypeError(
            f"The content type must be {' or '.join(allowed)}; {given} what this path takes.", accepted=list(allowed)
        )
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaTypeError(f"The body must be UTF-8, not {charset[:40]!r}.", accepted=list(allowed))
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("The body must not be compressed.", accepted=list(allowed))
    return media_type
