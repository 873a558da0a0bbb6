"""The facts that a policy may read, with their types, and the values that they can have.

A fact that is missing or None is *unknown*. A value of the wrong type, or a word that is not in the fact's enum, is
unknown too. What is unknown never approves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

ScalarValue = bool | int | str
LINES = "order.lines"
MONEY = "minor units"
"""The unit of every amount. Amounts are in the policy's currency; for an order in another currency they are unknown."""

CLOCKS_DIFFER_SECONDS = 300
"""A time that is ahead of now by up to this much is taken as a difference of clocks; further ahead it is unknown."""

_INT64_LIMIT = 2**63


class FactType(StrEnum):
    """The types of an expression; `lines` is the type of `order.lines` alone."""

    INT = "int"
    BOOL = "bool"
    STRING = "string"
    LINES = "lines"


@dataclass(frozen=True, slots=True)
class FactSpec:
    """The definition of one fact; a string fact with `enum` has only these values."""

    name: str
    type: FactType
    source: str
    meaning: str
    unit: str = ""
    enum: tuple[str, ...] = ()

    @property
    def is_money(self) -> bool:
        """Whether the value is an amount, which needs a currency."""
        return self.unit == MONEY


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the requested order. None is unknown; amounts are in minor units of the order's currency."""

    line_id: str | None = None
    sku: str | None = None
    item_id: str | None = None
    category_id: str | None = None
    quantity: int | None = None
    requested_quantity: int | None = None
    shipped_quantity: int | None = None
    paid_minor: int | None = None
    customised: bool | None = None
    virtual: bool | None = None
    covered: bool | None = None


LineValues = Mapping[str, ScalarValue | None]
FactValue = ScalarValue | Sequence[Line | LineValues]
Facts = Mapping[str, FactValue | None]
KnownValue = ScalarValue | tuple[dict[str, ScalarValue], ...]

SHIPMENT = ("unshipped", "label_printed", "picked_up", "partly_shipped", "shipped", "delivered")
HOLD = ("none", "presale", "group_buy", "risk_review")

_INT, _BOOL, _STRING = FactType.INT, FactType.BOOL, FactType.STRING


def _spec(name: str, kind: FactType, source: str, meaning: str, unit: str = "", enum: tuple[str, ...] = ()) -> FactSpec:
    return FactSpec(name, kind, source, meaning, unit, enum)


def _cap_specs(scope: str, whose: str) -> tuple[FactSpec, ...]:
    used = f"used by {whose} within the window of the cap, this request not included"
    return (
        _spec(f"caps.{scope}_ok", _BOOL, "caps", f"this request fits {whose}'s cap; true without such a cap"),
        _spec(f"caps.{scope}_used_count", _INT, "caps", f"instant approvals in any currency {used}", "approvals"),
        _spec(f"caps.{scope}_used_minor", _INT, "caps", f"amount in the policy's currency {used}", MONEY),
    )


_ROWS = (
    _spec(
        "buyer.account_age_days",
        _INT,
        "buyer",
        "whole periods of 24 hours since the account was opened, whatever the calendar says",
        "days",
    ),
    _spec("buyer.selected", _BOOL, "selection", "on the allow list, or neither denied nor held out"),
    _spec("buyer.restricted", _BOOL, "restrictions", "the service is withdrawn from this buyer"),
    _spec(
        "buyer.cluster_size",
        _INT,
        "linked accounts",
        "buyers who share an address, a device or a payment instrument, this one included; 1 without links",
        "buyers",
    ),
    _spec("buyer.cluster_restricted", _BOOL, "linked accounts", "another buyer of the cluster is restricted"),
    _spec("request.amount_minor", _INT, "request", "what this request would refund", MONEY),
    _spec("request.whole_order", _BOOL, "request", "every unit of every line of the order is asked for, none left out"),
    _spec("request.hour", _INT, "request", "hour of the day when it is decided, in the platform's time zone: 0 to 23"),
    _spec(
        "request.weekday",
        _INT,
        "request",
        "day of the week when it is decided, in the platform's time zone: 0 is Sunday, 1 Monday, … 6 Saturday",
    ),
    _spec(
        "request.date",
        _STRING,
        "request",
        "date when it is decided, in the platform's time zone, as 2025-01-26; < and > order dates",
    ),
    _spec(
        "order.paid_minor",
        _INT,
        "tenders",
        "what the buyer's tenders captured for the whole order, freight included, before any refund",
        MONEY,
    ),
    _spec("order.currency", _STRING, "order", "ISO 4217 code of the order"),
    _spec(
        "order.shipment",
        _STRING,
        "shipments",
        "how far the parcel is, as the platform shows it; a completed order is delivered",
        "",
        SHIPMENT,
    ),
    _spec("order.hold", _STRING, "order", "why the order may not be shipped yet", "", HOLD),
    _spec("order.age_seconds", _INT, "order", "time since the order was placed", "seconds"),
    _spec("order.paid_age_seconds", _INT, "tenders", "time since the first capture", "seconds"),
    _spec("order.freight_minor", _INT, "order", "freight that the buyer paid", MONEY),
    _spec(LINES, FactType.LINES, "order", "the lines of the order; read with macros such as all() and filter()"),
    _spec(
        "shop.covered",
        _BOOL,
        "coverage",
        "the service covers this shop: its own row, else the platform's, else yes",
    ),
    _spec(
        "service.paused",
        _BOOL,
        "pause",
        "instant approvals are stopped for this request; unknown where that depends on a region or category not known",
    ),
    *_cap_specs("buyer", "the buyer"),
    *_cap_specs("shop", "the shop"),
    *_cap_specs("platform", "the platform"),
    *_cap_specs("cluster", "the buyer's cluster of linked accounts, or the buyer alone"),
    _spec(
        "caps.category_ok",
        _BOOL,
        "caps",
        "this request fits the cap in each category of its lines; unknown when a line has none; true without a cap",
    ),
    _spec(
        "caps.category_used_count",
        _INT,
        "caps",
        "instant approvals in any currency within the window of the cap, in the category that has most of them",
        "approvals",
    ),
    _spec(
        "caps.category_used_minor",
        _INT,
        "caps",
        "amount in the policy's currency within the window of the cap, in the category that has most of it",
        MONEY,
    ),
)
FACTS: Mapping[str, FactSpec] = {row.name: row for row in _ROWS}

