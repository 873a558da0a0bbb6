"""Summarises the decisions of a replay: counts, money, obstacles, and a comparison of two sets of decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from jitui.backtest.columns import condition_column
from jitui.backtest.engine import parquet_files
from jitui.backtest.found import quoted
from jitui.backtest.in_order import CAPS
from jitui.backtest.replay import Replayed
from jitui.policy import Condition, Policy
from jitui.policy.sections import HELD_BY_WAREHOUSE

AMOUNT_BANDS_MINOR = (5_000, 10_000, 20_000, 30_000, 50_000)
"""The upper bounds of the amount bands; the last band is open."""

WAITING_BANDS_HOURS = (1, 4, 12, 24, 48)
"""The upper bounds of the bands of completion times, in hours; the last band is open."""

EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Group:
    """The requests of one day, category, band, tier or currency.

    Amounts are in minor units of the policy's currency, or of the currency that the group is named after.
    """

    name: str
    requests: int
    instant: int
    requested_minor: int
    instant_minor: int


@dataclass(frozen=True, slots=True)
class Obstacle:
    """How often a condition was not true: at all, as the only one, as the first one; `unknown` is part of `stopped`."""

    id: str
    text: Mapping[str, str]
    stopped: int
    unknown: int
    alone: int
    first: int


@dataclass(frozen=True, slots=True)
class WaitingTimes:
    """How long requests took until they were closed, in seconds; None when none has such a time."""

    requests: int
    median_seconds: float | None
    p90_seconds: float | None
    p99_seconds: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one policy on one history; amounts in minor units of `currency`, without other currencies.

    `by_currency` has every currency, each by itself. `asked_warehouse`: the requests that are reviewed because only a
    printed label is in the way; None where the policy refunds those at once.
    """

    policy_id: str
    policy_version: str
    policy_sha256: str
    currency: str
    requests: int
    instant: int
    requested_minor: int
    instant_minor: int
    without_amount: int
    held_out: int
    asked_warehouse: int | None
    expected_incidents: int
    expected_incidents_minor: int
    minutes_saved: int
    waited_as_it_was: WaitingTimes
    waited_by_instant: WaitingTimes
    by_day: tuple[Group, ...]
    by_category: tuple[Group, ...]
    by_amount: tuple[Group, ...]
    by_tier: tuple[Group, ...]
    by_waiting: tuple[Group, ...]
    by_currency: tuple[Group, ...]
    obstacles: tuple[Obstacle, ...]
    caps_reached: Mapping[str, int]
    restrictions: Mapping[str, int]
    seconds: float

    @property
    def instant_share(self) -> float:
        """The share of requests that are refunded at once; 0 when there are none."""
        return self.instant / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Example:
    """A request that is decided differently, with the first condition that stopped it."""

    request_id: str
    asked_at: str
    amount_minor: int | None
    stopped_by: str | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One of the four combinations: instant or not here, instant or not there."""

    here: str
    there: str
    requests: int
    amount_minor: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two sets of decisions; `missing` requests are in only one of them."""

    here: str
    there: str
    cells: tuple[Cell, ...]
    missing: int
    stopped_by: Mapping[str, int] = field(default_factory=dict)


def summarise(replayed: Replayed, *, minutes_a_review: float, time_zone: str) -> Summary:
    """Aggregate the decisions of a replay; `minutes_a_review` is a merchant's time for one request (R6)."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW decided AS {decisions_in(replayed.path, replayed.policy.currency)}")
        return _summarise(connection, replayed, minutes_a_review, time_zone)


def decisions_in(decisions: Path, currency: str) -> str:
    """The decisions with amounts in this currency only; `own_minor` is the amount in the order's own currency."""
    return f"""SELECT * REPLACE (CASE WHEN currency = '{currency}' THEN amount_minor END AS amount_minor),
                      amount_minor AS own_minor FROM read_parquet('{_quoted(decisions)}')"""


