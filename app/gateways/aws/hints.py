"""What users can do about the failures that they meet most.

A table, read from the top: the first rule whose AWS code or message pattern fits wins, so the specific stand before
the general. The messages are AWS's own, as users quote them; the tests name where each was seen.
"""

from app.gateways.aws.hint_rule import Advice, Rule
from app.gateways.aws.hints_infrastructure import CAPACITY, NETWORK, QUOTAS
from app.gateways.aws.hints_services import ACCESS, NAMES, NODES, REGISTRIES, SECRETS, VERSIONS

__all__ = ["RULES", "Advice", "advise"]

RULES: tuple[Rule, ...] = (*QUOTAS, *CAPACITY, *NETWORK, *VERSIONS, *NODES, *REGISTRIES, *SECRETS, *ACCESS, *NAMES)
"""The table, in order of precedence."""


def advise(aws_code: str | None, message: str) -> Advice | None:
    """Return what to do about a failure, or None if the table doesn't know it.

    Args:
        aws_code: AWS's code, or CloudFormation's HandlerErrorCode; None if the message has none.
        message: AWS's message.
    """
    for rule in RULES:
        if (advice := rule.advice(aws_code, message)) is not None:
            return advice
    return None
