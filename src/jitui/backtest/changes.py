"""What one policy changes: before and after for all requests and by segment, and who gains and who loses.

*Before* is another policy or the real decisions; without either, every request was reviewed. A request *gains* when it
is instant after and was not before, and *loses* in the opposite case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import duckdb

from jitui.backtest.found import named, quoted
from jitui.backtest.replay import Replayed
from jitui.backtest.segments import SegmentSpec
from jitui.backtest.summary import amount_band, decisions_in

MOST_ROWS = 12
"""The most values of a segment with a row of their own; all others together are one row."""
_BANDS = 5


@dataclass(frozen=True, slots=True)
class Tally:
    """Some requests before and after; amounts in minor units of the policy's currency. `name` is empty for unknown."""

    name: str
    requests: int
    before: int
    after: int
    gained: int
    lost: int
    before_minor: int
    after_minor: int
    gained_minor: int
    lost_minor: int
    gaining_buyers: int
    losing_buyers: int


@dataclass(frozen=True, slots=True)
class Segment:
    """The requests by the values of one segment: those with most requests, and all `others` together.

    `name` is one of BUILT_IN or the owner's own. `values` is the number of different values; `is_known` is false when
    no request has one. `is_money`: the names are bands of amounts. `source` is the
    fact or the column of an own one.
    """

    name: str
    is_built_in: bool
    rows: tuple[Tally, ...]
    others: Tally | None
    values: int
    is_known: bool
    is_money: bool
    source: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed: `compared_with` is the other side, None for reviewing everything; `left_out` are on one side."""

    compared_with: str | None
    total: Tally
    segments: tuple[Segment, ...]
    left_out: int


def changes(here: Replayed, there: Path | None, compared_with: str | None, segments: Sequence[SegmentSpec]) -> Changes:
    """Count the decisions in `here` against those in `there`, two Parquet files with request_id and outcome."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        left_out = create_pairs(connection, here.path, here.policy.currency, there)
        (total,) = _tallies(connection, "''")
        found = tuple(_segments(connection, segments))
        return Changes(compared_with, total, found, left_out)


def create_pairs(connection: duckdb.DuckDBPyConnection, here: Path, currency: str, there: Path | None) -> int:
    """Create the view `pairs`, the decisions with `before` and `after`; returns how many have only one side."""
    connection.execute(f"CREATE VIEW decided AS {decisions_in(here, currency)}")
    if there is None:
        connection.execute("CREATE VIEW pairs AS SELECT *, false AS before, outcome = 'instant' AS after FROM decided")
        return 0
    connection.execute(f"CREATE VIEW other AS SELECT request_id, outcome FROM read_parquet('{quoted(str(there))}')")
    connection.execute("""CREATE VIEW pairs AS SELECT d.*, o.outcome = 'instant' AS before, d.outcome = 'instant'
        AS after FROM decided d JOIN other o USING (request_id)""")
    row = connection.execute("""SELECT count(*) FROM decided d FULL JOIN other o USING (request_id)
        WHERE d.request_id IS NULL OR o.request_id IS NULL""").fetchone()
    return int(row[0]) if row is not None else 0


def _tallies(connection: duckdb.DuckDBPyConnection, name: str, order: str = "requests DESC, name") -> list[Tally]:
    rows = connection.execute(f"""
        SELECT {name} AS name, count(*) AS requests, count(*) FILTER (before), count(*) FILTER (after),
               count(*) FILTER (after AND NOT before), count(*) FILTER (before AND NOT after),
               coalesce(sum(amount_minor) FILTER (before), 0), coalesce(sum(amount_minor) FILTER (after), 0),
               coalesce(sum(amount_minor) FILTER (after AND NOT before), 0),
               coalesce(sum(amount_minor) FILTER (before AND NOT after), 0),
               count(DISTINCT buyer_id) FILTER (after AND NOT before),
               count(DISTINCT buyer_id) FILTER (before AND NOT after)
        FROM pairs {"" if name == "''" else f"GROUP BY 1 ORDER BY {order}"}
    """).fetchall()
    return [Tally(*row) for row in rows]


