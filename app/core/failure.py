"""Why an operation failed: what an operator reads at 3 a.m."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Cause:
    """The first resource that failed, in the words of the system that refused it.

    Attributes:
        resource: Logical id in the stack, or the object's name.
        type: CloudFormation type (`AWS::EKS::Nodegroup`) or Kubernetes kind.
        message: The message as AWS, Helm or Kubernetes gave it.
        aws_code: AWS's own error code (`ResourceInUseException`), when the message holds one.
    """

    resource: str
    type: str
    message: str
    aws_code: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The `error` of an operation.

    Attributes:
        code: Stable, snake_case (`quota_exceeded`, `stack_failed`, `dependency_failed`).
        message: One sentence on what failed.
        hint: What to do about it, if it is known.
        cause: The root cause, if a resource was one.
        retryable: Whether the same request may succeed later without a change of input.
    """

    code: str
    message: str
    hint: str | None = None
    cause: Cause | None = None
    retryable: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form that the operations table keeps."""
        return asdict(self)

    def mapped(self, change: Callable[[str], str]) -> "Failure":
        """Return the failure with what others said in it changed: the messages, and the name of the cause."""
        cause = self.cause and replace(
            self.cause, resource=change(self.cause.resource), message=change(self.cause.message)
        )
        return replace(self, message=change(self.message), cause=cause)


class RefusedError(Exception):
    """A system outside refused, or could not be asked.

    Attributes:
        retryable: Whether the same call may succeed later, with nothing changed by anybody.
    """

    retryable: ClassVar[bool] = False

    @abstractmethod
    def as_failure(self) -> Failure:
        """Return the failure of an operation that this error ends."""
