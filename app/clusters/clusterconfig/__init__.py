"""eksctl's ClusterConfig as a request: `translate` turns a parsed document into Slipway's specs."""

from app.clusters.clusterconfig.network import Expectation
from app.clusters.clusterconfig.translate import Translation, translate

__all__ = ["Expectation", "Translation", "translate"]
