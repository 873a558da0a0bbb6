"""Secrets at rest: the first key encrypts, each decrypts, nothing decrypts for another owner; keys can be changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from jitui.encryption import Encryption, new_key
from jitui.errors import NotConfigured
from jitui.settings import read_settings

HOME = {"HOME": "/home/ada"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY, NEWER = new_key(), new_key()


def test_what_is_stored_shows_neither_the_secret_nor_its_owner_and_decrypts_to_it() -> None:
    encryption = Encryption([KEY])
    stored = encryption.encrypt(SECRET, "ada")
    assert SECRET not in stored and "ada" not in stored and encryption.encrypt(SECRET, "ada") != stored
    assert encryption.decrypt(stored, "ada") == SECRET


@pytest.mark.parametrize("whose", ["eve", "", "ad", "adaa", "ada\0"], ids=repr)
@pytest.mark.parametrize("may_be_unbound", [False, True], ids=["bound", "or unbound"])
def test_nothing_decrypts_for_another_owner(whose: str, may_be_unbound: bool) -> None:
    encryption = Encryption([KEY])
    stored = encryption.encrypt(SECRET, "ada")
    for read in (encryption.decrypt, encryption.renew):
        with pytest.raises(NotConfigured, match="belongs to something else"):
            read(stored, whose, may_be_unbound=may_be_unbound)


def test_what_was_stored_without_its_owner_decrypts_only_where_it_is_said_to_and_gets_its_owner() -> None:
    encryption = Encryption([KEY])
    unbound = Fernet(KEY).encrypt(SECRET.encode()).decode()
    with pytest.raises(NotConfigured, match="belongs to something else"):
        encryption.decrypt(unbound, "ada")
    assert encryption.decrypt(unbound, "ada", may_be_unbound=True) == SECRET
    renewed = encryption.renew(unbound, "ada", may_be_unbound=True)
    assert encryption.decrypt(renewed, "ada") == SECRET


def test_the_format_of_a_bound_secret_is_its_owner_a_zero_byte_and_the_secret() -> None:
    """What lies in databases: seeds of second factors were stored so from the beginning."""
    stored = Fernet(KEY).encrypt(b"ada\0" + SECRET.encode()).decode()
    assert Encryption([KEY]).decrypt(stored, "ada") == SECRET


def test_a_key_is_changed_by_putting_a_new_one_before_it_and_renewing() -> None:
    stored = Encryption([KEY]).encrypt(SECRET, "ada")
    both = Encryption([NEWER, KEY])
    assert both.decrypt(stored, "ada") == SECRET
    renewed = both.renew(stored, "ada")
    assert renewed != stored and both.renew(renewed, "ada") == renewed
    assert Encryption([NEWER]).decrypt(renewed, "ada") == SECRET
    with pytest.raises(NotConfigured, match="cannot be decrypted"):
        Encryption([KEY]).decrypt(both.encrypt(SECRET, "ada"), "ada")


@pytest.mark.parametrize("keys", [(), (NEWER,)], ids=["none", "another"])
@pytest.mark.parametrize("cut", [0, 4], ids=["whole", "cut"])
def test_without_the_right_key_nothing_is_read(keys: tuple[str, ...], cut: int) -> None:
    stored = Encryption([KEY]).encrypt(SECRET, "ada")
    encryption = Encryption(keys)
    for read in (encryption.decrypt, encryption.renew):
        with pytest.raises(NotConfigured, match="JITUI_ENCRYPTION_KEY_FILE"):
            read(stored[: len(stored) - cut], "ada")


def test_without_a_key_nothing_is_stored() -> None:
    assert not Encryption([]).is_configured and Encryption([KEY]).is_configured
    with pytest.raises(NotConfigured, match="set JITUI_ENCRYPTION_KEY_FILE"):
        Encryption([]).encrypt(SECRET, "ada")


@pytest.mark.parametrize("text", ["not-a-key", f"{KEY}\nnot-a-key"], ids=["no key", "a key and none"])
def test_a_line_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NotConfigured, match="JITUI_ENCRYPTION_KEY_FILE"):
        Encryption(text.split())


def test_the_keys_are_those_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    keys = (new_key(), new_key())
    file = tmp_path / "keys"
    file.write_text("\n".join(keys) + "\n")
    settings = read_settings({**HOME, "JITUI_ENCRYPTION_KEY_FILE": str(file)})
    assert settings.encryption_keys() == keys
    assert read_settings(HOME).encryption_keys() == ()
    file.write_text(keys[1])
    assert settings.encryption_keys() == (keys[1],)
