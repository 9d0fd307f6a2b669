"""Signing secrets in the form of Standard Webhooks: `whsec_` and 24 to 64 random bytes in base64. Pure.

A rotation puts a new one before the old ones, which go on signing until they expire: a receiver that knows either
accepts every message, so that there is no gap.
"""

import base64
import binascii
import secrets
from datetime import datetime, timedelta
from typing import Any

from app.core.crypto import Place, Vault

PREFIX = "whsec_"
SIZES = range(24, 65)
"""Bytes that a secret may have (Standard Webhooks, "Signature scheme")."""

MADE_BYTES = 32
KEPT = 5
"""Secrets that sign at once; of more, the oldest goes."""

Sealed = list[dict[str, Any]]
"""As the tables keep them, newest first: `{"secret": encrypted, "expires_at": null | RFC 3339}`."""


def make() -> str:
    """Return a new secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(MADE_BYTES)).decode("ascii")


def check(secret: str) -> str:
    """Return a secret that a caller brought.

    Raises:
        ValueError: it is not in the form, or too short.
    """
    form = f"must be {PREFIX} followed by base64"
    if not secret.startswith(PREFIX):
        raise ValueError(form)
    try:
        size = len(base64.b64decode(secret.removeprefix(PREFIX), validate=True))
    except (binascii.Error, ValueError):
        raise ValueError(form) from None
    if size < SIZES.start:
        raise ValueError(f"is too short: {size} bytes, must be at least {SIZES.start}")
    if size not in SIZES:
        raise ValueError(f"is too long: {size} bytes, must be at most {SIZES.stop - 1}")
    return secret


def first(vault: Vault, place: Place, secret: str) -> Sealed:
    """Return what a table keeps, at `place`, of an endpoint's first secret."""
    return [{"secret": vault.encrypt(secret, place), "expires_at": None}]


def rotated(
    vault: Vault, place: Place, sealed: Sealed, secret: str, *, now: datetime, overlap_seconds: float
) -> Sealed:
    """Return the secrets with a new one in front; the present one signs for `overlap_seconds` more."""
    until = (now + timedelta(seconds=overlap_seconds)).isoformat()
    kept = [
        entry if entry["expires_at"] and entry["expires_at"] <= until else {**entry, "expires_at": until}
        for entry in _valid(sealed, now)
    ]
    return [*first(vault, place, secret), *(kept if overlap_seconds else [])][:KEPT]


def opened(vault: Vault, place: Place, sealed: Sealed, now: datetime) -> list[str]:
    """Return the secrets that sign now, the newest first.

    Raises:
        UndecryptableError: they were encrypted under another key, or for another place.
    """
    return [vault.decrypt(entry["secret"], place) for entry in _valid(sealed, now)]


def _valid(sealed: Sealed, now: datetime) -> Sealed:
    return [entry for entry in sealed if not entry["expires_at"] or datetime.fromisoformat(entry["expires_at"]) > now]
