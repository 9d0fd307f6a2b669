"""Entity tags. A tag is made from the generation, that is from the spec: a change of status never causes a 412.

The other side of it: `If-None-Match` answers whether the *spec* is still the same. What caches would do with that is
forbidden by `Cache-Control: no-store`, which every answer carries.
"""

import re

from fastapi import Request, Response
from pydantic import BaseModel

from app.core.errors import MalformedError, PreconditionFailedError

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')


class EntityTags:
    """The tags of `If-Match` or `If-None-Match`: `*`, or a list."""

    def __init__(self, header: str) -> None:
        self.any = header.strip() == "*"
        self._strong: set[str] = set()
        self._weak: set[str] = set()
        if not self.any:
            self._parse(header)

    def _parse(self, header: str) -> None:
        position = 0
        while position < len(header):
            match = _TAG.match(header, position)
            if match is None:
                raise MalformedError('An entity tag stands in quotes: If-Match: "3".')
            (self._weak if match[1] else self._strong).add(match[2])
            position = match.end()
        if not (self._strong or self._weak):
            raise MalformedError("The header holds no entity tag.")

    def has_strong(self, generation: int) -> bool:
        """Compare as If-Match does (RFC 9110, 8.8.3.2): a weak tag never matches."""
        return self.any or str(generation) in self._strong

    def has_weak(self, generation: int) -> bool:
        """Compare as If-None-Match does: weak or not."""
        return self.any or str(generation) in self._strong | self._weak


def etag(generation: int) -> str:
    """Return the `ETag` of a generation: `"3"`."""
    return f'"{generation}"'


def check_match(tags: EntityTags | None, generation: int) -> None:
    """Compare `If-Match` with the resource's generation; no header always holds.

    Raises:
        PreconditionFailedError: the spec has changed since the caller read it; `etag` is the present one.
    """
    if tags is not None and not tags.has_strong(generation):
        raise PreconditionFailedError("The resource has changed since its ETag was read.", etag=etag(generation))


def conditional(request: Request, generation: int, body: BaseModel) -> Response:
    """Return the answer to a GET of one resource: 200 with its ETag, or 304 when `If-None-Match` has the same tag."""
    header = request.headers.get("if-none-match")
    headers = {"ETag": etag(generation)}
    if header is not None and EntityTags(header).has_weak(generation):
        return Response(status_code=304, headers=headers)
    return Response(body.model_dump_json(by_alias=True), 200, headers, "application/json")
