"""Who is compared, and what happened to them: the buyers of both arms with their sums, from the tables of a history.

Buyers count from their first request that would have been approved at once but for the draw, in the arm in which that
request was. From then on every request of theirs counts, whatever became of it: to leave out what the treatment itself
changes (a cap that is used up, a second request) would compare unlike with unlike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from jitui.backtest.engine import parquet_files
from jitui.backtest.found import quoted
from jitui.backtest.source import Prepared
from jitui.errors import BadInput
from jitui.experiment.metrics import METRICS, MetricId
from jitui.policy import Policy, PolicyRefused, decide
from jitui.policy.decide import Outcome

HOLD_OUT, LIVE = "hold_out", "live"
ARMS = (HOLD_OUT, LIVE)
_BATCH = 10_000
_DISPUTES = ("dispute_lost", "dispute_won")


@dataclass(frozen=True, slots=True)
class Window:
    """Which requests count: asked from `begin` on and before `end`, each followed for `follow`. Times in UTC.

    `shop_id`: only this shop's. Days are those of `time_zone`.
    """

    time_zone: ZoneInfo
    follow: timedelta
    begin: datetime | None = None
    end: datetime | None = None
    shop_id: str = ""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the units of one arm: the values x, what they are divided by (y), the covariate (c), and products."""

    units: int = 0
    x: float = 0.0
    y: float = 0.0
    c: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    cc: float = 0.0
    xy: float = 0.0
    xc: float = 0.0


