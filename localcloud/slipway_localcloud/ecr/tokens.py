"""The tokens of GetAuthorizationToken: who may speak to /v2/, in which account and region, and until when."""

from __future__ import annotations

import base64
import binascii
import secrets

from .access import Principal
from .records import host, now

LIFETIME = 12 * 3600.0
_tokens: dict[str, tuple[Principal, float]] = {}


def issue(principal: Principal) -> dict[str, object]:
    """A new token of the principal, as GetAuthorizationToken shows it."""
    time, password = now(), secrets.token_urlsafe(48)
    for old in [old for old, (_, until) in _tokens.items() if until + LIFETIME < time]:
        del _tokens[old]
    _tokens[password] = principal, time + LIFETIME
    return {
        "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
        "expiresAt": time + LIFETIME,
        "proxyEndpoint": f"http://{host()}",
    }


def expire() -> int:
    """Makes all tokens old, and says how many there are. Twelve hours are long for a test."""
    for password, (principal, _) in list(_tokens.items()):
        _tokens[password] = principal, now() - 1
    return len(_tokens)


def read(authorization: str) -> tuple[Principal, bool] | None:
    """The principal of a Basic authorization, and whether its token is still valid; None if it has no token."""
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    if user != "AWS" or password not in _tokens:
        return None
    principal, until = _tokens[password]
    return principal, until > now()
