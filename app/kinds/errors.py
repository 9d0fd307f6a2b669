"""Errors of every kind. Each comes under the kind's own code, `nodegroup_exists`, which clients tell them by."""

from typing import TYPE_CHECKING, Any

from app.core.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from app.clusters.view import ClusterView
    from app.kinds.kind import Kind
    from app.kinds.scope import Owner


class ResourceNotFoundError(NotFoundError):
    """No such resource in the caller's project."""


class ResourceExistsError(ConflictError):
    """What it would belong to has one of that name."""

    title = "The name is in use"


class ResourceDeletingError(ConflictError):
    """It is being deleted; `operation_id` names the delete."""


class ClusterDeletingError(ConflictError):
    """The cluster that it belongs to is being deleted."""

    code = "cluster_deleting"
    title = "The cluster is being deleted"


class ClusterFailedError(ConflictError):
    """The cluster that it belongs to cannot be used."""

    code = "cluster_not_ready"
    title = "The cluster is not ready"


def not_found(kind: "Kind[Any]", reference: str) -> ResourceNotFoundError:
    """Return the error of a name or id that nothing has."""
    error = ResourceNotFoundError(f"There is no {kind.title} {reference!r}.")
    error.code = kind.codes.not_found
    return error


def exists(kind: "Kind[Any]", owner: "Owner", name: str, resource_id: str | None) -> ResourceExistsError:
    """Return the error of a name that is in use, by `resource_id` if that is known."""
    facts = {f"{kind.type}_id": resource_id} if resource_id else {}
    error = ResourceExistsError(f"{owner.title} has {kind.a_title} named {name!r}.", **facts)
    error.code = kind.codes.exists
    return error


def deleting(kind: "Kind[Any]", name: str, operation_id: str | None) -> ResourceDeletingError:
    """Return the error of a resource that is being deleted by an operation."""
    error = ResourceDeletingError(f"{kind.heading} {name!r} is being deleted.")
    error.facts = {"operation_id": operation_id}
    error.code, error.title = kind.codes.deleting, f"The {kind.title} is being deleted"
    return error


def cluster_failed(cluster: "ClusterView") -> ClusterFailedError:
    """Return the error of a cluster that cannot be used."""
    return ClusterFailedError(f"Cluster {cluster.name!r} has failed.", cluster_id=cluster.id)
