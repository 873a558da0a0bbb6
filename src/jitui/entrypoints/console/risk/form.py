"""What the forms and lists about buyers and shops share: what was typed, and where a page of a list begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar.exceptions import ValidationException
from msgspec import Meta

from jitui.entrypoints.cursor import from_cursor

_TIME_PLACE: Any = tuple[Annotated[datetime, Meta(tz=True)], UUID]


@dataclass(frozen=True, slots=True)
class Refused:
    """A form that was not carried out: which one, what was typed into it, and why not."""

    step: str
    typed: Mapping[str, str]
    problem: str

    @property
    def words(self) -> str:
        """What was typed, to be shown where its form is not on the page any more."""
        return "\n".join(
            text for name, text in self.typed.items() if name in ("reason", "answer", "text", "note") and text
        )


def begins_at(cursor: str) -> tuple[datetime, UUID] | None:
    """Where a page of a list by time begins. Raises ValidationException for a damaged link."""
    if not cursor:
        return None
    try:
        place: tuple[datetime, UUID] = from_cursor(cursor, _TIME_PLACE)
    except ValueError as error:
        raise ValidationException from error
    return place
