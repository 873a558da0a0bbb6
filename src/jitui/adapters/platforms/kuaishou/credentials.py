"""What opens a merchant's shop on Kuaishou: the lines of the secret file, and what signs a call."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

from jitui.errors import NotConfigured

_NEEDED = ("app_key", "sign_secret", "access_token")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An app's keys and a merchant's token. `app_secret`, `refresh_token`: to get a new token; `message_secret`: to
    read messages.
    """

    app_key: str
    sign_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    app_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    message_secret: str = field(default="", repr=False)

    def text(self) -> str:
        """The lines of the secret file."""
        told = ((one.name.replace("_", " "), getattr(self, one.name)) for one in fields(self))
        return "".join(f"{name}: {value}\n" for name, value in told if value)


_NAMES = frozenset(one.name for one in fields(Credentials))


def credentials_in(text: str) -> Credentials:
    """The credentials in lines of the form `name: value`. Raises NotConfigured, which repeats no value."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        key = "_".join(name.lower().replace("-", " ").replace("_", " ").split())
        if not colon or key not in _NAMES:
            raise NotConfigured(f"Line {number} of Kuaishou's secret file is none of: {_spelled(sorted(_NAMES))}.")
        found[key] = value.strip()
    missing = [name for name in _NEEDED if not found.get(name)]
    if missing:
        raise NotConfigured(f"Kuaishou's secret file lacks: {_spelled(missing)}. Each is a line like `app key: ks123`.")
    return Credentials(**found)


def _spelled(names: list[str]) -> str:
    return ", ".join(f"`{name.replace('_', ' ')}`" for name in names)


class SignMethod(StrEnum):
    """How a call is signed; Kuaishou recommends the first."""

    HMAC_SHA256 = "HMAC_SHA256"
    MD5 = "MD5"


def signature(params: Mapping[str, str], sign_secret: str) -> str:
    """The `sign` of a call's parameters, by its `signMethod`; they are signed before they are URL-encoded.

    HMAC-SHA256 is told in Base64 and MD5 in lower-case hexadecimal digits. The secret ends the text in both.
    """
    told = "&".join(f"{name}={params[name]}" for name in sorted(params))
    signed = f"{told}&signSecret={sign_secret}".encode()
    if params.get("signMethod") == SignMethod.HMAC_SHA256:
        return base64.b64encode(hmac.digest(sign_secret.encode(), signed, "sha256")).decode()
    return hashlib.md5(signed, usedforsecurity=False).hexdigest()
