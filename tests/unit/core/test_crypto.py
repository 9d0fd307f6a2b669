"""Encryption at rest."""

import stat
from pathlib import Path

import pytest

from app.core.crypto import EncryptionKeyError, NoEncryptionKeyError, UndecryptableError, open_vault
from app.core.settings import Settings

POSTGRES = "postgresql://nobody@127.0.0.1:1/none"


def test_a_key_file_is_made_beside_the_database(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'new' / 'slipway.db'}")
    path = tmp_path / "new" / "slipway.key"
    vault = open_vault(settings)
    assert not path.exists()
    sealed = vault.encrypt("whsec_x")
    assert "whsec_x" not in sealed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["slipway.key"]
    assert open_vault(settings).decrypt(sealed) == "whsec_x"


def test_the_key_of_the_settings_or_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("a secret of thirty-two characters\n".replace(" ", "-"))
    file.chmod(0o600)
    one = open_vault(Settings(database_url=POSTGRES, encryption_key="a-secret-of-thirty-two-characters"))
    two = open_vault(Settings(database_url=POSTGRES, encryption_key_file=file))
    assert two.decrypt(one.encrypt("text")) == "text"


def test_a_new_key_takes_over() -> None:
    old, new = "o" * 32, "n" * 32
    before = open_vault(Settings(database_url=POSTGRES, encryption_key=old)).encrypt("text")
    both = open_vault(Settings(database_url=POSTGRES, encryption_key=f"{new},{old}"))
    assert both.decrypt(before) == "text"
    after = open_vault(Settings(database_url=POSTGRES, encryption_key=new))
    assert after.decrypt(both.encrypt("text")) == "text"
    with pytest.raises(UndecryptableError):
        after.decrypt(before)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "SLIPWAY_ENCRYPTION_KEY"),
        ({"encryption_key": "hunter2"}, "at least 32"),
        ({"encryption_key": " , "}, "empty"),
        ({"encryption_key_file": Path("/no/such/file")}, "cannot be read"),
    ],
)
def test_without_a_usable_key(values: dict[str, str], said: str) -> None:
    vault = open_vault(Settings(database_url=POSTGRES, **values))
    with pytest.raises(EncryptionKeyError, match=said) as caught:
        vault.check()
    assert "hunter2" not in str(caught.value)
    with pytest.raises(NoEncryptionKeyError):
        vault.encrypt("text")
    with pytest.raises(UndecryptableError):
        vault.decrypt("text")
