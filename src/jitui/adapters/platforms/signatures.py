"""The signature of a platform's webhook: HMAC-SHA256 over the body, in Base64."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from jitui.aftersales.provider import NotificationRefused

NO_WEBHOOKS = NotificationRefused("The platform sends no webhooks")


def header(headers: Mapping[str, str], name: str) -> str | None:
    """A header, in any case; None when it is missing."""
    return next((value for known, value in headers.items() if known.lower() == name), None)


def why_unsigned(given: str | None, body: bytes, secret: str) -> NotificationRefused | None:
    """Why the body is not known to be the platform's; None when it is. Without a secret nothing is."""
    if given is None:
        return NotificationRefused("The signature is missing")
    if not secret:
        return NotificationRefused("There is no secret to check it with")
    made = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    if not hmac.compare_digest(made, given.strip().encode()):
        return NotificationRefused("The signature is wrong")
    return None
