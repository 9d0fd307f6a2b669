"""What a caller hears when AWS could not be asked while their request was checked: 503, and nothing has begun."""

import logging

from fastapi import FastAPI, Request, Response

from app.gateways.aws.errors import AwsError
from app.http.problems import problem

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
REFUSED_RETRY_SECONDS = 60
"""When AWS refuses us, a human has to put something right first."""


def install(app: FastAPI) -> None:
    """Have `app` answer errors of AWS with problem documents."""

    async def aws_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, AwsError)  # noqa: S101 - Starlette's signature cannot say it
        failure = error.as_failure()
        log.warning("AWS could not be asked: %s", error)
        facts = {"aws_code": error.code, "aws_operation": error.operation, "hint": failure.hint}
        return problem(
            503,
            failure.code,
            "AWS cannot be asked now",
            f"Nothing has begun. {failure.message}",
            facts={name: value for name, value in facts.items() if value},
            headers={"Retry-After": str(RETRY_SECONDS if failure.retryable else REFUSED_RETRY_SECONDS)},
        )

    app.add_exception_handler(AwsError, aws_error)
