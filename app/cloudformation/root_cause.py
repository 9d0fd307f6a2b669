"""Why a stack failed: the first failure of the present attempt that isn't a consequence of another.

Pure: it reads events that somebody fetched. Sequences of events are oldest first, as `CloudFormation.events` returns
them; of AWS's events with equal times the one that AWS lists later is the older.
"""

import re
from collections.abc import Iterable, Sequence

from app.core.failure import Cause, Failure
from app.gateways.aws.failure_message import read_reason
from app.gateways.aws.hints import advise
from app.gateways.aws.stack import StackEvent

_CONSEQUENCE = re.compile(
    r"^Resource (?:creation|update|deletion|import) cancell?ed"
    r"|^The following resource\(s\) failed to"
    r"|^Rollback requested by user"
    r"|^Resource (?:creation|update) (?:was )?cancell?ed by"
    r"|^User Initiated$"
    r"|^\(?Dependent resource",
    re.IGNORECASE,
)
_EMBEDDED = re.compile(r"^Embedded stack \S+ was not successfully", re.IGNORECASE)
_FAILED_LIST = re.compile(r"failed to \w+: \[(?P<ids>[^\]]*)\]")
_BEGINNINGS = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"})
_ROLLBACKS = frozenset({"ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "IMPORT_ROLLBACK_IN_PROGRESS"})

_CODES = {
    "CREATE_FAILED": ("stack_create_failed", "The stack could not be created"),
    "ROLLBACK_COMPLETE": ("stack_create_failed", "The stack could not be created"),
    "ROLLBACK_IN_PROGRESS": ("stack_create_failed", "The stack could not be created"),
    "ROLLBACK_FAILED": ("stack_create_failed", "The stack could not be created, nor what it had made be deleted"),
    "UPDATE_FAILED": ("stack_update_failed", "The stack could not be updated"),
    "UPDATE_ROLLBACK_COMPLETE": ("stack_update_failed", "The stack could not be updated; it was rolled back"),
    "UPDATE_ROLLBACK_IN_PROGRESS": ("stack_update_failed", "The stack could not be updated"),
    "UPDATE_ROLLBACK_FAILED": ("stack_rollback_failed", "The stack could not be updated, nor rolled back"),
    "IMPORT_ROLLBACK_FAILED": ("stack_rollback_failed", "The import failed, and so did its rollback"),
    "IMPORT_ROLLBACK_COMPLETE": ("stack_update_failed", "The import failed; it was rolled back"),
    "DELETE_FAILED": ("stack_delete_failed", "The stack could not be deleted"),
}


def present_attempt(events: Sequence[StackEvent], *, token: str | None = None) -> Sequence[StackEvent]:
    """Return the events of the last create, update or delete.

    Args:
        events: Oldest first.
        token: The ClientRequestToken that the attempt was begun with; CloudFormation gives it to all events of the
            operation. Without it, or when no event has it, the attempt begins at the last event by which the stack
            itself entered a state on a user's word.
    """
    if token is not None and (own := [event for event in events if event.token == token]):
        return own
    for index in range(len(events) - 1, -1, -1):
        if _begins(events[index]):
            return events[index:]
    return events


def root_cause(events: Sequence[StackEvent], *, token: str | None = None) -> Cause | None:
    """Return the first failure of the present attempt that isn't a consequence of another; None if nothing failed.

    A nested stack's failure, or the stack's own (a time-out), is taken only if no resource's is there.

    Args:
        events: Oldest first, of one stack.
        token: See `present_attempt`.
    """
    event = _first_failure(present_attempt(events, token=token))
    return None if event is None else _cause(event)


def failure_of(
    status: str, events: Sequence[StackEvent], *, token: str | None = None, reason: str | None = None
) -> Failure:
    """Return the failure of an operation whose stack settled in `status`.

    Its `code` is the hint table's (`vcpu_quota_exceeded`, `permission_denied`, …) if that knows the cause, else one
    for what was tried: `stack_create_failed`, `stack_update_failed`, `stack_rollback_failed`, `stack_delete_failed`
    (`stack_failed` for a state that is none of a failure). When a rollback failed too, the cause is what failed first
    and the message says what blocks the rollback.

    Args:
        status: State of the stack.
        events: Oldest first, of one stack.
        token: See `present_attempt`.
        reason: StackStatusReason, used when no event tells more.
    """
    attempt = present_attempt(events, token=token)
    code, sentence = _CODES.get(status, ("stack_failed", f"The stack is in {status}"))
    event = _first_failure(attempt)
    if event is None:
        return Failure(code=code, message=f"{sentence}: {reason}" if reason else sentence, hint=_next_step(status, ()))
    cause = _cause(event)
    advice = advise(cause.aws_code, cause.message)
    blocked = _blocked(attempt) if status.endswith("ROLLBACK_FAILED") else ()
    hint = " ".join(part for part in (advice.hint if advice else None, _next_step(status, blocked)) if part)
    message = f"{sentence}: {cause.resource} ({cause.type}): {cause.message}"
    if blocked:
        message += " The rollback stopped at " + ", ".join(f"{item.resource}: {item.message}" for item in blocked)
    return Failure(
        code=advice.code if advice else code,
        message=message,
        hint=hint or None,
        cause=cause,
        retryable=advice.retryable if advice else False,
    )


def _begins(event: StackEvent) -> bool:
    if not event.is_stack or not event.status.endswith("_IN_PROGRESS"):
        return False
    if event.reason is None:
        return event.status in _BEGINNINGS
    return event.reason.startswith("User Initiated") and event.status != "REVIEW_IN_PROGRESS"


def _first_failure(attempt: Iterable[StackEvent]) -> StackEvent | None:
    """The first real failure; nested stacks, then the stack itself, and then mere consequences come last."""
    ranked: dict[int, StackEvent] = {}
    for event in attempt:
        if event.status.endswith("_FAILED") or (event.is_stack and event.status in _ROLLBACKS and event.reason):
            ranked.setdefault(_rank(event), event)
    best = min(ranked, default=None)
    return None if best is None or best == _NOTHING else ranked[best]


_NOTHING = 4


def _rank(event: StackEvent) -> int:
    reason = event.reason or ""
    if event.is_stack:
        return _NOTHING if _CONSEQUENCE.search(reason) or not reason else 2
    if _CONSEQUENCE.search(reason):
        return 3
    return 1 if _EMBEDDED.search(reason) else 0


def _cause(event: StackEvent) -> Cause:
    said = read_reason(event.reason or f"{event.status} without a reason")
    return Cause(resource=event.logical_id, type=event.type, message=said.message, aws_code=said.code)


def _blocked(attempt: Sequence[StackEvent]) -> tuple[Cause, ...]:
    """What failed after the rollback had begun."""
    start = next((index for index, event in enumerate(attempt) if event.is_stack and event.status in _ROLLBACKS), None)
    if start is None:
        return ()
    failed = (e for e in attempt[start + 1 :] if e.status.endswith("_FAILED") and not e.is_stack and _rank(e) < 2)
    return tuple({event.logical_id: _cause(event) for event in failed}.values())


def _next_step(status: str, blocked: Sequence[Cause]) -> str | None:
    if status == "UPDATE_ROLLBACK_FAILED":
        names = ", ".join(cause.resource for cause in blocked)
        skip = f", skipping {names} if that can't be repaired" if names else ""
        return f"Repair what blocks the rollback, then continue it{skip}."
    return None
