# ruff: noqa: N818  # the class names are the words of the domain: `except NotFound`
"""What a call to AWS may raise, in place of botocore's own exceptions.

Every client of this package wraps its calls in `translate("service:Operation")`. The classes say what a caller can
do about it; `code` keeps AWS's word. `as_failure()` gives the form that an operation keeps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from app.core.failure import Cause, Failure, RefusedError
from app.gateways.aws.hints import advise
from app.gateways.aws.metrics import CALLS

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


_T = TypeVar("_T")


class AwsError(RefusedError):
    """AWS refused or could not be asked.

    Attributes:
        message: AWS's message, or botocore's.
        code: AWS's error code (`ValidationError`), or botocore's exception name (`EndpointConnectionError`).
        operation: What was called: `cloudformation:DescribeStacks`.
        request_id: AWS's request id, when there was an answer.
        status: HTTP status, when there was an answer.
    """

    failure_code: ClassVar[str] = "aws_error"

    def __init__(
        self,
        message: str,
        *,
        code: str,
        operation: str,
        request_id: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.message = message
        self.code = code
        self.operation = operation
        self.request_id = request_id
        self.status = status

    def as_failure(self, *, resource: str = "", type: str = "") -> Failure:  # noqa: A002  # Cause's own word
        """Return the failure of an operation that this error ends.

        Args:
            resource: Logical id or name of what the call was about, for `cause`.
            type: Its CloudFormation type, for `cause`.
        """
        advice = advise(self.code, self.message)
        return Failure(
            code=advice.code if advice else self.failure_code,
            message=f"AWS refused {self.operation}: {self.message}" if self.status else self.message,
            hint=advice.hint if advice else None,
            cause=Cause(resource=resource or self.operation, type=type, message=self.message, aws_code=self.code),
            retryable=advice.retryable if advice else self.retryable,
        )


class Throttled(AwsError):
    """Too many calls; AWS counts per account and region. Back off."""

    retryable = True
    failure_code = "aws_throttled"


class AwsUnavailable(AwsError):
    """AWS did not answer, or answered 5xx: connection refused, time-out, DNS, TLS, service down."""

    retryable = True
    failure_code = "aws_unavailable"


class CredentialsError(AwsError):
    """We are not who we should be: no credentials, wrong or expired ones, a role that can't be assumed."""

    failure_code = "aws_credentials_invalid"


class CredentialsExpired(CredentialsError):
    """Ours were good and no longer are. Who rotates them puts new ones in their place, and the same call succeeds."""

    retryable = True
    failure_code = "credentials_expired"


class AccessDenied(AwsError):
    """AWS knows us and an IAM policy says no."""

    failure_code = "permission_denied"


class NotFound(AwsError):
    """What the call names isn't there."""

    failure_code = "aws_resource_not_found"


class AlreadyExists(AwsError):
    """The name is taken."""

    failure_code = "name_in_use"


class Conflict(AwsError):
    """Right, but not in the state that the thing is in now, such as an update of a stack that is being updated."""

    failure_code = "aws_conflict"


class TokenReused(Conflict):
    """The client token was spent on another call (CloudFormation's TokenAlreadyExistsException)."""

    failure_code = "aws_token_reused"


class LimitExceeded(AwsError):
    """A quota of the account is used up."""

    failure_code = "quota_exceeded"


class InvalidRequest(AwsError):
    """The call itself is wrong; it will be wrong again."""

    failure_code = "aws_invalid_request"


class TemplateTooLarge(InvalidRequest):
    """A template body over CloudFormation's 51,200 bytes; found before any call."""

    failure_code = "template_too_large"


class UnexpectedAnswer(AwsError):
    """AWS answered without what has to be in the answer; another time it may be."""

    retryable = True
    failure_code = "aws_answer_unexpected"

    def __init__(self, operation: str, missing: str) -> None:
        super().__init__(f"AWS's answer to {operation} has no {missing}.", code="UnexpectedAnswer", operation=operation)


# Codes of botocore's standard retry mode (botocore/retries/standard.py), without `LimitExceededException`, which
# CloudFormation and CloudWatch Logs use for quotas.
_THROTTLED = {
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
    "TooManyRequestsException", "ProvisionedThroughputExceededException", "RequestLimitExceeded",
    "BandwidthLimitExceeded", "SlowDown", "PriorRequestNotComplete", "EC2ThrottledException",
}  # fmt: skip
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html and STS's AssumeRole errors
_CREDENTIALS = {
    "AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "InvalidSignatureException",
    "SignatureDoesNotMatch", "UnrecognizedClientException",
}  # fmt: skip
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
"""What the services say of credentials that have run out."""

