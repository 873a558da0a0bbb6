"""Brings a history into the schema: each table is checked and typed; rows that do not fit are set aside and counted.

The history is a folder of Parquet or CSV files, a DuckDB file, or tables at an Ibis URL. A Parquet file that fits the
schema is used where it is; everything else is rewritten as a Parquet file in the work folder.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import duckdb

from jitui.backtest.found import FILE, LINE, Raw, find, named, quoted
from jitui.backtest.gaps import COLUMNS, OF_TABLE, of_lost_lines
from jitui.backtest.schema import TABLES, Column, ColumnType, TableSpec
from jitui.backtest.segments import SegmentSpec, check_columns
from jitui.backtest.typed import filled, is_lines, sql_type, teach, typed, why
from jitui.errors import BadInput
from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy import FACTS, FactSpec, FactType
from jitui.policy.facts import BUYER_EVENTS, SHOP_EVENTS
from jitui.tabular.cells import EARLIEST, LATEST

_WITHIN = {
    ColumnType.INT: f"0 AND {MAX_AMOUNT_MINOR}",
    ColumnType.MOMENT: f"TIMESTAMP '{EARLIEST:%Y-%m-%d}' AND TIMESTAMP '{LATEST:%Y-%m-%d}'",
}
"""The ranges of amounts and numbers of units: not negative, and not more than the service accepts."""
_WITHIN_EVENTS = {**_WITHIN, ColumnType.INT: f"0 AND {2**63 - 1}"}
"""The ranges for `events`, where a row may stand for many events with their total amount."""


class RowsSetAsideReason(StrEnum):
    """Why a row is not part of the history."""

    BROKEN = "broken"  # it has the wrong number of cells
    MISSING = "missing"  # a required value is missing
    MISFIT = "misfit"  # a value does not have its column's type
    UNKNOWN_WORD = "unknown_word"
    REPEATED = "repeated"  # an earlier row has this key


@dataclass(frozen=True, slots=True)
class RowsSetAside:
    """The rows of one table that were left out for one reason, and the first of them."""

    table: str
    reason: RowsSetAsideReason
    column: str
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A history that fits the schema: the place of each table, its number of rows, and what was set aside."""

    paths: Mapping[str, Path]
    rows: Mapping[str, int]
    set_aside: tuple[RowsSetAside, ...]
    gaps: Path | None = None
    """The table of what the rows set aside make unknown (`jitui.backtest.gaps`)."""


def prepare(
    location: str | Path,
    work: Path,
    *,
    memory_mib: int = 2048,
    facts: Mapping[str, FactSpec] = FACTS,
    encoding: str = "utf-8",
    segments: Sequence[SegmentSpec] = (),
) -> Prepared:
    """Check the history at a location; `work` has what was rewritten, and the rows that were set aside.

    `facts` are those that the policy may read, with the types of its attributes; `encoding` is that of CSV files.
    Columns of `requests` that `segments` name are kept. Raises BadInput for a location that cannot be read, a missing
    table and a missing column.
    """
    work.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mib}MiB",
        "temp_directory": str(work / "spill"),
    }
    with closing(duckdb.connect(config=config)) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        teach(connection)
        connection.execute(f"CREATE TEMP TABLE gaps ({', '.join(f'{name} VARCHAR' for name in COLUMNS)})")
        found = {raw.spec.name: raw for raw in find(connection, str(location), work, encoding)}
        _require_tables(str(location), found)
        check_columns(segments, found["requests"].types, facts)
        wanted = tuple(one.source for one in segments if not one.is_fact)
        checked = {name: _check(connection, raw, work, facts, wanted) for name, raw in found.items()}
        gaps = _write_gaps(connection, work)
    return Prepared(
        {name: path for name, (path, _, _) in checked.items()},
        {name: rows for name, (_, rows, _) in checked.items()},
        tuple(aside for _, _, aside_rows in checked.values() for aside in aside_rows),
        gaps,
    )