def _segments(connection: duckdb.DuckDBPyConnection, own: Sequence[SegmentSpec]) -> Iterator[Segment]:
    by_amount = tuple(_tallies(connection, amount_band(), "min(amount_minor) NULLS LAST"))
    yield Segment("amount", True, by_amount, None, len(by_amount), any(row.name for row in by_amount), True)
    for name, column in (("category", "category_id"), ("tier", "tier"), ("region", "region"), ("shop", "shop_id")):
        yield _by_value(connection, name, column, is_built_in=True)
    for one in own:
        bands = _bands(connection, one) if one.is_number else None
        if bands is None:
            found = _by_value(connection, one.name, named(one.column), is_built_in=False)
            ordered = tuple(sorted(found.rows, key=_number)) if one.is_number else found.rows
            yield replace(found, rows=ordered, source=one.source)
            continue
        number = f"TRY_CAST({named(one.column)} AS BIGINT)"
        rows = tuple(_tallies(connection, bands, f"min({number}) NULLS LAST"))
        yield Segment(one.name, False, rows, None, len(rows), True, one.is_money, one.source)


def _number(row: Tally) -> tuple[bool, int]:
    """Sorts rows that are named after whole numbers; unknown comes last."""
    return (not row.name, int(row.name or 0))


def _by_value(connection: duckdb.DuckDBPyConnection, name: str, column: str, *, is_built_in: bool) -> Segment:
    """One row for each of the most frequent values; the rest, folded in the same query, is one more."""
    value = f"coalesce({column}, '')"
    (values, told) = connection.execute(f"SELECT count(DISTINCT {value}), count({column}) FROM pairs").fetchone() or (
        0,
        0,
    )
    connection.execute(f"""CREATE OR REPLACE TEMP TABLE shown AS SELECT {value} AS shown, count(*) AS n FROM pairs
        GROUP BY 1 ORDER BY n DESC, 1 LIMIT {MOST_ROWS}""")
    # a value that is folded is NULL, one that is unknown is the empty text
    folded = f"CASE WHEN {value} IN (SELECT shown FROM shown) THEN {value} END"
    rows = _tallies(connection, folded, "name IS NULL, requests DESC, name")
    others = next((row for row in rows if row.name is None), None)
    kept = tuple(row for row in rows if row.name is not None)
    return Segment(name, is_built_in, kept, others, values, told > 0, False)


def _bands(connection: duckdb.DuckDBPyConnection, one: SegmentSpec) -> str | None:
    """The band of a number with many values, as SQL, named by its bounds: `0-4`; None when it has few values."""
    number = f"TRY_CAST({named(one.column)} AS BIGINT)"
    (values, lowest) = connection.execute(f"SELECT count(DISTINCT {number}), min({number}) FROM pairs").fetchone() or (
        0,
        None,
    )
    if values <= MOST_ROWS or lowest is None or lowest < 0:
        return None
    shares = ", ".join(str(place / _BANDS) for place in range(1, _BANDS))
    (cuts,) = connection.execute(f"SELECT quantile_disc({number}, [{shares}]) FROM pairs").fetchone() or ([],)
    bounds = sorted({lowest, *cuts})
    cases = [f"WHEN {number} < {upper} THEN '{_band(lower, upper - 1, one)}'" for lower, upper in pairwise(bounds)]
    return f"CASE WHEN {number} IS NULL THEN '' {' '.join(cases)} ELSE '{bounds[-1]}-' END"


def _band(lower: int, upper: int, one: SegmentSpec) -> str:
    """The name of a band with these bounds: one number alone is named by itself, an amount always by both."""
    return str(lower) if lower == upper and not one.is_money else f"{lower}-{upper}"
