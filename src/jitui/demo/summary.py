"""The figures of the day, from the database: requests, instant, reviewed and why, refunded, how fast, how much."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from statistics import median

import psycopg
from psycopg.rows import class_row

_TICKETS = """
SELECT t.state, coalesce(t.approved_by, '') AS approved_by, coalesce(t.review_reason, '') AS review_reason,
       t.arm, t.amount_minor,
       CASE WHEN t.state = 'refunded' THEN extract(epoch FROM t.closed_at - t.requested_at)::float8 END AS seconds,
       coalesce((SELECT c ->> 'id' FROM jsonb_array_elements(d.decision -> 'conditions') WITH ORDINALITY AS e (c, place)
                 WHERE c ->> 'verdict' <> 'true' ORDER BY place LIMIT 1), '') AS missed
FROM ticket t JOIN decision d ON d.lane = t.lane AND d.ticket_id = t.ticket_id
WHERE t.requested_at >= %(since)s
"""

_ON_THE_WAY = """
SELECT (SELECT count(*) FROM ticket WHERE state = 'refunding')
     + (SELECT count(*) FROM refund WHERE state IN ('queued', 'sending', 'pending', 'unknown'))
"""

_WAITING = """
SELECT state, reason, count(*) FROM refund WHERE state IN ('queued', 'sending', 'pending', 'unknown')
GROUP BY state, reason ORDER BY count(*) DESC, state, reason LIMIT 3
"""

_INCIDENTS = "SELECT count(*) FROM incident WHERE kind = 'goods_left_after_refund' AND opened_at >= %(since)s"


@dataclass(frozen=True, slots=True)
class _Row:
    state: str
    approved_by: str
    review_reason: str
    arm: str
    amount_minor: int
    seconds: float | None
    missed: str


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds from the request until the refund was paid; None when nothing was refunded."""

    median: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class DayAmounts:
    """Amounts in minor units: requested, approved at once, and refunded."""

    currency: str
    requested_minor: int
    instant_minor: int
    refunded_minor: int


@dataclass(frozen=True, slots=True)
class DaySummary:
    """The figures; `reviewed_by_condition` has the first condition that did not hold, or the guard that stopped it."""

    requests: int
    instant: int
    reviewed: int
    reviewed_by_condition: dict[str, int]
    refunded: int
    awaiting: int
    rejected: int
    incidents: int
    seconds_to_refund: Times
    instant_seconds_to_refund: Times
    reviewed_seconds_to_refund: Times
    amounts: DayAmounts


def summarise(database_url: str, since: datetime, currency: str) -> DaySummary:
    """The figures of the tickets that were requested since a time."""
    with psycopg.connect(database_url) as connection:
        rows = connection.cursor(row_factory=class_row(_Row)).execute(_TICKETS, {"since": since}).fetchall()
        incidents = connection.execute(_INCIDENTS, {"since": since}).fetchone()
    instant = [row for row in rows if row.approved_by == "instant_refund"]
    reviewed = [row for row in rows if row.approved_by != "instant_refund"]
    reasons = Counter(row.missed or row.review_reason for row in reviewed)
    return DaySummary(
        requests=len(rows),
        instant=len(instant),
        reviewed=len(reviewed),
        reviewed_by_condition=dict(reasons.most_common()),
        refunded=_count(rows, "refunded"),
        awaiting=_count(rows, "awaiting_merchant"),
        rejected=_count(rows, "rejected"),
        incidents=incidents[0] if incidents else 0,
        seconds_to_refund=_times(rows),
        instant_seconds_to_refund=_times(instant),
        reviewed_seconds_to_refund=_times(reviewed),
        amounts=DayAmounts(
            currency=currency,
            requested_minor=sum(row.amount_minor for row in rows),
            instant_minor=sum(row.amount_minor for row in instant),
            refunded_minor=sum(row.amount_minor for row in rows if row.state == "refunded"),
        ),
    )


def on_the_way(database_url: str) -> int:
    """The number of refunds that are not final yet, and of tickets that wait for them."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(_ON_THE_WAY).fetchone()
    return int(row[0]) if row else 0


def why_not_final(database_url: str) -> str:
    """What most of the refunds on their way wait for, with how many: for a message."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(_WAITING).fetchall()
    return ", ".join(f"{count} {state}{f': {reason}' if reason else ''}" for state, reason, count in rows)


def _count(rows: list[_Row], state: str) -> int:
    return sum(row.state == state for row in rows)


def _times(rows: list[_Row]) -> Times:
    seconds = sorted(row.seconds for row in rows if row.seconds is not None)
    if not seconds:
        return Times(None, None)
    # Nearest rank: the smallest time that 99 of 100 do not exceed.
    p99 = seconds[-(-len(seconds) * 99 // 100) - 1]
    return Times(round(median(seconds), 3), round(p99, 3))