def _write_gaps(connection: duckdb.DuckDBPyConnection, work: Path) -> Path | None:
    if connection.execute("SELECT 1 FROM gaps LIMIT 1").fetchone() is None:
        return None
    connection.execute(f"COPY (SELECT DISTINCT * FROM gaps) TO '{quoted(str(work / 'gaps.parquet'))}'")
    return work / "gaps.parquet"


def _require_tables(location: str, found: Mapping[str, Raw]) -> None:
    missing = [spec.name for spec in TABLES.values() if spec.required and spec.name not in found]
    if missing:
        raise BadInput(
            f"{location} has no table {missing[0]}; it has {', '.join(sorted(found)) or 'none of the schema'}"
            " (docs/reference/history.md).",
            path=location,
        )


# Checking one table ----------------------------------------------------------------------------------------------


def _check(
    connection: duckdb.DuckDBPyConnection,
    raw: Raw,
    work: Path,
    facts: Mapping[str, FactSpec],
    wanted: Collection[str],
) -> tuple[Path, int, tuple[RowsSetAside, ...]]:
    columns = [*_columns(raw, facts), *_of_segments(raw, wanted)]
    aside = []
    if raw.broken:
        file, line, text = raw.broken[0]
        aside.append(
            RowsSetAside(raw.spec.name, RowsSetAsideReason.BROKEN, "", len(raw.broken), f"{file}:{line}: {text}")
        )
    connection.execute(f"CREATE OR REPLACE TEMP VIEW judged AS {_judged(connection, raw, columns)}")
    query = "SELECT fault, faulty, count(*), min(whole) FROM judged WHERE fault IS NOT NULL GROUP BY ALL ORDER BY 1"
    whole = connection.execute(query).fetchall()
    aside += [
        RowsSetAside(raw.spec.name, RowsSetAsideReason(fault), column, n, text) for fault, column, n, text in whole
    ]
    (good, as_it_is) = connection.execute(
        "SELECT count(*), coalesce(bool_and(as_it_is), true) FROM judged WHERE fault IS NULL"
    ).fetchone() or (0, True)
    if aside and raw.spec.name in OF_TABLE:
        for gap, which in OF_TABLE[raw.spec.name]:
            faulty = f"fault IS NOT NULL AND NOT is_copy AND ({which})"
            connection.execute(f"INSERT INTO gaps SELECT {gap} FROM judged WHERE {faulty}")
        for gap in of_lost_lines(raw.spec.name) if raw.broken else ():
            connection.execute(f"INSERT INTO gaps SELECT {gap}")
    if not aside and as_it_is and raw.path is not None and _fits(raw, columns):
        return raw.path, good, ()
    clean = work / "clean" / f"{raw.spec.name}.parquet"
    clean.parent.mkdir(exist_ok=True)
    names = ", ".join(f'"{column.name}"' for column in columns)
    connection.execute(f"COPY (SELECT {names} FROM judged WHERE fault IS NULL) TO '{quoted(str(clean))}'")
    if aside:
        _keep_aside(connection, raw, columns, work)
    return clean, good, tuple(aside)


def _keep_aside(connection: duckdb.DuckDBPyConnection, raw: Raw, columns: Sequence[Column], work: Path) -> None:
    """Write every row that was set aside to a file, with its place and the reason."""
    path = work / "set_aside" / f"{raw.spec.name}.parquet"
    path.parent.mkdir(exist_ok=True)
    place = f"{named(FILE)} AS file, {named(LINE)} AS line" if raw.is_text else "NULL::VARCHAR AS file, NULL AS line"
    rows = (
        f'SELECT fault AS reason, faulty AS "column", whole AS row, {place}, {why(columns, raw.types)} AS why'
        " FROM judged WHERE fault IS NOT NULL"
    )
    if raw.broken:
        connection.execute("CREATE OR REPLACE TEMP TABLE broken (file VARCHAR, line BIGINT, row VARCHAR)")
        connection.executemany("INSERT INTO broken VALUES (?, ?, ?)", raw.broken)
        rows += " UNION ALL SELECT 'broken', '', row, file, line, NULL FROM broken"
    connection.execute(f"COPY ({rows}) TO '{quoted(str(path))}'")


