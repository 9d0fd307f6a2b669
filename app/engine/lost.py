"""Claims whose process died: how they are counted, and why what only stood beside is not failed with the guilty one.

A process has many operations in flight. When one of them kills it (a crash below Python, memory), all of them lose
their claim, and nobody knows which one it was. Each counts a loss, and:

- The first loss changes nothing: nearly always a process was killed for reasons of its own, and all of it is taken over
  at once. So two deaths in a row bring whoever was there to SUSPECT_AFTER.
- From then on it is a suspect. It is taken only once no other call is in flight in the process, and as long as it is
  called nothing else is taken. So of two suspects one alone dies with a process, the guilty one; the others return from
  their call, which sets their count back to 0.
- An activity may last for an hour, in which a process cannot stand still: what is no suspect goes on beside one. If
  that one kills, they lose a claim each, and are suspects themselves before they have lost three; then they are kept
  apart from it, return, and begin at 0. The other way round, a guilty one that nobody suspects yet kills a suspect
  beside it twice at most, until it is a suspect, too.

So one guilty operation brings an innocent one to two losses, or from two to four: LOST_CLAIMS is one more. Deaths with
other reasons add up only if five of them meet one and the same call.
"""

from sqlalchemy import ColumnElement, and_, case, literal_column
from sqlmodel import col

from app.core.failure import Failure
from app.engine.models import Operation

LOST_CLAIMS = 5
"""Claims lost in a row, after which an operation is dead-lettered."""

SUSPECT_AFTER = 2
"""Claims lost in a row, after which an operation is called apart from others."""

EVENT = "operation.claim_lost"


def lost_to(owner: str) -> ColumnElement[bool]:
    """Hold of an operation without a valid lease whose last claim, not `owner`'s own, was never handed back."""
    return and_(col(Operation.lease_owner).is_not(None), col(Operation.lease_owner) != owner)


def suspects(owner: str) -> ColumnElement[bool]:
    """Hold of an operation without a valid lease that is a suspect once `owner` has claimed it.

    The number stands in the statement itself, as it does in the index: else neither database uses that one.
    """
    counted = col(Operation.lost_claims) + case((lost_to(owner), 1), else_=0)
    return and_(col(Operation.lost_claims) > literal_column("0"), counted >= SUSPECT_AFTER)


def is_suspect(operation: Operation) -> bool:
    """Tell whether a claimed operation is to be called apart from others."""
    return operation.lost_claims >= SUSPECT_AFTER


def message(owner: str, lost_claims: int) -> str:
    """Return what an operation's event says of a lost claim.

    Args:
        owner: The process that had the claim.
        lost_claims: In a row, with this one.
    """
    what_next = "It is given up." if lost_claims >= LOST_CLAIMS else f"Try {lost_claims + 1} of {LOST_CLAIMS} begins."
    return f"The process that worked on this ({owner}) died, or stood still for longer than its lease. {what_next}"


def failure(operation: Operation) -> Failure | None:
    """Return why an operation is given up, or None as long as it is not."""
    if operation.lost_claims < LOST_CLAIMS:
        return None
    return Failure(
        "worker_lost",
        f"{operation.lost_claims} processes in a row died while they worked on this, in {operation.phase}.",
        hint=(
            f"Its {EVENT} events name the processes. Read their logs, exit codes (137: killed, often for memory; 139: "
            "crashed) and memory limit at those times. Put the cause right, then retry it."
        ),
        retryable=True,
    )
