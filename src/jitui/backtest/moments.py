"""The hour, the day of the week and the date of each request, as the service makes them online."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import ibis

from jitui.backtest.calendar import DAY_US, calendar
from jitui.backtest.engine import Engine
from jitui.policy.moments import DATE, HOUR, WEEKDAY

_HOUR_US = 3_600_000_000
_WEEKS_SHIFTED = 200_000  # keeps dividends positive, because engines truncate towards zero
_WEEKDAY_OF_1970 = 4  # the first of January was a Thursday


def with_moments(engine: Engine, rows: ibis.Table, names: Sequence[str], time_zone: ZoneInfo) -> ibis.Table:
    """Add the facts of the request's moment that are asked for; what was logged stays as it was logged.

    `rows` have the moment as `asked_us`, microseconds since 1970; where it is NULL, so are its facts.
    """
    if not names:
        return rows
    asked = engine.connection.to_pyarrow(rows.agg(first=rows.asked_us.min(), last=rows.asked_us.max())).to_pylist()[0]
    if asked["first"] is None:
        first = last = datetime(2020, 1, 1, tzinfo=UTC)  # no row has a moment
    else:
        first, last = (datetime.fromtimestamp(asked[name] // 1_000_000, UTC) for name in ("first", "last"))
    days = calendar(engine, time_zone, first, last, 1)
    day = days.day(rows.asked_us)
    columns = {name: _derived(engine, name, day, days.local_us(rows.asked_us)) for name in names}
    kept = {name: ibis.coalesce(rows[name], value) for name, value in columns.items() if name in rows.columns}
    return rows.mutate(**{**columns, **kept})


def _derived(engine: Engine, name: str, day: Any, local_us: Any) -> Any:
    if name == HOUR:
        return engine.divide(local_us - day * DAY_US, ibis.literal(_HOUR_US, "int64"))
    if name == WEEKDAY:
        return (day + (_WEEKDAY_OF_1970 + 7 * _WEEKS_SHIFTED)) % 7
    assert name == DATE
    # DuckDB writes a time behind the date, Spark does not.
    return (ibis.date(1970, 1, 1) + day.as_interval("D")).cast("string").substr(0, 10)
