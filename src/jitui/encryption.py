"""Secrets that the service must read again, encrypted where they are stored: seeds of second factors, webhook secrets.

Fernet (AES-128-CBC with HMAC-SHA-256). The keys are in the file of a setting, one a line. The first encrypts, each of
them decrypts, so that a new first key can be put before the old one, everything stored be encrypted anew, and the old
one be taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jitui.errors import NotConfigured

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

SETTING = "JITUI_ENCRYPTION_KEY_FILE"
NO_KEY = (
    f"Secrets can be stored only encrypted: set {SETTING} to a file with a key, which `jitui secrets new-key` prints."
)
NO_SUCH_KEY = f"{SETTING} holds a line that is no key; `jitui secrets new-key` prints one."
NOT_DECRYPTED = f"A stored secret cannot be decrypted: the file of {SETTING} lacks the key that encrypted it."
NOT_ITS_OWNERS = "A stored secret belongs to something else than the row that it stands in; set it up anew."


class Encryption:
    """Encrypts with the first of its keys, and decrypts with each of them. Raises NotConfigured for what is no key.

    What is encrypted carries whom or what it is for, so that a stored text moved to another row does not decrypt.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernets: list[Fernet] = []
        if keys:
            from cryptography.fernet import Fernet  # here: a tenth of a second, and many installations have no key

            try:
                self._fernets = [Fernet(key) for key in keys]
            except ValueError:
                raise NotConfigured(NO_SUCH_KEY) from None

    @property
    def is_configured(self) -> bool:
        """Whether there is a key at all."""
        return bool(self._fernets)

    def encrypt(self, secret: str, whose: str) -> str:
        """The secret as it is stored. Raises NotConfigured without a key."""
        return self._all().encrypt(f"{whose}\0{secret}".encode()).decode("ascii")

    def decrypt(self, stored: str, whose: str, *, may_be_unbound: bool = False) -> str:
        """The secret again; with `may_be_unbound` also one that was stored without its owner, as webhooks' once were.

        Raises NotConfigured where none of the keys decrypts it, it was changed, or it is somebody else's.
        """
        from cryptography.fernet import InvalidToken

        try:
            owner, bound, secret = self._all().decrypt(stored.encode()).decode().rpartition("\0")
        except InvalidToken:
            raise NotConfigured(NOT_DECRYPTED) from None
        if owner != whose if bound else not may_be_unbound:
            raise NotConfigured(NOT_ITS_OWNERS)
        return secret

    def renew(self, stored: str, whose: str, *, may_be_unbound: bool = False) -> str:
        """The same secret under the first key, with its owner; the stored text itself where it is so already.

        Raises NotConfigured as `decrypt` does.
        """
        secret = self.decrypt(stored, whose, may_be_unbound=may_be_unbound)
        return stored if self._is_newest(stored) else self.encrypt(secret, whose)

    def _is_newest(self, stored: str) -> bool:
        from cryptography.fernet import InvalidToken

        try:
            return b"\0" in self._fernets[0].decrypt(stored.encode())
        except InvalidToken:
            return False

    def _all(self) -> MultiFernet:
        from cryptography.fernet import MultiFernet

        if not self._fernets:
            raise NotConfigured(NO_KEY)
        return MultiFernet(self._fernets)


def new_key() -> str:
    """A new key, 256 random bits, as a line of the file."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode("ascii")
