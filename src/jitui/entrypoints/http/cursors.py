"""Pages of lists: opaque cursors, which say where the next page begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from jitui.aftersales.model.sorting import Place, SortOrder
from jitui.aftersales.shipping_risks import RiskKind
from jitui.entrypoints.cursor import from_cursor, to_cursor
from jitui.entrypoints.http.fields import Storable, Time
from jitui.entrypoints.http.problems import refuse
from jitui.entrypoints.list_cursor import ListCursors

_Place = TypeVar("_Place")
_Row = TypeVar("_Row")
_Sort = TypeVar("_Sort", bound=StrEnum)


class TimePlace(msgspec.Struct, frozen=True, array_like=True):
    """A position in a list that is ordered by time, then by an id of ours."""

    at: Time
    id: UUID


class RiskPlace(msgspec.Struct, frozen=True, array_like=True):
    """A position in the list of shipping risks, which is ordered by time, then by kind and by what each is about."""

    at: Time
    risk: RiskKind
    subject: Storable


class NamedPlace(msgspec.Struct, frozen=True, array_like=True):
    """A position in a list that is ordered by time, then by an id of the platform."""

    at: Time
    id: Storable


class PublicationPlace(msgspec.Struct, frozen=True, array_like=True):
    """A position in the log of published policies."""

    publication: Annotated[int, Meta(ge=0, le=2**62)]


class FeedPlace(msgspec.Struct, frozen=True, array_like=True):
    """A position in the feed."""

    position: Annotated[int, Meta(ge=0, le=2**62)]


def read_cursor(text: str | None, kind: type[_Place], name: str = "cursor") -> _Place | None:
    """The position in a cursor that `to_cursor` wrote. Raises a problem for any other text."""
    if text is None:
        return None
    try:
        return from_cursor(text, kind)
    except ValueError:
        raise refuse(name, "This is not a cursor of this list.") from None


def place_in(
    cursors: ListCursors[_Sort], cursor: str | None, sort: _Sort, order: SortOrder
) -> tuple[object, ...] | None:
    """Where the page begins in a list with this order. Raises a problem for any other text."""
    if cursor is None:
        return None
    try:
        return cursors.place(cursor, sort, order)
    except ValueError:
        raise refuse("cursor", "This is not a cursor of this list in this order.") from None


def sorted_page(
    cursors: ListCursors[_Sort],
    found: Sequence[_Row],
    limit: int,
    sort: _Sort,
    order: SortOrder,
    place_of: Callable[[_Row, _Sort], Place],
) -> tuple[Sequence[_Row], str | None]:
    """The rows of a page, and the cursor of the next page; `found` has one row more than the page when there is one."""
    rows = found[:limit]
    return rows, cursors.after(place_of(rows[-1], sort), sort, order) if len(found) > limit else None


def page_of(
    found: Sequence[_Row], limit: int, place: Callable[[_Row], tuple[object, ...]]
) -> tuple[Sequence[_Row], str | None]:
    """The rows of a page, and the cursor of the next page; `found` has one row more than the page when there is one."""
    rows = found[:limit]
    return rows, to_cursor(*place(rows[-1])) if len(found) > limit else None
