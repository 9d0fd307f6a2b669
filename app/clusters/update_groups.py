"""An update of a cluster, one kind of change after another. Pure.

EKS takes one type of update at a time ("Only one type of update can be allowed", UpdateClusterConfig), so an update
of several settings is a row of stack updates, each with the spec as far as it has come.
"""

from collections.abc import Mapping
from typing import Any

from app.clusters.schemas import ClusterSpec

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("update_logging", ("logging",)),
    ("update_endpoints", ("endpoints",)),
    ("update_access", ("access",)),
    ("update_upgrade_policy", ("upgrade_policy",)),
    ("update_zonal_shift", ("zonal_shift",)),
    ("update_deletion_protection", ("deletion_protection",)),
    ("update_version", ("version",)),
)
"""Step and fields, in order; what is in none of them (tags, addons of the cluster's stack) is the last step."""

LAST = "update_settings"


def stages_of_update(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return each step with the whole spec that holds after it; the last one's spec is `after`."""
    spec = dict(before)
    stages: list[tuple[str, dict[str, Any]]] = []
    for step, fields in GROUPS:
        changed = {field: after.get(field) for field in fields if spec.get(field) != after.get(field)}
        if changed:
            spec = {**spec, **changed}
            stages.append((step, spec))
    if spec != dict(after) or not stages:
        stages.append((LAST, dict(after)))
    return stages


def steps_of_update(before: ClusterSpec, after: ClusterSpec) -> list[str]:
    """Return the names of the steps of an update."""
    return [step for step, _ in stages_of_update(before.model_dump(mode="json"), after.model_dump(mode="json"))]
