"""Any history into the one schema: each table checked and typed, rows that do not fit set aside and counted.

A folder of Parquet or CSV files, a DuckDB file, or the tables behind an Ibis connection URL. A Parquet file that fits
already is used where it is; everything else becomes a Parquet file of its own in the work folder.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from jitui.backtest.columns import LINES_TYPE
from jitui.backtest.gaps import COLUMNS, OF_TABLE
from jitui.backtest.schema import TABLES, Column, ColumnType, TableSpec
from jitui.errors import BadInput
from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy import FACTS, LINE_FIELDS, FactSpec, FactType
from jitui.policy.facts import BUYER_EVENTS, SHOP_EVENTS
from jitui.tabular.cells import EARLIEST, LATEST, ROUNDED, WHOLE
from jitui.tabular.files import check_same_columns, decoded_lines, open_csv

_SQL_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INT: "BIGINT",
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.MOMENT: "TIMESTAMP",
}
_WITHIN = {
    ColumnType.INT: f"0 AND {MAX_AMOUNT_MINOR}",
    ColumnType.MOMENT: f"TIMESTAMP '{EARLIEST:%Y-%m-%d}' AND TIMESTAMP '{LATEST:%Y-%m-%d}'",
}
"""No amount and no number of units is negative or beyond what the service takes."""
_WITHIN_EVENTS = {**_WITHIN, ColumnType.INT: f"0 AND {2**63 - 1}"}
"""A row of events may stand for many, and its amount for all of them."""
_FACT_TYPES = {FactType.INT: "BIGINT", FactType.BOOL: "BOOLEAN", FactType.STRING: "VARCHAR"}
_LINES_TYPE = "STRUCT(" + ", ".join(f'"{name}" {_FACT_TYPES[spec.type]}' for name, spec in LINE_FIELDS.items()) + ")[]"
assert LINES_TYPE.count(":") == len(LINE_FIELDS)


class SetAsideReason(StrEnum):
    """Why a row is no part of the history."""

    BROKEN = "broken"  # cannot be cut into columns
    MISSING = "missing"  # a required value is empty
    MISFIT = "misfit"  # a value is not of its column's type
    UNKNOWN_WORD = "unknown_word"
    REPEATED = "repeated"  # a row with this key came before


@dataclass(frozen=True, slots=True)
class SetAside:
    """Rows of one table that were left out for one reason, and the first of them."""

    table: str
    reason: SetAsideReason
    column: str
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A history that fits the schema: where each of its tables is, how many rows it has, and what was set aside."""

    paths: Mapping[str, Path]
    rows: Mapping[str, int]
    set_aside: tuple[SetAside, ...]
    gaps: Path | None = None
    """What the rows that were set aside would have told (`jitui.backtest.gaps`)."""


@dataclass(frozen=True, slots=True)
class _Raw:
    """A table as it was found: what to select from, its columns with their SQL types, and its Parquet file, if so."""

    spec: TableSpec
    relation: str
    types: Mapping[str, str]
    path: Path | None
    is_text: bool = False
    broken: Sequence[tuple[int, str]] = ()


def prepare(
    location: str | Path,
    work: Path,
    *,
    memory_mib: int = 2048,
    facts: Mapping[str, FactSpec] = FACTS,
    encoding: str = "utf-8",
) -> Prepared:
    """The history at a location, checked; `work` keeps what had to be rewritten and the rows that were set aside.

    `facts` are those that the policy may read, with the types of its attributes; `encoding` is that of CSV files.
    Raises BadInput for a location that cannot be read, a missing table and a missing column.
    """
    work.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mib}MiB",
        "temp_directory": str(work / "spill"),
    }
    with closing(duckdb.connect(config=config)) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        connection.execute(f"CREATE TEMP TABLE gaps ({', '.join(f'{name} VARCHAR' for name in COLUMNS)})")
        found = {raw.spec.name: raw for raw in _find(connection, str(location), work, encoding)}
        _require_tables(str(location), found)
        checked = {name: _check(connection, raw, work, facts) for name, raw in found.items()}
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
    connection.execute(f"COPY (SELECT DISTINCT * FROM gaps) TO '{_quoted(str(work / 'gaps.parquet'))}'")
    return work / "gaps.parquet"


# Finding tables --------------------------------------------------------------------------------------------------


