"""Days of the platform's time zone in a query, exact in every engine: microseconds and a table of offsets.

Engines know time zones in different ways. Here a zone is the list of times at which its offset changes within the
history, computed once and written into the query as a case expression.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import ibis

from jitui.backtest.engine import Engine

DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHIFT_DAYS = 1_000_000  # keeps dividends positive, because engines truncate towards zero
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The offsets of a time zone: by time (microseconds since 1970), and for midnights by day number."""

    engine: Engine
    by_moment: tuple[tuple[int, int], ...]
    by_day: tuple[tuple[int, int], ...]

    def day(self, moment_us: Any) -> Any:
        """The local day of a time, in days since 1970."""
        local = self.local_us(moment_us)
        return self.engine.divide(local + _SHIFT_DAYS * DAY_US, ibis.literal(DAY_US, "int64")) - _SHIFT_DAYS

    def local_us(self, moment_us: Any) -> Any:
        """What the clocks of the zone show, in microseconds since their 1970."""
        return moment_us + _stepwise(moment_us, self.by_moment)

    def midnight_us(self, day: Any) -> Any:
        """The time at which a local day begins."""
        return day * DAY_US - _stepwise(day, self.by_day)


def calendar(engine: Engine, time_zone: ZoneInfo, first: datetime, last: datetime, reach_days: int) -> Calendar:
    """The calendar of a history from `first` to `last` (UTC), for windows that reach `reach_days` further back."""
    start = first.date() - timedelta(days=reach_days + 2)
    days = (last.date() - start).days + reach_days + 4
    midnights = [datetime.combine(start + timedelta(days=n), time.min, time_zone) for n in range(days)]
    by_day = [(_day_number(midnight), _offset_us(midnight)) for midnight in midnights]
    by_moment = list(_changes(midnights[0].astimezone(UTC), midnights[-1].astimezone(UTC), time_zone))
    return Calendar(engine, tuple(_runs(by_moment)), tuple(_runs(by_day)))


def epoch_us(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (moment - _EPOCH) // _MICROSECOND


def _day_number(local: datetime) -> int:
    return local.toordinal() - _EPOCH.toordinal()


def _offset_us(local: datetime) -> int:
    offset = local.utcoffset()
    assert offset is not None
    return offset // _MICROSECOND


def _changes(first: datetime, last: datetime, time_zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """The times from which an offset applies, to the second."""
    here = first
    yield epoch_us(here), _offset_us(here.astimezone(time_zone))
    while here < last:
        there = here + timedelta(days=1)
        low, high = here, there
        if _offset_us(low.astimezone(time_zone)) != _offset_us(high.astimezone(time_zone)):
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                same = _offset_us(middle.astimezone(time_zone)) == _offset_us(low.astimezone(time_zone))
                low, high = (middle, high) if same else (low, middle)
            yield epoch_us(high), _offset_us(high.astimezone(time_zone))
        here = there


def _runs(steps: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The steps at which the offset really changes."""
    before = None
    for at, offset in steps:
        if offset != before:
            yield at, offset
        before = offset


def _stepwise(value: Any, steps: tuple[tuple[int, int], ...]) -> Any:
    """The offset of the last step at or before the value."""
    if len(steps) == 1:
        return ibis.literal(steps[0][1], "int64")
    later_first = [(value >= at, ibis.literal(offset, "int64")) for at, offset in reversed(steps[1:])]
    return ibis.cases(*later_first, else_=ibis.literal(steps[0][1], "int64"))
