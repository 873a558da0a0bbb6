"""Columns of the types that Parquet files of other programs have, made so that every step can read them."""

from __future__ import annotations

import pyarrow as pa


def usual(column: pa.Array) -> pa.Array:
    """Categories and the further kinds of text as plain text; any other column as it is."""
    if pa.types.is_dictionary(column.type):
        return usual(column.dictionary_decode())
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    return column


def distinct(column: pa.Array) -> tuple[list[object], pa.Array]:
    """The distinct cells, and for each row which of them it has; lists and structures are not told apart."""
    if pa.types.is_nested(column.type):
        return column.to_pylist(), pa.arange(0, len(column))
    coded = column.dictionary_encode(null_encoding="encode")
    return coded.dictionary.to_pylist(), coded.indices
