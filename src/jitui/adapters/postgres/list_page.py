"""Pages of lists that are read at several places of one index and merged (decisions 0041 and 0047).

An index that begins with, say, state and approver has the rows of one state and one approver in the list's order. So
each of them is read as far as the page goes, and the page is the first of all these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import LiteralString, Protocol

from jitui.aftersales.model.sorting import Place, SortOrder
from jitui.ids import lane_of

HIGHEST_ID, LOWEST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Column:
    """What a list is sorted by: its name, type, lowest and highest value, and its text for a row `t`."""

    name: LiteralString
    kind: LiteralString
    lowest: object
    highest: object
    text: LiteralString


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a column that are read each by itself: these, or those of a relation of the statement.

    `text`: how the column of a row `t` is written in the index; empty: by its name.
    """

    these: Sequence[str] = ()
    relation: LiteralString = ""
    text: LiteralString = ""


@dataclass(frozen=True, slots=True)
class Range:
    """A range of the time that a list is sorted by: from `low` on, and before `high`."""

    column: LiteralString
    low: datetime | None = None
    high: datetime | None = None

    def filters(self) -> str:
        """As conditions on a row `t`; only those that are set, because one that is always true misleads the planner."""
        low = f" AND t.{self.column} >= %(range_low)s" if self.low is not None else ""
        return low + (f" AND t.{self.column} < %(range_high)s" if self.high is not None else "")


@dataclass(frozen=True, slots=True)
class Page:
    """A relation with the rows of a page as `row`, the text of their order for an alias `x`, and parameters."""

    relation: str
    order: str
    params: Mapping[str, object]


STATE_OF_EVERYBODY: LiteralString = "coalesce(t.state, '')"
"""The state as the indexes for lists of every shop write it, so that a list of one shop cannot take them.

The planner mistakes how far it would have to read in these for one shop's rows.
"""


NOBODY = ""
"""Who approved, where nobody did: a list reads each value by itself, and NULL is none."""


class OfWhom(Protocol):
    """The filters that every list has."""

    @property
    def shop_id(self) -> str | None: ...

    @property
    def buyer_id(self) -> str | None: ...

    @property
    def order_id(self) -> str | None: ...

    @property
    def state(self) -> str | None: ...


def is_few(wanted: OfWhom) -> bool:
    """Whether a list is of one buyer or one order: such rows are few and in one lane, and all of them are read."""
    return wanted.buyer_id is not None or wanted.order_id is not None


def lane_of_few(wanted: OfWhom) -> LiteralString:
    """The lane of a list that is few."""
    of_order: LiteralString = "(SELECT lane FROM order_directory WHERE order_id = %(order_id)s)"
    return "%(lane)s" if wanted.buyer_id is not None else of_order


def whose(wanted: OfWhom) -> dict[str, object]:
    """The parameters of these filters."""
    return {
        "lane": lane_of(wanted.buyer_id) if wanted.buyer_id is not None else None,
        "shop_id": wanted.shop_id,
        "buyer_id": wanted.buyer_id,
        "order_id": wanted.order_id,
        "state": wanted.state,
    }


def set_filters(filters: Sequence[tuple[str, LiteralString]], wanted: object) -> str:
    """Only those that are set are in a statement: one that is always true would mislead the planner."""
    return "".join(text for name, text in filters if getattr(wanted, name) is not None)


def id_column(name: LiteralString) -> Column:
    """The row's id, with which every order ends."""
    return Column(name, "uuid", LOWEST_ID, HIGHEST_ID, f"t.{name}")


def time_column(name: LiteralString, text: LiteralString = "") -> Column:
    """A time; `text` where the row's own may be NULL."""
    return Column(name, "timestamptz", "-infinity", "infinity", text or f"t.{name}")


def text_column(name: LiteralString, text: LiteralString = "") -> Column:
    """A text, ordered by its code points."""
    return Column(name, "text", "", "~", text or f't.{name} COLLATE "C"')


def amount_columns(currency: LiteralString = "", amount: LiteralString = "") -> tuple[Column, Column]:
    """The currency's code, then the amount."""
    return (
        text_column("currency", currency),
        Column("amount_minor", "bigint", -(2**63), 2**63 - 1, amount or "t.amount_minor"),
    )