BothArms = Mapping[str, Sums]
"""The sums of each of ARMS."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """How many buyers and requests are compared, and what was left out.

    `eligible_known` is false when the history does not say which held-out requests would have been approved at once:
    then every buyer who asked is compared. `shares` has the hold-out percentages of the policies that decided;
    `listed` and `erased` requests are left out, and those `without_text`, whose policy cannot be read.
    `would_have_been` counts the requests that the hold-out kept from being approved at once.
    """

    units: Mapping[str, int]
    requests: Mapping[str, int]
    eligible_known: bool
    shares: tuple[int, ...]
    first_day: date | None
    last_day: date | None
    listed: int
    erased: int
    without_text: int
    would_have_been: int


def expose(connection: duckdb.DuckDBPyConnection, prepared: Prepared, window: Window) -> Exposed:
    """Build the tables `request_day` and `buyer_once`, from which sums are read.

    Raises BadInput for a history without arms.
    """
    connection.execute("SET TimeZone = 'UTC'")
    for name, path in prepared.paths.items():
        where = quoted(parquet_files(path))
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{where}')")
    if "decisions" not in prepared.paths:
        raise BadInput("This history has no decisions, so nobody knows who was held out.", path="--history")
    _set(connection, window, prepared)
    shares, without_text = _redecide(connection, prepared)
    left_out = _count(connection)
    _follow(connection, "events" in prepared.paths)
    return _exposed(connection, shares, without_text, left_out)


def _set(connection: duckdb.DuckDBPyConnection, window: Window, prepared: Prepared) -> None:
    connection.execute("SET VARIABLE zone = ?", [window.time_zone.key])
    connection.execute("SET VARIABLE follow = ?", [window.follow])
    connection.execute("SET VARIABLE begins = ?", [_utc(window.begin)])
    connection.execute("SET VARIABLE ends = ?", [_utc(window.end)])
    connection.execute("SET VARIABLE shop = ?", [window.shop_id or None])
    latest = "SELECT max(asked_at) AS latest FROM requests"
    if "events" in prepared.paths:
        latest += ' UNION ALL SELECT max("at") FROM events'
    connection.execute(f"SET VARIABLE known_until = (SELECT max(latest) FROM ({latest}))")


def _utc(moment: datetime | None) -> datetime | None:
    """As the tables have moments: in UTC, without a zone."""
    return None if moment is None else (moment - (moment.utcoffset() or timedelta())).replace(tzinfo=None)


# What would have been approved at once ---------------------------------------------------------------------------


def _redecide(connection: duckdb.DuckDBPyConnection, prepared: Prepared) -> tuple[tuple[int, ...], int]:
    """Decide the held-out requests again as if their buyers were selected, each by its own policy and stored facts.

    Returns the hold-out percentages of the policies, and how many requests were decided by a text that is not at hand.
    """
    connection.execute("CREATE TABLE redecided (request_id VARCHAR, at_once BOOLEAN)")
    connection.execute("CREATE TABLE readable (policy_sha256 VARCHAR)")
    if not {"policies", "facts"} <= prepared.paths.keys():
        return (), 0
    shares = set()
    for policy in _policies(connection):
        shares.add(policy.selection.hold_out_percent)
        connection.execute("INSERT INTO readable VALUES (?)", [policy.sha256])
        for rows in _held_out_rows(connection, policy):
            connection.executemany("INSERT INTO redecided VALUES (?, ?)", rows)
    (others,) = _one(
        connection,
        "SELECT count(*) FROM decisions WHERE arm IN ('live', 'hold_out') AND eligible IS NULL"
        " AND policy_sha256 NOT IN (SELECT policy_sha256 FROM readable)",
    )
    return tuple(sorted(shares)), others


def _policies(connection: duckdb.DuckDBPyConnection) -> Iterator[Policy]:
    """The texts that decided something and that this version reads."""
    query = (
        "SELECT policy_sha256, document FROM policies"
        " WHERE policy_sha256 IN (SELECT policy_sha256 FROM decisions WHERE arm <> 'none' OR arm IS NULL)"
        " ORDER BY policy_sha256"
    )
    for sha256, document in connection.execute(query).fetchall():
        try:
            policy = Policy.from_text(document, f"{sha256}.yaml")
        except PolicyRefused:
            continue
        if policy.sha256 == sha256:
            yield policy


def _held_out_rows(connection: duckdb.DuckDBPyConnection, policy: Policy) -> Iterator[list[tuple[str, bool]]]:
    query = (
        "SELECT f.* FROM facts f JOIN decisions d USING (request_id)"
        " WHERE d.arm = 'hold_out' AND d.policy_sha256 = ? AND d.eligible IS NULL"
    )
    # A cursor of its own: the caller writes between two batches.
    reader = connection.cursor().sql(query, params=[policy.sha256]).to_arrow_reader(_BATCH)
    assert reader is not None
    for batch in reader:
        yield [(str(row["request_id"]), _at_once(policy, row)) for row in batch.to_pylist()]


def _at_once(policy: Policy, row: Mapping[str, Any]) -> bool:
    facts = {name: row[name] for name in row if name in policy.facts}
    return decide(policy, {**facts, "buyer.selected": True}).outcome is Outcome.INSTANT


# Which requests count --------------------------------------------------------------------------------------------

_REQUESTS_IN = """
CREATE TABLE judged AS
SELECT r.request_id, r.buyer_id AS unit, r.shop_id, r.order_id, r.asked_at, r.closed_at, d.arm,
       coalesce(d.listed, false) AS listed, coalesce(r.erased, false) AS erased,
       d.eligible IS NULL AND (SELECT count(*) FROM readable) > 0
           AND d.policy_sha256 NOT IN (SELECT policy_sha256 FROM readable) AS without_text,
       CASE WHEN d.eligible IS NOT NULL THEN d.eligible
            WHEN d.review_reason IS NOT NULL THEN false
            WHEN d.outcome = 'instant' THEN true
            WHEN d.arm = 'hold_out' THEN a.at_once
            ELSE false END AS eligible
FROM requests r JOIN decisions d USING (request_id) LEFT JOIN redecided a USING (request_id)
WHERE d.arm IN ('live', 'hold_out')
  AND (getvariable('shop') IS NULL OR r.shop_id = getvariable('shop'))
  AND (getvariable('begins') IS NULL OR r.asked_at >= getvariable('begins'))
  AND (getvariable('ends') IS NULL OR r.asked_at < getvariable('ends'))
