"""Encryption at rest."""

import base64
import logging
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from app.core.crypto import (
    EncryptionKeyError,
    NoEncryptionKeyError,
    Place,
    UndecryptableError,
    Vault,
    fernet_key,
    is_sealed,
    open_vault,
    weakness,
)
from app.core.settings import Settings

POSTGRES = "postgresql://nobody@127.0.0.1:1/none"
HERE = Place("webhooks", "secrets", ("whk_1",))
RANDOM = bytes(range(7, 256, 8))
"""32 bytes that both alphabets of base64 write with letters of their own."""
OLD, NEW = "the-old-key-of-thirty-two-letters", "the-new-key-of-thirty-two-letters"


def vault_of(key: str) -> Vault:
    return open_vault(Settings(database_url=POSTGRES, encryption_key=key))


def before(key: str, text: str) -> str:
    """Encrypt as earlier builds did."""
    return Fernet(fernet_key(key)).encrypt(text.encode()).decode()


def test_a_key_file_is_made_beside_the_database(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'new' / 'slipway.db'}")
    path = tmp_path / "new" / "slipway.key"
    vault = open_vault(settings)
    assert not path.exists()
    sealed = vault.encrypt("whsec_x", HERE)
    assert "whsec_x" not in sealed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [child.name for child in path.parent.iterdir()] == ["slipway.key"]
    assert open_vault(settings).decrypt(sealed, HERE) == "whsec_x"


def test_a_key_file_that_somebody_else_put_there_is_not_taken(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    planted.write_text("an-attackers-key-that-is-long-enough\n")
    (tmp_path / "slipway.key").symlink_to(planted)
    with pytest.raises(EncryptionKeyError, match="not a file of this user"):
        open_vault(Settings(database_url=f"sqlite:///{tmp_path / 'slipway.db'}")).check()


def test_the_key_of_the_settings_or_of_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {OLD}\n")
    file.chmod(0o644)
    one = vault_of(OLD)
    two = open_vault(Settings(database_url=POSTGRES, encryption_key_file=file))
    with caplog.at_level(logging.WARNING):
        assert two.decrypt(one.encrypt("text", HERE), HERE) == "text"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "could be read by others (mode 0644): it is 0600 now" in caplog.text


@pytest.mark.parametrize("key", [OLD, base64.b64encode(RANDOM).decode(), base64.urlsafe_b64encode(RANDOM).decode()])
def test_a_secret_names_its_key_and_tells_nothing_else(key: str) -> None:
    vault = vault_of(key)
    one, two = vault.encrypt("text", HERE), vault.encrypt("text", HERE)
    assert one != two
    assert re.fullmatch(rf"s2\.{vault.key_ids[0]}\.[A-Za-z0-9_=-]+", one)
    assert re.fullmatch("[0-9a-f]{12}", vault.key_ids[0])
    assert vault_of(key).key_ids == vault.key_ids != vault_of(NEW).key_ids
    assert is_sealed(one)
    assert vault.is_newest(vault.open(one, HERE))


def test_a_new_key_takes_over() -> None:
    first = vault_of(OLD).encrypt("text", HERE)
    both = vault_of(f"{NEW},{OLD}")
    assert both.decrypt(first, HERE) == "text"
    assert not both.is_newest(both.open(first, HERE))
    after = vault_of(NEW)
    assert after.decrypt(both.encrypt("text", HERE), HERE) == "text"
    old_id, new_id = vault_of(OLD).key_ids[0], after.key_ids[0]
    with pytest.raises(UndecryptableError, match=rf"the key {old_id}, which is not among .* \({new_id}\)"):
        after.decrypt(first, HERE)


def test_what_was_encrypted_before_is_read_and_is_not_the_newest() -> None:
    sealed = before(OLD, "text")
    assert is_sealed(sealed)
    vault = vault_of(f"{NEW} {OLD}")
    opened = vault.open(sealed, HERE)
    assert (opened.text, opened.key_id, opened.bound) == ("text", vault.key_ids[1], False)
    assert not vault_of(OLD).is_newest(vault_of(OLD).open(sealed, HERE))
    with pytest.raises(UndecryptableError, match="names no key"):
        vault_of(NEW).decrypt(sealed, HERE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place("webhooks", "secrets", ("whk_2",)),
        Place("callback_secrets", "secrets", ("whk_1",)),
        Place("webhooks", "other", ("whk_1",)),
        Place("webhooks", "secrets", ("whk_1", "")),
    ],
)
def test_a_secret_is_decrypted_at_its_place_alone(elsewhere: Place) -> None:
    vault = vault_of(OLD)
    with pytest.raises(
        UndecryptableError, match=re.escape(f"{elsewhere} was altered, or was encrypted for another row")
    ):
        vault.decrypt(vault.encrypt("text", HERE), elsewhere)