_LINE_ROWS = (
    _spec("line_id", _STRING, "order", "the platform's id of the line"),
    _spec("sku", _STRING, "order", "stock keeping unit"),
    _spec("item_id", _STRING, "order", "the item that is listed in the shop"),
    _spec("category_id", _STRING, "category table", "the platform's category"),
    _spec("quantity", _INT, "order", "units bought", "units"),
    _spec("requested_quantity", _INT, "request", "units that this request asks back", "units"),
    _spec("shipped_quantity", _INT, "shipments", "units that have left", "units"),
    _spec("paid_minor", _INT, "tenders", "what the buyer paid for the line", MONEY),
    _spec("customised", _BOOL, "order, category table", "made to the buyer's order (定制), if either says so"),
    _spec("virtual", _BOOL, "order, category table", "nothing is shipped (虚拟), if either says so"),
    _spec("covered", _BOOL, "coverage", "the service covers this item: its own row, else its category's, else yes"),
)
LINE_FIELDS: Mapping[str, FactSpec] = {row.name: row for row in _LINE_ROWS}

BUYER_EVENTS = (
    "order_paid",
    "order_completed",
    "order_cancelled",
    "refund_requested",
    "refund_before_shipment",
    "refund_after_shipment",
    "dispute_lost",
    "dispute_won",
)
ONCE_PER_ORDER = ("order_paid", "order_completed", "order_cancelled")
"""Kinds of which an order has one: several valid events of such a kind count once for the order."""

SHOP_EVENTS = ("shipped", "shipped_on_time", "order_paid", "refund_before_shipment", "incident")
EVENTS_WITHOUT_MONEY = frozenset({"shipped", "shipped_on_time", "dispute_lost", "dispute_won"})
"""Kinds of events that have no amount. `sum` refuses them, because the sum would be 0 for everybody."""


NUL = "\0"
"""Not allowed in a text: CEL's run time ends the text there, and PostgreSQL cannot store it."""


def fitting(spec: FactSpec, value: object) -> ScalarValue | None:
    """The value, or None when it does not fit the fact's type, range or enum."""
    kind = spec.type
    if value is True or value is False:
        return value if kind is FactType.BOOL else None
    if isinstance(value, int):
        return value if kind is FactType.INT and -_INT64_LIMIT <= value < _INT64_LIMIT else None
    if isinstance(value, str):
        fits = kind is FactType.STRING and (not spec.enum or value in spec.enum)
        return value if fits and NUL not in value else None
    return None


def known_lines(lines: object, fields: Iterable[str]) -> tuple[dict[str, ScalarValue], ...] | None:
    """The lines with the named fields that are known; None when the value is not a list of lines."""
    if not isinstance(lines, (list, tuple)):
        return None
    wanted = [(name, LINE_FIELDS[name]) for name in fields]
    return tuple([_known_line(line, wanted) for line in lines])


def _known_line(line: object, wanted: Sequence[tuple[str, FactSpec]]) -> dict[str, ScalarValue]:
    if type(line) is dict or isinstance(line, Mapping):  # the first test is fast, the second covers other mappings
        found = [(name, spec, line.get(name)) for name, spec in wanted]
    else:
        found = [(name, spec, getattr(line, name, None)) for name, spec in wanted]
    return {name: fitted for name, spec, value in found if (fitted := fitting(spec, value)) is not None}


def facts_to_json(facts: Facts) -> dict[str, object]:
    """Facts as they are stored with a decision; `decide` gives the same decision on the stored form."""
    return {
        name: value
        if value is None or isinstance(value, (bool, int, str))
        else [asdict(line) if isinstance(line, Line) else dict(line) for line in value]
        for name, value in facts.items()
    }