def _columns(raw: Raw, facts: Mapping[str, FactSpec]) -> list[Column]:
    """The columns that this table must have, and the further columns of an open table."""
    spec = raw.spec
    for column in spec.columns:
        if column.required and column.name not in raw.types:
            near = difflib.get_close_matches(column.name, raw.types, n=1)
            hint = f" Is it {near[0]}?" if near else ""
            raise BadInput(f"{spec.name} has no column {column.name}.{hint}", path=spec.name)
    further = [name for name in raw.types if spec.column(name) is None] if spec.open else []
    return [*spec.columns, *(one for name in further if (one := _further(raw, name, facts)) is not None)]


def _of_segments(raw: Raw, wanted: Collection[str]) -> Iterator[Column]:
    """The columns of `requests` that only segments read; a value that cannot be read is unknown, and no fault."""
    for name in dict.fromkeys(wanted):
        if raw.spec.name == "requests" and raw.spec.column(name) is None:
            kind = raw.types[name]
            whole = "INT" in kind and not raw.is_text
            yield Column(name, ColumnType.BOOL if kind == "BOOLEAN" else _WHOLE_OR_TEXT[whole], _UNREAD)


_WHOLE_OR_TEXT = {True: ColumnType.INT, False: ColumnType.TEXT}
_UNREAD = "nothing that was named reads it"


def _further(raw: Raw, name: str, facts: Mapping[str, FactSpec]) -> Column | None:
    """A logged fact or a buyer's attribute with the type that the policy gives it; other attributes are not read.

    A fact that this policy does not declare may be a feature of the policy by which it was logged: a whole number.
    """
    spec = facts.get(name if raw.spec.name == "facts" else f"buyer.{name}")
    if spec is not None:
        types = {FactType.INT: ColumnType.INT, FactType.BOOL: ColumnType.BOOL}
        return Column(name, types.get(spec.type, ColumnType.TEXT), "")
    if raw.spec.name != "facts":
        return None
    return Column(name, ColumnType.INT if raw.is_text or "INT" in raw.types[name] else ColumnType.TEXT, _UNREAD)


def _fits(raw: Raw, columns: Sequence[Column]) -> bool:
    """Whether the file can be used as it is: every column exists with exactly its type."""
    return all(raw.types.get(column.name) == sql_type(column) or is_lines(column) for column in columns)


