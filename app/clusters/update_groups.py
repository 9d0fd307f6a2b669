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
"""Step and fields, in order; what is in none of them (tags, addons of the cluster's stack) is the last step.

After a new version the addons of the cluster's stack move on, too, so that there always is a last step then.
"""

UPGRADE = "update_version"
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
    if spec != dict(after) or not stages or stages[-1][0] == UPGRADE:
        stages.append((LAST, dict(after)))
    return stages


def stages_of_create(spec: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return each step of a create with the spec that holds after it.

    Deletion protection comes last: EKS would keep a protected cluster when its failed or cancelled stack is deleted.
    """
    if not spec["deletion_protection"]:
        return [("create_stack", dict(spec))]
    return [("create_stack", {**spec, "deletion_protection": False}), ("update_deletion_protection", dict(spec))]


def steps_of_update(before: ClusterSpec, after: ClusterSpec) -> list[str]:
    """Return the names of the steps of an update."""
    return [step for step, _ in stages_of_update(before.model_dump(mode="json"), after.model_dump(mode="json"))]
