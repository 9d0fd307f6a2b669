"""Policies of repositories and registries: what ECR takes for one."""

from __future__ import annotations

import json
import re
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import iam

from .records import invalid

_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/.+)")
_REGISTRY_ACTIONS = re.compile(r"ecr:(\*|CreateRepository|ReplicateImage|BatchImportUpstreamImage)")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check(text: str, kind: str) -> None:
    """Refuses a text that is no policy of a `repository` or `registry`, or names a principal that is not there."""
    try:
        document = json.loads(text)
        statements = _listed(document["Statement"])
        good = document.get("Version", "2008-10-17") in ("2008-10-17", "2012-10-17") and bool(statements)
        good = good and all(_good(statement, kind) for statement in statements)
    except (ValueError, KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise invalid("PolicyText", f"Invalid {kind} policy provided")


def _good(statement: dict[str, Any], kind: str) -> bool:
    known = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"}
    if kind == "registry":
        known |= {"Resource"}
    if set(statement) - known or statement.get("Effect") not in ("Allow", "Deny"):
        return False
    actions = _listed(statement.get("Action", statement.get("NotAction")))
    if kind == "registry":
        allowed = all(_REGISTRY_ACTIONS.fullmatch(action) for action in actions) and "Resource" in statement
    else:
        allowed = all(action == "*" or action.startswith("ecr:") for action in actions)
    return allowed and _good_principal(statement.get("Principal", statement.get("NotPrincipal")))


def _good_principal(principal: Any) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, dict) or not principal or set(principal) - {"AWS", "Service", "Federated"}:
        return False
    return all(_there(name) for name in _listed(principal.get("AWS", [])))


def _there(name: str) -> bool:
    """Whether AWS would find the principal; those of other accounts are taken for granted."""
    if name == "*" or re.fullmatch(r"\d{12}", name):
        return True
    if not _PRINCIPAL.fullmatch(name):
        return False
    _, _, _, _, account, resource = name.split(":", 5)
    kind, _, path = resource.partition("/")
    if account != get_account_id() or kind not in ("user", "role"):
        return True
    return path.rpartition("/")[2] in (iam._users if kind == "user" else iam._roles)
