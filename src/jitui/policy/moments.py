"""The moment of a request as facts: hour, day of the week and date in the platform's time zone.

A condition has no clock and no time zone of its own: the run time brings no zone data everywhere, and a decision has to
be the same again on its stored facts (I4). The back-test makes the same facts from the history's moments.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

HOUR, WEEKDAY, DATE = "request.hour", "request.weekday", "request.date"
MOMENTS = (HOUR, WEEKDAY, DATE)


def moment_facts(at: datetime, time_zone: ZoneInfo) -> dict[str, int | str]:
    """The facts of a moment; the day of the week counts from 0 for Sunday, as CEL's getDayOfWeek() does."""
    local = at.astimezone(time_zone)
    return {HOUR: local.hour, WEEKDAY: local.isoweekday() % 7, DATE: local.date().isoformat()}


def is_date(text: str) -> bool:
    """Whether a text is a date as `request.date` writes it, so that comparing the two compares days."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
