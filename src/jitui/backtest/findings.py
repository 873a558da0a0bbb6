"""What a report of a back-test is about: what the history lacks, what changes, its cost, its drift, and other caps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from jitui.backtest.cap_trials import CapTrials
from jitui.backtest.changes import Changes, changes, create_pairs
from jitui.backtest.drift import Drift, drift
from jitui.backtest.facts import ASSUMED
from jitui.backtest.found import named
from jitui.backtest.incident_cost import CostRates, ExpectedCost, expected_cost
from jitui.backtest.replay import Replayed
from jitui.backtest.segments import KNOWN, SegmentSpec
from jitui.policy import Policy
from jitui.policy.facts import LINES


@dataclass(frozen=True, slots=True)
class FactGap:
    """A fact that the policy reads and the history does not tell, for some of the requests.

    `assumed`: the history has no place for it, so an ordinary value was taken. `helps` are the tables and columns of a
    history that would tell it.
    """

    fact: str
    unknown: int
    assumed: bool
    helps: str


@dataclass(frozen=True, slots=True)
class LossRecord:
    """The incidents that the history has on record: the parcel had left, and the platform did not know yet.

    `known` requests have a record of their parcel at all. Amounts in minor units of the policy's currency.
    """

    known: int
    incidents: int
    before: int
    before_minor: int
    after: int
    after_minor: int


@dataclass(frozen=True, slots=True)
class Findings:
    """The contents of a report; days are those of `time_zone`, the first and last one None without requests."""

    first_at: str | None
    last_at: str | None
    time_zone: str
    gaps: tuple[FactGap, ...]
    losses: LossRecord
    changes: Changes
    rates: CostRates
    cost_before: ExpectedCost
    cost_after: ExpectedCost
    drift: Drift
    cap_trials: CapTrials


def find(
    here: Replayed,
    there: Path | None,
    compared_with: str | None,
    segments: Sequence[SegmentSpec],
    rates: CostRates,
    time_zone: str,
) -> Findings:
    """Everything that the report says of the decisions in `here`, against those in `there`."""
    changed = changes(here, there, compared_with, segments)
    total = changed.total
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_pairs(connection, here.path, here.policy.currency, there)
        local = f"timezone('{time_zone}', timezone('UTC', asked_at))"
        first, last = connection.execute(
            f"SELECT strftime(min({local}), '%Y-%m-%d'), strftime(max({local}), '%Y-%m-%d') FROM pairs"
        ).fetchone() or (None, None)
        return Findings(
            first,
            last,
            time_zone,
            _gaps(connection, here),
            _losses(connection),
            changed,
            rates,
            expected_cost(total.before, total.before_minor, rates),
            expected_cost(total.after, total.after_minor, rates),
            drift(here, there, time_zone),
            here.cap_trials,
        )


def _gaps(connection: duckdb.DuckDBPyConnection, here: Replayed) -> tuple[FactGap, ...]:
    described = connection.execute("DESCRIBE decided").fetchall()
    facts = [str(row[0]).removeprefix(KNOWN) for row in described if str(row[0]).startswith(KNOWN)]
    counts = ", ".join(f"count(*) FILTER (NOT {named(KNOWN + fact)})" for fact in facts)
    unknown = connection.execute(f"SELECT {counts} FROM decided").fetchone() if facts else ()
    gaps = [
        FactGap(fact, number, fact in here.assumed, what_tells(fact, here.policy))
        for fact, number in zip(facts, unknown or (), strict=True)
        if number or fact in here.assumed
    ]
    return tuple(sorted(gaps, key=lambda gap: (gap.assumed, -gap.unknown, gap.fact)))


_TELLS = {
    "buyer.account_age_days": "buyers.registered_at",
    "request.amount_minor": "requests.amount_minor, orders.currency",
    "request.whole_order": "requests.whole_order",
    "order.currency": "orders.currency",
    "order.paid_minor": "orders.paid_minor, orders.currency",
    "order.freight_minor": "orders.freight_minor, orders.currency",
    "order.shipment": "shipments",
    "order.hold": "orders.hold",
    "order.age_seconds": "orders.placed_at",
    "order.paid_age_seconds": "orders.paid_at",
    LINES: "order_lines",
}


def what_tells(fact: str, policy: Policy) -> str:
    """The tables and columns of a history from which this fact comes."""
    if fact in policy.attributes:
        return f"buyers.{fact.removeprefix('buyer.')}"
    if any(feature.name == fact for feature in policy.features):
        return "events, event_records"
    return _TELLS.get(fact, f"facts.{fact}" if fact in ASSUMED or "." in fact else fact)


def _losses(connection: duckdb.DuckDBPyConnection) -> LossRecord:
    row = connection.execute("""
        SELECT count(left_unrecorded), count(*) FILTER (left_unrecorded),
               count(*) FILTER (left_unrecorded AND before),
               coalesce(sum(amount_minor) FILTER (left_unrecorded AND before), 0),
               count(*) FILTER (left_unrecorded AND after),
               coalesce(sum(amount_minor) FILTER (left_unrecorded AND after), 0)
        FROM pairs
    """).fetchone()
    assert row is not None
    return LossRecord(*row)
