"""Which phase a resource is in once an operation on it has ended: a table, and what is said about it. Pure."""

from datetime import datetime
from typing import Any, Literal

from app.db.base import ResourceColumns
from app.engine.contract import Ending
from app.engine.models import Operation
from app.operations.errors import ChangedMeanwhileError
from app.operations.records import Asked, Found

Verb = Literal["create", "update", "delete"]

GONE = "gone"
"""Not a phase: the row is marked as deleted."""

_AFTER: dict[tuple[Verb, Ending, bool], str] = {
    # verb, ending, usable: did it serve when the operation was begun (and was not touched by a failed delete)?
    ("create", "succeeded", False): "active",
    ("create", "failed", False): "failed",
    ("create", "cancelled", False): GONE,
    ("update", "succeeded", False): "active",
    ("update", "succeeded", True): "active",
    ("update", "failed", False): "failed",
    ("update", "failed", True): "active",
    ("update", "cancelled", False): "failed",
    ("update", "cancelled", True): "active",
    ("delete", "succeeded", False): GONE,
    ("delete", "succeeded", True): GONE,
    ("delete", "failed", False): "failed",
    ("delete", "failed", True): "active",
    ("delete", "cancelled", False): "failed",
    ("delete", "cancelled", True): "active",
}


def phase_after(verb: Verb, ending: Ending, *, usable: bool) -> str:
    """Return the phase after an operation, or `GONE`; `failed` only if the resource cannot be used."""
    return _AFTER[verb, ending, usable and verb != "create"]


def check_unchanged(seen: ResourceColumns, locked: ResourceColumns) -> None:
    """Compare a row as a request's checks saw it with the row as it is now, locked.

    Raises:
        ChangedMeanwhileError: another request changed it in between.
    """
    if (seen.generation, seen.observed_generation, seen.phase) != (
        locked.generation,
        locked.observed_generation,
        locked.phase,
    ):
        raise ChangedMeanwhileError(f"{locked.name!r} changed while the request was being checked; send it again.")


def want(row: ResourceColumns, document: dict[str, Any], tags: dict[str, str]) -> None:
    """Write a new desired spec; one that is the same is no new generation."""
    if document != row.spec:
        row.spec, row.tags = document, tags
        row.generation += 1


def settle(
    row: ResourceColumns, operation: Operation, ending: Ending, *, usable: bool, verb: Verb | None = None
) -> None:
    """Bring a resource's row into line with the end of an operation on it.

    From the operation: `input.generation` is what was applied; `data.outputs` and `data.facts` are what was found.
    A create that was superseded by a delete leaves the row to that delete; a change that a delete waits for leaves it
    the phase.

    Args:
        row: The resource.
        operation: What has ended.
        ending: How.
        usable: Whether the resource served when the operation was begun.
        verb: What the operation is to the resource, if its kind does not end in that.
    """
    if operation.superseded:
        return
    verb = verb or operation.kind.rsplit(".", 1)[1]  # type: ignore[assignment]  # kinds end in a verb
    assert verb is not None  # noqa: S101 - a kind has a verb
    at = operation.finished_at
    assert at is not None  # noqa: S101 - the engine settles what has ended
    found = Found.of(operation.data)
    row.outputs = {**row.outputs, **found.outputs}
    row.facts = {**row.facts, **found.facts}
    if row.phase == "deleting" and verb != "delete":
        return
    phase = phase_after(verb, ending, usable=usable)
    if phase == GONE:
        row.deleted_at = at
        return
    row.phase = phase
    row.conditions = _conditions(row.conditions, operation, ending, phase, at)
    if ending == "succeeded":
        applied = Asked.of(operation.input).generation
        row.observed_generation = row.generation if applied is None else applied


def _conditions(
    conditions: list[dict[str, Any]], operation: Operation, ending: Ending, phase: str, at: datetime
) -> list[dict[str, Any]]:
    error = operation.error or {}
    reason = _camel(error.get("code", operation.kind.replace(".", "_") + "_" + ending))
    message = error.get("message", "")
    ready = "True" if phase == "active" else "False"
    synced = "True" if ending == "succeeded" else "False"
    conditions = with_condition(conditions, "Ready", ready, "Available" if ready == "True" else reason, message, at)
    return with_condition(conditions, "Synced", synced, reason if synced == "False" else "Applied", message, at)


def with_condition(
    conditions: list[dict[str, Any]],
    type: str,  # noqa: A002 - the field's own name
    status: str,
    reason: str,
    message: str,
    at: datetime,
) -> list[dict[str, Any]]:
    """Return the conditions with one set; its transition time moves only when its status does."""
    others = [condition for condition in conditions if condition["type"] != type]
    before = next((condition for condition in conditions if condition["type"] == type), None)
    moved = before is None or before["status"] != status
    since = at.isoformat() if moved or before is None else before["last_transition_time"]
    new = {"type": type, "status": status, "reason": reason, "message": message, "last_transition_time": since}
    if status == "True":
        new["message"] = ""
    return sorted([*others, new], key=lambda condition: condition["type"])


def _camel(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("_"))
