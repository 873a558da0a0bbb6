"""Reads cells of a history as values of the schema, in DuckDB: plain cells by SQL, all others by `jitui.tabular.cells`.

Text with only one possible meaning (`129`, `true`, `2026-11-23T08:00:00Z`, `o-17`) is cast by SQL, because a history
has millions of such cells. Everything else goes through `jitui.tabular.cells`, so that a history and an import read a
cell in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
from duckdb.sqltypes import BIGINT, BOOLEAN, TIMESTAMP, VARCHAR

from jitui.backtest.columns import LINES_TYPE
from jitui.backtest.found import named, quoted
from jitui.backtest.schema import Column, ColumnType
from jitui.policy import FACTS, LINE_FIELDS, FactType
from jitui.tabular import cells
from jitui.tabular.cells import Unreadable

_SQL_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INT: "BIGINT",
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.MOMENT: "TIMESTAMP",
}
_FACT_TYPES = {FactType.INT: "BIGINT", FactType.BOOL: "BOOLEAN", FactType.STRING: "VARCHAR"}
_LINES_TYPE = "STRUCT(" + ", ".join(f'"{name}" {_FACT_TYPES[spec.type]}' for name, spec in LINE_FIELDS.items()) + ")[]"
assert LINES_TYPE.count(":") == len(LINE_FIELDS)

# The patterns of text that SQL casts; all other text goes to the reader. A test reads the same text both ways.
PLAIN_TEXT = r"[\p{Han}A-Za-z0-9](?:[^\x00]*[\p{Han}A-Za-z0-9])?"
PLAIN_ID = r"[0-9]+|[0-9a-f]{32}|[A-Za-z]+[0-9_:-][A-Za-z0-9_:-]*"
PLAIN_WHOLE = r"-?[0-9]{1,18}"
PLAIN_MOMENT = (
    r"(?:19(?:7[1-9]|[89][0-9])|20[0-9]{2}|21(?:[0-8][0-9]|9[0-8]))-[0-9]{2}-[0-9]{2}"
    r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?"
)
_VERBATIM = ("document",)
"""Columns that are kept unchanged: a policy is identified by the hash of its text, including the last line break."""
_FLOATS = ("DOUBLE", "FLOAT")
_EXACT_FLOAT = 2**53


def teach(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the reader's functions: `read_…` returns the value or NULL, `why_…` why there is none."""
    learn: Any = connection.create_function  # its stubs know neither these types nor these names
    for name, read, kind in _READERS:
        learn(f"read_{name}", _value(read), [VARCHAR], kind, null_handling="special")
        learn(f"why_{name}", _why(read), [VARCHAR], VARCHAR, null_handling="special")

    learn("is_filled", _is_filled, [VARCHAR], BOOLEAN, null_handling="special")


def _is_filled(text: str | None) -> bool:
    return not cells.is_empty(text)


def _moment(text: str) -> datetime | Unreadable:
    found = cells.read_moment(text, UTC)
    return found if isinstance(found, Unreadable) else found.astimezone(UTC).replace(tzinfo=None)


_READERS: tuple[tuple[str, Callable[[str], Any], Any], ...] = (
    ("text", cells.read_text, VARCHAR),
    ("id", cells.read_id, VARCHAR),
    ("whole", cells.read_whole, BIGINT),
    ("flag", cells.read_flag, BOOLEAN),
    ("moment", _moment, TIMESTAMP),
)


def _value(read: Callable[[str], Any]) -> Callable[[str | None], Any]:
    def value(text: str | None) -> Any:
        if text is None or cells.is_empty(text):
            return None
        found = read(text)
        return None if isinstance(found, Unreadable) else found

    return value


def _why(read: Callable[[str], Any]) -> Callable[[str | None], str | None]:
    def why(text: str | None) -> str | None:
        found = None if text is None or cells.is_empty(text) else read(text)
        return found.reason if isinstance(found, Unreadable) else None

    return why


def sql_type(column: Column) -> str:
    """The column's type in DuckDB."""
    return _LINES_TYPE if is_lines(column) else _SQL_TYPES[column.type]


def is_lines(column: Column) -> bool:
    """Whether the column has an order's lines, as they were logged."""
    return column.name in FACTS and FACTS[column.name].type is FactType.LINES


def is_id(column: Column) -> bool:
    """Whether the column has ids, where a number that lost digits would merge two of them."""
    return column.type is ColumnType.TEXT and (column.name.endswith("_id") or column.name == "retracts")


