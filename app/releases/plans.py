"""What operations of releases are about, and the steps that they take. Pure."""

from typing import Any

from app.operations.service import Target
from app.releases.models import Release


def target_of(release: Release) -> Target:
    """Return the target of an operation on a release."""
    return Target("release", release.id, release.name, release.project_id, release.account_id, release.region)


def steps_of(kind: str, spec: dict[str, Any], *, anew: bool = False) -> list[str]:
    """Return the steps of an operation; `recover` only runs if what is before it fails.

    Args:
        kind: Of the operation.
        spec: Of the release, as rows keep it.
        anew: Whether a rollback renders the chart again.
    """
    recover = ["recover"] if spec["on_failure"] != "keep" else []
    return {
        "release.create": ["wait_for_cluster", "prepare_namespace", "fetch_chart", "install", *recover],
        "release.update": ["wait_for_cluster", "prepare_namespace", "fetch_chart", "upgrade", *recover],
        "release.rollback": ["wait_for_cluster", *(["fetch_chart"] if anew else []), "roll_back"],
        "release.test": ["wait_for_cluster", "test"],
        "release.delete": ["wait_for_cluster", "uninstall"],
    }[kind]