"""

_COUNTED = """
CREATE TABLE counted AS
WITH usable AS (SELECT * FROM judged WHERE NOT listed AND NOT erased AND NOT without_text),
     known AS (SELECT NOT bool_or(arm = 'hold_out' AND eligible IS NULL) AS eligible FROM usable),
     first AS (SELECT u.unit, min(u.asked_at) AS first_at, arg_min(u.arm, (u.asked_at, u.request_id)) AS arm,
                      arg_min(u.shop_id, (u.asked_at, u.request_id)) AS first_shop_id
               FROM usable u, known WHERE u.eligible OR NOT known.eligible GROUP BY u.unit)
SELECT u.request_id, u.unit, u.shop_id, u.order_id, u.asked_at, u.closed_at, u.eligible, f.arm, f.first_at,
       f.first_shop_id
FROM usable u JOIN first f USING (unit) WHERE u.asked_at >= f.first_at
"""


def _count(connection: duckdb.DuckDBPyConnection) -> tuple[Any, ...]:
    """Build `counted`. How many requests of listed and of erased buyers were left out; whether eligibility is known."""
    connection.execute(_REQUESTS_IN)
    connection.execute(_COUNTED)
    return _one(
        connection,
        """SELECT count(*) FILTER (listed), count(*) FILTER (erased AND NOT listed),
                  coalesce(NOT bool_or(arm = 'hold_out' AND eligible IS NULL AND NOT listed AND NOT erased
                                       AND NOT without_text), true)
           FROM judged""",
    )


def _exposed(
    connection: duckdb.DuckDBPyConnection, shares: tuple[int, ...], without_text: int, left_out: tuple[Any, ...]
) -> Exposed:
    listed, erased, eligible_known = left_out
    counts = {
        arm: (units, requests)
        for arm, units, requests in connection.execute(
            "SELECT arm, count(DISTINCT unit), count(*) FROM counted GROUP BY arm"
        ).fetchall()
    }
    first, last, kept_back = _one(
        connection,
        f"""SELECT {_day("min(asked_at)")}, {_day("max(asked_at)")},
                   count(*) FILTER (arm = 'hold_out' AND eligible) FROM counted""",
    )
    return Exposed(
        {arm: counts.get(arm, (0, 0))[0] for arm in ARMS},
        {arm: counts.get(arm, (0, 0))[1] for arm in ARMS},
        eligible_known,
        shares,
        first,
        last,
        listed,
        erased,
        without_text,
        kept_back,
    )


def _day(moment: str) -> str:
    return f"((({moment}) AT TIME ZONE 'UTC') AT TIME ZONE getvariable('zone'))::DATE"


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


# What happened to them -------------------------------------------------------------------------------------------

_VALID_EVENTS = """
CREATE VIEW valid_events AS
SELECT e.* FROM events e WHERE e.subject = 'buyer' AND e.retracts IS NULL AND NOT EXISTS (
    SELECT 1 FROM events b WHERE b.subject = e.subject AND b.subject_id = e.subject_id AND b.retracts = e.event_id)
"""
_NO_EVENTS = """
CREATE VIEW valid_events AS
SELECT '' AS subject_id, '' AS kind, '' AS order_id, NULL::TIMESTAMP AS "at", NULL::BIGINT AS times WHERE false
"""

# A request counts when it is as old as the time for which it is followed, on that day; of what happens to it only what
# happens within that time counts, so that the young requests of either arm are not taken for quiet ones.
_REQUEST_DAY = f"""
CREATE TABLE request_day AS
WITH followed AS (
    SELECT c.*, {_day("c.asked_at + getvariable('follow')")} AS day,
           epoch(least(coalesce(c.closed_at, c.asked_at + getvariable('follow')),
                       c.asked_at + getvariable('follow')) - c.asked_at) / 3600 AS hours
    FROM counted c WHERE c.asked_at + getvariable('follow') <= getvariable('known_until')),
happened AS (
    SELECT f.request_id, bool_or(e.kind IN {_DISPUTES!r}) AS disputed,
           bool_or(e.kind = 'refund_after_shipment') AS returned
    FROM followed f JOIN valid_events e ON e.subject_id = f.unit AND e.order_id = f.order_id
        AND e."at" > f.asked_at AND e."at" <= f.asked_at + getvariable('follow')
    GROUP BY f.request_id)
