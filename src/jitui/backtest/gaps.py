"""What rows that were set aside would have told: unknown for the order, buyer, shop or request that they belong to.

Where a row does not even say whose it is, what it tells is unknown for every request: to judge the rest as complete
would make an unknown fact a known one, and what is unknown never approves (I5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis

from jitui.backtest.engine import Engine
from jitui.policy import Feature
from jitui.policy.facts import LINES

GAPS = "gaps"
COLUMNS = ("what", "subject", "id", "kind")
"""The table of gaps; `id` empty: whose it is cannot be read, `kind` empty: nor which kind of event."""
OF_TABLE = {
    "order_lines": "'lines', NULL, order_id, NULL",
    "shipments": "'shipment', NULL, order_id, NULL",
    "events": (
        "'events', CASE WHEN subject IN ('buyer', 'shop') THEN subject END,"
        " CASE WHEN subject IN ('buyer', 'shop') THEN subject_id END, CASE WHEN faulty <> 'kind' THEN kind END"
    ),
    "readings": "'readings', 'buyer', request_id, NULL",
}
"""What a faulty row of each table leaves a gap in, as SQL; the other tables are joined, and a row not there is NULL."""


def with_gaps(
    engine: Engine,
    gaps: ibis.Table | None,
    rows: ibis.Table,
    derived: Sequence[str],
    features: Sequence[Feature],
    departures: str,
) -> ibis.Table:
    """The requests with NULL for each derived fact that a row which was set aside would have had a part in."""
    if gaps is None:
        return rows
    lost = gaps.filter(gaps.id.isnull()).select("what", "subject", "kind").distinct()
    everywhere = engine.connection.to_pyarrow(lost).to_pylist()
    whats = {one["what"] for one in everywhere}
    if LINES in derived and LINES in rows.columns:
        rows = _blanked(rows, _of(gaps, "lines"), "order_id", [LINES], everywhere="lines" in whats)
    shipment = [name for name in ("order.shipment",) if name in derived and name in rows.columns]
    rows = _blanked(rows, _of(gaps, "shipment"), "order_id", [*shipment, departures], everywhere="shipment" in whats)
    for feature in features:
        if feature.name in rows.columns:
            mine = _of(gaps, "events")
            mine = mine.filter(mine.subject == feature.subject, mine.kind.isnull() | (mine.kind == feature.kind))
            gone = any(_is_about(one, feature) for one in everywhere)
            rows = _blanked(rows, mine, f"{feature.subject}_id", [feature.name], everywhere=gone)
    names = [feature.name for feature in features if feature.name in rows.columns]
    return _blanked(rows, _of(gaps, "readings"), "request_id", names, everywhere="readings" in whats)


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
