"""Kubernetes: a real control plane for each cluster of the local cloud, in front of nodes that are played.

`build` compiles the programs once, `plane` runs them for one cluster, `front` is the cluster's endpoint
(it starts the plane at the first connection), and `planes` keeps both in step with the EKS records.
"""

# When a cluster's control plane starts: see `planes.Planes`.
MODES = ("auto", "lazy", "eager", "off")
