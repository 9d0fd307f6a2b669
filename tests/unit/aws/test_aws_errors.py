import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProfileNotFound,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from app.gateways.aws import errors
from app.gateways.aws.errors import AwsError, error_class, translate


def refused(code: str, message: str = "no", status: int = 400, operation: str = "DescribeStacks") -> ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "0a"},
    }
    return ClientError(response, operation)


@pytest.mark.parametrize(
    ("code", "message", "status", "expected"),
    [
        ("Throttling", "Rate exceeded", 400, errors.Throttled),
        ("RequestLimitExceeded", "Request limit exceeded.", 503, errors.Throttled),
        ("TooManyRequestsException", "", 429, errors.Throttled),
        ("Whatever", "", 429, errors.Throttled),
        ("AccessDenied", "User: a is not authorized to perform: b:C", 403, errors.AccessDenied),
        ("UnauthorizedOperation", "You are not authorized to perform this operation.", 403, errors.AccessDenied),
        ("InvalidClientTokenId", "The security token included in the request is invalid", 403, errors.CredentialsError),
        ("ExpiredToken", "The security token included in the request is expired", 403, errors.CredentialsExpired),
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
            403,
            errors.CredentialsExpired,
        ),
        ("RequestExpired", "Request has expired.", 400, errors.CredentialsExpired),
        ("SignatureDoesNotMatch", "Signature expired: 20161024T215820Z", 403, errors.CredentialsError),
        ("AuthFailure", "AWS was not able to validate the provided access credentials", 401, errors.CredentialsError),
        ("ValidationError", "Stack with id nope does not exist", 400, errors.NotFound),
        ("ChangeSetNotFound", "ChangeSet [a] does not exist", 404, errors.NotFound),
        ("ResourceNotFoundException", "No cluster found for name: a.", 404, errors.NotFound),
        ("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist", 400, errors.NotFound),
        ("InvalidKeyPair.NotFound", "The key pair 'a' does not exist", 400, errors.NotFound),
        ("AlreadyExistsException", "Stack [a] already exists", 400, errors.AlreadyExists),
        ("ResourceInUseException", "Cluster already exists with name: a", 409, errors.AlreadyExists),
        ("ResourceInUseException", "Cluster has nodegroups attached", 409, errors.Conflict),
        (
            "ValidationError",
            "Stack:arn:aws:cloudformation:a is in ROLLBACK_COMPLETE state and can not be updated.",
            400,
            errors.Conflict,
        ),
        ("ValidationError", "Stack [a] cannot be deleted while TerminationProtection is enabled", 400, errors.Conflict),
        (
            "ValidationError",
            "CancelUpdateStack cannot be called from current stack status",
            400,
            errors.Conflict,
        ),
        (
            "ValidationError",
            "Stack:arn:aws:cloudformation:a is in UPDATE_COMPLETE state and can not continue update rollback.",
            400,
            errors.Conflict,
        ),
        ("InvalidChangeSetStatus", "ChangeSet [a] cannot be executed", 400, errors.Conflict),
        ("TokenAlreadyExistsException", "A client request token already exists", 400, errors.TokenReused),
        ("LimitExceededException", "stack limit", 400, errors.LimitExceeded),
        ("AddressLimitExceeded", "The maximum number of addresses has been reached.", 400, errors.LimitExceeded),
        ("ResourceLimitExceededException", "Cluster limit exceeded for account.", 400, errors.LimitExceeded),
        ("ValidationError", "Template format error: unsupported structure.", 400, errors.InvalidRequest),
        ("InvalidParameterException", "Subnets specified must be in at least two", 400, errors.InvalidRequest),
        ("InternalFailure", "", 500, errors.AwsUnavailable),
        ("ServiceUnavailable", "", 503, errors.AwsUnavailable),
        ("502", "Bad Gateway", 502, errors.AwsUnavailable),
        ("SomethingNew", "we never saw this", 418, AwsError),
    ],
)
def test_aws_codes_become_classes(code: str, message: str, status: int, expected: type[AwsError]) -> None:
    with pytest.raises(AwsError) as raised, translate("cloudformation:DescribeStacks"):
        raise refused(code, message, status)

    assert type(raised.value) is expected
    assert raised.value.code == code
    assert raised.value.status == status
    assert raised.value.request_id == "0a"
    assert isinstance(raised.value.__cause__, ClientError)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), errors.AwsUnavailable),
        (ConnectTimeoutError(endpoint_url="http://127.0.0.1:1"), errors.AwsUnavailable),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1:1"), errors.AwsUnavailable),
        (ResponseParserError("not XML"), errors.AwsUnavailable),
        (TimeoutError(), errors.AwsUnavailable),
        (aiohttp.ClientPayloadError("cut off"), errors.AwsUnavailable),
        (NoCredentialsError(), errors.CredentialsError),
        (ProfileNotFound(profile="x"), errors.CredentialsError),
        (ParamValidationError(report="name too long"), errors.InvalidRequest),
    ],
)
def test_what_botocore_raises_by_itself_becomes_classes(error: Exception, expected: type[AwsError]) -> None:
    with pytest.raises(AwsError) as raised, translate("eks:DescribeCluster"):
        raise error

    assert type(raised.value) is expected
    assert raised.value.operation == "eks:DescribeCluster"