@given(st.lists(st.text(max_size=4), min_size=3, max_size=5), st.lists(st.text(max_size=4), min_size=3, max_size=5))
def test_no_two_places_are_authenticated_alike(one: list[str], two: list[str]) -> None:
    first, second = (Place(words[0], words[1], tuple(words[2:])) for words in (one, two))
    assert (first.authenticated() == second.authenticated()) == (first == second)


@given(st.data())
def test_no_altered_secret_is_decrypted(data: st.DataObject) -> None:
    vault = vault_of(OLD)
    sealed = vault.encrypt("some text", HERE)
    raw = bytearray(base64.urlsafe_b64decode(sealed.split(".")[2]))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    head = sealed.rpartition(".")[0]
    for altered in (base64.urlsafe_b64encode(raw).decode(), sealed.rpartition(".")[2][: data.draw(st.integers(0, 50))]):
        with pytest.raises(UndecryptableError):
            vault.decrypt(f"{head}.{altered}", HERE)


@pytest.mark.parametrize("token", ["", "s2.", "s2..", "s2.x", "gAAAA", "text", "s2.{id}.ä", "s2.{id}.%%%"])
def test_what_is_no_secret_at_all(token: str) -> None:
    vault = vault_of(OLD)
    with pytest.raises(UndecryptableError):
        vault.decrypt(token.replace("{id}", vault.key_ids[0]), HERE)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "SLIPWAY_ENCRYPTION_KEY"),
        ({"encryption_key": "hunter2"}, "at least 32"),
        ({"encryption_key": " , "}, "empty"),
        ({"encryption_key": "k" * 32}, "different characters"),
        ({"encryption_key": f"{'hunter2' * 6},{OLD}"}, "repeats itself"),
        ({"encryption_key_file": Path("/no/such/file")}, "cannot be read"),
    ],
)
def test_without_a_usable_key(values: dict[str, Any], said: str) -> None:
    vault = open_vault(Settings(database_url=POSTGRES, **values))
    with pytest.raises(EncryptionKeyError, match=said) as caught:
        vault.check()
    assert "hunter2" not in str(caught.value)
    with pytest.raises(NoEncryptionKeyError):
        vault.encrypt("text", HERE)
    for token in ("text", "s2.0.x"):
        with pytest.raises(UndecryptableError):
            vault.decrypt(token, HERE)


def test_a_weak_key_can_be_replaced() -> None:
    assert vault_of(f"{NEW},{'k' * 32}").decrypt(before("k" * 32, "text"), HERE) == "text"


@pytest.mark.parametrize("key", ["k" * 64, "ab" * 20, "password" * 4, "aabbccddee" + "e" * 30])
def test_keys_that_are_not_random(key: str) -> None:
    assert weakness(key)


def test_keys_that_are_random() -> None:
    for key in (os.urandom(16).hex(), base64.b64encode(os.urandom(24)).decode(), "31415926535897932384626433832795"):
        assert weakness(key) is None
