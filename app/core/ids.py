"""Typed, sortable ids: a prefix that names the kind, and a ULID in lower case (`clu_01jd…`)."""

import re

from ulid import ULID

ID_PATTERN = re.compile(r"^(clu|ng|add|reg|rel|whk|op|acc|prj|key|req)_[0-9a-z]{26}$")


def new_id(prefix: str) -> str:
    """Return a new id; ids made later sort after earlier ones (to the millisecond)."""
    return f"{prefix}_{str(ULID()).lower()}"


def looks_like_id(value: str) -> bool:
    """Tell whether a word is in the form of an id; names in that form are refused."""
    return ID_PATTERN.fullmatch(value) is not None
