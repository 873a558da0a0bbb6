"""Finds the tables of a history: in a folder of Parquet or CSV files, a DuckDB file, or at an Ibis URL.

CSV is read by `jitui.tabular` into Parquet files of text; rows with the wrong number of cells are kept separately.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from jitui.backtest.schema import TABLES, TableSpec
from jitui.errors import BadInput
from jitui.tabular.batches import ReadOptions, open_csv
from jitui.tabular.files import check_same_columns
from jitui.tabular.shown import shown

FILE, LINE = "file of the row", "line of the row"
"""Columns that are added to those of a CSV file: the place of a row."""
PARQUET, CSV = (".parquet",), (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class Raw:
    """A table as it was found: what to select from, its columns with their SQL types, and its Parquet file, if any.

    `broken`: the rows with the wrong number of cells, each with its place.
    """

    spec: TableSpec
    relation: str
    types: Mapping[str, str]
    path: Path | None
    is_text: bool = False
    broken: Sequence[tuple[str, int, str]] = ()


def find(connection: duckdb.DuckDBPyConnection, location: str, work: Path, encoding: str) -> Iterator[Raw]:
    """The tables at a location. Raises BadInput when it cannot be read."""
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


# A folder ---------------------------------------------------------------------------------------------------------


def _from_folder(connection: duckdb.DuckDBPyConnection, folder: Path, work: Path, encoding: str) -> Iterator[Raw]:
    for spec in TABLES.values():
        files = files_of(folder, spec.name)
        if not files:
            continue
        place = files[0] if len(files) == 1 else folder / spec.name
        if _suffix(files[0]) in PARQUET:
            relation = _parquet(folder, files)
            types = types_of(connection, relation, place)
            yield Raw(spec, relation, types, place if relation.endswith("= false)") else None)
        else:
            yield _csv(connection, spec, folder, files, work, encoding)


def files_of(folder: Path, name: str) -> list[Path]:
    """The files of a table: `name.csv`, or all files in the folder `name` and below (`name/year=2026/1.csv`).

    Raises BadInput when the table is there twice, as CSV and as Parquet for example, and for a file that is neither.
    """
    alone = [folder / f"{name}{suffix}" for suffix in (*PARQUET, *CSV) if (folder / f"{name}{suffix}").is_file()]
    inside = sorted(path for path in (folder / name).rglob("*") if path.is_file() and path.name[0] not in "._")
    for path in inside:
        if not _suffix(path):
            raise BadInput(f"{path} is neither Parquet nor CSV (.csv, .csv.gz); take it out.", path=str(path))
    kinds = {_suffix(path) in PARQUET for path in inside}
    if len(alone) + bool(inside) + (len(kinds) == 2) > 1:
        several = [*alone, *inside]
        raise BadInput(
            f"{name} is in {several[0]} and in {several[-1]} too; give one of them, or one folder in one format.",
            path=str(several[-1]),
        )
    return alone or inside


def _suffix(path: Path) -> str:
    return next((suffix for suffix in (*PARQUET, *CSV) if path.name.lower().endswith(suffix)), "")


def _parquet(folder: Path, files: Sequence[Path]) -> str:
    """The rows of Parquet files with the same columns; partitions in the names of folders are columns too."""
    first = _columns(files[0])
    for file in files[1:]:
        check_same_columns(files[0], sorted(first), file, sorted(_columns(file)))
    listed = ", ".join(f"'{quoted(str(file))}'" for file in files)
    partitioned = str(any(_partitions(folder, file) for file in files)).lower()
    options = f"binary_as_string = true, hive_types_autocast = false, hive_partitioning = {partitioned}"
    return f"read_parquet([{listed}], {options})"


def _columns(file: Path) -> list[str]:
    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{file} cannot be read: {first_line(error)}.", path=str(file)) from None


def _csv(
    connection: duckdb.DuckDBPyConnection,
    spec: TableSpec,
    folder: Path,
    files: Sequence[Path],
    work: Path,
    encoding: str,
) -> Raw:
    """All cells as text, with the places of their rows."""
    out = work / "read" / f"{spec.name}.parquet"
    out.parent.mkdir(exist_ok=True)
    first = open_csv(files[0], ReadOptions((encoding,)))
    columns = tuple(name or f"column {place}" for place, name in enumerate(first.columns, start=1))
    partitions = _partitions(folder, files[0])
    twice = next((name for name in partitions if name in columns), None)
    if twice is not None:
        raise BadInput(f"{files[0]}: {shown(twice)} is a column and a folder's name too.", path=str(files[0]))
    schema = pa.schema([(name, pa.string()) for name in (*columns, *partitions, FILE)] + [(LINE, pa.int64())])
    layout = first.layout
    assert layout is not None  # of CSV
    broken: list[tuple[str, int, str]] = []
    with pq.ParquetWriter(out, schema) as writer:
        for file in files:
            found = open_csv(file, ReadOptions((encoding,), layout.delimiter))
            check_same_columns(files[0], first.columns, file, found.columns)
            own = _partitions(folder, file)
            check_same_columns(files[0], [*columns, *partitions], file, [*columns, *own])
            for batch in found.batches:
                same = [pa.repeat(value, len(batch)) for value in (*own.values(), str(file))]
                cells = [*batch.columns.values(), *same, batch.lines]
                writer.write_batch(pa.RecordBatch.from_arrays(cells, schema=schema))
                broken += [(str(file), line, layout.delimiter.join(row)) for _, line, row in batch.broken]
    relation = f"read_parquet('{quoted(str(out))}', hive_partitioning = false)"
    types = types_of(connection, relation, files[0])
    del types[FILE], types[LINE]
    return Raw(spec, relation, types, None, is_text=True, broken=broken)


def _partitions(folder: Path, file: Path) -> dict[str, str]:
    """The partition names and values in the path of a file: `year` and `2026` for a folder `year=2026`."""
    pairs = (part.partition("=") for part in file.relative_to(folder).parts[:-1])
    return {name: value for name, sign, value in pairs if sign}


# Databases --------------------------------------------------------------------------------------------------------


def _from_duckdb(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[Raw]:
    try:
        connection.execute(f"ATTACH '{quoted(str(path))}' AS history (READ_ONLY)")
    except duckdb.Error as error:
        raise BadInput(f"{path} is neither a folder nor a DuckDB file: {first_line(error)}.", path=str(path)) from None
    query = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'history'"
    there = {str(name): str(schema) for schema, name in connection.execute(query).fetchall()}
    for name in there.keys() & TABLES.keys():
        relation = f'history."{there[name]}"."{name}"'
        yield Raw(TABLES[name], relation, types_of(connection, relation, path), None)


def _from_url(connection: duckdb.DuckDBPyConnection, url: str, work: Path) -> Iterator[Raw]:
    """The tables at an Ibis URL, copied to the work folder in batches."""
    import ibis

    place = urlsplit(url)
    try:
        remote = ibis.connect(url)
        there = set(remote.list_tables())
    except Exception as error:  # each of Ibis's back ends raises its own exceptions
        said = f"{url} cannot be read: {first_line(error)}."
        # without the password
        raise BadInput(said.replace(place.netloc, place.hostname or ""), path="history") from None
    for name in there & TABLES.keys():
        path = work / "fetched" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        reader = remote.table(name).to_pyarrow_batches(chunk_size=50_000)
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        relation = f"read_parquet('{quoted(str(path))}', hive_partitioning = false)"
        yield Raw(TABLES[name], relation, types_of(connection, relation, path), path)


def types_of(connection: duckdb.DuckDBPyConnection, relation: str, path: Path) -> dict[str, str]:
    """The columns of a relation with their SQL types. Raises BadInput when it cannot be read."""
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise BadInput(f"{path} cannot be read: {first_line(error)}.", path=str(path)) from None
    return {row[0]: row[1] for row in rows}


def quoted(text: str) -> str:
    """Text escaped for a SQL literal."""
    return text.replace("'", "''")


def named(column: str) -> str:
    """A column's name quoted for SQL."""
    return '"' + column.replace('"', '""') + '"'


def first_line(error: Any) -> str:
    """The first line of an error's message, without the full stop."""
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else shown(type(error).__name__)
