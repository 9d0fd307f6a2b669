"""API keys: checks the one that a caller sent, and sees to it that there is a first one."""

import base64
import hashlib
import hmac
import logging
from collections.abc import Sequence
from pathlib import Path

from app.access import admin_keys, repository
from app.access.models import ApiKey
from app.core.caller import Caller
from app.core.errors import UnauthenticatedError
from app.db.base import DEFAULT_PROJECT
from app.db.session import Database

log = logging.getLogger(__name__)

MADE = "key_00000000000000000000000000"
"""Id of the key that is made where the settings have none; there is one at most."""


def hash_of(key: str) -> str:
    """Return what is kept of a key. Keys are random, so a plain SHA-256 cannot be guessed back."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def id_of(key_hash: str) -> str:
    """Return the id of a key of the settings: made of its hash, so that every process has the same for it."""
    return f"key_{base64.b32hexencode(bytes.fromhex(key_hash)[:16]).decode('ascii').rstrip('=').lower()}"


class Access:
    """Who may call."""

    def __init__(self, database: Database, keys: Sequence[str] = ()) -> None:
        """Take the admin keys of the settings (`admin_keys.of_settings`)."""
        self._database = database
        self._of_settings = {hash_of(key): id_of(hash_of(key)) for key in keys}

    async def authenticate(self, token: str, request_id: str | None = None) -> Caller:
        """Return the caller whose key this is.

        Raises:
            UnauthenticatedError: nobody has it.
        """
        if len(token) > admin_keys.LONGEST:
            raise _not_valid()
        key_hash = hash_of(token)
        if key_id := self._of_settings.get(key_hash):
            return Caller(project_id=DEFAULT_PROJECT, key_id=key_id, request_id=request_id)
        async with self._database.read() as session:
            found = await repository.by_hash(session, key_hash)
        if found is None or not hmac.compare_digest(found.key_hash, key_hash):
            raise _not_valid()
        return Caller(project_id=found.project_id, key_id=found.id, request_id=request_id)

    async def bootstrap(self, path: Path | None) -> str | None:
        """See to it that there is a key; return one that was made now, which is in the file `path`.

        Keys of the settings end a key that was made before, and its file. Without any, and with no other key in the
        database, one is made. It stays valid without its file, which may be kept elsewhere.

        Raises:
            AdminKeyError: one is needed, and there is no place to make it.
        """
        if self._of_settings:
            _remove(path)
        async with self._database.write() as session:
            if self._of_settings:
                await repository.end(session, MADE)
                return None
            if await repository.count(session):
                return None
            if path is None:
                raise admin_keys.AdminKeyError("SLIPWAY_ADMIN_KEY is needed unless the database is a SQLite file.")
            made = admin_keys.make(path)
            session.add(ApiKey(id=MADE, project_id=DEFAULT_PROJECT, name="first", key_hash=hash_of(made)))
        log.warning("SLIPWAY_ADMIN_KEY is not set: the first API key was made, it is in %s", path)
        return made


def _remove(path: Path | None) -> None:
    """Remove the file of a key that is about to end; before the key, so that no start in between takes it up again."""
    if path is None:
        return
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s holds a key that is not valid any more, remove it: %s", path, error)
    else:
        log.warning("SLIPWAY_ADMIN_KEY is set: the key that was made before has ended, and %s is removed", path)


def _not_valid() -> UnauthenticatedError:
    return UnauthenticatedError("The API key is not valid.")
