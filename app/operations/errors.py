"""Errors of operations, and those that every kind of resource shares."""

from app.core.errors import ConflictError, InvalidError, NotFoundError


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


class CallbackExistsError(ConflictError):
    """A request that cancels an operation cannot take the callback of the one that began it."""

    code = "callback_exists"
    title = "The operation has a callback"


class NotRetryableError(ConflictError):
    """Only the last operation of a resource can be retried, and only if it failed or was cancelled."""

    code = "not_retryable"
    title = "The operation cannot be retried"


class AmbiguousNameError(ConflictError):
    """More than one resource has that name; `ids` names them."""

    code = "ambiguous_name"
    title = "The name is not unique"


class ImmutableFieldError(InvalidError):
    """AWS could only replace the resource to change that."""

    code = "immutable_field"
    title = "The field cannot be changed"


class ChangedMeanwhileError(ConflictError):
    """Another request changed the resource while this one was being checked; send it again."""

    code = "changed_meanwhile"
    title = "The resource changed meanwhile"
    retry_after = 1
