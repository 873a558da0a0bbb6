"""Secrets that have to be read again, encrypted where they are stored (Fernet: AES-128-CBC with HMAC-SHA-256).

The keys are in a file of the settings, one a line. The first encrypts; all of them decrypt, so that a new first key can
be put before the old one, everything stored be encrypted anew, and the old one be taken out.
"""

from __future__ import annotations

from collections.abc import Sequence

from jitui.errors import NotConfigured

SETTING = "JITUI_ENCRYPTION_KEY_FILE"
_NO_KEY_OPENS = f"No key in {SETTING} opens a stored secret; put the former key back into it."


class Sealer:
    """Encrypts and decrypts with the keys of one file.

    What is encrypted carries whom it is for, so that a stored text moved to somebody else's row does not open.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        from cryptography.fernet import Fernet, MultiFernet

        try:
            self._fernets = [Fernet(key) for key in keys]
        except ValueError:
            raise NotConfigured(f"{SETTING} holds a line that is no key; `jitui secrets new-key` prints one.") from None
        if not self._fernets:
            raise NotConfigured(f"{SETTING} holds no key; `jitui secrets new-key` prints one.")
        self._all = MultiFernet(self._fernets)

    def seal(self, secret: str, whose: str) -> str:
        """The secret as it is stored."""
        return self._all.encrypt(f"{whose}\0{secret}".encode()).decode("ascii")

    def unseal(self, sealed: str, whose: str) -> str:
        """The secret again. Raises NotConfigured when none of the keys opens it, or when it is somebody else's."""
        from cryptography.fernet import InvalidToken

        try:
            for_whom, _, secret = self._all.decrypt(sealed.encode()).decode().rpartition("\0")
        except InvalidToken:
            raise NotConfigured(
                f"No key in {SETTING} opens a stored secret; put the former key back into it."
            ) from None
        if for_whom != whose:
            raise NotConfigured("A stored secret belongs to somebody else's row; set it up anew.")
        return secret

    def is_newest(self, sealed: str) -> bool:
        """Whether the first key encrypted it."""
        from cryptography.fernet import InvalidToken

        try:
            self._fernets[0].decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def reseal(self, sealed: str) -> str:
        """The same secret under the first key. Raises NotConfigured when none of the keys opens it."""
        from cryptography.fernet import InvalidToken

        try:
            return self._all.rotate(sealed.encode()).decode("ascii")
        except InvalidToken:
            raise NotConfigured(
                f"No key in {SETTING} opens a stored secret; put the former key back into it."
            ) from None


def read_sealer(text: str) -> Sealer:
    """The sealer of a file's text, one key a line. Raises NotConfigured for what is no key."""
    return Sealer(text.split())


def new_key() -> str:
    """A new key, as a line of the file."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode("ascii")
