"""The order of a list, and where a row stands in it."""

from __future__ import annotations

from enum import StrEnum


class SortOrder(StrEnum):
    """The direction of a list; one is exactly the other read from its end."""

    ASC = "asc"
    DESC = "desc"


Place = tuple[object, ...]
"""A row's values of what a list is sorted by, the row's id last; None is a time that never comes."""