def _summarise(
    connection: duckdb.DuckDBPyConnection, replayed: Replayed, minutes_a_review: float, time_zone: str
) -> Summary:
    policy = replayed.policy
    totals = _row(connection, _TOTALS)
    local_day = f"CAST(timezone('{time_zone}', timezone('UTC', asked_at)) AS DATE)::VARCHAR"
    return Summary(
        policy.id,
        policy.version,
        policy.sha256,
        policy.currency,
        **totals,
        asked_warehouse=_asked_warehouse(connection, policy),
        minutes_saved=round(totals["instant"] * minutes_a_review),
        waited_as_it_was=_waiting(connection, "true"),
        waited_by_instant=_waiting(connection, "outcome = 'instant'"),
        by_day=_groups(connection, local_day, "name"),
        by_category=_groups(connection, "coalesce(category_id, '')", "requests DESC, name"),
        by_amount=_groups(connection, amount_band(), "min(amount_minor) NULLS LAST"),
        by_tier=_groups(connection, "coalesce(tier, '')", "requests DESC, name"),
        by_waiting=_groups(connection, _waiting_band(), "min(closed_at - asked_at) NULLS LAST"),
        by_currency=_groups(connection, "coalesce(currency, '')", "requests DESC, name", amount="own_minor"),
        obstacles=tuple(_obstacle(connection, condition) for condition in policy.conditions),
        caps_reached=_false_counts(connection, CAPS),
        restrictions=_true_counts(connection, [f"restriction.{rule.id}" for rule in policy.restrictions]),
        seconds=replayed.seconds,
    )


_TOTALS = """
SELECT count(*) AS requests,
       count(*) FILTER (outcome = 'instant') AS instant,
       coalesce(sum(amount_minor), 0) AS requested_minor,
       coalesce(sum(amount_minor) FILTER (outcome = 'instant'), 0) AS instant_minor,
       count(*) FILTER (amount_minor IS NULL) AS without_amount,
       count(*) FILTER (held_out) AS held_out,
       count(*) FILTER (outcome = 'instant' AND left_unrecorded) AS expected_incidents,
       coalesce(sum(amount_minor) FILTER (outcome = 'instant' AND left_unrecorded), 0)
           AS expected_incidents_minor
FROM decided
"""


def _asked_warehouse(connection: duckdb.DuckDBPyConnection, policy: Policy) -> int | None:
    """How many requests wait for the warehouse. No history has its answer, so none of them is refunded at once."""
    if policy.stop_ship is None:
        return None
    return _count(connection, f'"{condition_column(HELD_BY_WAREHOUSE)}" = false AND obstacles = 1')


def _groups(
    connection: duckdb.DuckDBPyConnection, name: str, order: str, *, amount: str = "amount_minor"
) -> tuple[Group, ...]:
    rows = connection.execute(f"""
        SELECT {name} AS name, count(*) AS requests, count(*) FILTER (outcome = 'instant') AS instant,
               coalesce(sum({amount}), 0),
               coalesce(sum({amount}) FILTER (outcome = 'instant'), 0)
        FROM decided GROUP BY 1 ORDER BY {order}
    """).fetchall()
    return tuple(Group(*row) for row in rows)


def amount_band() -> str:
    """The band of a request's amount, named by its bounds in minor units: `5000-9999`."""
    bounds = (0, *AMOUNT_BANDS_MINOR)
    cases = [
        f"WHEN amount_minor < {upper} THEN '{lower}-{upper - 1}'"
        for lower, upper in zip(bounds, AMOUNT_BANDS_MINOR, strict=False)
    ]
    return f"CASE WHEN amount_minor IS NULL THEN '' {' '.join(cases)} ELSE '{AMOUNT_BANDS_MINOR[-1]}-' END"


def _waiting_band() -> str:
    """The band of a request's completion time: `4-12 h`."""
    bounds = (0, *WAITING_BANDS_HOURS)
    cases = [
        f"WHEN closed_at - asked_at < to_hours({upper}) THEN '{lower}–{upper} h'"
        for lower, upper in zip(bounds, WAITING_BANDS_HOURS, strict=False)
    ]
    return f"CASE WHEN closed_at IS NULL THEN '' {' '.join(cases)} ELSE '{WAITING_BANDS_HOURS[-1]} h –' END"


def _obstacle(connection: duckdb.DuckDBPyConnection, condition: Condition) -> Obstacle:
    column = f'"{condition_column(condition.id)}"'
    row = connection.execute(
        f"""SELECT count(*) FILTER ({column} IS DISTINCT FROM true), count(*) FILTER ({column} IS NULL),
                   count(*) FILTER ({column} IS DISTINCT FROM true AND obstacles = 1),
                   count(*) FILTER (first_obstacle = ?)
            FROM decided""",
        [condition.id],
    ).fetchone()
    assert row is not None
    return Obstacle(condition.id, condition.text, *row)


