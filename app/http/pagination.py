"""Pages: `?limit=` and an opaque `?page_token=` that belongs to one list with its filters."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from app.core.errors import FieldError, InvalidError
from app.http.errors import InvalidPageTokenError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_TOKEN_CHARACTERS = 2048
_INT64 = range(2**63)

Key = str | int
T = TypeVar("T")
R = TypeVar("R")


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_page_token: str | None = Field(description="For `?page_token=`; null on the last page.")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name the schema after its items: `OperationPage`."""
        return f"{params[0].__name__.removesuffix('Out')}Page"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is asked for.

    Attributes:
        limit: How many items it holds, 1 to `MAX_LIMIT`.
        after: The key of the last item of the page before (of the type that the `key` of `cut` gives), or None.
        binding: What tokens of this list and these filters are bound to.
    """

    limit: int
    after: Any
    binding: str

    @property
    def fetch(self) -> int:
        """How many rows to select: one more than the page holds, which tells whether there is a next one."""
        return self.limit + 1

    @property
    def after_text(self) -> str | None:
        """The key of the page before, where keys are text (ids)."""
        return self._after_of(str)

    @property
    def after_number(self) -> int | None:
        """The key of the page before, where keys are numbers."""
        return self._after_of(int)

    def _after_of(self, kind: type[T]) -> T | None:
        if self.after is None or isinstance(self.after, kind):
            return self.after
        raise _bad_token()

    def cut(self, rows: Sequence[R], key: Callable[[R], Key]) -> tuple[Sequence[R], str | None]:
        """Return the rows of this page out of `fetch` rows, and the token of the next page if there is one."""
        if len(rows) <= self.limit:
            return rows, None
        kept = rows[: self.limit]
        return kept, _encode(key(kept[-1]), self.binding)


async def page_request(
    request: Request,
    limit: Annotated[
        int, Query(ge=1, description=f"Items on a page; more than {MAX_LIMIT} is taken as {MAX_LIMIT}.")
    ] = DEFAULT_LIMIT,
    page_token: Annotated[str | None, Query(description="`next_page_token` of the page before.")] = None,
) -> PageRequest:
    """Return the page that the query asks for.

    Raises:
        InvalidPageTokenError: the token is none of this path with these filters.
    """
    filters = sorted(item for item in request.query_params.multi_items() if item[0] not in ("limit", "page_token"))
    binding = hashlib.sha256(f"{request.url.path}?{urlencode(filters)}".encode("utf-8", "replace")).hexdigest()
    after = None if page_token is None else _decode(page_token, binding)
    return PageRequest(min(limit, MAX_LIMIT), after, binding)


PageQuery = Annotated[PageRequest, Depends(page_request)]


async def tag_filter(
    tag: Annotated[
        list[str] | None, Query(description="Only what has this tag, as `key=value`; may be repeated.")
    ] = None,
) -> dict[str, str]:
    """Return the tags that are asked for, `?tag=key=value`; the value may hold `=`.

    Raises:
        InvalidError: one has no `=` or no key, or one key is asked for with two values.
    """
    tags: dict[str, str] = {}
    for item in tag or []:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise InvalidError("A tag filter is key=value.", [FieldError("/query/tag", "must be key=value")])
        if tags.setdefault(key, value) != value:
            detail = "one key cannot have two values"
            raise InvalidError(f"A tag filter is given twice: {detail}.", [FieldError("/query/tag", detail)])
    return tags


TagQuery = Annotated[dict[str, str], Depends(tag_filter)]


def _encode(key: Key, binding: str) -> str:
    text = json.dumps(key, separators=(",", ":"))
    return base64.urlsafe_b64encode(f"{_checksum(text, binding)}{text}".encode()).decode().rstrip("=")


def _decode(token: str, binding: str) -> Key:
    try:
        if len(token) > _TOKEN_CHARACTERS:
            raise ValueError("too long")
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        checksum, text = plain[:16], plain[16:]
        if checksum != _checksum(text, binding):
            raise ValueError("made for another list")
        if text[0] in "[{":
            raise ValueError("a key is text or a number")
        key = json.loads(text)
    except (ValueError, IndexError, binascii.Error):
        raise _bad_token() from None
    if isinstance(key, str) or (isinstance(key, int) and key in _INT64):
        return key
    raise _bad_token()


def _checksum(text: str, binding: str) -> str:
    return hashlib.sha256(f"{binding}:{text}".encode()).hexdigest()[:16]


def _bad_token() -> InvalidPageTokenError:
    return InvalidPageTokenError(
        "The page token is not one of this list with these filters; begin again without it.",
        [FieldError("/query/page_token", "is not a token of this list")],
    )