SELECT f.unit, f.shop_id, f.arm, f.day, f.hours, coalesce(h.disputed, false)::INT AS disputed,
       coalesce(h.returned, false)::INT AS returned
FROM followed f LEFT JOIN happened h USING (request_id)
"""

_BUYER_ONCE = f"""
CREATE TABLE buyer_once AS
WITH units AS (
    SELECT unit, any_value(arm) AS arm, any_value(first_at) AS first_at, any_value(first_shop_id) AS shop_id,
           count(*) FILTER (asked_at <= first_at + getvariable('follow')) AS requests
    FROM counted GROUP BY unit HAVING any_value(first_at) + getvariable('follow') <= getvariable('known_until')),
bought AS (
    SELECT u.unit,
           sum(coalesce(e.times, 1)) FILTER (e."at" > u.first_at AND e."at" <= u.first_at + getvariable('follow'))
               AS afterwards,
           sum(coalesce(e.times, 1)) FILTER (e."at" <= u.first_at AND e."at" > u.first_at - INTERVAL 90 DAY) AS before
    FROM units u JOIN valid_events e ON e.subject_id = u.unit AND e.kind = 'order_paid' GROUP BY u.unit)
SELECT u.unit, u.shop_id, u.arm, {_day("u.first_at + getvariable('follow')")} AS day, u.requests,
       coalesce(b.afterwards, 0) AS afterwards, coalesce(b.before, 0) AS before