_DENIED = {
    "AccessDenied", "AccessDeniedException", "NotAuthorized", "OptInRequired", "SubscriptionRequiredException",
    "UnauthorizedException", "UnauthorizedOperation", "Blocked", "PendingVerification",
}  # fmt: skip
_UNAVAILABLE = {
    "InternalError", "InternalFailure", "InternalServerError", "RequestTimeout", "RequestTimeoutException",
    "InternalServiceError",
    "ServerException", "ServiceUnavailable", "ServiceUnavailableException", "Unavailable",
}  # fmt: skip
_EXISTS = {
    "AlreadyExistsException", "EntityAlreadyExists", "ResourceAlreadyExistsException", "NameAlreadyExistsException",
    "InvalidKeyPair.Duplicate", "InvalidGroup.Duplicate", "RepositoryAlreadyExistsException",
    "PullThroughCacheRuleAlreadyExistsException",
}  # fmt: skip
_CONFLICT = {
    "ConflictException", "DeleteConflict", "DependencyViolation", "IncorrectState", "InvalidChangeSetStatus",
    "InvalidStateTransition", "OperationAbortedException", "OperationInProgressException", "OperationNotPermitted",
    "ResourceInUse", "ResourceInUseException", "StaleRequestException", "InvalidOperationException",
    "LifecyclePolicyPreviewInProgressException", "RepositoryNotEmptyException",
}  # fmt: skip
_LIMIT = {"MaxFleetCountExceeded", "MaxSpotInstanceCountExceeded", "ServiceQuotaExceededException"}
_INVALID = {
    "ClientException", "InsufficientCapabilities", "InsufficientCapabilitiesException", "InvalidParameter",
    "InvalidAction", "MalformedPolicyDocument", "MissingAction", "MissingParameter", "ParamValidationError",
    "UnknownParameter", "Unsupported", "UnsupportedOperation", "ValidationError", "ValidationException",
    "UnsupportedAvailabilityZoneException", "UnsupportedImageTypeException", "UnsupportedUpstreamRegistryException",
    "UnableToAccessSecretException", "UnableToDecryptSecretValueException", "KmsException", "TooManyTagsException",
    "DecryptionFailure",
}  # fmt: skip

_BY_CODE: dict[str, type[AwsError]] = {
    code: error
    for error, codes in (
        (Throttled, _THROTTLED),
        (CredentialsError, _CREDENTIALS),
        (CredentialsExpired, EXPIRED),
        (AccessDenied, _DENIED),
        (AwsUnavailable, _UNAVAILABLE),
        (AlreadyExists, _EXISTS),
        (Conflict, _CONFLICT),
        (LimitExceeded, _LIMIT),
        (InvalidRequest, _INVALID),
        (TokenReused, {"TokenAlreadyExistsException"}),
        (NotFound, {"NoSuchEntity", "NoSuchEntityException"}),
    )
    for code in codes
}
_CREDENTIAL_FAULTS = (
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound",
    "TokenRetrievalError", "NoAuthTokenError", "SSOError", "RefreshWithMFAUnsupportedError", "MetadataRetrievalError",
    "InvalidConfigError", "ConfigParseError", "InfiniteLoopConfigError",
)  # fmt: skip
_CONNECTION_FAULTS = (
    "HTTPClientError", "ConnectionError", "ResponseParserError", "IncompleteReadError", "ReadTimeoutError",
    "EventStreamError",
)  # fmt: skip


@contextmanager
def translate(operation: str) -> Iterator[None]:
    """Turn what botocore raises inside the block into an `AwsError`.

    The answer is read inside the block too: one that lacks what it has to have is an `AwsUnavailable`.

    Args:
        operation: What is called, as IAM would name it: `cloudformation:DescribeStacks`.

    Raises:
        AwsError: The subclass that fits.
    """
    try:
        yield
    except AwsError:
        raise
    except Exception as error:
        translated = _translated(error, operation)
        if translated is None:
            raise
        CALLS.labels(operation, translated.code).inc()
        raise translated from error
    else:
        CALLS.labels(operation, "ok").inc()