def merged_page(
    table: LiteralString,
    within: Mapping[str, Values],
    columns: Sequence[Column],
    order: SortOrder,
    after: Place | None,
    limit: int,
    *,
    filters: str = "",
    span: Range | None = None,
) -> Page:
    """The page after a place, of the rows whose columns `within` have these values.

    A list whose first column is one of `within` reads its values one after another: the page goes on in that of its
    place, and begins the later ones.
    """
    down, lead = order is SortOrder.DESC, columns[0].name
    begin = None if span is None else _begin_of_range(span, columns, down=down, after=after)
    params = {**_place_params(columns, after, down=down), **(begin or {}), "limit": limit}
    inner = columns
    begins = [f"%(after_{column.name})s::{column.kind}" for column in inner]
    if lead in within:
        inner, at = columns[1:], str(params[f"after_{lead}"])
        these = [value for value in within[lead].these if (value <= at if down else value >= at)]
        within = {**within, lead: replace(within[lead], these=these)}
        begins = [
            f"CASE in_{lead}.{lead} WHEN %(after_{lead})s THEN %(after_{one.name})s ELSE %({one.name}_first)s END::"
            + one.kind
            for one in inner
        ]
        params = {f"{one.name}_first": one.highest if down else one.lowest for one in inner} | params
    if span is not None:
        low, high = (span.low, span.high) if begin is None else (span.low, None) if down else (None, span.high)
        filters += Range(span.column, low, high).filters()
        params |= {"range_low": span.low, "range_high": span.high}
    relation = _relation(table, within, columns, inner, begins, filters, down=down)
    listed = {f"in_{name}": list(values.these) for name, values in within.items() if not values.relation}
    return Page(relation, _order(columns, "x", down=down), params | listed)


def _relation(
    table: LiteralString,
    within: Mapping[str, Values],
    columns: Sequence[Column],
    inner: Sequence[Column],
    begins: Sequence[str],
    filters: str,
    *,
    down: bool,
) -> str:
    sources = [
        values.relation or f"unnest(%(in_{name})s::text[]) AS in_{name} ({name})" for name, values in within.items()
    ]
    same = " AND ".join(f"{values.text or f't.{name}'} = in_{name}.{name}" for name, values in within.items())
    keys = ", ".join(f"{column.text} AS at_{column.name}" for column in columns)
    names = ", ".join(column.text for column in inner)
    way = "DESC" if down else "ASC"
    inside = ", ".join(f"{column.text} {way}" for column in inner)
    return f"""
    SELECT l.* FROM {" CROSS JOIN ".join(sources)} CROSS JOIN LATERAL (
        SELECT t AS row, {keys} FROM {table} t
        WHERE {same}{filters} AND ({names}) {"<" if down else ">"} ({", ".join(begins)})
        ORDER BY {inside} LIMIT %(limit)s) l
    ORDER BY {_order(columns, "l", down=down)} LIMIT %(limit)s"""


def exact_page(
    source: LiteralString,
    columns: Sequence[Column],
    order: SortOrder,
    after: Place | None,
    limit: int,
    *,
    where: str,
) -> Page:
    """The page after a place, of a relation `t` (and what it is joined with) whose few rows are all read.

    OFFSET 0: the planner does not go through the table in the list's order to find them.
    """
    down = order is SortOrder.DESC
    keys = ", ".join(f"{column.text} AS at_{column.name}" for column in columns)
    names = ", ".join(f"few.at_{column.name}" for column in columns)
    begins = ", ".join(f"%(after_{column.name})s::{column.kind}" for column in columns)
    relation = f"""
    SELECT few.* FROM (SELECT t AS row, {keys} FROM {source} WHERE {where} OFFSET 0) few
    WHERE ({names}) {"<" if down else ">"} ({begins})
    ORDER BY {_order(columns, "few", down=down)} LIMIT %(limit)s"""
    params = {**_place_params(columns, after, down=down), "limit": limit}
    return Page(relation, _order(columns, "x", down=down), params)


def _order(columns: Sequence[Column], alias: str, *, down: bool) -> str:
    return ", ".join(f"{alias}.at_{column.name} {'DESC' if down else 'ASC'}" for column in columns)


def _place_params(columns: Sequence[Column], after: Place | None, *, down: bool) -> dict[str, object]:
    """Without a place the page begins before everything."""
    place = after or tuple(column.highest if down else column.lowest for column in columns)
    return {
        f"after_{column.name}": "infinity" if value is None else value
        for column, value in zip(columns, place, strict=True)
    }


def _begin_of_range(
    span: Range, columns: Sequence[Column], *, down: bool, after: Place | None
) -> dict[str, object] | None:
    """A list in order of time begins at the range's end. As a filter, PostgreSQL would read all that lies before it.

    None where the list is not in order of that time or has no such end. A place beyond the end is one of another list.
    """
    end = span.high if down else span.low
    if end is None or columns[-2].name != span.column:
        return None
    identity = columns[-1].name
    first = {f"{span.column}_first": end, f"{identity}_first": LOWEST_ID}
    at = None if after is None else after[-2]
    if isinstance(at, datetime) and (at < end if down else at >= end):
        return first
    return {**first, f"after_{span.column}": end, f"after_{identity}": LOWEST_ID}
