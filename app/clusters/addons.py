"""Which addons a cluster's spec asks for, and where each of them stands. Pure."""

from app.clusters.schemas import AddonSpec, ClusterSpec
from app.clusters.template import FIRST_ADDONS

DEFAULT_ADDONS = ("coredns", "metrics-server")
"""What a cluster gets beside the two of its own stack, unless its spec says otherwise."""


def own_addons(spec: ClusterSpec) -> list[AddonSpec]:
    """Return the addons that get a stack of their own, in the order in which they are installed."""
    if spec.addons is None:
        return [AddonSpec(name=name) for name in DEFAULT_ADDONS]
    return [addon for addon in spec.addons if addon.name not in FIRST_ADDONS]