def first(found: Sequence[_T], operation: str, what: str) -> _T:
    """Return the first of what an answer lists, where AWS says that there is one.

    Args:
        found: What the answer lists.
        operation: What was called, as in `translate`.
        what: One of them, for people.

    Raises:
        UnexpectedAnswer: The list is empty.
    """
    if not found:
        raise UnexpectedAnswer(operation, what)
    return found[0]


def error_class(code: str, message: str, status: int | None = None, operation: str = "") -> type[AwsError]:
    """Return the class for an AWS error code.

    Args:
        code: AWS's code.
        message: AWS's message; CloudFormation tells a missing stack and a wrong state only there.
        status: HTTP status of the answer.
        operation: `sts:AssumeRole` makes a denial a matter of credentials.
    """
    if (by_message := _by_message(code, message)) is not None:
        return by_message
    known = _BY_CODE.get(code)
    if known is AccessDenied and operation.endswith((":AssumeRole", ":AssumeRoleWithWebIdentity")):
        return CredentialsError
    if known is not None:
        return known
    return _by_shape(code, status)


_WRONG_STATE = (
    "state and can not",  # "Stack:… is in ROLLBACK_COMPLETE state and can not be updated."
    "_IN_PROGRESS state",
    "cannot be deleted while",  # TerminationProtection is enabled
    "cannot be called from current stack status",
)
"""What CloudFormation's ValidationError says of a stack that isn't in the right state."""


def _by_message(code: str, message: str) -> type[AwsError] | None:
    if code in {"ValidationError", "ValidationException"}:
        # CloudFormation has one code for all of these.
        if "does not exist" in message:
            return NotFound
        if any(words in message for words in _WRONG_STATE):
            return Conflict
        if "Rate exceeded" in message:
            return Throttled
    if code in {"ResourceInUseException", "InvalidParameterException"} and "already exists" in message:
        return AlreadyExists
    return None


def _by_shape(code: str, status: int | None) -> type[AwsError]:
    if code.endswith(("NotFound", "NotFoundException", "NotFoundFault")):
        return NotFound
    if code.endswith(("LimitExceeded", "LimitExceededException")):
        return LimitExceeded
    if status is not None and status >= 500:
        return AwsUnavailable
    if status == 429:
        return Throttled
    if code.startswith(("Invalid", "Malformed", "Missing")):
        return InvalidRequest
    return AwsError


def _translated(error: Exception, operation: str) -> AwsError | None:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    if isinstance(error, ClientError):
        return _from_answer(error, operation)
    names = {base.__name__ for base in type(error).__mro__}
    name = type(error).__name__
    if isinstance(error, TimeoutError) or type(error).__module__.startswith("aiohttp"):
        # aiobotocore translates what fails while connecting, not what fails while the body is read.
        return AwsUnavailable(str(error) or "AWS did not answer in time", code=name, operation=operation)
    if not isinstance(error, BotoCoreError | ResponseParserError):
        return _unreadable(error, operation)
    if names.intersection(_CREDENTIAL_FAULTS):
        return CredentialsError(str(error), code=name, operation=operation)
    if names.intersection(_CONNECTION_FAULTS):
        return AwsUnavailable(str(error), code=name, operation=operation)
    if names.intersection({"ParamValidationError", "ValidationError"}):
        return InvalidRequest(str(error), code=name, operation=operation)
    return AwsError(str(error), code=name, operation=operation)


def _unreadable(error: Exception, operation: str) -> AwsError | None:
    """What botocore's parsers, and our reading of what they give, raise for an answer without what it has to have."""
    if not isinstance(error, LookupError | TypeError | ValueError | AttributeError | ArithmeticError | RuntimeError):
        return None
    said = f"AWS's answer can't be read: {type(error).__name__} {str(error)[:200]}".rstrip()
    return AwsUnavailable(said, code="UnreadableAnswer", operation=operation)


def _from_answer(error: "ClientError", operation: str) -> AwsError:
    # An AssumeRole that a refresh of credentials made carries its own name, not the one of the call that needed it.
    if error.operation_name == "AssumeRole":
        operation = "sts:AssumeRole"
    said = error.response.get("Error", {})
    meta = error.response.get("ResponseMetadata", {})
    code = said.get("Code")
    code = code if isinstance(code, str) and code else "Unknown"  # of an empty element botocore makes None
    message = str(said.get("Message") or error)
    status = meta.get("HTTPStatusCode")
    cls = error_class(code, message, status, operation)
    return cls(message, code=code, operation=operation, request_id=meta.get("RequestId"), status=status)
