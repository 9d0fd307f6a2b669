"""API keys: checks the one that a caller sent, and sees to it that there is a first one."""

import hashlib
import hmac
import secrets

from app.access import repository
from app.core.caller import Caller
from app.core.errors import UnauthenticatedError
from app.db.base import DEFAULT_PROJECT
from app.db.session import Database

FROM_SETTINGS = "admin"
"""Name of the key that `SLIPWAY_ADMIN_KEY` holds; another value there takes the old one's place."""

MADE = "first"
"""Name of the key that was made because there was none."""

_LONGEST = 1024


def hash_of(key: str) -> str:
    """Return what is kept of a key. Keys are random, so a plain SHA-256 cannot be guessed back."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Access:
    """Who may call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def authenticate(self, token: str, request_id: str | None = None) -> Caller:
        """Return the caller whose key this is.

        Raises:
            UnauthenticatedError: nobody has it.
        """
        found = None
        if len(token) <= _LONGEST:
            key_hash = hash_of(token)
            async with self._database.read() as session:
                found = await repository.by_hash(session, key_hash)
        if found is None or not hmac.compare_digest(found.key_hash, key_hash):
            raise UnauthenticatedError("The API key is not valid.")
        return Caller(project_id=found.project_id, key_id=found.id, request_id=request_id)

    async def bootstrap(self, admin_key: str | None) -> str | None:
        """Register the admin key of the settings; without one and without any key, make one and return it.

        Only its hash is kept: it is shown now or never.
        """
        async with self._database.write() as session:
            await repository.lock(session)
            if admin_key:
                await repository.replace(session, DEFAULT_PROJECT, FROM_SETTINGS, hash_of(admin_key))
                return None
            if await repository.count(session):
                return None
            made = f"slw_{secrets.token_urlsafe(32)}"
            await repository.replace(session, DEFAULT_PROJECT, MADE, hash_of(made))
            return made
