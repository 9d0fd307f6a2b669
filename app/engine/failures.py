"""What the engine itself says of operations that it cannot carry on, and which errors mean that it cannot now."""

from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import InvalidError
from app.core.failure import Failure
from app.db import session
from app.engine.models import FailedDependency

UNWRITTEN_RESULTS = 5
"""Results of an operation that cannot be written, in all its calls, after which it ends."""

UNWRITTEN = "unwritten_results"
"""Under which an operation's data counts them. Not its attempts: a call in between that works makes those new."""


def dependency_failed(missing: FailedDependency) -> Failure:
    """Return the failure of an operation that needed another one's success."""
    return Failure(
        "dependency_failed",
        f"{missing.operation_id} was needed and did not succeed: {missing.message}",
        hint=f"Read operation {missing.operation_id}, put its cause right, then retry both.",
        retryable=True,
    )


def invalid(error: InvalidError) -> Failure:
    """Return the failure of what a request's own checks could not see yet."""
    places = "; ".join(f"{place.pointer or 'the whole'}: {place.detail}" for place in error.errors)
    return Failure(
        error.code,
        f"{error.message} {places}".strip(),
        hint="Correct the resource with a PATCH (a new one: delete it and ask again).",
    )


def unforeseen(phase: str, error: BaseException) -> Failure:
    """Return the failure of a call that raised what nobody foresaw."""
    return Failure(
        "internal_error",
        f"Slipway met an error that it did not foresee in {phase}: {brief(error)}",
        hint="This is a fault of Slipway; its log has the trace under this operation's id. Retry it.",
        retryable=True,
    )


def not_written(phase: str, error: BaseException) -> Failure:
    """Return the failure of an operation what came of whose calls cannot be written."""
    return Failure(
        "outcome_not_written",
        f"What came of {phase} cannot be written: {brief(error)}",
        hint=(
            "This is a fault of Slipway; its log has the trace under this operation's id. What was done outside is "
            "done, and the resource may show an earlier state: retry the operation, which looks first."
        ),
        retryable=True,
    )


def brief(error: BaseException) -> str:
    """Return an error in a line that every database takes; SQLAlchemy's words hold the values of the statement."""
    words = "" if isinstance(error, SQLAlchemyError) else f": {error}".replace("\0", "")[:500]
    return f"{type(error).__name__}{words}"


def is_away(error: BaseException) -> bool:
    """Tell whether the database is away (to be waited for) rather than the result wrong."""
    return session.is_away(error) or isinstance(error, OSError)
