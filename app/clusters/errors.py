"""Errors of clusters."""

from app.core.errors import ConflictError, NotFoundError


class ClusterNotFoundError(NotFoundError):
    """No such cluster in the caller's project."""

    code = "cluster_not_found"


class ClusterExistsError(ConflictError):
    """A cluster of that name exists in the account and region; `cluster_id` if it is one of Slipway's."""

    code = "cluster_exists"
    title = "The name is in use"


class DeletionProtectedError(ConflictError):
    """`deletion_protection` is on; PATCH it to false first."""

    code = "deletion_protected"
    title = "The cluster is protected from deletion"


class ClusterDeletingError(ConflictError):
    """The cluster is being deleted; `operation_id` names the delete."""

    code = "cluster_deleting"
    title = "The cluster is being deleted"


class ClusterNotReadyError(ConflictError):
    """The cluster cannot serve what was asked for: it has failed, or has no endpoint yet."""

    code = "cluster_not_ready"
    title = "The cluster is not ready"