FROM units u LEFT JOIN bought b USING (unit)
"""


def _follow(connection: duckdb.DuckDBPyConnection, has_events: bool) -> None:
    connection.execute(_VALID_EVENTS if has_events else _NO_EVENTS)
    connection.execute(_REQUEST_DAY)
    connection.execute(_BUYER_ONCE)


# Sums ------------------------------------------------------------------------------------------------------------

_VALUES: Mapping[MetricId, str] = {
    MetricId.DISPUTES: "SELECT unit, shop_id, arm, day, disputed AS x, 1 AS y, 0 AS c FROM request_day",
    MetricId.RETURNS_AFTER_SHIPMENT: "SELECT unit, shop_id, arm, day, returned AS x, 1 AS y, 0 AS c FROM request_day",
    MetricId.HOURS_TO_CLOSE: "SELECT unit, shop_id, arm, day, hours AS x, 1 AS y, 0 AS c FROM request_day",
    MetricId.REQUESTS: "SELECT unit, shop_id, arm, day, requests AS x, 1 AS y, 0 AS c FROM buyer_once",
    MetricId.ORDERS_AFTERWARDS: "SELECT unit, shop_id, arm, day, afterwards AS x, 1 AS y, before AS c FROM buyer_once",
}

_KNOWN: Mapping[MetricId, str] = {
    MetricId.DISPUTES: f"SELECT 1 FROM valid_events WHERE kind IN {_DISPUTES!r} LIMIT 1",
    MetricId.RETURNS_AFTER_SHIPMENT: "SELECT 1 FROM valid_events WHERE kind = 'refund_after_shipment' LIMIT 1",
    MetricId.HOURS_TO_CLOSE: "SELECT 1 FROM counted WHERE closed_at IS NOT NULL LIMIT 1",
    MetricId.ORDERS_AFTERWARDS: "SELECT 1 FROM valid_events WHERE kind = 'order_paid' LIMIT 1",
}


def known_metrics(connection: duckdb.DuckDBPyConnection) -> list[MetricId]:
    """The metrics for which the history has anything; of what was never recorded a rate of 0 would be said."""
    return [one for one in METRICS if one not in _KNOWN or connection.execute(_KNOWN[one]).fetchone()]


_SUMS = """count(*), sum(x), sum(y), sum(c), sum(x * x), sum(y * y), sum(c * c), sum(x * y), sum(x * c)"""


def sums(connection: duckdb.DuckDBPyConnection, metric: MetricId) -> BothArms:
    """All units of both arms."""
    found = connection.execute(
        f"""SELECT arm, {_SUMS} FROM (
                SELECT unit, arm, sum(x)::DOUBLE AS x, sum(y)::DOUBLE AS y, sum(c)::DOUBLE AS c
                FROM ({_VALUES[metric]}) GROUP BY unit, arm)
            GROUP BY arm"""
    ).fetchall()
    return _both({arm: Sums(*rest) for arm, *rest in found})


def sums_by_shop(connection: duckdb.DuckDBPyConnection, metric: MetricId, most: int) -> list[tuple[str, BothArms]]:
    """The shops with the most units held out, of each all units."""
    found = connection.execute(
        f"""WITH per_unit AS (
                SELECT shop_id, unit, arm, sum(x)::DOUBLE AS x, sum(y)::DOUBLE AS y, sum(c)::DOUBLE AS c
                FROM ({_VALUES[metric]}) GROUP BY shop_id, unit, arm),
            shown AS (SELECT shop_id, count(*) FILTER (arm = 'hold_out') AS held_out, count(*) AS units
                      FROM per_unit GROUP BY shop_id ORDER BY held_out DESC, units DESC, shop_id LIMIT {most})
            SELECT s.shop_id, arm, {_SUMS} FROM shown s JOIN per_unit USING (shop_id)
            GROUP BY s.shop_id, s.held_out, s.units, arm ORDER BY s.held_out DESC, s.units DESC, s.shop_id"""
    ).fetchall()
    shops: dict[str, dict[str, Sums]] = {}
    for shop_id, arm, *rest in found:
        shops.setdefault(shop_id, {})[arm] = Sums(*rest)
    return [(shop_id, _both(arms)) for shop_id, arms in shops.items()]


def sums_by_day(connection: duckdb.DuckDBPyConnection, metric: MetricId) -> list[tuple[date, BothArms]]:
    """What was known at the end of each day on which something was added, both arms up to then.

    A unit's sums grow, so a day adds to the sum of squares what the unit's square has grown by.
    """
    found = connection.execute(
        f"""WITH by_day AS (SELECT unit, arm, day, sum(x)::DOUBLE AS x, sum(y)::DOUBLE AS y, sum(c)::DOUBLE AS c
                            FROM ({_VALUES[metric]}) GROUP BY unit, arm, day),
            grown AS (SELECT arm, day, x, y, c, row_number() OVER of_unit = 1 AS is_new, sum(x) OVER of_unit AS all_x,
                             sum(y) OVER of_unit AS all_y, sum(c) OVER of_unit AS all_c
                      FROM by_day WINDOW of_unit AS (PARTITION BY unit ORDER BY day)),
            added AS (SELECT arm, day, count(*) FILTER (is_new) AS units, sum(x) AS x, sum(y) AS y, sum(c) AS c,
                             sum(all_x * all_x - (all_x - x) * (all_x - x)) AS xx,
                             sum(all_y * all_y - (all_y - y) * (all_y - y)) AS yy,
                             sum(all_c * all_c - (all_c - c) * (all_c - c)) AS cc,
                             sum(all_x * all_y - (all_x - x) * (all_y - y)) AS xy,
                             sum(all_x * all_c - (all_x - x) * (all_c - c)) AS xc
                      FROM grown GROUP BY arm, day)
            SELECT day, arm, sum(units) OVER so_far, sum(x) OVER so_far, sum(y) OVER so_far, sum(c) OVER so_far,
                   sum(xx) OVER so_far, sum(yy) OVER so_far, sum(cc) OVER so_far, sum(xy) OVER so_far,
                   sum(xc) OVER so_far
            FROM added WINDOW so_far AS (PARTITION BY arm ORDER BY day) ORDER BY day, arm"""
    ).fetchall()
    days: list[tuple[date, BothArms]] = []
    standing: dict[str, Sums] = {}
    for day, arm, units, *rest in found:
        standing[arm] = Sums(int(units), *rest)
        if days and days[-1][0] == day:
            days.pop()
        days.append((day, _both(standing)))
    return days


def _both(arms: Mapping[str, Sums]) -> BothArms:
    return {arm: arms.get(arm, Sums()) for arm in ARMS}
