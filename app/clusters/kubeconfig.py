"""The kubeconfig of a cluster, in the exec form that `aws eks update-kubeconfig` writes."""

import yaml

from app.clusters.errors import ClusterNotReadyError
from app.clusters.models import Cluster


def kubeconfig(cluster: Cluster) -> str:
    """Return the YAML; it holds no secret: who uses it needs AWS credentials of their own.

    Raises:
        ClusterNotReadyError: there is no endpoint yet.
    """
    outputs = cluster.outputs
    if not outputs.get("endpoint"):
        raise ClusterNotReadyError(f"Cluster {cluster.name!r} has no endpoint; it is {cluster.phase}.")
    name = outputs["arn"]
    arguments = ["--region", cluster.region, "eks", "get-token", "--cluster-name", cluster.name, "--output", "json"]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": outputs["endpoint"],
                    "certificate-authority-data": outputs["certificate_authority"],
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1beta1",
                        "command": "aws",
                        "args": arguments,
                        "interactiveMode": "IfAvailable",
                    }
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)
