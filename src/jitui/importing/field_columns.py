"""Finds the file's column for each of our fields: by its name, by --map, or by a map file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from jitui.errors import BadInput
from jitui.importing.build_values import ATTRIBUTE, KINDS, Kind
from jitui.importing.fields import Cells
from jitui.policy.problems import did_you_mean
from jitui.tabular.mapping import CellRules, FieldSource, FileMap, RowMap, column_in, is_taken
from jitui.tabular.shown import shown
from jitui.tabular.table import Row

_TABLES = {
    "orders": ("order_lines", "orders"),
    "payments": ("payments",),
    "shipments": ("shipments",),
    "buyers": ("buyers",),
    "history": ("events",),
}
"""The tables of a map file whose fields each kind takes: `order_lines.paid` is `paid`.

Histories have `orders.paid` too.
"""
_NOT_TAKEN = ("orders.paid", "orders.paid_minor")


@dataclass(frozen=True, slots=True)
class SaidOfColumns:
    """What the user says about the columns: --map (`columns`) and --set (`constants`) by our fields, and a map file."""

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    file_map: FileMap | None = None


@dataclass(frozen=True, slots=True)
class FieldColumns:
    """How the rows of one file become `Cells`."""

    theirs: dict[str, str]
    sources: Mapping[str, FieldSource]
    rules: CellRules
    zone: ZoneInfo | None
    where: Mapping[str, tuple[str, ...]]

    def takes(self, row: Row) -> bool:
        """Whether the row matches the map's conditions. A row with the wrong number of cells always does."""
        return bool(row.fault) or is_taken(self.where, row.cells.get)

    def cells(self, row: Row) -> Cells:
        """The row's cells, named by our fields."""
        return Cells(row, self.theirs, self.zone, sources=self.sources, rules=self.rules)


def check_fields(kind: Kind, name: str, said: SaidOfColumns) -> None:
    """Raises BadInput for a field of --map or --set that the kind does not have, and of a map file that nothing has."""
    for option, fields in (("--map", said.columns), ("--set", said.constants)):
        for ours in fields:
            if not _is_field(kind, ours):
                known = sorted(kind.fields)
                hint = did_you_mean(ours, known) or f"; there are {', '.join(known)}"
                raise BadInput(f"{name} have no field {ours!r}{hint}", path=option)
    named = () if said.file_map is None else (ours for row in said.file_map.rows for ours in row.fields)
    strange = next((ours for ours in named if not _is_anybodys(ours)), None)
    if strange is not None and said.file_map is not None:
        hint = did_you_mean(strange, sorted(kind.fields)) or "."
        raise BadInput(f"{said.file_map.name}: there is no field {strange!r}{hint}", path="--map-file")


def _is_anybodys(name: str) -> bool:
    """Whether a map file may name it: a field of any kind, or of a history, which the same map serves."""
    from jitui.backtest.history.mapped_fields import (
        OF_TABLES,
        TYPES,
    )  # with it comes DuckDB, which no other import needs

    table, _, short = name.rpartition(".")
    if name in TYPES or name.startswith((ATTRIBUTE, f"buyers.{ATTRIBUTE}")):
        return True
    if table:
        return table in OF_TABLES and any(short in kind.fields for kind in KINDS.values())
    return any(name in kind.fields for kind in KINDS.values()) or any(one.endswith(f".{name}") for one in TYPES)


def _is_field(kind: Kind, name: str) -> bool:
    return name in kind.fields or (name.startswith(ATTRIBUTE) and "registered_at" in kind.fields)


def field_columns(
    kind: Kind, name: str, file: Path, columns: Sequence[str], said: SaidOfColumns, zone: ZoneInfo | None
) -> FieldColumns:
    """How to read a file with these columns. Raises BadInput when a required field has no column."""
    absent = [theirs for theirs in said.columns.values() if theirs not in columns]
    if absent:
        raise BadInput(f"{file} has no column {absent[0]!r}; it has {', '.join(columns)}.", path=str(file))
    wanted = {ours: FieldSource((theirs,)) for ours, theirs in said.columns.items()}
    constants = {ours: FieldSource(constant=value) for ours, value in said.constants.items()}
    if said.file_map is None:
        maps = [RowMap({})]
    else:
        maps = [RowMap(_by_short_names(kind, name, row), row.where) for row in said.file_map.rows]
    rules = said.file_map.rules if said.file_map is not None else CellRules()
    found = [_columns(kind, columns, {**one.fields, **wanted, **constants}) for one in maps]
    missing = [_missing(kind, *one) for one in found]
    best = min(range(len(found)), key=lambda at: len(missing[at]))
    if missing[best]:
        sought = {**maps[best].fields, **wanted}
        named = ", ".join(_sought(entry, sought) for entry in missing[best])
        raise BadInput(
            f"{file} has no column for {named}; it has {', '.join(columns)}. --map THEIRS=OURS names them.",
            path=str(file),
        )
    theirs, sources = found[best]
    return FieldColumns(theirs, sources, rules, zone, maps[best].where)


def _by_short_names(kind: Kind, name: str, row: RowMap) -> dict[str, FieldSource]:
    """The map's fields that this kind has; the map may have fields of other tables too."""
    found: dict[str, FieldSource] = {}
    for full, source in row.fields.items():
        table, _, short = full.rpartition(".") if not full.startswith(ATTRIBUTE) else ("", "", full)
        if table == f"buyers.{ATTRIBUTE.rstrip('.')}":
            table, short = "buyers", f"{ATTRIBUTE}{short}"
        if full not in _NOT_TAKEN and table in ("", *_TABLES[name]) and _is_field(kind, short):
            found[short] = source
    return found


def _columns(
    kind: Kind, columns: Sequence[str], sources: Mapping[str, FieldSource]
) -> tuple[dict[str, str], dict[str, FieldSource]]:
    """The file's column for each of our fields, and the map's source of the field.

    A column that no source names is a field when it has a field's name.
    """
    mapped = {ours: column for ours, one in sources.items() if (column := column_in(one, columns)) is not None}
    taken = set(mapped.values())
    own = {name: name for name in columns if name not in taken and name not in sources and _is_field(kind, name)}
    kept = {ours: one for ours, one in sources.items() if ours in mapped or one.constant is not None}
    return own | mapped, kept


def _missing(kind: Kind, theirs: Mapping[str, str], sources: Mapping[str, FieldSource]) -> list[str]:
    there = {*theirs, *(ours for ours, one in sources.items() if one.constant is not None)}
    return [entry for entry in kind.required if not any(name in there for name in entry.split("|"))]


def _sought(entry: str, sources: Mapping[str, FieldSource]) -> str:
    """A required field with its alternatives, and the columns by which a map looks for it."""
    columns = [column for name in entry.split("|") if name in sources for column in sources[name].columns]
    looked = f" (by the map {' or '.join(map(shown, columns))})" if columns else ""
    return f"{entry.replace('|', ' or ')}{looked}"
