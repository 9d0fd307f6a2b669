"""What helm is doing, read from the log that `--debug` writes (logfmt, one line each) to standard error.

Only lines that tell a user something become a `Progress`; the rest is noise. helm logs no values.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Action = Literal["applied", "unchanged", "deleted", "waiting", "ready", "rolling_back", "warning"]

_PAIR = re.compile(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)')
_MESSAGES: dict[str, Action] = {
    "Created resource via patch": "applied",
    "created a new resource": "applied",
    "Updated resource via patch": "applied",
    "patching resource": "applied",
    "replace succeeded": "applied",
    "no changes detected": "unchanged",
    "starting delete resource": "deleted",
    "deleting resource": "deleted",
    "waiting for resource": "waiting",
    "all resources achieved desired status": "ready",
    "rolling back": "rolling_back",
}
_NOT_READY = re.compile(r"^(?P<kind>[A-Z]\w+) (?:is not|does not|are not)\b")


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that helm did or waits for.

    Attributes:
        action: What it does with the object; `ready` and `rolling_back` are of the whole release.
        kind: Kubernetes kind, `""` if the line names none.
        namespace: `""` for what has none.
        name: Of the object.
        status: For `waiting`: kstatus' word (`InProgress`, `NotFound`, `Failed`, …), or helm's sentence.
    """

    action: Action
    kind: str = ""
    namespace: str = ""
    name: str = ""
    status: str = ""


def fields(line: str) -> dict[str, str] | None:
    """Return the pairs of a line of helm's log, or None if it is none."""
    if not line.startswith(("level=", "time=")):
        return None
    pairs = {key: _unquoted(value) for key, value in _PAIR.findall(line)}
    return pairs if "msg" in pairs else None


def progress_of(pairs: dict[str, str]) -> Progress | None:
    """Return what a line of the log tells a user, or None for noise."""
    message = pairs["msg"]
    namespace, name = pairs.get("namespace", ""), pairs.get("name", "")
    if (action := _MESSAGES.get(message)) is not None:
        if pairs.get("actualStatus") == "Unknown":  # helm has not looked at it yet
            return None
        return Progress(action, _kind(pairs), namespace, name, pairs.get("actualStatus", ""))
    if match := _NOT_READY.match(message):
        return Progress("waiting", match["kind"], namespace, name, message)
    if pairs.get("level") == "WARN":
        return Progress("warning", _kind(pairs), namespace, name, message)
    return None


class ProgressReader:
    """Takes lines of standard error; tells each new thing once, and keeps the log out of what is read as an error."""

    def __init__(self, tell: Callable[[Progress], None] | None) -> None:
        self._tell = tell
        self._last: Progress | None = None

    def __call__(self, line: str) -> bool:
        """Return whether the line is one of the log."""
        pairs = fields(line)
        if pairs is None:
            return False
        progress = progress_of(pairs)
        if progress is not None and progress != self._last and self._tell is not None:
            self._last = progress
            self._tell(progress)
        return True


def _kind(pairs: dict[str, str]) -> str:
    """`kind=Deployment`, or the last word of `gvk="apps/v1, Kind=Deployment"`."""
    return pairs.get("kind") or pairs.get("gvk", "").rpartition("Kind=")[2]


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:  # Go quotes bytes that JSON can't (\x00)
        return value.strip('"')
