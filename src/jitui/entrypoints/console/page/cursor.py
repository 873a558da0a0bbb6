"""The position of a page in a list of the console: time and id of the last row before it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from litestar.exceptions import ValidationException

from jitui.aftersales.model.sorting import Place, SortOrder
from jitui.entrypoints.cursor import from_cursor
from jitui.entrypoints.list_cursor import ListCursors

_Sort = TypeVar("_Sort", bound=StrEnum)


def begins(cursors: ListCursors[_Sort], cursor: str, sort: _Sort, order: SortOrder) -> Place | None:
    """Where the page of a sorted list begins. Raises ValidationException for a damaged link."""
    if not cursor:
        return None
    try:
        return cursors.place(cursor, sort, order)
    except ValueError as error:
        raise ValidationException from error


def read_place(text: str) -> tuple[datetime, str]:
    """The position in a link. Raises ValidationException for a damaged link."""
    try:
        at, row_id = from_cursor(text, tuple[datetime, str])
    except ValueError as error:
        raise ValidationException from error
    if at.tzinfo is None or not row_id.isprintable():
        raise ValidationException
    return at, row_id
