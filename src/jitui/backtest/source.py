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
from jitui.backtest.schema import TABLES, Column, ColumnType, TableSpec
from jitui.errors import BadInput
from jitui.policy import FACTS, LINE_FIELDS, FactType

_SQL_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INT: "BIGINT",
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.MOMENT: "TIMESTAMP",
}
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


@dataclass(frozen=True, slots=True)
class _Raw:
    """A table as it was found: what to select from, its columns with their SQL types, and its Parquet file, if so."""

    spec: TableSpec
    relation: str
    types: Mapping[str, str]
    path: Path | None
    is_text: bool = False
    broken: Sequence[tuple[int, str]] = ()


def prepare(location: str | Path, work: Path, *, memory_mib: int = 2048) -> Prepared:
    """The history at a location, checked; `work` keeps what had to be rewritten and the rows that were set aside.

    Raises BadInput for a location that cannot be read, a missing table and a missing column.
    """
    work.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mib}MiB",
        "temp_directory": str(work / "spill"),
    }
    with closing(duckdb.connect(config=config)) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        found = {raw.spec.name: raw for raw in _find(connection, str(location), work)}
        _require_tables(str(location), found)
        checked = {name: _check(connection, raw, work) for name, raw in found.items()}
    return Prepared(
        {name: path for name, (path, _, _) in checked.items()},
        {name: rows for name, (_, rows, _) in checked.items()},
        tuple(aside for _, _, aside_rows in checked.values() for aside in aside_rows),
    )


# Finding tables --------------------------------------------------------------------------------------------------


def _find(connection: duckdb.DuckDBPyConnection, location: str, work: Path) -> Iterator[_Raw]:
    if location.startswith("duckdb://"):
        yield from _from_duckdb(connection, Path(location.removeprefix("duckdb://")))
    elif "://" in location:
        yield from _from_url(connection, location, work)
    elif Path(location).is_dir():
        yield from _from_folder(connection, Path(location))
    elif Path(location).is_file():
        yield from _from_duckdb(connection, Path(location))
    else:
        raise BadInput(f"There is no history at {location}: name a folder, a DuckDB file or a URL.", path=location)