def _find(connection: duckdb.DuckDBPyConnection, location: str, work: Path, encoding: str) -> Iterator[_Raw]:
    if location.startswith("duckdb://"):
        yield from _from_duckdb(connection, Path(location.removeprefix("duckdb://")))
    elif "://" in location:
        yield from _from_url(connection, location, work)
    elif Path(location).is_dir():
        yield from _from_folder(connection, Path(location), work, encoding)
    elif Path(location).is_file():
        yield from _from_duckdb(connection, Path(location))
    else:
        raise BadInput(f"There is no history at {location}: name a folder, a DuckDB file or a URL.", path=location)


def _from_folder(connection: duckdb.DuckDBPyConnection, folder: Path, work: Path, encoding: str) -> Iterator[_Raw]:
    for spec in TABLES.values():
        for path, pattern in _places(folder, spec.name):
            if pattern.endswith(".parquet"):
                relation = f"read_parquet('{_quoted(pattern)}')"
                yield _Raw(spec, relation, _types(connection, relation, path), path)
            else:
                yield _csv(connection, spec, path, *_in_utf8(path, pattern, work, encoding))
            break


def _places(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    for suffix in (".parquet", ".csv"):
        if (folder / f"{name}{suffix}").is_file():
            yield folder / f"{name}{suffix}", str(folder / f"{name}{suffix}")
        elif any((folder / name).glob(f"*{suffix}")):
            yield folder / name, str(folder / name / f"*{suffix}")


def _in_utf8(path: Path, pattern: str, work: Path, encoding: str) -> tuple[str, str]:
    """Where the table's files are in UTF-8, and their delimiter; all of them were read through and have one header."""
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    first = open_csv(files[0], encoding)
    for file in files:
        found = open_csv(file, encoding, first.layout.delimiter)
        check_same_columns(files[0], first.columns, file, found.columns)
        for _ in found.records:
            pass
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        return pattern, first.layout.delimiter
    copies = work / "decoded" / path.stem
    copies.mkdir(parents=True, exist_ok=True)
    for file in files:
        with (copies / file.name).open("w", encoding="utf-8", newline="") as out:
            out.writelines(decoded_lines(file, encoding))
    return str(copies / "*.csv"), first.layout.delimiter


def _csv(connection: duckdb.DuckDBPyConnection, spec: TableSpec, path: Path, pattern: str, delimiter: str) -> _Raw:
    """All columns as text, rows that cannot be cut kept aside by DuckDB itself."""
    dialect = f"delim = '{delimiter}', quote = '\"', escape = '\"', header = true, all_varchar = true"
    options = f"{dialect}, null_padding = false, store_rejects = true, rejects_limit = 0"
    rejects = f"rejects_table = 'rejects_{spec.name}', rejects_scan = 'scans_{spec.name}'"
    relation = f"{spec.name}_csv"
    try:
        connection.execute(
            f"CREATE TEMP TABLE {relation} AS SELECT * FROM read_csv('{_quoted(pattern)}', {options}, {rejects})"
        )
    except duckdb.Error as error:
        raise BadInput(f"{path}: {_first_line(error)}.", path=str(path)) from None
    broken = connection.execute(
        f"SELECT count(DISTINCT line), min('line ' || line || ': ' || coalesce(csv_line, '')) "
        f"FROM rejects_{spec.name} HAVING count(*) > 0"
    ).fetchall()
    return _Raw(spec, relation, _types(connection, relation, path), None, is_text=True, broken=broken)


def _from_duckdb(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[_Raw]:
    try:
        connection.execute(f"ATTACH '{_quoted(str(path))}' AS history (READ_ONLY)")
    except duckdb.Error as error:
        raise BadInput(f"{path} is neither a folder nor a DuckDB file: {_first_line(error)}.", path=str(path)) from None
    query = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'history'"
    there = {str(name): str(schema) for schema, name in connection.execute(query).fetchall()}
    for name in there.keys() & TABLES.keys():
        relation = f'history."{there[name]}"."{name}"'
        yield _Raw(TABLES[name], relation, _types(connection, relation, path), None)


def _from_url(connection: duckdb.DuckDBPyConnection, url: str, work: Path) -> Iterator[_Raw]:
    """Tables behind an Ibis URL are brought here first, a batch at a time."""
    import ibis
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    place = urlsplit(url)
    try:
        remote = ibis.connect(url)
        there = set(remote.list_tables())
    except Exception as error:  # each of Ibis's back ends raises its own kinds
        said = f"{url} cannot be read: {_first_line(error)}."
        raise BadInput(said.replace(place.netloc, place.hostname or ""), path="history") from None  # no password
    for name in there & TABLES.keys():
        path = work / "fetched" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        reader = remote.table(name).to_pyarrow_batches(chunk_size=50_000)
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        relation = f"read_parquet('{_quoted(str(path))}')"
        yield _Raw(TABLES[name], relation, _types(connection, relation, path), path)


def _types(connection: duckdb.DuckDBPyConnection, relation: str, path: Path) -> dict[str, str]:
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise BadInput(f"{path} cannot be read: {_first_line(error)}.", path=str(path)) from None
    return {row[0].strip(): row[1] for row in rows}


def _require_tables(location: str, found: Mapping[str, _Raw]) -> None:
    missing = [spec.name for spec in TABLES.values() if spec.required and spec.name not in found]
    if missing:
        raise BadInput(
            f"{location} has no table {missing[0]}; it has {', '.join(sorted(found)) or 'none of the schema'}"
            " (docs/reference/history.md).",
            path=location,
        )


# Checking one table ----------------------------------------------------------------------------------------------


def _check(
    connection: duckdb.DuckDBPyConnection, raw: _Raw, work: Path, facts: Mapping[str, FactSpec]
) -> tuple[Path, int, tuple[SetAside, ...]]:
    columns = _columns(raw, facts)
    aside = [SetAside(raw.spec.name, SetAsideReason.BROKEN, "", rows, line) for rows, line in raw.broken]
    connection.execute(f"CREATE OR REPLACE TEMP VIEW judged AS {_judged(connection, raw, columns)}")
    query = "SELECT fault, faulty, count(*), min(whole) FROM judged WHERE fault IS NOT NULL GROUP BY ALL ORDER BY 1"
    whole = connection.execute(query).fetchall()
    aside += [SetAside(raw.spec.name, SetAsideReason(fault), column, n, text) for fault, column, n, text in whole]
    (good,) = connection.execute("SELECT count(*) FROM judged WHERE fault IS NULL").fetchone() or (0,)
    if aside and raw.spec.name in OF_TABLE:
        gap = OF_TABLE[raw.spec.name]
        connection.execute(f"INSERT INTO gaps SELECT {gap} FROM judged WHERE fault IS NOT NULL AND NOT is_copy")
        if raw.broken:
            connection.execute(f"INSERT INTO gaps SELECT {gap.split(',')[0]}, NULL, NULL, NULL")
    if not aside and raw.path is not None and _fits(raw, columns):
        return raw.path, good, ()
    clean = work / "clean" / f"{raw.spec.name}.parquet"
    clean.parent.mkdir(exist_ok=True)
    names = ", ".join(f'"{column.name}"' for column in columns)
    connection.execute(f"COPY (SELECT {names} FROM judged WHERE fault IS NULL) TO '{_quoted(str(clean))}'")
    if aside:
        _keep_aside(connection, raw, work)
    return clean, good, tuple(aside)


def _keep_aside(connection: duckdb.DuckDBPyConnection, raw: _Raw, work: Path) -> None:
    path = work / "set_aside" / f"{raw.spec.name}.parquet"
    path.parent.mkdir(exist_ok=True)
    rows = 'SELECT fault AS reason, faulty AS "column", whole AS row FROM judged WHERE fault IS NOT NULL'
    if raw.broken:
        rows += (
            f" UNION ALL SELECT DISTINCT 'broken', '', 'line ' || line || ': ' || csv_line FROM rejects_{raw.spec.name}"
        )
    connection.execute(f"COPY ({rows}) TO '{_quoted(str(path))}'")


def _columns(raw: _Raw, facts: Mapping[str, FactSpec]) -> list[Column]:
    """The columns that this table has to give: all of the schema, and the further ones of an open table."""
    spec = raw.spec
    for column in spec.columns:
        if column.required and column.name not in raw.types:
            near = difflib.get_close_matches(column.name, raw.types, n=1)
            hint = f" Is it {near[0]}?" if near else ""
            raise BadInput(f"{spec.name} has no column {column.name}.{hint}", path=spec.name)
    further = [name for name in raw.types if spec.column(name) is None] if spec.open else []
    return [*spec.columns, *(Column(name, _further_type(raw, name, facts), "") for name in further)]


def _further_type(raw: _Raw, name: str, facts: Mapping[str, FactSpec]) -> ColumnType:
    """The type that the policy gives to a fact or to a buyer's attribute; nothing reads what it does not name."""
    spec = facts.get(name if raw.spec.name == "facts" else f"buyer.{name}")
    if spec is None and raw.spec.name == "facts":  # a feature of another policy; features are whole numbers
        return ColumnType.INT if raw.is_text or "INT" in raw.types[name] else ColumnType.TEXT
    types = {FactType.INT: ColumnType.INT, FactType.BOOL: ColumnType.BOOL}
    return ColumnType.TEXT if spec is None else types.get(spec.type, ColumnType.TEXT)


def _sql_type(column: Column) -> str:
    if column.name in FACTS and FACTS[column.name].type is FactType.LINES:
        return _LINES_TYPE
    return _SQL_TYPES[column.type]


def _fits(raw: _Raw, columns: Sequence[Column]) -> bool:
    """Whether the file as it is can be read as the table: every column there, and of exactly its type."""
    return all(raw.types.get(column.name) == _sql_type(column) or _is_lines(column) for column in columns)


def _is_lines(column: Column) -> bool:
    return column.name in FACTS and FACTS[column.name].type is FactType.LINES


def _judged(connection: duckdb.DuckDBPyConnection, raw: _Raw, columns: Sequence[Column]) -> str:
    """The typed columns of each row, the first thing that is wrong with it (`fault`, `faulty`), and the row as text."""
    typed = ", ".join(f'{_typed(raw, column)} AS "{column.name}"' for column in columns)
    originals = ", ".join(f'"{name}" AS "raw {name}"' for name in raw.types)
    tests = [test for column in columns for test in _tests(raw, column)]
    faults = " OR ".join(f"coalesce({test}, false)" for test, _, _ in tests) or "false"
    fault = " ".join(f"WHEN {test} THEN '{reason}'" for test, reason, _ in tests)
    faulty = " ".join(f"WHEN {test} THEN '{name}'" for test, _, name in tests)
    repeated = _repeats(connection, raw, columns, typed, originals)
    # Rows of one key told at one time that differ contradict one another: none is believed. Of the same one is kept.
    again = f"WHEN {repeated} THEN '{SetAsideReason.REPEATED}'" if repeated else ""
    again_in = f"WHEN {repeated} THEN '{', '.join(raw.spec.key)}'" if repeated else ""
    every = "to_json(struct_pack(" + ", ".join(f'"{column.name}" := "{column.name}"' for column in columns) + "))"
    keys, told = f"PARTITION BY {_names(raw.spec.key)}", _told(raw.spec)
    alike = f"{keys}, {told}"
    number = (
        f", row_number() OVER ({keys} ORDER BY {told}) AS copy, rank() OVER ({keys} ORDER BY {told}) AS turn,"
        f" min({every}::VARCHAR) OVER ({alike}) AS least_of_key, max({every}::VARCHAR) OVER ({alike}) AS most_of_key"
    )
    first_agree = "(turn > 1 OR least_of_key = most_of_key)"
    copied = f"({repeated}) AND {first_agree} AND NOT ({faults})" if repeated else "false"
    raws = ", ".join(f'"{name}" := "raw {name}"' for name in raw.types)
    names = ", ".join(f'"{column.name}"' for column in columns)
    return f"""
        SELECT {names},
               CASE {fault} {again} END AS fault, CASE {faulty} {again_in} END AS faulty,
               {copied} AS is_copy,
               CASE WHEN fault IS NOT NULL THEN to_json(struct_pack({raws}))::VARCHAR END AS whole
        FROM (SELECT *{number if repeated else ""} FROM (SELECT {typed}, {originals} FROM {raw.relation}))
    """


def _typed(raw: _Raw, column: Column) -> str:
    if column.name not in raw.types:
        return f"NULL::{_sql_type(column)}"
    value, kind = f'"{column.name}"', raw.types[column.name]
    if raw.is_text or (kind == "VARCHAR" and column.type is not ColumnType.TEXT):
        value = _bare(value)
    if _is_lines(column):
        return (
            f"TRY_CAST({value}::JSON AS {_LINES_TYPE})" if kind == "VARCHAR" else f"TRY_CAST({value} AS {_LINES_TYPE})"
        )
    if column.type is ColumnType.MOMENT and kind != "TIMESTAMP":
        return f"timezone('UTC', TRY_CAST({value} AS TIMESTAMPTZ))"
    if _is_id(column) and kind in ("DOUBLE", "FLOAT"):
        return "NULL::VARCHAR"  # it may have lost digits
    if _is_id(column) and kind == "VARCHAR":
        return f"CASE WHEN NOT regexp_full_match({value}, '{ROUNDED}') THEN {value} END"
    if column.type is ColumnType.BOOL and "INT" in kind:
        return f"CASE {value} WHEN 1 THEN true WHEN 0 THEN false END"
    if column.type is ColumnType.INT and kind == "VARCHAR":
        return f"CASE WHEN regexp_full_match({value}, '{WHOLE}') THEN TRY_CAST({value} AS BIGINT) END"
    if column.type is ColumnType.INT and kind in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN abs({value}) <= {2**53} AND {value} % 1 = 0 THEN TRY_CAST({value} AS BIGINT) END"
    if column.type is ColumnType.INT and kind.startswith("DECIMAL"):
        # TRY_CAST rounds a fraction; an amount in minor units has none.
        return f"CASE WHEN {value} % 1 = 0 THEN TRY_CAST({value} AS BIGINT) END"
    return f"TRY_CAST({value} AS {_sql_type(column)})"


def _tests(raw: _Raw, column: Column) -> Iterator[tuple[str, SetAsideReason, str]]:
    name = f'"{column.name}"'
    if column.name in raw.types:
        original = _bare(f'"raw {column.name}"') if raw.types[column.name] == "VARCHAR" else f'"raw {column.name}"'
        if raw.types[column.name] in ("DOUBLE", "FLOAT"):
            original = f"CASE WHEN NOT isnan({original}) THEN {original} END"  # a table of numbers writes NULL so
        if raw.types[column.name] != _sql_type(column) or _is_id(column):
            yield f"{original} IS NOT NULL AND {name} IS NULL", SetAsideReason.MISFIT, column.name
        if column.required:
            yield f"{name} IS NULL", SetAsideReason.MISSING, column.name
        if raw.spec.column(column.name) is not None and column.type in _WITHIN:
            within = _WITHIN_EVENTS if raw.spec.name == "events" else _WITHIN
            yield f"{name} NOT BETWEEN {within[column.type]}", SetAsideReason.MISFIT, column.name
        if column.name == "kind" and raw.spec.name == "events":
            kinds = ", ".join(f"'{word}'" for word in sorted({*BUYER_EVENTS, *SHOP_EVENTS}))
            yield f"{name} NOT IN ({kinds})", SetAsideReason.UNKNOWN_WORD, column.name
        if column.words:
            words = ", ".join(f"'{word}'" for word in column.words)
            yield f"{name} NOT IN ({words})", SetAsideReason.UNKNOWN_WORD, column.name


def _is_id(column: Column) -> bool:
    return column.required and column.type is ColumnType.TEXT and column.name.endswith("_id")


def _bare(value: str) -> str:
    """As `jitui.tabular.cells.bare`, in SQL."""
    around = "' ' || chr(9) || chr(13) || chr(10) || chr(160) || chr(12288) || chr(65279)"
    unwrapped = f"regexp_replace(trim({value}, {around}), '^(?:=\"([^\"]*)\"|[''`](.*))$', '\\1\\2')"
    return f"nullif(trim({unwrapped}, {around}), '')"


def _repeats(
    connection: duckdb.DuckDBPyConnection, raw: _Raw, columns: Sequence[Column], typed: str, originals: str
) -> str | None:
    """The test for a repeated key, only where there is one: numbering every row is dear."""
    if not raw.spec.key:
        return None
    key = _names(raw.spec.key)
    filled = " AND ".join(f'"{name}" IS NOT NULL' for name in raw.spec.key)
    (rows, keys) = connection.execute(
        f"SELECT count(*), count(DISTINCT ({key})) FROM (SELECT {typed} FROM {raw.relation}) WHERE {filled}"
    ).fetchone() or (0, 0)
    return f"{filled} AND (copy > 1 OR least_of_key <> most_of_key)" if rows != keys else None


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _told(spec: TableSpec) -> str:
    """When a row was known: of rows with one key the first that was told counts, as online; elsewhere all are equal."""
    return 'coalesce("recorded_at", "at")' if spec.column("recorded_at") else "true"


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
