"""The secrets of the request or operation at hand, and what its exits do to what they say.

Whoever opens secret values opens them into the scope (`current`), and whatever leaves passes through it: problems and
answers (`http`), steps, events, warnings and failures (`engine`), lines of the log. There is no way to open values
outside of one.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from app.core.secrets.mask import Mask

AT_ONCE = 64 * 1024
"""Characters, of text and of secrets, up to which hiding is quicker than handing it to a thread."""


PREPARED_AT_ONCE = 512
"""Characters of secrets up to which making ready for them is: at worst each is looked for in a hundred bytes."""


class NoScopeError(RuntimeError):
    """Secret values are opened where nothing hides them in what is said about them."""


class Scope:
    """Secrets that were opened so far. Additions count for all that is said after them."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._public: set[str] = set()
        self._size = 0
        self._is_opened = False
        self._mask = Mask()

    def __bool__(self) -> bool:
        """Tell whether anything was opened in it, be it that none was known as secret: its looks may still tell."""
        return self._is_opened

    def add(self, secrets: Iterable[str], *, public: Iterable[str] = ()) -> None:
        """Hide these, too.

        Args:
            secrets: Texts that must not be seen.
            public: Texts that may be seen though they equal a secret: names that the caller gave.
        """
        self._is_opened = True
        new = {secret for secret in secrets if secret} - self._secrets
        known = set(public) - self._public
        if new or known:
            self._secrets |= new
            self._public |= known
            self._size += sum(map(len, new))
            self._mask = Mask(self._secrets, public=self._public)

    @property
    def mask(self) -> Mask:
        """What hides all that were added."""
        return self._mask

    def text(self, text: str) -> str:
        """Return a text without them, and without what is secret by its looks."""
        return self._mask.text(text) if self else text

    def value(self, value: Any) -> Any:
        """Return a JSON value so."""
        return self._mask.value(value) if self else value

    async def prepare(self) -> None:
        """Make ready, in a thread if there are many secrets, what the next text would wait for."""
        if not self._is_light():
            await asyncio.to_thread(self._mask.prepare)

    async def document(self, body: bytes) -> bytes:
        """Return a JSON document so; a long one is worked on in a thread."""
        if not self:
            return body
        if self._is_light() and len(body) + self._size <= AT_ONCE:
            return self._document(body)
        return await asyncio.to_thread(self._document, body)

    def _is_light(self) -> bool:
        return self._mask.is_prepared or self._size <= PREPARED_AT_ONCE

    def _document(self, body: bytes) -> bytes:
        document = json.loads(body)
        shown = self.value(document)
        if shown == document:
            return body
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


_SCOPE: ContextVar[Scope | None] = ContextVar("secrets", default=None)


def current() -> Scope:
    """Return the scope at hand.

    Raises:
        NoScopeError: there is none.
    """
    scope = _SCOPE.get()
    if scope is None:
        raise NoScopeError("secret values are opened outside of a scope that hides them")
    return scope


def scope_or_none() -> Scope | None:
    """Return the scope at hand, if there is one: for exits, which may have nothing to hide."""
    return _SCOPE.get()


@contextmanager
def entered(scope: Scope | None = None) -> Iterator[Scope]:
    """Hide, in the block, what is opened in it: in the scope given, or one of its own."""
    scope = Scope() if scope is None else scope  # one in which nothing was opened yet is false, and meant all the same
    token = _SCOPE.set(scope)
    try:
        yield scope
    finally:
        _SCOPE.reset(token)
