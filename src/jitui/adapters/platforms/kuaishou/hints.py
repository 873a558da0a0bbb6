"""Reads Kuaishou's messages: encrypted with the app's message secret, and never more than a hint."""

from __future__ import annotations

import base64
import binascii

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from jitui.adapters.platforms.kuaishou.answers import Message
from jitui.adapters.platforms.kuaishou.credentials import Credentials
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused

ACKNOWLEDGED = '{"result":1}'
MOST_BYTES = 64 * 1024
_BLOCK_BYTES = 16

_read = msgspec.json.Decoder(Message).decode


def read_message(body: bytes, credentials: Credentials) -> NotificationIgnored | NotificationRefused:
    """Refused unless it is encrypted with our secret, for our app.

    Its cipher has no signature, so what it says is not believed: requests are read again.
    """
    if not credentials.message_secret:
        return NotificationRefused("no `message secret` is configured")
    if len(body) > MOST_BYTES:
        return NotificationRefused("the message is too long")
    try:
        message = _read(_decrypted(body, credentials.message_secret))
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return NotificationRefused("the message is not encrypted with our secret")
    if message.app_key != credentials.app_key:
        return NotificationRefused("the message is for another app")
    return NotificationIgnored(f"{message.event}: requests are read at Kuaishou", ACKNOWLEDGED)


def _decrypted(body: bytes, secret: str) -> bytes:
    """AES in CBC mode with a zero vector, as Kuaishou's demo has it."""
    key = base64.b64decode(secret, validate=True)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(_BLOCK_BYTES))).decryptor()
    padded = decryptor.update(base64.b64decode(body, validate=True)) + decryptor.finalize()
    unpadder = PKCS7(_BLOCK_BYTES * 8).unpadder()
    return unpadder.update(padded) + unpadder.finalize()
