"""Typed, sortable ids: a prefix that names the kind, and a ULID in lower case (`clu_01jd…`)."""

import re

from ulid import ULID

ID_PATTERN = re.compile(r"^[a-z]{2,5}_[0-9a-z]{26}$")
"""A prefix, whichever kinds there are, and the form of a ULID; the id of a key of the settings is made of its hash."""

_MILLISECOND = 1 << 80
"""The low 80 bits of a ULID are random, the rest is the time in milliseconds."""

_newest = 0


def new_id(prefix: str) -> str:
    """Return a new id; of two ids made by one process, the later one sorts after the earlier one."""
    global _newest  # the order of ids is a property of the process
    value = int(ULID())
    if value // _MILLISECOND <= _newest // _MILLISECOND:
        value = _newest + 1
    _newest = value
    return f"{prefix}_{str(ULID.from_int(value)).lower()}"


def looks_like_id(value: str) -> bool:
    """Tell whether a word is in the form of an id; names in that form are refused."""
    return ID_PATTERN.fullmatch(value) is not None
