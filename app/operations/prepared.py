"""A change that has been looked at, and not begun: what a route, an apply or a retry begins, and a plan only shows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.models import Operation
from app.operations.service import Needs
from app.stacks.template import StackTemplate

StackChange = tuple[StackTemplate | None, StackTemplate | None]
"""A stack before and after; None is one that is not there."""


def _matches_any(_generation: int) -> None:
    """Hold of every generation."""


@dataclass(frozen=True, slots=True)
class Begin:
    """How a change is begun.

    Attributes:
        parent_id: The operation that holds it together with others.
        retry_of: The failed one that it takes up again.
        callback_url: To be called when it ends.
        needs: What must come first, beside what follows from what it belongs to.
        check_match: Raises if the locked row's generation is not the one that the caller knows.
    """

    parent_id: str | None = None
    retry_of: str | None = None
    callback_url: str | None = None
    needs: Sequence[Needs] = ()
    check_match: Callable[[int], None] = _matches_any


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a spec that would be another one, as callers may see it.

    Attributes:
        pointer: Into the spec.
        before: None if it is not there.
        after: Likewise.
    """

    pointer: str
    before: Any
    after: Any


def _nothing_secret() -> Sequence[FieldChange]:
    """Return no more fields than the specs show."""
    return ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change that has been looked at, at AWS too, in no transaction.

    Attributes:
        before: The spec as AWS has it; None if AWS has none.
        after: The spec then; None once it is gone.
        stacks: Makes the same as templates, for who wants to see the difference.
        begin: Writes the desired state and the operation, in the caller's transaction; returns the operation.
        warnings: What the caller should know.
        secretive: Makes the changes of what stands in neither spec because it holds secrets, for who wants to see them.
    """

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    stacks: Callable[[], Sequence[StackChange]]
    begin: Callable[[AsyncSession, Begin], Awaitable[Operation]]
    warnings: Sequence[str] = ()
    secretive: Callable[[], Sequence[FieldChange]] = _nothing_secret