def test_other_exceptions_pass() -> None:
    with pytest.raises(AssertionError), translate("eks:DescribeCluster"):
        raise AssertionError


def test_an_aws_error_is_not_translated_twice() -> None:
    first = errors.NotFound("gone", code="X", operation="a:B")

    with pytest.raises(errors.NotFound) as raised, translate("c:D"):
        raise first

    assert raised.value is first


def test_a_role_that_cannot_be_assumed_is_a_matter_of_credentials() -> None:
    """The refresh of credentials fails inside a call to another service."""
    message = (
        "User: arn:aws:iam::1:user/slipway is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::2"
    )

    with pytest.raises(errors.CredentialsError) as raised, translate("cloudformation:ListStacks"):
        raise refused("AccessDenied", message, 403, "AssumeRole")

    assert raised.value.operation == "sts:AssumeRole"
    assert raised.value.as_failure().code == "role_not_assumable"


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (errors.Throttled, True),
        (errors.AwsUnavailable, True),
        (errors.AccessDenied, False),
        (errors.LimitExceeded, False),
        (errors.InvalidRequest, False),
    ],
)
def test_only_what_passes_is_retryable(error: type[AwsError], retryable: bool) -> None:
    assert error.retryable is retryable


def test_a_known_error_becomes_a_failure_with_a_hint() -> None:
    error = errors.AccessDenied(
        "User: arn:aws:iam::1:user/a is not authorized to perform: cloudformation:CreateStack on resource: b",
        code="AccessDenied",
        operation="cloudformation:CreateStack",
        status=403,
    )

    failure = error.as_failure(resource="slipway-demo", type="AWS::CloudFormation::Stack")

    assert failure.code == "permission_denied"
    assert failure.hint is not None
    assert failure.hint.endswith("allow cloudformation:CreateStack.")
    assert failure.cause is not None
    assert (failure.cause.resource, failure.cause.aws_code) == ("slipway-demo", "AccessDenied")
    assert failure.message.startswith("AWS refused cloudformation:CreateStack: ")


def test_an_unknown_error_becomes_a_failure_of_its_class() -> None:
    error = errors.InvalidRequest(
        "Template format error", code="ValidationError", operation="cloudformation:CreateStack"
    )

    failure = error.as_failure()

    assert (failure.code, failure.hint, failure.retryable) == ("aws_invalid_request", None, False)


def test_ec2_names_the_missing_thing_in_the_code() -> None:
    assert error_class("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist") is errors.NotFound
