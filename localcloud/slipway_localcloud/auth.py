"""Who may call: every signature is verified, as on AWS.

ministack lets some keys in unchecked (`test`, twelve digits, the one in its environment), so that a
wrong secret would never be noticed. Here the caller is an IAM user with the administrator's policy:
that is also who EKS makes the first administrator of a cluster. A key id of twelve digits still stands
for the root of that account, but its signature counts.
"""

from __future__ import annotations

import re

from .upstream import ACCESS_KEY, SECRET_KEY

USER = "developer"
_ACCOUNT = re.compile(r"\d{12}")
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def _names_account(access_key_id: str) -> bool:
    return not access_key_id or bool(_ACCOUNT.fullmatch(access_key_id))


def install() -> None:
    """Makes the user, and ministack check all signatures."""
    from ministack.core import iam_evaluator
    from ministack.services import iam, sts

    iam_evaluator.is_root_access_key = _names_account
    sts.is_root_access_key = _names_account
    # Asked before a signature is checked: no key may pass without.
    iam_evaluator._is_root_key = lambda access_key_id: not access_key_id
    iam._create_user({"UserName": [USER]})
    iam._attach_user_policy({"UserName": [USER], "PolicyArn": [_ADMINISTRATOR]})
    iam._access_keys[ACCESS_KEY] = {
        "UserName": USER,
        "AccessKeyId": ACCESS_KEY,
        "SecretAccessKey": SECRET_KEY,
        "Status": "Active",
        "CreateDate": iam._now(),
    }
