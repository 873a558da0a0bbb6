"""Signs webhooks by the Standard Webhooks specification 1.0 (symmetric, v1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from jitui.errors import NotConfigured


def new_webhook_secret() -> str:
    """A new secret, for one simulator and one receiver."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def signing_key(secret: str) -> bytes:
    """The key in `whsec_<base64>`; raises NotConfigured for anything else."""
    try:
        if not secret.startswith("whsec_"):
            raise ValueError
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error):
        raise NotConfigured("a webhook secret is 'whsec_' and base64") from None


def sign(key: bytes, event_id: str, sent_at_seconds: int, body: bytes) -> str:
    """The `webhook-signature` header for the id, the time and the exact bytes of the body."""
    signed = f"{event_id}.{sent_at_seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
