"""Who may do what with a repository: IAM's policies and the repository's own, as ministack evaluates them."""

from __future__ import annotations

from dataclasses import dataclass

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, set_request_account_id
from ministack.services import ecr

from ..errors import AwsError


@dataclass(frozen=True)
class Principal:
    """Who calls: the access key, and the account and region it was used in."""

    access_key: str
    account: str
    region: str


def check(principal: Principal, action: str, registry: str, name: str) -> None:
    """Refuses an action (`ecr:BatchGetImage`) on a repository that the principal may not do.

    Within an account one of the policies of the principal and of the repository must allow it, between
    accounts both.
    """
    before = get_account_id()
    set_request_account_id(principal.account)
    try:
        found = iam_evaluator.resolve_principal(principal.access_key, principal.account)
    finally:
        set_request_account_id(before)
    if isinstance(found, iam_evaluator.AuthError):
        raise AwsError(found.code, found.message, service="Ecr")
    arn = f"arn:aws:ecr:{principal.region}:{registry}:repository/{name}"
    context = iam_evaluator.EvalContext(
        principal_arn=found.arn, principal_type=found.type, principal_account=found.account, action=action,
        resource_arn=arn, region=principal.region, principal_keys=found.keys,
    )  # fmt: skip
    policies = found.policies
    if policies is None:
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policies = [iam_evaluator.parse_policy_document({"Statement": everything})]
    identity = iam_evaluator.evaluate(context, policies, *found.limits)
    policy = ecr._repo_policies.get_scoped(registry, principal.region, name)
    result = iam_evaluator.combine_resource_policy(identity, context, policy, registry, limits=tuple(found.limits))
    if result.decision != "Allow":
        if result.decision == "Deny":
            kind = "a resource" if result.resource_policy_arn else "an identity"
            why = f"with an explicit deny in {kind}-based policy"
        else:
            kind = "identity" if registry == principal.account else "resource"
            why = f"because no {kind}-based policy allows the {action} action"
        raise AwsError(
            "AccessDeniedException",
            f"User: {found.arn} is not authorized to perform: {action} on resource: {arn} {why}",
            service="Ecr",
        )