def typed(column: Column, kind: str | None) -> str:
    """The value of a column that has this SQL type, NULL when it is not valid; without a type the column is missing."""
    if kind is None:
        return f"NULL::{sql_type(column)}"
    value = named(column.name)
    if column.name in _VERBATIM:
        return f"CAST({value} AS VARCHAR)"
    if is_lines(column):
        json = f"nullif(trim({value}), '')::JSON" if kind == "VARCHAR" else value
        return f"TRY_CAST({json} AS {_LINES_TYPE})"
    if kind == "VARCHAR":
        return _of_text(column, value)
    return _of_typed(column, value, kind)


def _of_text(column: Column, value: str) -> str:
    if column.type is ColumnType.INT:
        return _plain_or(value, PLAIN_WHOLE, f"CAST({value} AS BIGINT)", f"read_whole({value})")
    if column.type is ColumnType.BOOL:
        return f"CASE {value} WHEN 'true' THEN true WHEN 'false' THEN false ELSE read_flag({value}) END"
    if column.type is ColumnType.MOMENT:
        plain = f"timezone('UTC', TRY_CAST({value} AS TIMESTAMPTZ))"
        return _plain_or(value, PLAIN_MOMENT, plain, f"read_moment({value})")
    if is_id(column):
        return _plain_or(value, PLAIN_ID, value, f"read_id({value})")
    return _plain_or(value, PLAIN_TEXT, value, f"read_text({value})")


def _plain_or(value: str, pattern: str, plain: str, read: str) -> str:
    return f"CASE WHEN regexp_full_match({value}, '{pattern}') THEN {plain} WHEN {value} IS NOT NULL THEN {read} END"


def _of_typed(column: Column, value: str, kind: str) -> str:
    """A cell of a typed file by the reader's rules: nothing is rounded, and no number has lost digits."""
    nothing = f"NULL::{sql_type(column)}"
    is_number = "INT" in kind or kind.startswith("DECIMAL")
    whole = f"{value} % 1 = 0"
    if column.type is ColumnType.TEXT:
        if kind.startswith("DECIMAL"):
            return f"CASE WHEN {whole} THEN CAST(TRY_CAST({value} AS HUGEINT) AS VARCHAR) END"
        return f"CAST({value} AS VARCHAR)" if is_number or kind.startswith(("ENUM", "UUID")) else nothing
    if column.type is ColumnType.INT:
        if kind in _FLOATS:
            return f"CASE WHEN abs({value}) <= {_EXACT_FLOAT} AND {whole} THEN TRY_CAST({value} AS BIGINT) END"
        return f"CASE WHEN {whole} THEN TRY_CAST({value} AS BIGINT) END" if is_number else nothing
    if column.type is ColumnType.BOOL:
        if kind == "BOOLEAN":
            return value
        return f"CASE WHEN {value} = 1 THEN true WHEN {value} = 0 THEN false END" if is_number else nothing
    if kind == "TIMESTAMP":
        return value
    return f"timezone('UTC', TRY_CAST({value} AS TIMESTAMPTZ))" if kind.startswith("TIMESTAMP") else nothing


def filled(name: str, kind: str) -> str:
    """The test for a cell that is not empty."""
    value = named(f"raw {name}")
    if kind == "VARCHAR":
        return f"(regexp_full_match({value}, '{PLAIN_TEXT}') OR is_filled({value}))"
    # a column of floats may have NaN for NULL
    return f"NOT isnan({value})" if kind in _FLOATS else f"{value} IS NOT NULL"


def why(columns: Sequence[Column], types: Mapping[str, str]) -> str:
    """The reader's message about the faulty cell, whose column is in `faulty`; NULL when there is none."""
    names = {ColumnType.INT: "whole", ColumnType.BOOL: "flag", ColumnType.MOMENT: "moment"}
    cases = "".join(_whys(columns, types, names))
    return f"CASE faulty {cases} END" if cases else "NULL::VARCHAR"


def _whys(columns: Sequence[Column], types: Mapping[str, str], names: Mapping[ColumnType, str]) -> Iterator[str]:
    for column in columns:
        if types.get(column.name) == "VARCHAR" and not is_lines(column):
            reader = names.get(column.type, "id" if is_id(column) else "text")
            yield f"""WHEN '{quoted(column.name)}' THEN why_{reader}({named(f"raw {column.name}")}) """
