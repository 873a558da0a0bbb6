"""The fields that a map can name for a history, and the tables to which a row contributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum

from jitui.backtest.schema import DEGREES, TABLES
from jitui.errors import BadInput
from jitui.policy.facts import BUYER_EVENTS, SHOP_EVENTS
from jitui.policy.problems import did_you_mean
from jitui.tabular.mapping import ORDER_EXPORT, FieldSource, FileMap, RowMap


class CellType(StrEnum):
    """How the cells of a field are read; an amount is in major units, a minor amount in minor units."""

    ID = "id"
    TEXT = "text"
    WHOLE = "whole"
    AMOUNT = "amount"
    MINOR = "minor"
    FLAG = "flag"
    MOMENT = "moment"
    CURRENCY = "currency"
    WORD = "word"


STATES = ("unpaid", "unshipped", "partly_shipped", "shipped", "delivered", "completed", "closed")
"""The states of an order, in the order in which they follow; the furthest one counts."""
TIMES_OF_DEGREES = tuple(f"{degree}_at" for degree in DEGREES)
ATTRIBUTE = "attribute."

_ID, _TEXT, _WHOLE, _AMOUNT, _FLAG, _AT = (
    CellType.ID, CellType.TEXT, CellType.WHOLE, CellType.AMOUNT, CellType.FLAG, CellType.MOMENT,
)  # fmt: skip
SHARED: Mapping[str, CellType] = {
    "order_id": _ID, "buyer_id": _ID, "shop_id": _ID, "currency": CellType.CURRENCY, "payment_id": _ID,
}  # fmt: skip
"""Fields that name what a row is about, for every table."""

OF_TABLES: Mapping[str, Mapping[str, CellType]] = {
    "orders": {
        "placed_at": _AT, "paid_at": _AT, "paid": _AMOUNT, "freight": _AMOUNT, "hold": CellType.WORD, "hold_until": _AT,
        "completed_at": _AT, "state": CellType.WORD,
    },
    "order_lines": {
        "line_id": _ID, "sku": _TEXT, "item_id": _ID, "category_id": _ID, "quantity": _WHOLE,
        "requested_quantity": _WHOLE, "shipped_quantity": _WHOLE, "paid": _AMOUNT, "customised": _FLAG,
        "virtual": _FLAG, "covered": _FLAG,
    },
    "shipments": {
        "degree": CellType.WORD, "at": _AT, "recorded_at": _AT, **dict.fromkeys(TIMES_OF_DEGREES, _AT),
    },
    "requests": {
        "request_id": _ID, "asked_at": _AT, "amount": _AMOUNT, "whole_order": _FLAG, "category_id": _ID, "tier": _TEXT,
        "region": _TEXT, "closed_at": _AT,
    },
    "buyers": {"registered_at": _AT},
    "events": {
        "subject": CellType.WORD, "subject_id": _ID, "kind": CellType.WORD, "at": _AT, "recorded_at": _AT,
        "event_id": _ID, "amount": _AMOUNT, "times": _WHOLE, "retracts": _ID,
    },
    "payments": {"amount": _AMOUNT, "captured_at": _AT},
    "refunds": {"refund_id": _ID, "amount": _AMOUNT, "refunded_at": _AT},
}  # fmt: skip
"""The fields of each table, named `TABLE.FIELD`; payments and refunds become amounts of orders and events."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "orders.hold": next(one.words for one in TABLES["orders"].columns if one.name == "hold"),
    "orders.state": STATES,
    "shipments.degree": DEGREES,
    "events.subject": ("buyer", "shop"),
    "events.kind": tuple(sorted({*BUYER_EVENTS, *SHOP_EVENTS})),
}
NO_PROOF = ("orders.paid", "orders.paid_at")
"""Fields that an order export cannot prove: only a payment bill shows that money moved."""


def _types() -> dict[str, CellType]:
    found = dict(SHARED)
    for table, fields in OF_TABLES.items():
        for name, kind in fields.items():
            found[f"{table}.{name}"] = kind
            if kind is CellType.AMOUNT:
                found[f"{table}.{name}_minor"] = CellType.MINOR
    return found


TYPES: Mapping[str, CellType] = _types()
"""The type of every field, by full name."""


def full_name(name: str) -> str:
    """`placed_at` as `orders.placed_at` when only one table has the field. Raises BadInput for none and for several."""
    if name in TYPES or (name.startswith((f"buyers.{ATTRIBUTE}", ATTRIBUTE)) and not name.endswith(".")):
        return f"buyers.{name}" if name.startswith(ATTRIBUTE) else name
    having = [one for one in TYPES if one.endswith(f".{name}")]
    if len(having) == 1:
        return having[0]
    if having:
        raise BadInput(f"There are several fields {name}: say {' or '.join(having)}.", path="--map")
    hint = did_you_mean(name, [*TYPES, *(one.partition(".")[2] for one in TYPES)])
    raise BadInput(
        f"A history has no field {name!r}{hint or '.'} (docs/reference/map-files.md lists them)", path="--map"
    )


def type_of(name: str) -> CellType:
    """How the cells of a field are read; a buyer's attribute stays text, because the policy defines its type."""
    return TYPES.get(name, CellType.TEXT)


def with_full_names(file_map: FileMap) -> FileMap:
    """The map with its fields by full names. Raises BadInput for a field that is none or that is named twice."""
    rows = []
    for row in file_map.rows:
        fields: dict[str, FieldSource] = {}
        for name, source in row.fields.items():
            try:
                full = full_name(name)
            except BadInput as error:
                raise BadInput(f"{file_map.name}: {error}", path=error.path) from None
            if full in fields:
                raise BadInput(f"{file_map.name}: {full} is named twice.", path=full)
            fields[full] = source
        rows.append(RowMap(fields, row.where))
    return replace(file_map, rows=tuple(rows))


def check_fields(file_map: FileMap) -> None:
    """Raises BadInput where a row map tells of no table, and for money that an order export cannot prove."""
    for row in file_map.rows:
        for full in row.fields:
            money = full.removesuffix("_minor") in NO_PROOF or full.partition(".")[0] in ("payments", "refunds")
            if file_map.is_what == ORDER_EXPORT and money:
                raise BadInput(
                    f"{file_map.name}: {full} is not taken from an order export, which is no proof of money: give the"
                    " payment bill too.",
                    path=full,
                )
        if not any(tables_of(row.fields)):
            raise BadInput(
                f"{file_map.name}: no column is mapped to a field of a table; say which is which with --map-file or"
                " --map (docs/reference/map-files.md lists the fields).",
                path="--map",
            )


def tables_of(fields: Iterable[str]) -> list[str]:
    """The tables to which rows with these fields contribute."""
    named = {name.partition(".")[0] for name in fields if "." in name}
    return [table for table in OF_TABLES if table in named]
