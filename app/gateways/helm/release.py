"""What helm says of a release, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.core.documents import UnreadableError, fetched_json
from app.gateways.helm.errors import HelmError
from app.gateways.kubernetes.objects import entries, mapping, number

PENDING = frozenset({"pending-install", "pending-upgrade", "pending-rollback", "uninstalling"})
"""States that only a living helm process leaves."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook or test of a release.

    Attributes:
        name: Of the object.
        kind: Of the object.
        events: `pre-install`, `post-upgrade`, `test`, …
        phase: Of its last run: `Succeeded`, `Failed`, `Running`, `Unknown`; "" if it never ran.
        started_at: Of its last run, in UTC.
        completed_at: Likewise.
        manifest: YAML.
    """

    name: str
    kind: str
    events: tuple[str, ...]
    phase: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    manifest: str = field(default="", repr=False)

    @property
    def is_test(self) -> bool:
        """Whether `helm test` runs it."""
        return "test" in self.events


@dataclass(frozen=True, slots=True)
class Release:
    """One revision of a release. Values and manifest may hold secrets, so they are left out of `repr`.

    Attributes:
        name: Of the release.
        namespace: Of the release.
        revision: 1 for the first.
        status: `deployed`, `failed`, `superseded`, `uninstalled`, `pending-install`, …
        description: helm's sentence on how that came.
        updated_at: When, in UTC.
        notes: NOTES.txt as it was rendered.
        values: What the user gave, not the chart's own.
        manifest: YAML documents, without hooks.
        hooks: Hooks and tests.
    """

    name: str
    namespace: str
    revision: int
    status: str
    description: str = ""
    updated_at: datetime | None = None
    notes: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    manifest: str = field(default="", repr=False)
    hooks: tuple[Hook, ...] = ()

    @property
    def is_pending(self) -> bool:
        """Whether a helm process works on it, or was killed while it did."""
        return self.status in PENDING


@dataclass(frozen=True, slots=True)
class Revision:
    """One line of a release's history.

    Attributes:
        revision: 1 for the first.
        status: As in `Release`.
        chart: Name and version as helm joins them: `sock-shop-0.1.0`.
        app_version: Of what the chart installs.
        description: helm's sentence.
        updated_at: When, in UTC.
    """

    revision: int
    status: str
    chart: str
    app_version: str
    description: str
    updated_at: datetime | None


def first_json(output: bytes) -> Any:
    """Return the JSON value in helm's output; for a chart from a registry other lines stand before it.

    Raises:
        HelmError: There is none.
    """
    text = output.decode(errors="replace")
    starts = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    if not starts:
        raise HelmError("helm printed no JSON")
    try:
        return fetched_json(text[min(starts) :], "what helm printed")
    except UnreadableError as error:
        raise HelmError(f"helm's answer can't be read: {error}") from error


def release_of(data: Any) -> Release:
    """Return a release from helm's JSON, that of `-o json` or of its record in the cluster.

    Who may write Secrets may write records: what is of another type than helm's counts as if it were not there.
    """
    data = mapping(data)
    info = mapping(data.get("info"))
    return Release(
        name=_text(data, "name"),
        namespace=_text(data, "namespace"),
        revision=number(data.get("version")),
        status=_text(info, "status") or "unknown",
        description=_text(info, "description"),
        updated_at=time_of(info.get("last_deployed")),
        notes=_text(info, "notes"),
        values=mapping(data.get("config")),
        manifest=_text(data, "manifest"),
        hooks=tuple(_hook(hook) for hook in entries(data.get("hooks"))),
    )


def revisions_of(answer: Any) -> list[Revision]:
    """Return the lines of `helm history -o json`."""
    return [
        Revision(
            revision=number(data.get("revision")),
            status=_text(data, "status") or "unknown",
            chart=_text(data, "chart"),
            app_version=_text(data, "app_version"),
            description=_text(data, "description"),
            updated_at=time_of(data.get("updated")),
        )
        for data in entries(answer)
    ]


def time_of(text: Any) -> datetime | None:
    """Return a time of Go's (nanoseconds, zone), or None for none and for Go's zero."""
    if not isinstance(text, str) or not text or text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _hook(data: Mapping[str, Any]) -> Hook:
    run, events = mapping(data.get("last_run")), data.get("events")
    return Hook(
        name=_text(data, "name"),
        kind=_text(data, "kind"),
        events=tuple(event for event in events if isinstance(event, str)) if isinstance(events, list) else (),
        phase=_text(run, "phase"),
        started_at=time_of(run.get("started_at")),
        completed_at=time_of(run.get("completed_at")),
        manifest=_text(data, "manifest"),
    )


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""
