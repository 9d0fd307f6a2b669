"""Addons: versions are checked, and those whose pods need a node stay unhealthy without one."""

from __future__ import annotations

import uuid
from typing import Any

from ministack.services import eks

from . import catalog
from .records import (
    Record,
    active_cluster,
    addon,
    arn,
    cluster,
    fargate_profiles,
    in_use,
    now,
    of_cluster,
    start_update,
)

REPLICAS = "The add-on is unhealthy because it doesn't have the desired number of replicas."
_FIELDS = ("serviceAccountRoleArn", "configurationValues", "podIdentityAssociations")


def create(cluster_name: str, body: dict[str, Any]) -> Record:
    """Notes an addon that is being created. `settle` makes it active as soon as it can run."""
    owner = active_cluster(cluster_name)
    name = body.get("addonName", "")
    key = f"{cluster_name}/{name}"
    if key in eks._addons:
        raise in_use(f"Addon already exists: {name}")
    version = body.get("addonVersion") or catalog.default_addon_version(name, owner["version"])
    catalog.check_addon_version(name, version, owner["version"])
    catalog.check_configuration(body.get("configurationValues") or "")
    eks._addons[key] = record = {
        "addonName": name,
        "clusterName": cluster_name,
        "status": "CREATING",
        "addonVersion": version,
        "addonArn": arn("addon", cluster_name, name, str(uuid.uuid4())),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(body.get("tags") or {}),
        "health": {"issues": []},
        "owner": "aws",
        "publisher": "eks",
        **{field: body[field] for field in _FIELDS if body.get(field)},
    }
    if record["tags"]:
        eks._tags[record["addonArn"]] = dict(record["tags"])
    return record


def can_run(record: Record) -> bool:
    """Whether the cluster has a node (or Fargate) that takes the addon's pods."""
    if record["addonName"] not in catalog.NEED_NODES:
        return True
    name = record["clusterName"]
    if of_cluster(fargate_profiles, name):
        return True
    values = catalog.check_configuration(record.get("configurationValues", ""))
    tolerations = values.get("tolerations") or (values.get("controller") or {}).get("tolerations") or []
    groups = [g for g in of_cluster(eks._nodegroups, name) if g["status"] in ("ACTIVE", "UPDATING")]
    return any(g["scalingConfig"]["desiredSize"] > 0 and _tolerated(g["taints"], tolerations) for g in groups)


def _tolerated(taints: list[dict[str, str]], tolerations: list[dict[str, str]]) -> bool:
    hard = [taint for taint in taints if taint["effect"] != "PREFER_NO_SCHEDULE"]
    return all(any(_matches(taint, toleration) for toleration in tolerations) for taint in hard)


def _matches(taint: dict[str, str], toleration: dict[str, str]) -> bool:
    effect = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute"}.get(taint["effect"])
    if toleration.get("effect") not in (None, "", effect):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")


def settle(record: Record) -> bool:
    """Makes the addon active if its pods can run. Returns whether it is."""
    if record["status"] in ("CREATING", "UPDATING", "DEGRADED") and can_run(record):
        record.update(status="ACTIVE", health={"issues": []})
    return bool(record["status"] == "ACTIVE")


def give_up(record: Record) -> None:
    """The addon did not become healthy in time."""
    record["status"] = "CREATE_FAILED" if record["status"] == "CREATING" else "DEGRADED"
    record["health"] = {"issues": [{"code": "InsufficientNumberOfReplicas", "message": REPLICAS, "resourceIds": []}]}


def change(cluster_name: str, name: str, body: dict[str, Any]) -> Record:
    """Checks and makes an update; `settle` ends it."""
    record = addon(cluster_name, name)
    if record["status"] not in ("ACTIVE", "DEGRADED", "CREATE_FAILED", "UPDATE_FAILED"):
        raise in_use(f"Cannot update addon {name} because it currently has status {record['status']}")
    if body.get("addonVersion"):
        catalog.check_addon_version(name, body["addonVersion"], cluster(cluster_name)["version"])
        record["addonVersion"] = body["addonVersion"]
    if "configurationValues" in body:
        catalog.check_configuration(body["configurationValues"] or "")
    record.update({field: body[field] for field in _FIELDS if field in body}, status="UPDATING", modifiedAt=now())
    return start_update("AddonUpdate", cluster_name, name)


def remove(cluster_name: str, name: str) -> Record:
    """Takes an addon away."""
    record = addon(cluster_name, name)
    record["status"] = "DELETING"
    eks._addons.pop(f"{cluster_name}/{name}", None)
    eks._tags.pop(record["addonArn"], None)
    return record
