"""Reads a file of tracking numbers: an order, its number, and, where it is known, carrier and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from jitui.aftersales.commands.bulk_shipments import TrackingRow
from jitui.errors import BadInput
from jitui.importing.fields import Cells
from jitui.tabular.bad_rows import BadRow
from jitui.tabular.batches import ReadOptions
from jitui.tabular.shown import shown
from jitui.tabular.table import Row, open_table

NAMES: Mapping[str, tuple[str, ...]] = {
    "order_id": ("order_id", "订单号", "订单编号"),
    "tracking_no": ("tracking_no", "运单号", "物流单号", "快递单号"),
    "carrier": ("carrier", "快递公司", "物流公司"),
    "happened_at": ("happened_at", "发货时间"),
}
"""Our fields, and the headers by which they are known without `--map`."""

NEEDED = ("order_id", "tracking_no")
ENCODINGS = ("utf-8", "gb18030")
"""The first that decodes the whole file; a byte order mark is left out. GBK is a part of GB 18030."""


@dataclass(slots=True)
class TrackingFile:
    """The rows that can be told, with their numbers in the file, and those that cannot be read."""

    rows: list[tuple[Row, TrackingRow]] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


def read_tracking_numbers(
    file: Path, theirs: Mapping[str, str], zone: ZoneInfo | None, reading: ReadOptions | None = None
) -> TrackingFile:
    """Read the whole file; `theirs` are columns by our field. Raises BadInput when it cannot be read as a table."""
    table = open_table(file, reading or ReadOptions(ENCODINGS))
    columns = _columns(file, table.columns, theirs)
    found = TrackingFile()
    for row in table.rows:
        cells = Cells(row, columns, zone)
        told = None if row.fault else _row(cells)
        if row.fault:
            found.bad.append(BadRow(row.file, row.number, row.line, "", row.fault))
        elif told is not None and not cells.faults:
            found.rows.append((row, told))
        found.bad += [
            BadRow(row.file, row.number, row.line, one.field, one.reason, one.column, one.value) for one in cells.faults
        ]
    return found


def _row(cells: Cells) -> TrackingRow:
    return TrackingRow(
        order_id=cells.id("order_id"),
        tracking_no=cells.code("tracking_no"),
        carrier=cells.name("carrier"),
        happened_at=cells.optional_time("happened_at"),
    )


def _columns(file: Path, columns: tuple[str, ...], theirs: Mapping[str, str]) -> dict[str, str]:
    for ours, name in theirs.items():
        if ours not in NAMES:
            raise BadInput(f"{shown(ours)} is no field; there are {', '.join(NAMES)}.", path="--map")
        if name not in columns:
            raise BadInput(f"{file}:1: there is no column {shown(name)}.", path=str(file))
    known = {
        ours: next((name for name in names if name in columns), None)
        for ours, names in NAMES.items()
        if ours not in theirs
    }
    found = {**{ours: name for ours, name in known.items() if name is not None}, **theirs}
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise BadInput(
            f"{file}:1: there is no column for {' and '.join(missing)}; --map THEIRS={missing[0]} says which it is.",
            path=str(file),
        )
    return found
