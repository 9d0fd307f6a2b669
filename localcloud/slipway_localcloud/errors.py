"""The errors of the emulated services, apart from how each protocol writes them."""

from __future__ import annotations

import uuid

# CloudFormation's HandlerErrorCode for the error codes that services answer with.
_HANDLER_CODES = {
    "ResourceInUseException": "AlreadyExists",
    "RepositoryAlreadyExistsException": "AlreadyExists",
    "EntityAlreadyExists": "AlreadyExists",
    "InvalidGroup.Duplicate": "AlreadyExists",
    "InvalidKeyPair.Duplicate": "AlreadyExists",
    "ResourceNotFoundException": "NotFound",
    "NotFoundException": "NotFound",
    "RepositoryNotFoundException": "NotFound",
    "NoSuchEntity": "NotFound",
    "ResourceLimitExceededException": "ServiceLimitExceeded",
    "LimitExceededException": "ServiceLimitExceeded",
    "AsgInstanceLaunchFailures": "GeneralServiceException",
    "KmsException": "GeneralServiceException",
    "RepositoryNotEmptyException": "GeneralServiceException",
    "NotStabilized": "NotStabilized",
}


class AwsError(Exception):
    """An error that a service answers with.

    `service` is its name as CloudFormation's handlers write it (`Eks`, `Ec2`), `status` the HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400, service: str = "Eks") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.service = service


class Unstable(AwsError):
    """A resource was made but did not become healthy: CloudFormation reports no service call for it."""

    def __init__(self, message: str, code: str = "GeneralServiceException") -> None:
        super().__init__(code, message)


def handler_reason(error: Exception) -> str:
    """The `ResourceStatusReason` CloudFormation gives a resource whose handler met this error."""
    if isinstance(error, Unstable):
        inner = f"{error.message} (Service: null, Status Code: 0, Request ID: null)"
        code = error.code
    elif isinstance(error, AwsError):
        inner = (
            f"{error.message} (Service: {error.service}, Status Code: {error.status}, "
            f"Request ID: {uuid.uuid4()}) (SDK Attempt Count: 1)"
        )
        code = _HANDLER_CODES.get(error.code, "InvalidRequest")
    else:
        inner, code = str(error), "InvalidRequest"
    return f'Resource handler returned message: "{inner}" (RequestToken: {uuid.uuid4()}, HandlerErrorCode: {code})'
