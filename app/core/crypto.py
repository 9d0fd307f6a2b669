"""Secrets at rest: encrypted with Fernet (AES-128-CBC and HMAC-SHA-256) under the key of the settings.

The key is `SLIPWAY_ENCRYPTION_KEY`, or what `SLIPWAY_ENCRYPTION_KEY_FILE` holds, or, with SQLite, a file beside the
database that is made when it is first needed. Several keys, separated by commas or spaces, let a new one take over:
the first encrypts, all of them decrypt.
"""

import base64
import binascii
import contextlib
import hmac
import logging
import os
import re
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.engine import make_url

from app.core.errors import UnavailableError
from app.core.settings import Settings

log = logging.getLogger(__name__)

SHORTEST = 32
"""Characters of a key: what is not a Fernet key is taken as random text of at least this length."""

_FERNET_BYTES = 32


class EncryptionKeyError(ValueError):
    """There is no usable key; the message names the setting."""


class NoEncryptionKeyError(UnavailableError):
    """The operator has given no key, so secrets can be neither kept nor read."""

    code = "encryption_key_missing"
    title = "The service has no encryption key"


class UndecryptableError(Exception):
    """A secret was encrypted with a key that is not among those of the settings."""


class Vault:
    """Encrypts and decrypts short texts; the key is read when it is first needed."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key

    @cached_property
    def _fernet(self) -> MultiFernet:
        return MultiFernet([Fernet(fernet_key(word)) for word in words(self._key())])

    def check(self) -> None:
        """Raise EncryptionKeyError if there is no usable key."""
        _ = self._fernet

    def encrypt(self, text: str) -> str:
        """Return `text` encrypted, in ASCII.

        Raises:
            NoEncryptionKeyError: there is no usable key.
        """
        try:
            return self._fernet.encrypt(text.encode()).decode("ascii")
        except EncryptionKeyError as error:
            raise NoEncryptionKeyError(str(error), retry_after=300) from error

    def decrypt(self, token: str) -> str:
        """Return what `encrypt` was given.

        Raises:
            UndecryptableError: none of the keys fits, or there is none.
        """
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except (InvalidToken, EncryptionKeyError) as error:
            raise UndecryptableError("no key of SLIPWAY_ENCRYPTION_KEY fits this secret") from error

    def fingerprint(self, text: str) -> str:
        """Return by what `text` is known again but cannot be guessed: an HMAC-SHA-256, after the name of its key.

        Raises:
            NoEncryptionKeyError: there is no usable key.
        """
        try:
            return _fingerprint(self._fingerprint_keys[0], text)
        except EncryptionKeyError as error:
            raise NoEncryptionKeyError(str(error), retry_after=300) from error

    def has_fingerprint(self, text: str, fingerprint: str) -> bool | None:
        """Tell whether a fingerprint is that of `text`; None if it was made with a key that is gone."""
        try:
            keys = self._fingerprint_keys
        except EncryptionKeyError:
            return None
        name = fingerprint.partition(":")[0]
        made_with = next((key for key in keys if _name_of(key) == name), None)
        return None if made_with is None else hmac.compare_digest(_fingerprint(made_with, text), fingerprint)

    @cached_property
    def _fingerprint_keys(self) -> list[bytes]:
        return [
            HKDF(SHA256(), _FERNET_BYTES, salt=None, info=b"slipway fingerprints of secrets").derive(fernet_key(word))
            for word in words(self._key())
        ]


def _name_of(key: bytes) -> str:
    return hmac.digest(key, b"name of the key", "sha256").hex()[:8]


def _fingerprint(key: bytes, text: str) -> str:
    return f"{_name_of(key)}:{hmac.digest(key, b'text:' + text.encode(), 'sha256').hex()}"


def open_vault(settings: Settings) -> Vault:
    """Return the vault of these settings; nothing is read or made before it is used or checked."""
    return Vault(lambda: _find_key(settings))


def words(text: str) -> list[str]:
    """Return the keys of a setting or file.

    Raises:
        EncryptionKeyError: it holds none.
    """
    found = [word for word in re.split(r"[\s,]+", text) if word]
    if not found:
        raise EncryptionKeyError("SLIPWAY_ENCRYPTION_KEY is empty.")
    return found


def fernet_key(word: str) -> bytes:
    """Return the Fernet key that `word` is, or that is derived from it.

    Raises:
        EncryptionKeyError: it is too short to be random.
    """
    if len(word) < SHORTEST:
        raise EncryptionKeyError(
            f"SLIPWAY_ENCRYPTION_KEY has {len(word)} characters; it must be random and have at least {SHORTEST}: "
            "`openssl rand -base64 32` makes one."
        )
    with contextlib.suppress(binascii.Error, ValueError):
        raw = base64.b64decode(word.encode("ascii"), altchars=b"-_", validate=True)
        if len(raw) == _FERNET_BYTES:
            return base64.urlsafe_b64encode(raw)
    derived = HKDF(SHA256(), _FERNET_BYTES, salt=None, info=b"slipway secrets at rest")
    return base64.urlsafe_b64encode(derived.derive(word.encode()))


def _find_key(settings: Settings) -> str:
    if settings.encryption_key is not None:
        return settings.encryption_key.get_secret_value()
    if settings.encryption_key_file is not None:
        return _read(settings.encryption_key_file.expanduser())
    if not settings.is_sqlite:
        raise EncryptionKeyError(
            "SLIPWAY_ENCRYPTION_KEY (or SLIPWAY_ENCRYPTION_KEY_FILE) is needed with PostgreSQL: the same one in every "
            "replica. `openssl rand -base64 32` makes one."
        )
    database = make_url(settings.database_url).database
    if not database or database == ":memory:":
        return Fernet.generate_key().decode("ascii")
    path = Path(database).expanduser().with_suffix(".key")
    if not path.exists():
        _make(path)
    return _read(path)


def _read(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            log.warning("%s holds the encryption key and can be read by others: chmod 600 it", path)
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EncryptionKeyError(f"The encryption key's file cannot be read: {error}") from error


def _make(path: Path) -> None:
    """Make a key file, whole or not at all; of two processes, the first one's key is kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # mode 0600
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            with contextlib.suppress(FileExistsError):
                os.link(name, path)
        finally:
            Path(name).unlink()
    except OSError as error:
        raise EncryptionKeyError(f"An encryption key cannot be made beside the database: {error}") from error
