# ruff: noqa: N818  # the class names are the words of the domain: `except NotFound`
"""What a call of an API server may raise, in place of what the HTTP client raises."""

import re
from typing import ClassVar

from app.core.failure import Cause, Failure
from app.gateways.kubernetes.hints import advise


class KubernetesError(Exception):
    """The API server refused, or could not be asked.

    Attributes:
        code: Stable, snake_case; part of what callers see.
        hint: What to do about it, when that holds for the whole class.
        retryable: Whether the same call may succeed later, with nothing changed by anybody.
        message: The API server's message, or the client's.
        call: What was called: `GET /api/v1/namespaces/shop`.
        status: HTTP status, when there was an answer.
        reason: Kubernetes' reason (`AlreadyExists`), when there was one.
    """

    code: ClassVar[str] = "kubernetes_error"
    hint: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, call: str, status: int | None = None, reason: str = "") -> None:
        super().__init__(f"{call}: {message}")
        self.message = message[:2000]
        self.call = call
        self.status = status
        self.reason = reason

    def as_failure(self, *, resource: str = "", type: str = "") -> Failure:  # noqa: A002  # Cause's own word
        """Return the failure of an operation that this error ends.

        Args:
            resource: Name of the object that the call was about, for `cause`.
            type: Its kind.
        """
        advice = advise(None, self.message)
        return Failure(
            code=advice.code if advice else self.code,
            message=self.message,
            hint=advice.hint if advice else self.hint,
            cause=Cause(resource=resource or self.call, type=type, message=self.message),
            retryable=self.retryable,
        )


class Unreachable(KubernetesError):
    """The API server doesn't answer, not in time, or says that it can't now (429, 5xx)."""

    code = "cluster_unreachable"
    hint = "Check the cluster's endpoint access (endpoints.public, public_cidrs) and that it is active."
    retryable = True


class Unauthorized(KubernetesError):
    """The cluster doesn't know us."""

    code = "cluster_unauthorized"
    hint = "Slipway's AWS principal needs an access entry of the cluster."


class Forbidden(KubernetesError):
    """The cluster knows us, and RBAC, a quota or a policy says no."""

    code = "cluster_forbidden"
    hint = "Give Slipway's access entry a policy that allows what the message names."


class NotFound(KubernetesError):
    """There is no such object."""

    code = "object_not_found"


class KindNotAvailable(NotFound):
    """The cluster doesn't know the kind."""

    code = "kind_not_available"
    hint = "Install first what defines the kind (its CRDs), or use one that this Kubernetes version has."


class Conflict(KubernetesError):
    """Somebody else manages the field, or changed the object at the same time."""

    code = "object_conflict"
    hint = "Another tool manages what the message names; leave it to that, or take it over deliberately."


class AlreadyExists(Conflict):
    """The name is taken."""

    code = "object_exists"


class Invalid(KubernetesError):
    """The API server doesn't take the object."""

    code = "object_invalid"
    hint = "The message names the field that is wrong."


class ResponseUnreadable(KubernetesError):
    """The answer is no JSON, or nested so deeply that it is not read."""

    code = "kubernetes_answer_unreadable"
    hint = "Whatever answers at the endpoint is no API server, or holds an object that Slipway does not read."


class ResponseTooLarge(KubernetesError):
    """The answer has more bytes than are read."""

    code = "kubernetes_answer_too_large"
    hint = "The cluster holds more, or larger, objects of this kind than are read at once; make the release smaller."


_INVALID = re.compile(r"failed to create typed patch object|failed to convert new object")
"""It answers 500 to an object that doesn't fit its own schema, when that is applied server-side."""
_QUOTED = re.compile(r"got &?value\.value\w+\{.*")

_BY_STATUS: dict[int, type[KubernetesError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: KindNotAvailable,
    409: Conflict,
    415: Invalid,
    422: Invalid,
    429: Unreachable,
}


def error_for(status: int, message: str, *, reason: str, call: str) -> KubernetesError:
    """Return the error for an answer that isn't 2xx.

    Args:
        status: HTTP status.
        message: Of the `Status` object that Kubernetes answers with.
        reason: Likewise.
        call: What was called.
    """
    kind = _BY_STATUS.get(status, Unreachable if status >= 500 else KubernetesError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    if _INVALID.search(message):
        kind = Invalid
    return kind(without_values(message), call=call, status=status, reason=reason)


def without_values(message: str) -> str:
    """Return an API server's message without the values that it quotes: those of Secrets among them."""
    return _QUOTED.sub("got a value of another type", message)
