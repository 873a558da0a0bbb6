"""The position of a page in a list of the console: time and id of the last row before it."""

from __future__ import annotations

from datetime import datetime

from litestar.exceptions import ValidationException

from jitui.entrypoints.cursor import from_cursor


def read_place(text: str) -> tuple[datetime, str]:
    """The position in a link. Raises ValidationException for a damaged link."""
    try:
        at, row_id = from_cursor(text, tuple[datetime, str])
    except ValueError as error:
        raise ValidationException from error
    if at.tzinfo is None or not row_id.isprintable():
        raise ValidationException
    return at, row_id
