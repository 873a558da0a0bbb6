"""What is encrypted at rest: small secrets that the service must read again, such as those that sign its webhooks.

Fernet (AES-128-CBC with HMAC-SHA-256) of the `cryptography` library, with several keys, so that a key can be changed:
the first one encrypts, each of them decrypts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from jitui.errors import NotConfigured

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class Encryption:
    """Encrypts with the newest key that is set, and decrypts with all of them.

    `keys` is asked when a secret is first encrypted or decrypted, and the keys stay for the life of the process.
    """

    def __init__(self, keys: Callable[[], Sequence[str]]) -> None:
        self._keys = keys

    @property
    def is_configured(self) -> bool:
        """Whether a key is set at all."""
        return bool(self._keys())

    def encrypt(self, plain: bytes) -> bytes:
        """The secret as it may be stored. Raises NotConfigured without a key."""
        return self._fernet.encrypt(plain)

    def decrypt(self, encrypted: bytes) -> bytes:
        """The secret. Raises NotConfigured where none of the keys decrypts it, or it was changed."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(encrypted)
        except InvalidToken:
            raise NotConfigured(NOT_DECRYPTED) from None

    def renew(self, encrypted: bytes) -> bytes:
        """The same secret, encrypted with the newest key. Raises NotConfigured as `decrypt` does."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.rotate(encrypted)
        except InvalidToken:
            raise NotConfigured(NOT_DECRYPTED) from None

    @cached_property
    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet  # here: a tenth of a second, and few commands need it

        try:
            made = [Fernet(key) for key in self._keys()]
        except ValueError:
            raise NotConfigured(NO_SUCH_KEY) from None
        if not made:
            raise NotConfigured(NO_KEY)
        return MultiFernet(made)


NO_SUCH_KEY = "JITUI_ENCRYPTION_KEY_FILE holds a line that is no key; `jitui secrets new-key` prints one."
NO_KEY = (
    "Secrets can be stored only encrypted: set JITUI_ENCRYPTION_KEY_FILE to a file with a key, which "
    "`jitui secrets new-key` prints."
)
NOT_DECRYPTED = (
    "A stored secret cannot be decrypted: the file of JITUI_ENCRYPTION_KEY_FILE lacks the key that encrypted it."
)


def new_key() -> str:
    """A new key, 256 random bits."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()
