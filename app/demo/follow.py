"""Follows an operation to its end: steps and CloudFormation events as they come, its children, the time."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from app.demo.client import SlipwayClient
from app.demo.facts import UnexpectedError
from app.demo.screen import Screen

LOOK_SECONDS = 0.25
SHORTEST_SECONDS = 0.05
PATIENCE_SECONDS = 120.0
"""How long one operation may take in the demo."""

CLOCKS_DIFFER_SECONDS = 0.5
"""AWS writes the times of its events, Slipway those of its operations."""

_MARKS = {
    "pending": ("○", "dim"),
    "running": ("●", "cyan"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("–", "yellow"),
    "skipped": ("–", "dim"),
}


class Follower:
    """Shows operations while they are carried out."""

    def __init__(self, client: SlipwayClient, screen: Screen) -> None:
        self._client = client
        self._screen = screen
        self._family: list[dict[str, Any]] = []
        self._last_event = "0"
        self._hidden = 0
        self._deleted: list[dict[str, Any]] = []

    def follow(self, operation: dict[str, Any]) -> list[dict[str, Any]]:
        """Show an operation until it has ended; return it and its children, oldest first, as they ended.

        Raises:
            UnexpectedError: it takes longer than PATIENCE_SECONDS.
        """
        self._family, self._hidden = [operation], 0
        began, deadline = moment(operation["created_at"]), time.monotonic() + PATIENCE_SECONDS
        with self._screen.drawing(lambda: family_table(self._family)):
            while True:
                self._look(operation["id"])
                self._show_events(operation["id"], began)
                if self._family[0]["finished_at"]:
                    break
                if time.monotonic() > deadline:
                    limit = f"an end within {PATIENCE_SECONDS:.0f} s"
                    raise UnexpectedError(f"{operation['kind']} ends", expected=limit, found=self._family)
                time.sleep(LOOK_SECONDS)
        self._show_events(operation["id"], began)
        self._show_deleted(began)
        if self._hidden:
            self._screen.event(
                seconds(operation["created_at"], self._family[0]["finished_at"]), "", _note(self._hidden)
            )
        self._screen.console.print()
        self._screen.show(family_table(self._family))
        self._screen.console.print()
        return self._family

    def _look(self, operation_id: str) -> None:
        parent = self._client.read(f"/operations/{operation_id}")
        children = (
            self._client.read("/operations", parent=operation_id, limit=200)["items"] if parent["children"] else []
        )
        self._family = [parent, *reversed(children)]

    def _show_events(self, operation_id: str, began: datetime) -> None:
        page = self._client.read(f"/operations/{operation_id}/events", after=self._last_event, limit=200)
        for event in sorted(page["items"], key=lambda event: str(event["at"])):
            at, message = (moment(event["at"]) - began).total_seconds(), _message(event)
            if message is None or at < -CLOCKS_DIFFER_SECONDS:  # or of an earlier try, kept with this one
                self._hidden += event["type"] in ("stack.event", "release.progress")
            elif event["data"].get("action") == "deleted":
                self._deleted.append(event)
            else:
                self._show_deleted(began)
                self._screen.event(max(0.0, at), event["resource"]["name"], message)
        if page["items"]:
            self._last_event = page["items"][-1]["id"]

    def _show_deleted(self, began: datetime) -> None:
        """Show what helm deleted one after the other in one line."""
        if not self._deleted:
            return
        last, kinds = self._deleted[-1], Counter(event["data"]["kind"] for event in self._deleted)
        what = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        message = _message(last) if len(self._deleted) == 1 else Text(f"deleted  {what}")
        at = (moment(last["at"]) - began).total_seconds()
        self._screen.event(max(0.0, at), last["resource"]["name"], message or Text(what))
        self._deleted.clear()


def family_table(family: Sequence[dict[str, Any]]) -> Table:
    """Return an operation and its children as a table."""
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    by_id = {row["id"]: row for row in family}
    for row in family:
        mark, style = _MARKS[row["status"]]
        indent = "  " if row["parent_id"] in by_id else ""
        duration = _duration(row)
        table.add_row(
            Text(mark, style=style),
            Text(indent + row["kind"]),
            Text(row["resource"]["name"], style="bold"),
            Text(row["status"], style=style),
            Text(duration),
            _steps(row, by_id),
        )
    return table


def moment(text: str) -> datetime:
    """Return the time that the API writes; as text, one without a fraction of a second sorts behind one with."""
    return datetime.fromisoformat(text)


def seconds(since: str, until: str | None) -> float:
    """Return the seconds between two times of the API; None is now."""
    return ((moment(until) if until else datetime.now(UTC)) - moment(since)).total_seconds()


def _duration(row: dict[str, Any]) -> str:
    return f"{max(0.0, seconds(row['started_at'], row['finished_at'])):.1f} s" if row["started_at"] else ""


def _steps(row: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> Text:
    waits = [by_id[one] for one in row["depends_on"] if one in by_id and not by_id[one]["finished_at"]]
    if row["status"] == "pending" and waits:
        return Text(f"waits for {', '.join(sorted({one['kind'] for one in waits}))}", style="dim")
    parts = Text()
    for step in row["steps"]:
        mark, style = _MARKS[step["status"]]
        took = seconds(step["started_at"], step["finished_at"]) if step["started_at"] else 0.0
        parts.append(f"{mark} ", style=style)
        parts.append(
            f"{step['name']} {took:.1f} s   " if took >= SHORTEST_SECONDS else f"{step['name']}   ", style="dim"
        )
    return parts


def _message(event: dict[str, Any]) -> Text | None:
    """Return the line of an event, or None for those that only repeat another one."""
    kind, data = event["type"], event["data"]
    if kind == "release.progress":
        return _progress(data)
    if kind != "stack.event":
        return _own_message(kind, event["message"])
    status = str(data["resource_status"]).replace("_COMPLETE_CLEANUP_IN_PROGRESS", "_COMPLETE_CLEANUP")
    is_stack = data["resource_type"] == "AWS::CloudFormation::Stack"
    if status.endswith("IN_PROGRESS") and not (is_stack or data["resource_type"].startswith("AWS::EKS::")):
        return None
    if status.endswith("IN_PROGRESS") and not is_stack and data["reason"] and "Initiated" in data["reason"]:
        return None
    style = "red" if "FAILED" in status or "ROLLBACK" in status else "green" if status.endswith("COMPLETE") else ""
    what = "stack" if is_stack else data["resource_type"]
    return Text.assemble((f"{status:<23} ", style), f"{what} {data['logical_id']}")


def _own_message(kind: str, message: str) -> Text | None:
    if kind == "operation.running":
        return Text(message, style="dim")
    if kind == "operation.step":
        return None if message.endswith("running") else Text(f"step {message}", style="bold")
    return None  # the end of an operation stands in the table


def _progress(data: dict[str, Any]) -> Text | None:
    """Return the line of an object that became ready or was deleted, or of what helm warns of."""
    style = {"ready": "green", "deleted": "", "warning": "yellow", "rolling_back": "yellow"}.get(data["action"])
    if style is None or not data["name"]:
        return None
    return Text.assemble((f"{data['action']:<8} ", style), f"{data['kind']}/{data['name']} {data['status']}")


def _note(hidden: int) -> Text:
    return Text(f"({hidden} more events not shown: what began or repeats itself)", style="dim")
