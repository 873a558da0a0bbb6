"""A page's place in a list, as a link carries it: the time and id of the last row before it."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

import msgspec
from litestar.exceptions import ValidationException


def to_cursor(at: datetime, row_id: str) -> str:
    """For the link to the next page."""
    return base64.urlsafe_b64encode(msgspec.json.encode((at, row_id))).decode().rstrip("=")


def from_cursor(text: str) -> tuple[datetime, str]:
    """Raises ValidationException for a link that somebody damaged."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        at, row_id = msgspec.json.decode(packed, type=tuple[datetime, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise ValidationException from error
    if at.tzinfo is None or not row_id.isprintable():
        raise ValidationException
    return at, row_id
