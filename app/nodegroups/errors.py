"""Errors of node groups."""

from app.core.errors import ConflictError, InvalidError, NotFoundError


class NodegroupNotFoundError(NotFoundError):
    """No such node group in the caller's project."""

    code = "nodegroup_not_found"


class NodegroupExistsError(ConflictError):
    """The cluster has a node group of that name."""

    code = "nodegroup_exists"
    title = "The name is in use"


class AmbiguousNameError(ConflictError):
    """Node groups of several clusters have that name; `ids` names them, `?cluster=` tells them apart."""

    code = "ambiguous_name"
    title = "The name is not unique"


class ImmutableFieldError(InvalidError):
    """AWS could only replace the node group to change that."""

    code = "immutable_field"
    title = "The field cannot be changed"


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
