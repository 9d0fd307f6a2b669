"""Errors of node groups."""

from app.core.errors import ConflictError, NotFoundError


class NodegroupNotFoundError(NotFoundError):
    """No such node group in the caller's project."""

    code = "nodegroup_not_found"


class NodegroupExistsError(ConflictError):
    """The cluster has a node group of that name."""

    code = "nodegroup_exists"
    title = "The name is in use"


class ClusterDeletingError(ConflictError):
    """The node group's cluster is being deleted."""

    code = "cluster_deleting"
    title = "The cluster is being deleted"


class ClusterFailedError(ConflictError):
    """The node group's cluster cannot be used."""

    code = "cluster_not_ready"
    title = "The cluster is not ready"


class NodegroupDeletingError(ConflictError):
    """The node group is being deleted; `operation_id` names the delete."""

    code = "nodegroup_deleting"
    title = "The node group is being deleted"
