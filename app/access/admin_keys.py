"""The first admin key: the operator's (`SLIPWAY_ADMIN_KEY`, `SLIPWAY_ADMIN_KEY_FILE`), or one that is made into a file.

A key of the settings is nowhere in the database: each process takes the keys of its own settings, so one that is taken
out of them ends with the processes that had it, and replicas with different ones do not end each other's while they are
replaced one by one. Several, separated by commas, all count: so a new one takes over without a moment in which callers
of either are refused.
"""

import secrets
from pathlib import Path

from app.core.crypto import SHORTEST, weakness
from app.core.private_files import is_ours, make_file, sqlite_file, tighten
from app.core.settings import Settings

LONGEST = 1024
"""Characters; a longer one is refused by the look of it."""

_HOW = "`openssl rand -hex 24` makes one."


class AdminKeyError(ValueError):
    """There is no usable admin key; the message names the setting, and never the key."""


def of_settings(settings: Settings) -> list[str]:
    """Return the admin keys of the settings, [] if there are none; white space around a key is not a part of it.

    Raises:
        AdminKeyError: one is too short or too long, is not random, or cannot stand in a header; or the file cannot be
            read.
    """
    if settings.admin_key is not None:
        name, text = "SLIPWAY_ADMIN_KEY", settings.admin_key.get_secret_value()
    elif settings.admin_key_file is not None:
        name, text = "SLIPWAY_ADMIN_KEY_FILE", _read(settings.admin_key_file.expanduser())
    else:
        return []
    return [_checked(name, key.strip()) for key in text.split(",")]


def made_file(settings: Settings) -> Path | None:
    """Return where a key is made that the settings do not give: beside the SQLite database; else nowhere."""
    database = sqlite_file(settings.database_url)
    return database and database.with_name(f"{database.stem}-admin.key")


def check(settings: Settings) -> None:
    """Raise AdminKeyError unless there is an admin key, or a place to make one."""
    if not of_settings(settings) and made_file(settings) is None:
        raise AdminKeyError(
            "SLIPWAY_ADMIN_KEY (or SLIPWAY_ADMIN_KEY_FILE) is needed unless the database is a SQLite file, the same in "
            f"every replica. {_HOW}"
        )


def make(path: Path) -> str:
    """Make a key, readable by this user alone, and return it; one that is there already (a start was cut off) stays.

    Raises:
        AdminKeyError: the file cannot be made, or somebody else has put it there.
    """
    try:
        make_file(path, f"slw_{secrets.token_urlsafe(32)}\n".encode("ascii"))
        if not is_ours(path):
            raise AdminKeyError(f"{path} would hold the first API key, but is not a file of this user: remove it.")
    except OSError as error:
        raise AdminKeyError(f"The first API key cannot be written beside the database: {error}") from error
    return _checked(str(path), _read(path).strip())


def _read(path: Path) -> str:
    tighten(path, "an API key")
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise AdminKeyError(f"The admin key's file cannot be read: {error}") from error


def _checked(name: str, key: str) -> str:
    if not key:
        raise AdminKeyError(f"{name} is empty, or has nothing beside a comma: unset it, or give it a key. {_HOW}")
    if not all("!" <= character <= "~" for character in key):
        raise AdminKeyError(
            f"{name} has characters inside a key that no header takes: only visible ASCII is one. {_HOW}"
        )
    if not SHORTEST <= len(key) <= LONGEST:
        raise AdminKeyError(f"{name} has a key of {len(key)} characters; it must have {SHORTEST} to {LONGEST}. {_HOW}")
    if found := weakness(key):
        raise AdminKeyError(f"{name} {found}. {_HOW}")
    return key
