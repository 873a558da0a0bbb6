"""How a policy's decisions change over time, by day, week or month; a period without requests has a row of zeros."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

import duckdb

from jitui.backtest.changes import create_pairs
from jitui.backtest.columns import condition_column
from jitui.backtest.found import named
from jitui.backtest.replay import Replayed

MOST_DAYS, MOST_WEEKS = 92, 160


class Grain(StrEnum):
    """The length of a period; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Period:
    """The requests of one period, named after its first day; `stopped` counts by condition how often it did not hold.

    `empty_days` are the days of the period, within the history, on which nobody asked.
    """

    name: str
    requests: int
    before: int
    after: int
    after_minor: int
    stopped: Mapping[str, int]
    empty_days: int


@dataclass(frozen=True, slots=True)
class Drift:
    """The periods from the first request to the last one, none left out; `days` counts all days in between."""

    grain: Grain
    periods: tuple[Period, ...]
    days: int
    empty_days: int


def drift(here: Replayed, there: Path | None, time_zone: str) -> Drift:
    """Count the requests by their local day, put together into periods of a length that suits the history."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_pairs(connection, here.path, here.policy.currency, there)
        local = f"CAST(timezone('{time_zone}', timezone('UTC', asked_at)) AS DATE)"
        row = connection.execute(f"SELECT min({local}), max({local}) FROM pairs").fetchone()
        if row is None or row[0] is None:
            return Drift(Grain.DAY, (), 0, 0)
        first, last = row
        grain = grain_of(first, last)
        ids = [condition.id for condition in here.policy.conditions]
        counted = dict(_counted(connection, local, grain, ids))
    nothing = (0, 0, 0, 0, 0, *(0 for _ in ids))
    periods = tuple(
        _period(start.isoformat(), days, ids, counted.get(start.isoformat(), nothing))
        for start, days in spans(grain, first, last)
    )
    days = (last - first).days + 1
    return Drift(grain, periods, days, sum(one.empty_days for one in periods))


def grain_of(first: date, last: date) -> Grain:
    """Days up to a quarter of a year, weeks up to three years, else months."""
    days = (last - first).days + 1
    return Grain.DAY if days <= MOST_DAYS else Grain.WEEK if days <= MOST_WEEKS * 7 else Grain.MONTH


def spans(grain: Grain, first: date, last: date) -> Iterator[tuple[date, int]]:
    """The first day of each period, and how many of its days lie between `first` and `last`."""
    start = _start(grain, first)
    while start <= last:
        following = _following(grain, start)
        yield start, (min(following, last + timedelta(days=1)) - max(start, first)).days
        start = following


def _start(grain: Grain, day: date) -> date:
    if grain is Grain.MONTH:
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if grain is Grain.WEEK else day


def _following(grain: Grain, start: date) -> date:
    if grain is Grain.MONTH:
        return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=7 if grain is Grain.WEEK else 1)


def _counted(
    connection: duckdb.DuckDBPyConnection, local: str, grain: Grain, ids: Sequence[str]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The periods with requests: their name, counts, amount, days with requests, and a count for each condition."""
    stopped = "".join(f", count(*) FILTER ({named(condition_column(one))} IS DISTINCT FROM true)" for one in ids)
    rows = connection.execute(f"""
        SELECT CAST(date_trunc('{grain}', {local}) AS DATE)::VARCHAR, count(*), count(*) FILTER (before),
               count(*) FILTER (after), coalesce(sum(amount_minor) FILTER (after), 0), count(DISTINCT {local}) {stopped}
        FROM pairs GROUP BY 1
    """).fetchall()
    for name, *counts in rows:
        yield name, tuple(counts)


def _period(name: str, days: int, ids: Sequence[str], counted: tuple[int, ...]) -> Period:
    requests, before, after, after_minor, days_with_requests, *stopped = counted
    by_condition = dict(zip(ids, stopped, strict=True))
    return Period(name, requests, before, after, after_minor, by_condition, days - days_with_requests)
