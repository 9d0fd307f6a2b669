"""GetSecretValue where ministack's words or decisions are not those of AWS.

- A secret without the stage that is asked for: no full stop at the end (aws-sdk-js-v3 #7701); one that has no value at
  all is told so, too (boto3 #2794).
- A secret of another account is refused for want of a resource policy that lets the caller in (Secrets Manager User
  Guide, "Cross-account access"; the words: IAM User Guide, "Troubleshoot access denied error messages").
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, list[str]]], Awaitable[Response]]

_ACTION = "secretsmanager:GetSecretValue"
_NO_STAGE = b"secret value for staging label: "
_JSON = {"Content-Type": "application/x-amz-json-1.1"}


def in_front_of(upstream: Handler) -> Handler:
    """Answers for GetSecretValue, and hands the rest to ministack."""

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        if not headers.get("x-amz-target", "").endswith(".GetSecretValue"):
            return await upstream(method, path, headers, body, query)
        if arn := _foreign(body):
            return _refused(arn)
        status, answered, content = await upstream(method, path, headers, body, query)
        if status == 200 and not {"SecretString", "SecretBinary"} & json.loads(content).keys():
            return _no_value(str(json.loads(body).get("VersionStage") or "AWSCURRENT"))
        if status == 400 and _NO_STAGE in content:
            return _no_value(str(json.loads(content)["message"]).rpartition(": ")[2].removesuffix("."))
        return status, answered, content

    return handle


def _foreign(body: bytes) -> str:
    """The ARN that is asked for, if it is one of another account; else ""."""
    from ministack.core.responses import get_account_id

    try:
        asked = str(json.loads(body or b"{}").get("SecretId", ""))
    except (ValueError, AttributeError):
        return ""
    parts = asked.split(":")
    return asked if len(parts) >= 7 and parts[0] == "arn" and parts[4] != get_account_id() else ""


def _no_value(stage: str) -> Response:
    message = f"Secrets Manager can't find the specified secret value for staging label: {stage}"
    return 400, dict(_JSON), json.dumps({"__type": "ResourceNotFoundException", "message": message}).encode()


def _refused(arn: str) -> Response:
    from ministack.core.iam_evaluator import caller_arn

    message = (
        f"User: {caller_arn()} is not authorized to perform: {_ACTION} on resource: {arn} because no resource-based "
        f"policy allows the {_ACTION} action"
    )
    document = {"__type": "AccessDeniedException", "Message": message}
    return 400, dict(_JSON), json.dumps(document).encode()
