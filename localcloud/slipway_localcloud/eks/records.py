"""What the EKS operations share: finding records, ids, and the updates that clusters and node groups list."""

from __future__ import annotations

import time
import uuid
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
from ministack.services import eks

from ..errors import AwsError

Record = dict[str, Any]

fargate_profiles = AccountRegionScopedDict()  # (cluster, profile) -> record
updates = AccountRegionScopedDict()  # update id -> record; `_of` names cluster and resource


def arn(kind: str, *parts: str) -> str:
    """The ARN of something in EKS."""
    return f"arn:aws:eks:{get_region()}:{get_account_id()}:{kind}/{'/'.join(parts)}"


def invalid(message: str) -> AwsError:
    """EKS's refusal of a parameter."""
    return AwsError("InvalidParameterException", message)


def in_use(message: str) -> AwsError:
    """EKS's refusal because of what is there."""
    return AwsError("ResourceInUseException", message, 409)


def missing(message: str) -> AwsError:
    """EKS's word for what is not there."""
    return AwsError("ResourceNotFoundException", message, 404)


def cluster(name: str) -> Record:
    """The record of a cluster."""
    found: Record | None = eks._clusters.get(name)
    if found is None:
        raise missing(f"No cluster found for name: {name}.")
    return found


def active_cluster(name: str) -> Record:
    """The record of a cluster to which something is added."""
    found = cluster(name)
    if found["status"] not in ("ACTIVE", "UPDATING"):
        raise AwsError("InvalidRequestException", f"Cluster '{name}' is not in ACTIVE status")
    return found


def nodegroup(cluster_name: str, name: str) -> Record:
    """The record of a node group."""
    cluster(cluster_name)
    found: Record | None = eks._nodegroups.get(f"{cluster_name}/{name}")
    if found is None:
        raise missing(f"No node group found for name: {name}.")
    return found


def addon(cluster_name: str, name: str) -> Record:
    """The record of an addon."""
    cluster(cluster_name)
    found: Record | None = eks._addons.get(f"{cluster_name}/{name}")
    if found is None:
        raise missing(f"No addon: {name} found in cluster: {cluster_name}")
    return found


def fargate_profile(cluster_name: str, name: str) -> Record:
    """The record of a Fargate profile."""
    cluster(cluster_name)
    found: Record | None = fargate_profiles.get((cluster_name, name))
    if found is None:
        raise missing(f"No Fargate Profile found with name: {name}.")
    return found


def of_cluster(store: Any, cluster_name: str) -> list[Record]:
    """The node groups, addons or profiles of a cluster."""
    return [record for record in store.values() if record["clusterName"] == cluster_name]


def now() -> float:
    """The time as EKS writes it."""
    return round(time.time(), 3)


def start_update(kind: str, cluster_name: str, other: str = "", params: dict[str, Any] | None = None) -> Record:
    """Notes an update of a cluster, or of its node group or addon `other`."""
    record = {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": key, "value": str(value)} for key, value in (params or {}).items()],
        "createdAt": now(),
        "errors": [],
        "_of": (cluster_name, other),
    }
    updates[record["id"]] = record
    return record


def public(record: Record) -> Record:
    """A record as the API shows it."""
    return {key: value for key, value in record.items() if not key.startswith("_")}
