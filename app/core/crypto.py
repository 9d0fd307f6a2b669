"""Secrets at rest: encrypted with AES-256-GCM under a key of the settings, and bound to the place where they are kept.

A secret is `s2.<id of the key>.<nonce, ciphertext and tag in base64url>`. Its place (table, column, primary key) is
authenticated with it, so that a secret that was put into another row is not decrypted there. Secrets of before are
Fernet tokens, which name no key and are bound to nothing: they are read, and `slipway keys rotate` rewrites them.

The key is `SLIPWAY_ENCRYPTION_KEY`, or what `SLIPWAY_ENCRYPTION_KEY_FILE` holds, or, with SQLite, a file beside the
database that is made when it is first needed. Several keys, separated by commas or spaces, let a new one take over:
the first encrypts, all of them decrypt.
"""

import base64
import binascii
import contextlib
import hmac
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.core.errors import UnavailableError
from app.core.private_files import is_ours, make_file, sqlite_file, tighten
from app.core.settings import Settings

SHORTEST = 32
"""Characters of a key: what is not a Fernet key is taken as random text of at least this length."""

_FEWEST_CHARACTERS = 6
"""Different ones in a key; of 32 random decimal digits fewer are seen once in ten million keys."""

_VERSION = "s2"
_FERNET = "gAAAA"
"""How each Fernet token begins for the next centuries: its version, 0x80, and the high bytes of its time."""

_FERNET_BYTES = 32
_NONCE_BYTES = 12
"""Random: NIST SP 800-38D allows 2**32 messages under one key then, far beyond what Slipway ever keeps."""


class EncryptionKeyError(ValueError):
    """There is no usable key; the message names the setting."""


class NoEncryptionKeyError(UnavailableError):
    """The operator has given no key, so secrets can be neither kept nor read."""

    code = "encryption_key_missing"
    title = "The service has no encryption key"


