"""Cursors of lists, for the API and the console: the position of the last row, as base64url."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

_Place = TypeVar("_Place")


def to_cursor(*parts: object) -> str:
    """An opaque cursor with these parts."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def from_cursor(text: str, kind: type[_Place]) -> _Place:
    """The position that `to_cursor` wrote. Raises ValueError for any other text."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, binascii.Error) as error:
        raise ValueError("This is not a cursor.") from error
