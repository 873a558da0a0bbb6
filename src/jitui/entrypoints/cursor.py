"""A place in a list as a link carries it: base64url of the last row's place, for the API and the console alike."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

_Place = TypeVar("_Place")


def to_cursor(*parts: object) -> str:
    """An opaque cursor of these parts."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def from_cursor(text: str, kind: type[_Place]) -> _Place:
    """The place that `to_cursor` wrote. Raises ValueError for anything else."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, binascii.Error) as error:
        raise ValueError("This is not a cursor.") from error
