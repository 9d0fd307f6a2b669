"""Deterministic names for stacks, change sets and request tokens.

AWS allows letters, digits and hyphens in all three, at most 128 characters, the first one a letter
(CreateStack `StackName` and `ClientRequestToken`, CreateChangeSet `ChangeSetName`). Slipway's ids hold an underscore
and resource names may hold `_ / .`, so both are turned into that form here and nowhere else.
"""

import hashlib
import re

MAX_LENGTH = 128
SHORT_ID_LENGTH = 12
SLUG_LENGTH = 60

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9]+")


def slug(text: str) -> str:
    """Return `text` with every run of other characters than letters and digits turned into one hyphen; may be empty."""
    return _NOT_ALLOWED.sub("-", text).strip("-")


def short_id(resource_id: str) -> str:
    """Return the last 12 characters of an id: 60 bits of the random half of its ULID, and a word to search logs by."""
    return slug(resource_id)[-SHORT_ID_LENGTH:].lstrip("-")


def stack_name(kind: str, resource_id: str, name: str) -> str:
    """Return the stack name of one resource, such as `slipway-prod-7k3m9q2v8w5x-cluster`.

    The shortened id sets a re-created cluster apart from the stack of an older one with the same name, which may
    still be there in DELETE_FAILED. Long names are cut, never the id or the kind.

    Args:
        kind: What the stack holds: `cluster`, `nodegroup`, `addon`, `registry`, …
        resource_id: The id of the resource (`clu_01jd…`).
        name: The readable part; for what belongs to a cluster `<cluster>/<name>`.
    """
    readable = slug(name)[:SLUG_LENGTH].strip("-")
    return "-".join(part for part in ("slipway", readable, short_id(resource_id), slug(kind)) if part)


def client_token(operation_id: str, phase: str, attempt: int) -> str:
    """Return the ClientRequestToken of one call: the same operation, phase and try give the same token.

    Args:
        operation_id: `op_01jd…`.
        phase: The step's name, in any characters: what the slug would lose is kept as a digest.
        attempt: The try, counted by the one who retries on purpose; never a claim counter.
    """
    readable = slug(phase)
    prefix = operation_token_prefix(operation_id)
    if readable == phase and len(token := f"{prefix}{phase}-{attempt}") <= MAX_LENGTH:
        return token
    end = f"{digest(phase, 16)}-{attempt}"
    return prefix + "-".join(part for part in (readable[:SLUG_LENGTH].strip("-"), end) if part)


def operation_token_prefix(operation_id: str) -> str:
    """Return what all tokens of an operation begin with, and no other's: CloudFormation's events carry them."""
    return f"slipway-{slug(operation_id)}-"


def change_set_name(operation_id: str, attempt: int) -> str:
    """Return the name of the change set that an operation makes in a given try."""
    return f"slipway-{slug(operation_id)}-{attempt}"


def digest(text: str, length: int = 8) -> str:
    """Return the first `length` hexadecimal characters of the SHA-256 of `text`, to set names apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]