def _from_folder(connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[_Raw]:
    for spec in TABLES.values():
        for path, pattern in _places(folder, spec.name):
            if pattern.endswith(".parquet"):
                relation = f"read_parquet('{_quoted(pattern)}')"
                yield _Raw(spec, relation, _types(connection, relation, path), path)
            else:
                yield _csv(connection, spec, path, pattern)
            break


def _places(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    for suffix in (".parquet", ".csv"):
        if (folder / f"{name}{suffix}").is_file():
            yield folder / f"{name}{suffix}", str(folder / f"{name}{suffix}")
        elif any((folder / name).glob(f"*{suffix}")):
            yield folder / name, str(folder / name / f"*{suffix}")


def _csv(connection: duckdb.DuckDBPyConnection, spec: TableSpec, path: Path, pattern: str) -> _Raw:
    """All columns as text, rows that cannot be cut kept aside by DuckDB itself."""
    options = "header = true, all_varchar = true, null_padding = false, store_rejects = true, rejects_limit = 0"
    rejects = f"rejects_table = 'rejects_{spec.name}', rejects_scan = 'scans_{spec.name}'"
    relation = f"{spec.name}_csv"
    try:
        connection.execute(
            f"CREATE TEMP TABLE {relation} AS SELECT * FROM read_csv('{_quoted(pattern)}', {options}, {rejects})"
        )
    except duckdb.Error as error:
        raise BadInput(f"{path}: {_first_line(error)}.", path=str(path)) from None
    broken = connection.execute(
        f"SELECT count(DISTINCT line), any_value('line ' || line || ': ' || coalesce(csv_line, '')) "
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


def _check(connection: duckdb.DuckDBPyConnection, raw: _Raw, work: Path) -> tuple[Path, int, tuple[SetAside, ...]]:
    columns = _columns(raw)
    aside = [SetAside(raw.spec.name, SetAsideReason.BROKEN, "", rows, line) for rows, line in raw.broken]
    connection.execute(f"CREATE OR REPLACE TEMP VIEW judged AS {_judged(connection, raw, columns)}")
    query = (
        "SELECT fault, faulty, count(*), any_value(whole) FROM judged WHERE fault IS NOT NULL GROUP BY ALL ORDER BY 1"
    )
    whole = connection.execute(query).fetchall()
    aside += [SetAside(raw.spec.name, SetAsideReason(fault), column, n, text) for fault, column, n, text in whole]
    (good,) = connection.execute("SELECT count(*) FROM judged WHERE fault IS NULL").fetchone() or (0,)
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


def _columns(raw: _Raw) -> list[Column]:
    """The columns that this table has to give: all of the schema, and the further ones of an open table."""
    spec = raw.spec
    for column in spec.columns:
        if column.required and column.name not in raw.types:
            near = difflib.get_close_matches(column.name, raw.types, n=1)
            hint = f" Is it {near[0]}?" if near else ""
            raise BadInput(f"{spec.name} has no column {column.name}.{hint}", path=spec.name)
    further = [name for name in raw.types if spec.column(name) is None] if spec.open else []
    return [*spec.columns, *(Column(name, _further_type(raw, name), "") for name in further)]


def _further_type(raw: _Raw, name: str) -> ColumnType:
    """A logged fact has its type from the table of facts, an attribute the one that it came with."""
    if name in FACTS and FACTS[name].type in _FACT_TYPES:
        return {"int": ColumnType.INT, "bool": ColumnType.BOOL, "string": ColumnType.TEXT}[FACTS[name].type.value]
    kind = raw.types[name]
    if raw.spec.name == "facts" and raw.is_text and name not in FACTS:
        return ColumnType.INT  # a feature or an attribute; features are whole numbers
    if kind == "BOOLEAN":
        return ColumnType.BOOL
    return ColumnType.INT if "INT" in kind and not kind.endswith("]") and "STRUCT" not in kind else ColumnType.TEXT


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
    fault = " ".join(f"WHEN {test} THEN '{reason}'" for test, reason, _ in tests)
    faulty = " ".join(f"WHEN {test} THEN '{name}'" for test, _, name in tests)
    repeated = _repeats(connection, raw, columns, typed, originals)
    again = f"WHEN {repeated} THEN '{SetAsideReason.REPEATED}'" if repeated else ""
    again_in = f"WHEN {repeated} THEN '{', '.join(raw.spec.key)}'" if repeated else ""
    number = f", row_number() OVER (PARTITION BY {_names(raw.spec.key)}{_first_told(raw.spec)}) AS copy"
    raws = ", ".join(f'"{name}" := "raw {name}"' for name in raw.types)
    names = ", ".join(f'"{column.name}"' for column in columns)
    return f"""
        SELECT {names},
               CASE {fault} {again} END AS fault, CASE {faulty} {again_in} END AS faulty,
               CASE WHEN fault IS NOT NULL THEN to_json(struct_pack({raws}))::VARCHAR END AS whole
        FROM (SELECT *{number if repeated else ""} FROM (SELECT {typed}, {originals} FROM {raw.relation}))
    """


def _typed(raw: _Raw, column: Column) -> str:
    if column.name not in raw.types:
        return f"NULL::{_sql_type(column)}"
    value, kind = f'"{column.name}"', raw.types[column.name]
    if raw.is_text:
        value = f"nullif(trim({value}), '')"
    if _is_lines(column):
        return (
            f"TRY_CAST({value}::JSON AS {_LINES_TYPE})" if kind == "VARCHAR" else f"TRY_CAST({value} AS {_LINES_TYPE})"
        )
    if column.type is ColumnType.MOMENT and kind != "TIMESTAMP":
        return f"timezone('UTC', TRY_CAST({value} AS TIMESTAMPTZ))"
    if column.type is ColumnType.INT and (raw.is_text or kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL")):
        # TRY_CAST rounds a fraction; an amount in minor units has none.
        return f"CASE WHEN TRY_CAST({value} AS DOUBLE) % 1 = 0 THEN TRY_CAST({value} AS BIGINT) END"
    return f"TRY_CAST({value} AS {_sql_type(column)})"


def _tests(raw: _Raw, column: Column) -> Iterator[tuple[str, SetAsideReason, str]]:
    name = f'"{column.name}"'
    if column.name in raw.types:
        original = f"nullif(trim(\"raw {column.name}\"), '')" if raw.is_text else f'"raw {column.name}"'
        if raw.types[column.name] != _sql_type(column):
            yield f"{original} IS NOT NULL AND {name} IS NULL", SetAsideReason.MISFIT, column.name
        if column.required:
            yield f"{name} IS NULL", SetAsideReason.MISSING, column.name
        if column.words:
            words = ", ".join(f"'{word}'" for word in column.words)
            yield f"{name} NOT IN ({words})", SetAsideReason.UNKNOWN_WORD, column.name


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
    return f"copy > 1 AND {filled}" if rows != keys else None


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _first_told(spec: TableSpec) -> str:
    """Of rows with one key the one that was known first is kept, as online; elsewhere any."""
    return ' ORDER BY coalesce("recorded_at", "at")' if spec.column("recorded_at") else ""


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
