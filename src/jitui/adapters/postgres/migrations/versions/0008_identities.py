"""What a key, a parcel and an order's completion are told apart by."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alembic import op

revision = "0008"
down_revision = "0007"

_DEGREES = ("label_printed", "picked_up", "shipped", "delivered")
_LEFT = ("shipped", "delivered")


def upgrade() -> None:
    """Run the SQL file beside this one, then give every parcel its key and make one of those that share it."""
    run = op.get_bind().exec_driver_sql
    run(Path(__file__).with_suffix(".sql").read_text())
    for lane, order_id, shipment_id, tracking_no in run(
        "SELECT lane, order_id, shipment_id, tracking_no FROM shipment WHERE waybill IS NULL"
    ).fetchall():
        waybill = unicodedata.normalize("NFKC", tracking_no).strip().casefold()
        place = (lane, order_id, shipment_id)
        run("UPDATE shipment SET waybill = %s WHERE (lane, order_id, shipment_id) = (%s, %s, %s)", (waybill, *place))
    shared = "SELECT lane, order_id, waybill FROM shipment GROUP BY 1, 2, 3 HAVING count(*) > 1"
    for parcel in run(shared).fetchall():
        _make_one(run, tuple(parcel))
    run("ALTER TABLE shipment ALTER COLUMN waybill SET NOT NULL")
    run("ALTER TABLE shipment ADD CONSTRAINT one_parcel_per_waybill UNIQUE (lane, order_id, waybill)")


def _make_one(run: Any, parcel: tuple[Any, ...]) -> None:
    """The furthest row stays. Units that were counted as gone stay counted: whether twice, nobody can tell any more."""
    lane, order_id, _ = parcel
    found = run(
        "SELECT shipment_id, degree, carrier, commanded, lines, commanded_lines FROM shipment "
        "WHERE (lane, order_id, waybill) = (%s, %s, %s) ORDER BY recorded_at, shipment_id",
        parcel,
    )
    rows = [row._mapping for row in found]
    kept = max(rows, key=lambda row: _DEGREES.index(row["degree"]))
    counted = _units([row for row in rows if row["degree"] in _LEFT], together=True)
    inside = _units([row for row in rows if row["degree"] not in _LEFT], together=False)
    units = {line: max(counted.get(line, 0), inside.get(line, 0)) for line in {**counted, **inside}}
    for row in rows:
        if row is not kept:
            run(
                "DELETE FROM shipment WHERE (lane, order_id, shipment_id) = (%s, %s, %s)",
                (lane, order_id, row["shipment_id"]),
            )
    carrier = next((row["carrier"] for row in [kept, *rows] if row["carrier"]), "")
    commanded = _units(rows, together=True, column="commanded_lines")
    run(
        "UPDATE shipment SET carrier = %s, commanded = %s, lines = %s::jsonb, commanded_lines = %s::jsonb "
        "WHERE (lane, order_id, shipment_id) = (%s, %s, %s)",
        (carrier, bool(commanded), _as_json(units), _as_json(commanded), lane, order_id, kept["shipment_id"]),
    )
    for line, quantity in units.items() if kept["degree"] in _LEFT else ():
        run(
            "UPDATE order_line SET scanned_quantity = scanned_quantity + %s "
            "WHERE (lane, order_id, line_id) = (%s, %s, %s)",
            (quantity - counted.get(line, 0), lane, order_id, line),
        )


def _as_json(units: Mapping[str, int]) -> str:
    return json.dumps([{"line_id": line, "quantity": quantity} for line, quantity in units.items()])


def _units(rows: Sequence[Mapping[str, Any]], *, together: bool, column: str = "lines") -> dict[str, int]:
    """Units by line over several rows: their sum, or the largest."""
    units: dict[str, int] = {}
    for row in rows:
        for unit in row[column]:
            before = units.get(unit["line_id"], 0)
            units[unit["line_id"]] = before + unit["quantity"] if together else max(before, unit["quantity"])
    return units
