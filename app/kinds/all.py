"""Every kind, in the order in which a cluster's request begins them. A new one is a file here, and a line below."""

from collections.abc import Mapping
from typing import Any

from app.kinds.access_entry import ACCESS_ENTRIES
from app.kinds.fargate_profile import FARGATE_PROFILES
from app.kinds.kind import Kind
from app.kinds.nodegroup.kind import NODEGROUPS
from app.kinds.pod_identity import POD_IDENTITIES
from app.kinds.registry.kind import REGISTRIES

KINDS: Mapping[str, Kind[Any]] = {
    kind.type: kind for kind in (REGISTRIES, NODEGROUPS, FARGATE_PROFILES, ACCESS_ENTRIES, POD_IDENTITIES)
}
