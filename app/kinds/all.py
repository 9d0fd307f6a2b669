"""Every kind, in the order in which a cluster's request begins them. A new one is a file here, and a line below."""

from collections.abc import Mapping
from typing import Any

from app.db.session import Database
from app.gateways.aws.cloud import Clouds
from app.kinds.access_entry import ACCESS_ENTRIES
from app.kinds.addon.kind import ADDONS
from app.kinds.fargate_profile import FARGATE_PROFILES
from app.kinds.kind import Kind
from app.kinds.nodegroup.kind import NODEGROUPS
from app.kinds.pod_identity import POD_IDENTITIES
from app.kinds.reconcile import KindReconciler
from app.kinds.registry.kind import REGISTRIES

KINDS: Mapping[str, Kind[Any]] = {
    kind.type: kind for kind in (REGISTRIES, NODEGROUPS, FARGATE_PROFILES, ACCESS_ENTRIES, POD_IDENTITIES, ADDONS)
}


def reconcilers(database: Database, clouds: Clouds) -> dict[str, KindReconciler]:
    """Return who carries out the operations of every kind, by the operation's kind."""
    return {
        f"{kind.type}.{verb}": (kind.reconciler or KindReconciler)(kind, database, clouds)
        for kind in KINDS.values()
        for verb in ("create", "update", "delete")
    }
