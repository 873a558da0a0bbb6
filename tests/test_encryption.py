"""Secrets at rest: the newest key encrypts, every key that is set decrypts, and a key can be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from jitui.encryption import Encryption, new_key
from jitui.errors import NotConfigured
from jitui.settings import read_settings

HOME = {"HOME": "/home/ada"}
SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def of(*keys: str) -> Encryption:
    return Encryption(lambda: keys)


def test_what_is_stored_does_not_show_the_secret_and_decrypts_to_it() -> None:
    encryption = of(new_key())
    stored = encryption.encrypt(SECRET)
    assert SECRET not in stored and encryption.encrypt(SECRET) != stored
    assert encryption.decrypt(stored) == SECRET


def test_a_key_is_changed_by_putting_a_new_one_before_it_and_renewing() -> None:
    old, new = new_key(), new_key()
    stored = of(old).encrypt(SECRET)
    both = of(new, old)
    assert both.decrypt(stored) == SECRET
    with pytest.raises(NotConfigured, match="lacks the key that encrypted it"):
        of(new).decrypt(both.renew(of(old).encrypt(SECRET))[:-4])
    assert of(new).decrypt(both.renew(stored)) == SECRET
    with pytest.raises(NotConfigured, match="cannot be decrypted"):
        of(old).decrypt(both.encrypt(SECRET))


@pytest.mark.parametrize("keys", [(), (new_key(),)], ids=["none", "another"])
def test_without_the_right_key_nothing_is_read(keys: tuple[str, ...]) -> None:
    stored = of(new_key()).encrypt(SECRET)
    for read in (of(*keys).decrypt, of(*keys).renew):
        with pytest.raises(NotConfigured, match="JITUI_ENCRYPTION_KEY_FILE"):
            read(stored)


def test_without_a_key_nothing_is_stored() -> None:
    assert not of().is_configured and of(new_key()).is_configured
    with pytest.raises(NotConfigured, match="set JITUI_ENCRYPTION_KEY_FILE"):
        of().encrypt(SECRET)


def test_the_keys_are_those_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    keys = (new_key(), new_key())
    file = tmp_path / "keys"
    file.write_text("\n".join(keys) + "\n")
    settings = read_settings({**HOME, "JITUI_ENCRYPTION_KEY_FILE": str(file)})
    assert settings.encryption_keys() == keys
    assert read_settings(HOME).encryption_keys() == ()
    file.write_text(keys[1])
    assert settings.encryption_keys() == (keys[1],)
