"""Errors of operations."""

from app.core.errors import ConflictError, NotFoundError


class OperationNotFoundError(NotFoundError):
    """No such operation in the caller's project."""

    code = "operation_not_found"


class OperationInProgressError(ConflictError):
    """The resource is being changed; `operation_id` names the change that runs."""

    code = "operation_in_progress"
    title = "Another operation is in progress"


class NotCancellableError(ConflictError):
    """What runs cannot be stopped (a delete, a version upgrade), or it has ended."""

    code = "not_cancellable"
    title = "The operation cannot be cancelled"


class NotRetryableError(ConflictError):
    """Only the last operation of a resource can be retried, and only if it failed or was cancelled."""

    code = "not_retryable"
    title = "The operation cannot be retried"
