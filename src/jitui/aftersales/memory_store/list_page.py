"""Pages of lists in memory, which are never late."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from jitui.aftersales.model.sorting import Place, SortOrder

_Row = TypeVar("_Row")
_NEVER = datetime.max.replace(tzinfo=UTC)


def page_of(
    rows: Iterable[_Row], place_of: Callable[[_Row], Place], order: SortOrder, after: Place | None, limit: int
) -> list[_Row]:
    """The rows after a place, in this order."""
    down = order is SortOrder.DESC
    begins = None if after is None else _comparable(after)
    found = [
        (place, row)
        for row in rows
        for place in [_comparable(place_of(row))]
        if begins is None or (place < begins if down else place > begins)
    ]
    found.sort(key=lambda pair: pair[0], reverse=down)
    return [row for _, row in found[:limit]]


def _comparable(place: Place) -> Place:
    return tuple(_NEVER if value is None else value for value in place)
