"""Makes facts unknown that rows which were set aside would have changed: of their order, buyer, shop or request.

When it is not known whose a row is, the facts are unknown for every request. Otherwise an unknown fact would count as
known, and what is unknown never approves (I5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis

from jitui.backtest.engine import Engine
from jitui.policy import Feature
from jitui.policy.facts import BUYER_EVENTS, LINES, SHOP_EVENTS

GAPS = "gaps"
COLUMNS = ("what", "subject", "id", "kind")
"""The columns of the table of gaps. `id` is empty when it is unknown whose the row is, `kind` for an unknown kind."""

_KINDS = ", ".join(f"'{word}'" for word in sorted({*BUYER_EVENTS, *SHOP_EVENTS}))
_COMPLETED = "order_completed"
OF_TABLE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "requests": (("'usage', 'buyer', buyer_id, NULL", "true"), ("'usage', 'shop', shop_id, NULL", "true")),
    "orders": (("'order', NULL, order_id, NULL", "true"),),
    "order_lines": (("'lines', NULL, order_id, NULL", "true"),),
    "categories": (("'category', NULL, category_id, NULL", "true"),),
    "shipments": (("'shipment', NULL, order_id, NULL", "true"),),
    "events": (
        # a retraction may retract an event of any kind
        (
            "'events', CASE WHEN subject IN ('buyer', 'shop') THEN subject END,"
            " CASE WHEN subject IN ('buyer', 'shop') THEN subject_id END,"
            f" CASE WHEN kind IN ({_KINDS}) AND retracts IS NULL THEN kind END",
            "true",
        ),
        (
            "'completion', CASE WHEN order_id IS NULL THEN 'buyer' ELSE 'order' END,"
            " coalesce(order_id, subject_id), NULL",
            f"subject IS DISTINCT FROM 'shop' AND (kind NOT IN ({_KINDS}) OR kind IS NULL OR kind = '{_COMPLETED}')"
            " AND retracts IS NULL",
        ),
    ),
    "readings": (("'readings', 'buyer', request_id, NULL", "true"),),
}
"""For each table: what a faulty row makes unknown, as SQL, and which faulty rows do.

The other tables are joined, so a missing row is NULL anyway.
"""


def of_lost_lines(table: str) -> tuple[str, ...]:
    """What rows with the wrong number of cells make unknown."""
    return tuple(
        f"{gap.split(',')[0]}, {_LOST.get(gap.split(',')[0], 'NULL')}, NULL, NULL" for gap, _ in OF_TABLE[table]
    )


_LOST = {"'completion'": "'buyer'"}


def with_gaps(
    engine: Engine,
    gaps: ibis.Table | None,
    rows: ibis.Table,
    derived: Sequence[str],
    features: Sequence[Feature],
    departures: str,
) -> ibis.Table:
    """The requests, with NULL for each derived fact that a row which was set aside may have changed."""
    if gaps is None:
        return rows
    lost = gaps.filter(gaps.id.isnull()).select("what", "subject", "kind").distinct()
    everywhere = engine.connection.to_pyarrow(lost).to_pylist()
    whats = {one["what"] for one in everywhere}
    if LINES in derived and LINES in rows.columns:
        rows = _blanked(rows, _of(gaps, "lines"), "order_id", [LINES], everywhere="lines" in whats)
    rows = _without_shipment(gaps, rows, whats, derived, departures)
    for feature in features:
        if feature.name in rows.columns:
            mine = _of(gaps, "events")
            mine = mine.filter(mine.subject == feature.subject, mine.kind.isnull() | (mine.kind == feature.kind))
            gone = any(_is_about(one, feature) for one in everywhere)
            rows = _blanked(rows, mine, f"{feature.subject}_id", [feature.name], everywhere=gone)
    names = [feature.name for feature in features if feature.name in rows.columns]
    return _blanked(rows, _of(gaps, "readings"), "request_id", names, everywhere="readings" in whats)


def _without_shipment(
    gaps: ibis.Table, rows: ibis.Table, whats: set[str], derived: Sequence[str], departures: str
) -> ibis.Table:
    """Make the shipment unknown where a row of a parcel, an order or a completion was set aside."""
    shipment = [name for name in ("order.shipment",) if name in derived and name in rows.columns]
    rows = _blanked(rows, _of(gaps, "shipment"), "order_id", [*shipment, departures], everywhere="shipment" in whats)
    rows = _blanked(rows, _of(gaps, "order"), "order_id", shipment, everywhere=False)
    if "order" in whats and shipment and "order.currency" in rows.columns:
        # The order of the lost row is unknown; it is one of those that have no row.
        kept = ibis.cases((rows["order.currency"].notnull(), rows[shipment[0]]), else_=ibis.null("string"))
        rows = rows.mutate(**{shipment[0]: kept})
    told = _of(gaps, "completion")
    rows = _blanked(rows, told.filter(told.subject == "order"), "order_id", shipment, everywhere="completion" in whats)
    return _blanked(rows, told.filter(told.subject == "buyer"), "buyer_id", shipment, everywhere=False)


def lost_categories(gaps: ibis.Table | None) -> ibis.Table | None:
    """The categories whose rows were set aside, as `lost_id`; NULL for one whose id is unknown."""
    return None if gaps is None else gaps.filter(gaps.what == "category").select(lost_id=gaps.id).distinct()


def lost_usage(engine: Engine, gaps: ibis.Table | None) -> dict[str, frozenset[str]]:
    """The buyers and shops of requests that were set aside; a request that names neither is not included."""
    found: dict[str, set[str]] = {"buyer": set(), "shop": set()}
    if gaps is not None:
        for one in engine.connection.to_pyarrow(_of(gaps, "usage").select("subject", "id")).to_pylist():
            found[one["subject"]].add(one["id"])
    return {subject: frozenset(ids) for subject, ids in found.items()}


def _of(gaps: ibis.Table, what: str) -> ibis.Table:
    return gaps.filter(gaps.what == what, gaps.id.notnull())


def _is_about(gap: dict[str, Any], feature: Feature) -> bool:
    return gap["what"] == "events" and gap["subject"] in (None, feature.subject) and gap["kind"] in (None, feature.kind)


def _blanked(rows: ibis.Table, gaps: ibis.Table, key: str, names: Sequence[str], *, everywhere: bool) -> ibis.Table:
    if not names:
        return rows
    if everywhere:
        return rows.mutate(**{name: rows[name].nullif(rows[name]) for name in names})
    columns = rows.columns
    own = gaps.select(gap_id=gaps.id).distinct()
    joined = rows.left_join(own, rows[key] == own.gap_id)
    known = {
        name: ibis.cases((joined.gap_id.isnull(), joined[name]), else_=ibis.null(rows[name].type())) for name in names
    }
    return joined.mutate(**known).select(*columns)
