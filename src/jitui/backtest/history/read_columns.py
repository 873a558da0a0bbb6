"""Reads columns of a foreign file as typed columns: plain cells all at once, others one by one by `tabular.cells`.

Both ways give the same result; a test reads the same cells both ways. A cell that cannot be read is null and marked
bad.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from jitui.backtest.history.mapped_fields import SHARED, WORDS, CellType
from jitui.backtest.typed import PLAIN_ID, PLAIN_MOMENT, PLAIN_TEXT
from jitui.money import currency_exponent, is_currency
from jitui.tabular import cells
from jitui.tabular.cells import Unreadable, is_empty
from jitui.tabular.foreign_cells import given, plain_amount, stated_moment, unmasked
from jitui.tabular.mapping import CellRules, FieldSource
from jitui.tabular.parquet_columns import distinct
from jitui.tabular.shown import shown

ARROW_TYPES = {
    CellType.ID: pa.string(),
    CellType.TEXT: pa.string(),
    CellType.WHOLE: pa.int64(),
    CellType.AMOUNT: pa.int64(),
    CellType.MINOR: pa.int64(),
    CellType.FLAG: pa.bool_(),
    CellType.MOMENT: pa.timestamp("us"),
    CellType.CURRENCY: pa.string(),
    CellType.WORD: pa.string(),
}
_PLAIN_WHOLE = "[0-9]{1,15}"
_PLAIN_FORM = re.compile("%Y-%m-%d([ T]%H:%M(:%S([.]%f)?)?( ?%z)?)?")
"""Stated formats by which a time that is written plainly means what it means without them."""
_WITH_ZONE, _LOCAL = PLAIN_MOMENT.removesuffix("?"), PLAIN_MOMENT[: PLAIN_MOMENT.index("(?:Z|")]


@dataclass(frozen=True, slots=True)
class Field:
    """A field in a file: its full `name`, and the file's `column` (None for a constant)."""

    name: str
    type: CellType
    source: FieldSource
    column: str | None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the cells of a file; `zone` is for times without a time zone."""

    rules: CellRules
    zone: ZoneInfo | None

    def cell(self, field: Field, cell: object, currency: str | None) -> object | Unreadable | None:
        """The value of a cell, None when it is empty. `currency` is the row's, for amounts."""
        if isinstance(cell, float) and cell != cell:  # NaN: a column of floats may have it for an empty cell
            cell = None
        found = given(cell, field.source, self.rules, field.name)
        if found is None or isinstance(found, Unreadable) or is_empty(found):
            return found if isinstance(found, Unreadable) else None
        return self._typed(field, found, currency)

    def _typed(self, field: Field, cell: object, currency: str | None) -> object | Unreadable | None:
        match field.type:
            case CellType.ID:
                seen = unmasked(cell, self.rules)
                read = cells.read_owner if field.name in SHARED else cells.read_id
                return None if seen is None else read(seen)
            case CellType.TEXT:
                return cells.read_text(cell)
            case CellType.WHOLE:
                return _not_negative(cells.read_whole(cell), cell)
            case CellType.MINOR:
                return _not_negative(_absolute(cells.read_minor(plain_amount(cell, self.rules)), field), cell)
            case CellType.AMOUNT:
                if currency is None:
                    return Unreadable("the currency of the amount is not known; map it, or say --set currency=CNY")
                found = cells.read_amount(plain_amount(cell, self.rules), currency)
                return _not_negative(_absolute(found, field), cell)
            case CellType.FLAG:
                return cells.read_flag(cell)
            case CellType.CURRENCY:
                return cells.read_currency(cell.upper() if isinstance(cell, str) else cell)
            case CellType.WORD:
                return _word(cell, WORDS[field.name], field.name)
            case CellType.MOMENT:
                found_moment = cells.read_moment(stated_moment(cell, self.rules), self.zone)
                return found_moment if isinstance(found_moment, Unreadable) else _utc(found_moment)
        raise AssertionError(field)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _absolute(found: int | Unreadable, field: Field) -> int | Unreadable:
    return abs(found) if field.source.absolute and isinstance(found, int) else found


def _not_negative(found: int | Unreadable, cell: object) -> int | Unreadable:
    return (
        Unreadable(f"expected no negative number, not {shown(cell)}") if isinstance(found, int) and found < 0 else found
    )


def _word(cell: object, words: Sequence[str], field: str) -> str | Unreadable:
    text = cells.bare(cell) if isinstance(cell, str) else str(cell)
    if text in words:
        return text
    return Unreadable(f"expected one of {', '.join(words)}, not {shown(cell)}; say what it means in [words.{field}]")


# Columns ----------------------------------------------------------------------------------------------------------


def read_column(
    reader: Reader, field: Field, column: pa.Array | None, currency: pa.Array, rows: int
) -> tuple[pa.Array, pa.Array]:
    """The typed values of a column, and an array of the same length that says which cells could not be read."""
    kind = ARROW_TYPES[field.type]
    if column is None:
        value = reader.cell(field, field.source.constant, None) if field.type is not CellType.AMOUNT else None
        if field.type is CellType.AMOUNT:
            return _by_currency(reader, field, pa.repeat(field.source.constant, rows), currency)
        bad = isinstance(value, Unreadable)
        return pa.array([None if bad else value] * rows, kind), pa.repeat(bad, rows)
    if field.type is CellType.AMOUNT:
        return _by_currency(reader, field, column, currency)
    quick = _quick(reader, field, column)
    return _joined(reader, field, column, quick, None)