def _waiting(connection: duckdb.DuckDBPyConnection, which: str) -> WaitingTimes:
    row = connection.execute(f"""
        WITH over AS (SELECT (epoch_us(closed_at) - epoch_us(asked_at)) / 1e6 AS seconds
                      FROM decided WHERE closed_at IS NOT NULL AND {which})
        SELECT count(*), quantile_cont(seconds, 0.5), quantile_cont(seconds, 0.9), quantile_cont(seconds, 0.99)
        FROM over
    """).fetchone()
    assert row is not None
    return WaitingTimes(*row)


def _false_counts(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> dict[str, int]:
    return {name: _count(connection, f'"{name}" = false') for name in columns if name in _columns(connection)}


def _true_counts(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> dict[str, int]:
    return {name.split(".", 1)[1]: _count(connection, f'"{name}"') for name in columns}


# Comparison ----------------------------------------------------------------------------------------------------


def compare(here: Path, there: Path, here_name: str, there_name: str, currency: str) -> Comparison:
    """The four combinations for two Parquet files with request_id and outcome; amounts in `currency`."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW here AS {decisions_in(here, currency)}")
        connection.execute(f"CREATE VIEW there AS SELECT * FROM read_parquet('{_quoted(there)}')")
        obstacle = "t.first_obstacle" if "first_obstacle" in _columns(connection, "there") else "NULL"
        connection.execute(f"""
            CREATE VIEW both_sides AS
            SELECT h.request_id, h.asked_at, h.amount_minor, h.outcome AS here, t.outcome AS there,
                   coalesce(h.first_obstacle, {obstacle}) AS stopped_by
            FROM here h JOIN there t USING (request_id)
        """)
        cells = tuple(_cell(connection, one, other) for one in ("instant", "review") for other in ("instant", "review"))
        missing = _row(
            connection,
            "SELECT count(*) AS missing FROM (SELECT request_id FROM here) h"
            " FULL JOIN (SELECT request_id FROM there) t USING (request_id)"
            " WHERE h.request_id IS NULL OR t.request_id IS NULL",
        )["missing"]
        return Comparison(here_name, there_name, cells, missing, _stopped(connection))


def write_really_decided(decisions: Path, work: Path) -> Path:
    """Write the real decisions as a Parquet file that `compare` can read."""
    out = work / "really_decided.parquet"
    with duckdb.connect() as connection:
        rows = f"read_parquet('{_quoted(decisions)}')"
        has_guard = "review_reason" in _columns(connection, f"SELECT * FROM {rows}")
        guarded = "review_reason IS NOT NULL" if has_guard else "false"
        outcome = f"CASE WHEN {guarded} THEN 'review' ELSE outcome END AS outcome"
        connection.execute(f"COPY (SELECT request_id, {outcome} FROM {rows}) TO '{_quoted(out)}'")
    return out


def _cell(connection: duckdb.DuckDBPyConnection, here: str, there: str) -> Cell:
    where = f"here = '{here}' AND there = '{there}'"
    counted = _row(
        connection,
        f"SELECT count(*) AS requests, coalesce(sum(amount_minor), 0) AS amount_minor FROM both_sides WHERE {where}",
    )
    examples: list[Any] = []
    if here != there:
        examples = connection.execute(
            f"SELECT request_id, asked_at::VARCHAR, amount_minor, stopped_by FROM both_sides WHERE {where}"
            f" ORDER BY asked_at, request_id LIMIT {EXAMPLES}"
        ).fetchall()
    return Cell(here, there, **counted, examples=tuple(Example(*row) for row in examples))


def _stopped(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How often each condition stopped a request that only one of the two approves."""
    rows = connection.execute(
        "SELECT coalesce(stopped_by, ''), count(*) FROM both_sides WHERE here <> there GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    return dict(rows)


# DuckDB ----------------------------------------------------------------------------------------------------------


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    cursor = connection.execute(query)
    row = cursor.fetchone()
    assert row is not None
    return dict(zip([column[0] for column in cursor.description], row, strict=True))


def _count(connection: duckdb.DuckDBPyConnection, which: str) -> int:
    return int(_row(connection, f"SELECT count(*) FILTER ({which}) AS n FROM decided")["n"])


def _columns(connection: duckdb.DuckDBPyConnection, view: str = "decided") -> set[str]:
    return {row[0] for row in connection.execute(f"DESCRIBE {view}").fetchall()}


def _quoted(path: Path) -> str:
    return quoted(parquet_files(path))
