"""Which keys of the settings are some."""

import stat
from pathlib import Path
from typing import Any

import pytest

from app.access import admin_keys
from app.access.admin_keys import AdminKeyError
from app.access.service import hash_of, id_of
from app.core.ids import looks_like_id
from app.core.settings import Settings

ONE, TWO = "one-admin-key-of-the-tests-0123456789", "two-admin-key-of-the-tests-0123456789"
SQLITE = "sqlite:////nowhere/slipway.db"
POSTGRES = "postgresql://nobody@127.0.0.1:1/none"


def keys_of(**values: Any) -> list[str]:
    return admin_keys.of_settings(Settings(**({"database_url": SQLITE} | values)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ONE, [ONE]),
        (f"\n \t{ONE}\r\n\n", [ONE]),
        (f"{ONE},{TWO}", [ONE, TWO]),
        (f" {ONE} ,\n{TWO}\n", [ONE, TWO]),
        ("x" + ONE * 20, ["x" + ONE * 20]),
    ],
)
def test_keys_with_white_space_around_them(text: str, found: list[str], tmp_path: Path) -> None:
    assert keys_of(admin_key=text) == found
    file = tmp_path / "admin-key"
    file.write_bytes(text.encode())
    assert keys_of(admin_key_file=file) == found
    assert keys_of(admin_key=ONE, admin_key_file="/none") == [ONE]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        (f"{ONE},", "nothing beside a comma"),
        ("x", "1 characters; it must have 32"),
        ("short-hunter2-of-31-characters-", "has a key of 31"),
        (f"{ONE},hunter2", "7 characters; it must have 32"),
        (ONE * 40, "it must have 32 to 1024"),
        ("k" * 32, "different characters"),
        ("hunter2." * 4, "repeats itself"),
        (f"{ONE} {TWO}", "visible ASCII"),
        (f"{ONE}\x00", "visible ASCII"),
        (f"{ONE}\x7f", "visible ASCII"),
        (f"{ONE}ü", "visible ASCII"),
        (f"\ufeff{ONE}", "visible ASCII"),
        ("\udcff" + ONE, "visible ASCII"),
    ],
)
def test_keys_that_are_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AdminKeyError, match=said) as caught:
        keys_of(admin_key=text)
    assert str(caught.value).startswith("SLIPWAY_ADMIN_KEY ")
    file = tmp_path / "admin-key"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(AdminKeyError, match=said) as of_file:
        keys_of(admin_key_file=file)
    for error in (caught, of_file):
        assert "hunter2" not in str(error.value)
        assert ONE not in str(error.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(AdminKeyError, match="cannot be read"):
        keys_of(admin_key_file=Path("/no/such/file"))


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe" + ONE.encode("utf-16-le"))
    with pytest.raises(AdminKeyError, match="visible ASCII"):
        keys_of(admin_key_file=tmp_path / "key")


@pytest.mark.parametrize("url", [POSTGRES, "sqlite://", "sqlite:///:memory:"])
def test_without_a_file_to_keep_it_in_a_key_must_be_given(url: str) -> None:
    with pytest.raises(AdminKeyError, match="is needed"):
        admin_keys.check(Settings(database_url=url))
    admin_keys.check(Settings(database_url=url, admin_key=ONE))
    admin_keys.check(Settings(database_url=SQLITE))


def test_a_key_that_is_made(tmp_path: Path) -> None:
    path = admin_keys.made_file(Settings(database_url=f"sqlite:///{tmp_path / 'state' / 'slipway.db'}"))
    assert path == tmp_path / "state" / "slipway-admin.key"
    made = admin_keys.make(path)
    assert made.startswith("slw_")
    assert path.read_text() == f"{made}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert admin_keys.make(path) == made


def test_a_made_key_is_not_taken_from_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "planted").write_text(ONE)
    path = tmp_path / "slipway-admin.key"
    path.symlink_to(tmp_path / "planted")
    with pytest.raises(AdminKeyError, match="not a file of this user"):
        admin_keys.make(path)


def test_the_id_of_a_key_of_the_settings_is_the_same_everywhere() -> None:
    assert id_of(hash_of(ONE)) == id_of(hash_of(ONE)) != id_of(hash_of(TWO))
    assert looks_like_id(id_of(hash_of(ONE)))
