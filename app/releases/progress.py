"""What operations on releases keep while they are carried out, and what they were begun with."""

from datetime import datetime
from typing import Any

from app.operations.records import Asked, Found


class AskedOfRelease(Asked):
    """What an operation on a release was begun with.

    Attributes:
        registry_id: The registry that its chart comes from.
        chart: Which chart that is (`Pinned.as_json`), if it was known.
        revision: The one that a rollback brings back.
        anew: A rollback renders the chart with the secrets of now.
    """

    registry_id: str | None = None
    chart: dict[str, Any] | None = None
    revision: int | None = None
    anew: bool = False


class Progress(Found):
    """How far an operation on a release is; None is what it has not come to.

    Attributes:
        deadline: When its time is over, by the database's clock.
        away_since: Since when its cluster does not answer.
        chart: Which chart was fetched (`Pinned.as_json`).
        begun: helm may have touched the cluster for this release; False once it is taken away.
        running: A helm of ours may have been killed.
        kills: How often helm was stopped from outside.
        failure: Why it goes back (`Failure.as_json`); None if it was cancelled.
        before: The newest revision before a rollback.
        recovered: The revision that was brought back after a failure.
    """

    deadline: datetime | None = None
    away_since: datetime | None = None
    chart: dict[str, Any] | None = None
    begun: bool | None = None
    running: bool | None = None
    kills: int = 0
    failure: dict[str, Any] | None = None
    before: int | None = None
    recovered: int | None = None
