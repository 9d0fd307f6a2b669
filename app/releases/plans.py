"""What operations of releases are about, and the steps that they take. Pure."""

from typing import Any

from app.operations.service import Target
from app.releases.models import Release


def target_of(release: Release) -> Target:
    """Return the target of an operation on a release."""
    return Target("release", release.id, release.name, release.project_id, release.account_id, release.region)


def steps_of(kind: str, spec: dict[str, Any]) -> list[str]:
    """Return the steps of an operation; `recover` only runs if what is before it fails."""
    recover = ["recover"] if spec["on_failure"] != "keep" else []
    return {
        "release.create": ["wait_for_cluster", "prepare_namespace", "fetch_chart", "install", *recover],
        "release.update": ["wait_for_cluster", "prepare_namespace", "fetch_chart", "upgrade", *recover],
        "release.rollback": ["wait_for_cluster", "roll_back"],
        "release.test": ["wait_for_cluster", "test"],
        "release.delete": ["wait_for_cluster", "uninstall"],
    }[kind]