def _by_currency(reader: Reader, field: Field, column: pa.Array, currency: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Read amounts separately for each currency, because it determines the number of decimals."""
    several = pc.unique(currency).to_pylist()
    if len(several) == 1:
        return _joined(reader, field, column, _quick_amounts(reader, field, column, several[0]), several[0])
    values = pa.nulls(len(column), ARROW_TYPES[field.type])
    bad = pa.repeat(False, len(column))
    for one in several:
        where = pc.fill_null(pc.equal(currency, one), False) if one is not None else pc.is_null(currency)
        some = column.filter(where)
        found, faulty = _joined(reader, field, some, _quick_amounts(reader, field, some, one), one)
        values = pc.replace_with_mask(values, where, found)
        bad = pc.replace_with_mask(bad, where, faulty)
    return values, bad


def _joined(
    reader: Reader, field: Field, column: pa.Array, quick: pa.Array | None, currency: str | None
) -> tuple[pa.Array, pa.Array]:
    """The quick values; each distinct cell without one is read by the reader."""
    kind = ARROW_TYPES[field.type]
    if quick is None:
        quick = pa.nulls(len(column), kind)
    left = pc.is_null(quick)
    if not pc.any(left).as_py():
        return quick, pa.repeat(False, len(column))
    different, which = distinct(column.filter(left))
    found = [reader.cell(field, cell, currency) for cell in different]
    values = pa.array([None if isinstance(one, Unreadable) else one for one in found], kind)
    faulty = pa.array([isinstance(one, Unreadable) for one in found], pa.bool_())
    if not found:
        return quick, pa.repeat(False, len(column))
    bad = pc.replace_with_mask(pa.repeat(False, len(column)), left, faulty.take(which))
    return pc.replace_with_mask(quick, left, values.take(which)), bad


def _quick(reader: Reader, field: Field, column: pa.Array) -> pa.Array | None:
    """The values of the plain cells, null for the others; None when no cell can be read this way."""
    if field.source.words is not None or field.source.prefix:
        return None
    try:
        match field.type:
            case CellType.ID | CellType.TEXT if pa.types.is_string(column.type):
                if field.type is CellType.TEXT:
                    return _plain(reader, column, PLAIN_TEXT)
                found = _plain(reader, column, PLAIN_ID)
                owner = field.name in SHARED
                return pc.if_else(pc.match_substring_regex(found, "^0+$"), None, found) if owner else found
            case CellType.WHOLE | CellType.MINOR if pa.types.is_string(column.type):
                return _plain(reader, column, _PLAIN_WHOLE).cast(pa.int64())
            case CellType.MOMENT if pa.types.is_string(column.type):
                return _quick_moments(reader, column)
            case CellType.MOMENT if pa.types.is_timestamp(column.type) and column.type.tz is not None:
                return _within(column.cast(pa.timestamp("us")))
            case CellType.ID if pa.types.is_integer(column.type):
                return pc.if_else(pc.equal(column, 0), None, column.cast(pa.string()))
    except pa.ArrowException:  # a date that does not exist, digits below a microsecond: the reader tells what is wrong
        return None
    return None


def _within(moments: pa.Array) -> pa.Array:
    """The times within the allowed range; the reader refuses the others with a reason."""
    early, late = (pa.scalar(one.replace(tzinfo=None), pa.timestamp("us")) for one in (cells.EARLIEST, cells.LATEST))
    inside = pc.and_(pc.greater_equal(moments, early), pc.less(moments, late))
    return pc.if_else(inside, moments, None)


def _plain(reader: Reader, column: pa.Array, pattern: str) -> pa.Array:
    """The cells that match the pattern and have no other meaning in the map."""
    matches = pc.match_substring_regex(column, f"^(?:{pattern})$")
    if reader.rules.empty:
        matches = pc.and_(matches, pc.invert(pc.is_in(column, pa.array(sorted(reader.rules.empty)))))
    for mask in reader.rules.masks:
        matches = pc.and_(matches, pc.invert(pc.match_substring(column, mask)))
    return pc.if_else(matches, column, None)


def _quick_moments(reader: Reader, column: pa.Array) -> pa.Array | None:
    if not all(map(_PLAIN_FORM.fullmatch, reader.rules.time_formats)):
        return None
    zoned = _plain(reader, column, _WITH_ZONE)
    found = zoned.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    if reader.zone is None:
        return found
    local = _plain(reader, column, _LOCAL).cast(pa.timestamp("us"))
    placed = pc.assume_timezone(local, reader.zone.key, ambiguous="raise", nonexistent="raise")
    return pc.coalesce(found, placed.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us")))


def _quick_amounts(reader: Reader, field: Field, column: pa.Array, currency: str | None) -> pa.Array | None:
    if currency is None or not is_currency(currency) or not pa.types.is_string(column.type):
        return None
    if field.source.words is not None or field.source.prefix or reader.rules.thousands == ".":
        return None
    digits = currency_exponent(currency)
    decimals = f"(?:\\.[0-9]{{1,{digits}}})?" if digits else ""
    plain = _plain(reader, column, f"[0-9]{{1,12}}{decimals}")
    scaled = pc.multiply(plain.cast(pa.decimal128(24, digits)), pa.scalar(Decimal(10**digits), pa.decimal128(5, 0)))
    return scaled.cast(pa.int64())
