"""Read the reasons that CloudFormation gives for a failed resource, in the forms that AWS has grown over the years.

What is taken apart: the handler's envelope (`Resource handler returned message: "…" (RequestToken: …,
HandlerErrorCode: …)`), the SDK's suffix in its Java 1 and Java 2 forms (`(Service: AmazonEC2; …; Error Code: …)`,
`(Service: Eks, Status Code: 400, Request ID: …)`), EKS's lists of issues (`[Issue(Code=…, Message=…,
ResourceIds=[…])]`, `[{Code: …,Message: …,ResourceIds: […]}]`, and in updates `ErrorCode` and `ErrorMessage`), EC2's
code inside an Auto Scaling message (`Could not launch On-Demand Instances. VcpuLimitExceeded - …`) and
`API: service:Action …`.
"""

import re
from dataclasses import dataclass

_ENVELOPE = re.compile(
    r'Resource handler returned message: "(?P<message>.*)"\s*'
    r"\(RequestToken: [\w-]+,? HandlerErrorCode: (?P<code>\w+)\)?",
    re.DOTALL,
)
_HANDLER_CODE = re.compile(r"\(?HandlerErrorCode: (?P<code>\w+)\)")
_SDK = re.compile(r"\s*\(Service: [^()]*?(?:Error Code: (?P<code>[\w.]+)[^()]*)?\)(?:\s*\(SDK Attempt Count: \d+\))?")
_ISSUE = re.compile(
    r"(?:Issue\(|\{)\s*(?:Error)?Code[=:]\s*(?P<code>\w+),\s*(?:Error)?Message[=:]\s*(?P<message>.*?),"
    r"\s*ResourceIds[=:]\s*\[(?P<ids>[^\]]*)\]",
    re.DOTALL,
)
_LAUNCH = re.compile(r"Could not launch [\w -]+ Instances\. (?P<code>[A-Z]\w+) - (?P<message>.+)", re.DOTALL)
_TERMINATION = re.compile(r"Termination Reason: (?P<code>[\w.]+): (?P<message>.+)", re.DOTALL)
_API = re.compile(r"^API: (?P<action>[\w-]+:\w+) (?P<message>.+)", re.DOTALL)
_DENIED = re.compile(r"not authorized to perform", re.IGNORECASE)
_LEADING_CODE = re.compile(r"^(?P<code>(?:[A-Z]\w+Exception|[A-Z]\w+(?:\.[A-Z]\w+)+)): (?P<message>.+)", re.DOTALL)

_VAGUE_CODES = frozenset({"GeneralServiceException", "InvalidRequest", "NotStabilized", "HandlerInternalFailure"})
"""HandlerErrorCodes that say no more than that it failed (CloudFormation CLI User Guide, "Handler error codes")."""

_LESS_TELLING = ("NodeCreationFailure", "AsgInstanceLaunchFailures")
"""Issue codes that follow from others: with several issues the first one that isn't among these is the cause, else
launch failures before nodes that (for them) didn't join."""


@dataclass(frozen=True, slots=True)
class FailureMessage:
    """What a reason says.

    Attributes:
        message: The service's own sentence, without envelopes, request ids and lists of resources.
        code: The most telling code in it: the service's, else the handler's; None if it has none.
        resources: Ids that an issue of EKS's names (instances, subnets); made-up `DUMMY_…` ones left out.
    """

    message: str
    code: str | None = None
    resources: tuple[str, ...] = ()


def read_reason(reason: str) -> FailureMessage:
    """Return what a ResourceStatusReason says; text in no known form comes back as it is."""
    text, handler_code = _open_envelope(reason.strip())
    issue = _most_telling_issue(text)
    if issue is not None:
        return _refined(issue.message, issue.code, issue.resources)
    service_code = next((match["code"] for match in _SDK.finditer(text) if match["code"]), None)
    return _refined(_SDK.sub("", text), service_code or handler_code, ())


def _open_envelope(text: str) -> tuple[str, str | None]:
    if (envelope := _ENVELOPE.search(text)) is not None:
        return envelope["message"].strip(), envelope["code"]
    code = _HANDLER_CODE.search(text)
    return text, code["code"] if code else None


def _most_telling_issue(text: str) -> FailureMessage | None:
    issues = [
        FailureMessage(match["message"].strip(), match["code"], _ids(match["ids"])) for match in _ISSUE.finditer(text)
    ]
    if not issues:
        return None
    # min keeps the first of equals: -1 for a code that isn't in the list stands before all.
    order = {code: rank for rank, code in enumerate(reversed(_LESS_TELLING))}
    return min(issues, key=lambda issue: order.get(issue.code or "", -1))


def _ids(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r",\s*", text.strip()) if part and not part.startswith("DUMMY_"))


def _refined(message: str, code: str | None, resources: tuple[str, ...]) -> FailureMessage:
    message = message.strip().removesuffix("Launching EC2 instance failed.").strip()
    for pattern in (_LAUNCH, _TERMINATION, _LEADING_CODE):
        if (match := pattern.search(message)) is not None:
            return FailureMessage(match["message"].strip(), match["code"], resources)
    if (api := _API.search(message)) is not None:
        # The action stays in the message: it is what the user has to allow.
        return FailureMessage(message, "AccessDenied" if "auth" in api["message"] else code, resources)
    if _DENIED.search(message) and (code is None or code in _VAGUE_CODES):
        return FailureMessage(message, "AccessDenied", resources)
    return FailureMessage(message, code, resources)
