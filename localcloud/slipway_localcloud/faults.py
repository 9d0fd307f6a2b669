"""A refused call in the form that the SDKs of its service parse."""

from __future__ import annotations

import json
import uuid
from xml.sax.saxutils import escape

from .rules import ApiFault

Response = tuple[int, dict[str, str], bytes]

_XML = {"cloudformation", "iam", "sts", "elasticloadbalancing", "autoscaling", "rds", "sns"}
_MESSAGES = {
    "DecryptionFailure": "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
    "Throttling": "Rate exceeded",
    "ThrottlingException": "Rate exceeded",
    "TooManyRequestsException": "Too Many Requests",
    "RequestLimitExceeded": "Request limit exceeded.",
    "InternalFailure": "An internal error occurred.",
    "InternalError": "An internal error occurred.",
    "ServiceUnavailable": "The service is unavailable.",
    "AccessDenied": "User is not authorized to perform this operation",
    "AccessDeniedException": "User is not authorized to perform this operation",
}


def message_of(code: str) -> str:
    """What AWS says with an error code, if the rule doesn't say it."""
    return _MESSAGES.get(code, f"{code} (by a rule of the local cloud)")


def response(service: str, fault: ApiFault) -> Response:
    """The answer to a call that meets the fault."""
    message = fault.message or message_of(fault.code)
    request_id = str(uuid.uuid4())
    if service == "ec2":
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>{escape(fault.code)}</Code>'
            f"<Message>{escape(message)}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
        return fault.status, {"Content-Type": "text/xml"}, body.encode()
    if service in _XML:
        side = "Sender" if fault.status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{side}</Type><Code>{escape(fault.code)}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return fault.status, {"Content-Type": "text/xml"}, body.encode()
    kind = "application/json" if service == "eks" else "application/x-amz-json-1.1"
    headers = {"Content-Type": kind, "x-amzn-errortype": fault.code, "x-amzn-requestid": request_id}
    return fault.status, headers, json.dumps({"__type": fault.code, "message": message}).encode()