def _judged(connection: duckdb.DuckDBPyConnection, raw: Raw, columns: Sequence[Column]) -> str:
    """The typed columns of each row, its first fault (`fault`, `faulty`), and the row as text."""
    values = ", ".join(f"{typed(column, raw.types.get(column.name))} AS {named(column.name)}" for column in columns)
    originals = ", ".join(f"{named(name)} AS {named(f'raw {name}')}" for name in raw.types)
    places = f", {named(FILE)}, {named(LINE)}" if raw.is_text else ""
    tests = [test for column in columns for test in _tests(raw, column)]
    faults = " OR ".join(f"coalesce({test}, false)" for test, _, _ in tests) or "false"
    fault = " ".join(f"WHEN {test} THEN '{reason}'" for test, reason, _ in tests)
    faulty = " ".join(f"WHEN {test} THEN '{name}'" for test, _, name in tests)
    repeated = _repeats(connection, raw, values)
    # Different rows with one key at one time contradict one another, so none counts; of equal rows one is kept.
    again = f"WHEN {repeated} THEN '{RowsSetAsideReason.REPEATED}'" if repeated else ""
    again_in = f"WHEN {repeated} THEN '{', '.join(raw.spec.key)}'" if repeated else ""
    every = "to_json(struct_pack(" + ", ".join(f"{named(one.name)} := {named(one.name)}" for one in columns) + "))"
    keys, told = f"PARTITION BY {_names(raw.spec.key)}", _told(raw.spec)
    alike = f"{keys}, {told}"
    number = (
        f", row_number() OVER ({keys} ORDER BY {told}) AS copy, rank() OVER ({keys} ORDER BY {told}) AS turn,"
        f" min({every}::VARCHAR) OVER ({alike}) AS least_of_key, max({every}::VARCHAR) OVER ({alike}) AS most_of_key"
    )
    first_agree = "(turn > 1 OR least_of_key = most_of_key)"
    copied = f"({repeated}) AND {first_agree} AND NOT ({faults})" if repeated else "false"
    raws = ", ".join(f"{named(name)} := {named(f'raw {name}')}" for name in raw.types)
    names = ", ".join(named(column.name) for column in columns)
    found = ", ".join(named(f"raw {name}") for name in raw.types)
    texts = [one.name for one in columns if one.type is ColumnType.TEXT and raw.types.get(one.name) == "VARCHAR"]
    same = " AND ".join(f"{named(name)} IS NOT DISTINCT FROM {named(f'raw {name}')}" for name in texts) or "true"
    return f"""
        SELECT {names}, {found}{places}, {same} AS as_it_is,
               CASE {fault} {again} END AS fault, CASE {faulty} {again_in} END AS faulty,
               {copied} AS is_copy,
               CASE WHEN fault IS NOT NULL THEN to_json(struct_pack({raws}))::VARCHAR END AS whole
        FROM (SELECT *{number if repeated else ""} FROM (SELECT {values}, {originals}{places} FROM {raw.relation}))
    """


def _tests(raw: Raw, column: Column) -> Iterator[tuple[str, RowsSetAsideReason, str]]:
    name = named(column.name)
    if column.name in raw.types:
        kind = raw.types[column.name]
        if column.meaning != _UNREAD and (kind == "VARCHAR" or kind != sql_type(column)):
            misfit = f"CASE WHEN {name} IS NULL THEN {filled(column.name, kind)} ELSE false END"
            yield misfit, RowsSetAsideReason.MISFIT, column.name
        if column.required:
            yield f"{name} IS NULL", RowsSetAsideReason.MISSING, column.name
        if raw.spec.column(column.name) is not None and column.type in _WITHIN:
            within = _WITHIN_EVENTS if raw.spec.name == "events" else _WITHIN
            yield f"{name} NOT BETWEEN {within[column.type]}", RowsSetAsideReason.MISFIT, column.name
        if column.name == "kind" and raw.spec.name == "events":
            kinds = ", ".join(f"'{word}'" for word in sorted({*BUYER_EVENTS, *SHOP_EVENTS}))
            yield f"{name} NOT IN ({kinds})", RowsSetAsideReason.UNKNOWN_WORD, column.name
        if column.words:
            words = ", ".join(f"'{word}'" for word in column.words)
            yield f"{name} NOT IN ({words})", RowsSetAsideReason.UNKNOWN_WORD, column.name


def _repeats(connection: duckdb.DuckDBPyConnection, raw: Raw, values: str) -> str | None:
    """The test for a repeated key; None when no key is repeated, because numbering every row is expensive."""
    if not raw.spec.key:
        return None
    key = _names(raw.spec.key)
    told = " AND ".join(f'"{name}" IS NOT NULL' for name in raw.spec.key)
    (rows, keys) = connection.execute(
        f"SELECT count(*), count(DISTINCT ({key})) FROM (SELECT {values} FROM {raw.relation}) WHERE {told}"
    ).fetchone() or (0, 0)
    return f"{told} AND (copy > 1 OR least_of_key <> most_of_key)" if rows != keys else None


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _told(spec: TableSpec) -> str:
    """When a row was known: of rows with one key the first counts, as online; without such a time all are equal."""
    return 'coalesce("recorded_at", "at")' if spec.column("recorded_at") else "true"
