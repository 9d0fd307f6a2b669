"""Words and secrets: which texts are too short or too common to be looked for in others. Pure."""

import re


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


SHORTEST = 5
"""Characters of a secret that is looked for in texts: hiding every `true` and `dev` would leave no text."""
LONG = 8
"""Characters from which on a secret that is no word is looked for within other words too."""

_WORD = re.compile(r"[A-Za-z]{1,24}(?:[-_. ][A-Za-z]{1,24}){0,2}|[0-9]{1,9}|v?[0-9]{1,5}(?:\.[0-9]{1,5}){1,3}")
_WORD_LENGTH = 20
_COMMON = word_set(
    "admin administrator anonymous changeme default disabled disable dummy enabled enable example false guest "
    "hello latest local localhost main master minio mysql nobody none null number object opaque passw0rd password "
    "postgres postgresql public rabbitmq redis release root secret server service string system tester token "
    "username users value values mongodb grafana keycloak prometheus alertmanager production staging development "
    "kubernetes cluster namespace internal external"
)


def is_common(secret: str) -> bool:
    """Tell whether a secret is a word so common that hiding it would tell more than it hides."""
    return len(secret) < SHORTEST or secret.lower() in _COMMON


def is_wordlike(secret: str) -> bool:
    """Tell whether a secret is short or a word, so that it may be part of ordinary names."""
    return len(secret) < LONG or (len(secret) <= _WORD_LENGTH and _WORD.fullmatch(secret) is not None)