class UndecryptableError(Exception):
    """A secret was encrypted with a key that is not among those of the settings, or does not belong where it stands."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret is kept; `app/db/sealed.py` makes them, of columns that are declared to hold secrets."""

    table: str
    column: str
    row: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as messages name it: `releases.sealed_values of rel_…`."""
        return f"{self.table}.{self.column} of {' '.join(self.row)}"

    def authenticated(self) -> bytes:
        """Return what is authenticated with the secret; no two places have the same."""
        return json.dumps([_VERSION, self.table, self.column, *self.row]).encode()


@dataclass(frozen=True, slots=True)
class Opened:
    """A decrypted secret.

    Attributes:
        text: What it says.
        key_id: Which key it was encrypted with.
        bound: Whether it is bound to its place: those of before are not.
    """

    text: str
    key_id: str
    bound: bool


class _Key:
    """One word of the setting; what encrypts and what is shown of it are derived apart from each other."""

    def __init__(self, word: str) -> None:
        material = _random_bytes(word) or word.encode()
        self.id = _derived(material, b"slipway key id", 6).hex()
        self.aead = AESGCM(_derived(material, b"slipway secrets at rest, AES-256-GCM", 32))
        self.fernet = Fernet(fernet_key(word))
        self._fingerprints = _derived(material, b"slipway fingerprints of secrets, HMAC-SHA-256", 32)

    def fingerprint(self, text: str) -> str:
        return f"{self.id}:{hmac.digest(self._fingerprints, text.encode(), 'sha256').hex()}"


class Vault:
    """Encrypts and decrypts short texts; the key is read when it is first needed."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key

    @cached_property
    def _keys(self) -> dict[str, _Key]:
        known = words(self._key())
        if found := weakness(known[0]):  # a weak one further back must stay readable, so that it can be replaced
            raise EncryptionKeyError(
                f"The first key of SLIPWAY_ENCRYPTION_KEY {found}: `openssl rand -base64 32` makes one."
            )
        return {key.id: key for key in map(_Key, known)}

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys, the one that encrypts first.

        Raises:
            EncryptionKeyError: there is no usable key.
        """
        return list(self._keys)

    def check(self) -> None:
        """Raise EncryptionKeyError if there is no usable key."""
        _ = self._keys

    def encrypt(self, text: str, place: Place) -> str:
        """Return `text` encrypted, in ASCII, for this place alone.

        Raises:
            NoEncryptionKeyError: there is no usable key.
        """
        try:
            key = next(iter(self._keys.values()))
        except EncryptionKeyError as error:
            raise NoEncryptionKeyError(str(error), retry_after=300) from error
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + key.aead.encrypt(nonce, text.encode(), place.authenticated())
        return f"{_VERSION}.{key.id}.{base64.urlsafe_b64encode(sealed).decode('ascii')}"

    def decrypt(self, token: str, place: Place) -> str:
        """Return what `encrypt` was given.

        Raises:
            UndecryptableError: none of the keys fits, or there is none; or it was encrypted for another place.
        """
        return self.open(token, place).text

    def open(self, token: str, place: Place) -> Opened:
        """Return what `encrypt` was given, and what it was encrypted with.

        Raises:
            UndecryptableError: as `decrypt`.
        """
        try:
            return (
                self._open_bound(token, place) if token.startswith(f"{_VERSION}.") else self._open_fernet(token, place)
            )
        except EncryptionKeyError as error:
            raise UndecryptableError(f"{place} cannot be decrypted: {error}") from error

    def is_newest(self, opened: Opened) -> bool:
        """Tell whether a secret would be encrypted the same way now."""
        return opened.bound and opened.key_id == next(iter(self._keys))

    def _open_bound(self, token: str, place: Place) -> Opened:
        _, _, rest = token.partition(".")
        key_id, _, encoded = rest.partition(".")
        key = self._keys.get(key_id)
        if key is None:
            raise UndecryptableError(
                f"{place} was encrypted with the key {key_id}, which is not among those of SLIPWAY_ENCRYPTION_KEY "
                f"({', '.join(self._keys)})"
            )
        try:
            sealed = base64.urlsafe_b64decode(encoded)
            text = key.aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.authenticated()).decode()
        except (InvalidTag, ValueError) as error:
            raise UndecryptableError(f"{place} was altered, or was encrypted for another row") from error
        return Opened(text, key_id, bound=True)

    def _open_fernet(self, token: str, place: Place) -> Opened:
        for key in self._keys.values():
            with contextlib.suppress(InvalidToken):
                return Opened(key.fernet.decrypt(token.encode()).decode(), key.id, bound=False)
        raise UndecryptableError(
            f"{place} was encrypted with a key that is not among those of SLIPWAY_ENCRYPTION_KEY "
            f"({', '.join(self._keys)}); it is in the form of before, which names no key"
        )

    def fingerprint(self, text: str) -> str:
        """Return by what `text` is known again but cannot be guessed: an HMAC-SHA-256, after the id of its key.

        Raises:
            NoEncryptionKeyError: there is no usable key.
        """
        try:
            return next(iter(self._keys.values())).fingerprint(text)
        except EncryptionKeyError as error:
            raise NoEncryptionKeyError(str(error), retry_after=300) from error

    def has_fingerprint(self, text: str, fingerprint: str) -> bool | None:
        """Tell whether a fingerprint is that of `text`; None if it was made with a key that is gone."""
        try:
            key = self._keys.get(fingerprint.partition(":")[0])
        except EncryptionKeyError:
            return None
        return None if key is None else hmac.compare_digest(key.fingerprint(text), fingerprint)


def open_vault(settings: Settings) -> Vault:
    """Return the vault of these settings; nothing is read or made before it is used or checked."""
    return Vault(lambda: _find_key(settings))


def is_sealed(text: str) -> bool:
    """Tell whether a text is in a form that `Vault.encrypt` gives, or gave."""
    return text.startswith((f"{_VERSION}.", _FERNET))


def words(text: str) -> list[str]:
    """Return the keys of a setting or file.

    Raises:
        EncryptionKeyError: it holds none.
    """
    found = [word for word in re.split(r"[\s,]+", text) if word]
    if not found:
        raise EncryptionKeyError("SLIPWAY_ENCRYPTION_KEY is empty.")
    return found


def weakness(key: str) -> str | None:
    """Return what shows that a key of the right length is not random (`repeats itself`), None if nothing does."""
    if len(set(key)) < _FEWEST_CHARACTERS:
        return f"has fewer than {_FEWEST_CHARACTERS} different characters, so it is not random"
    if (key + key).find(key, 1) < len(key):
        return "repeats itself, so it is not random"
    return None


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
    raw = _random_bytes(word) or _derived(word.encode(), b"slipway secrets at rest", _FERNET_BYTES)
    return base64.urlsafe_b64encode(raw)


def _random_bytes(word: str) -> bytes | None:
    """Return the 32 bytes that a word is in base64, None if it is none."""
    with contextlib.suppress(binascii.Error, ValueError):
        raw = base64.b64decode(word.encode("ascii"), altchars=b"-_", validate=True)
        if len(raw) == _FERNET_BYTES:
            return raw
    return None


def _derived(material: bytes, purpose: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=purpose).derive(material)


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
    database = sqlite_file(settings.database_url)
    return Fernet.generate_key().decode("ascii") if database is None else _beside(database)


def _beside(database: Path) -> str:
    path = database.with_suffix(".key")
    try:
        if not path.exists():
            make_file(path, Fernet.generate_key() + b"\n")
        if not is_ours(path):
            raise EncryptionKeyError(
                f"{path} would be the encryption key, but is not a file of this user: if you put it there, say so by "
                "SLIPWAY_ENCRYPTION_KEY_FILE."
            )
    except OSError as error:
        raise EncryptionKeyError(f"An encryption key cannot be made beside the database: {error}") from error
    return _read(path)


def _read(path: Path) -> str:
    tighten(path, "the encryption key")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EncryptionKeyError(f"The encryption key's file cannot be read: {error}") from error
