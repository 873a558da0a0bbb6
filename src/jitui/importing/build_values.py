"""The kinds of files that can be imported: their fields, and how rows become values of the core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.ship import ShipmentUpdate
from jitui.aftersales.model.order import (
    MOST_ATTRIBUTES,
    Buyer,
    Funder,
    Funding,
    Hold,
    LineUnits,
    OrderLine,
    ShipmentSource,
    ShipmentStatus,
    Tender,
    waybill_of,
)
from jitui.aftersales.ports import NewOrder
from jitui.ids import lane_of
from jitui.importing.fields import MOST_UNITS, NO_ID, Cells, RowFault
from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy import FactType
from jitui.policy.facts import BUYER_EVENTS
from jitui.tabular.cells import bare
from jitui.tabular.table import Row

ATTRIBUTE = "attribute."


@dataclass(frozen=True, slots=True)
class Payment:
    """A captured payment and its order."""

    order_id: str
    tender: Tender


@dataclass(frozen=True, slots=True)
class Parcel:
    """An update about a parcel, and its order."""

    order_id: str
    update: ShipmentUpdate


Value = NewOrder | Payment | Parcel | Buyer | RecordBuyerEvent


@dataclass(frozen=True, slots=True)
class Item:
    """A value to load, and the rows that it came from."""

    value: Value
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Rows that belong together and make no value, and what is wrong with some of them."""

    faults: list[RowFault]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for a whole import: the currency for rows that name none, and the time of the import.

    `attributes`: the types of the buyers' attributes, by name, as the live policy declares them.
    """

    currency: str | None
    now: datetime
    attributes: Mapping[str, FactType] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file. A required entry such as `paid_minor|paid` has alternatives, of which one must be there."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    group: Callable[[Cells], tuple[str, ...]] | None
    """The key of the value that a row belongs to; None when each row is a value."""
    build: Callable[[Sequence[Cells], Defaults], Value]
    subject: str = "order_id"
    """The field that says whose row it is in the service: an order's or a buyer's."""

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(name for entry in (*self.required, *self.optional) for name in entry.split("|"))


def items_of(
    kind: Kind, rows: Iterable[Cells], defaults: Defaults, spoiled: Mapping[str, Row] | None = None
) -> Iterator[Item | Spoiled]:
    """The values that the rows make, or the faults of rows that make none.

    `spoiled`: the values that unreadable rows may belong to, by the first part of their keys. It is needed when `rows`
    are only a part of a file; otherwise it is found from `rows`.
    """
    if kind.group is None:
        for cells in rows:
            yield _item(kind, [cells], defaults)
        return
    groups, found = _groups(kind, rows)
    spoiled = found if spoiled is None else spoiled
    for name, group in groups:
        made = _item(kind, group, defaults)
        by = spoiled.get(name[0])
        if by is not None and isinstance(made, Item):
            fault = RowFault(by, "", f"it may belong with {place_of(group[0].row)}, which is left out with it")
            yield Spoiled([fault], made.rows)
        else:
            yield made


_Name = tuple[str, ...]
_Groups = list[tuple[_Name, list[Cells]]]


def named_rows(kind: Kind, rows: Iterable[Cells]) -> Iterator[tuple[Cells, _Name, frozenset[str]]]:
    """Each row with the key of its value, and the ids of the values that it may belong to when its own cannot be read.

    A row with the wrong number of cells may belong to any value that one of its cells names. A row without an order id
    may belong to the value of the row before it, because some exports leave repeated ids out.
    """
    assert kind.group is not None
    before: tuple[str, str] = ("", NO_ID)
    for cells in rows:
        name = (NO_ID,) if cells.row.fault else kind.group(cells)
        if NO_ID not in name:
            before = (cells.row.file, name[0])
            yield cells, name, frozenset()
            continue
        of = {name[0]}
        if cells.row.fault:
            of |= {bare(cell) for cell in cells.row.cells.values() if isinstance(cell, str)}
        elif not cells.has("order_id") and before[0] == cells.row.file:
            of.add(before[1])
        yield cells, name, frozenset(of - {NO_ID, ""})


def _groups(kind: Kind, rows: Iterable[Cells]) -> tuple[_Groups, dict[str, Row]]:
    """The rows by the key of their value, a row with an unreadable key by itself; and what such rows may belong to."""
    by_name: dict[_Name, list[Cells]] = {}
    alone: _Groups = []
    spoiled: dict[str, Row] = {}
    for cells, name, of in named_rows(kind, rows):
        if NO_ID in name:
            alone.append((name, [cells]))
            spoiled |= dict.fromkeys(of, cells.row)
        else:
            by_name.setdefault(name, []).append(cells)
    return [*by_name.items(), *alone], spoiled


def place_of(row: Row) -> str:
    """The place of a row: `orders.csv, row 3`."""
    return f"{row.file}, row {row.number}"


def _item(kind: Kind, group: list[Cells], defaults: Defaults) -> Item | Spoiled:
    """The value of a group of rows.

    One bad row spoils the whole value: an order must not be imported without a line.
    """
    faults = [RowFault(cells.row, "", cells.row.fault) for cells in group if cells.row.fault]
    whole = [cells for cells in group if not cells.row.fault]
    if whole:
        value = kind.build(whole, defaults)
        faults += _of_all(whole)
    rows = tuple(cells.row for cells in group)
    return Spoiled(faults, rows) if faults else Item(value, rows)


def _of_all(group: Sequence[Cells]) -> Iterator[RowFault]:
    for cells in group:
        seen: set[tuple[str, str]] = set()
        for fault in cells.faults:
            if (fault.field, fault.reason) not in seen:
                seen.add((fault.field, fault.reason))
                yield fault


# Orders: a row is a line of an order ------------------------------------------------------------------------------

_FUNDERS = tuple(Funder)


def _order(group: Sequence[Cells], defaults: Defaults) -> NewOrder:
    first = group[0]
    currency = first.currency(defaults.currency)
    _same(group, lambda cells: cells.written("order_id"), "order_id")
    _same(group, lambda cells: cells.id("buyer_id"), "buyer_id")
    _same(group, lambda cells: cells.id("shop_id"), "shop_id")
    _same(group, lambda cells: cells.currency(defaults.currency), "currency")
    _said_once(group, Cells.time, "placed_at")
    _said_once(group, Cells.time, "ship_by")
    _said_once(group, lambda cells, name: cells.word(name, Hold), "hold")
    for name in ("freight", *_FUNDERS):
        _said_once(group, lambda cells, name: cells.amount(name, currency), name)
    lines = tuple(_line(cells, str(index), currency) for index, cells in enumerate(group, start=1))
    _unique_lines(group, lines)
    if sum(line.paid_minor for line in lines) > MAX_AMOUNT_MINOR:
        first.fault("paid", f"the order's lines sum to more than {MAX_AMOUNT_MINOR} minor units")
    return NewOrder(
        order_id=first.id("order_id"),
        buyer_id=first.id("buyer_id"),
        shop_id=first.id("shop_id"),
        currency=currency,
        placed_at=first.time("placed_at"),
        lines=lines,
        funding=tuple(_funding(first, currency)),
        freight_minor=first.amount("freight", currency, default=0),
        hold=first.word("hold", Hold, Hold.NONE),
        ship_by=first.optional_time("ship_by"),
    )


def _line(cells: Cells, position: str, currency: str) -> OrderLine:
    item = cells.id("item_id")
    return OrderLine(
        line_id=cells.optional_id("line_id") or position,
        sku=cells.code("sku", default=item),
        item_id=item,
        quantity=cells.whole("quantity", least=1, most=MOST_UNITS, default=1),
        paid_minor=cells.amount("paid", currency),
        category_id=cells.optional_id("category_id"),
        title=cells.text("title"),
        customised=cells.flag("customised"),
        virtual=cells.flag("virtual"),
    )


def _funding(cells: Cells, currency: str) -> Iterator[Funding]:
    for funder in _FUNDERS:
        amount = cells.amount(funder.value, currency, default=0)
        if amount:
            yield Funding(funder, amount)


def _same(group: Sequence[Cells], read: Callable[[Cells], str], name: str) -> None:
    wanted = read(group[0])
    for cells in group[1:]:
        if read(cells) != wanted:
            cells.fault(name, f"differs from {place_of(group[0].row)}, of the same order; make them the same")


def _said_once(group: Sequence[Cells], read: Callable[[Cells, str], object], name: str) -> None:
    """Check a field of the whole order: the first row has the value, the others have the same or nothing."""
    first = group[0]
    for cells in group[1:]:
        if cells.has(name) and not (first.has(name) and read(cells, name) == read(first, name)):
            cells.fault(name, f"differs from {place_of(first.row)}, of the same order; make them the same")


def _unique_lines(group: Sequence[Cells], lines: Sequence[OrderLine]) -> None:
    """Check that no line occurs twice.

    Lines are compared by id. Without ids, no two rows of a file may be equal, and the order may be in one file only.
    """
    seen: dict[str, Cells] = {}
    alike: dict[str, Cells] = {}
    for cells, line in zip(group, lines, strict=True):
        if line.line_id in seen:
            there = place_of(seen[line.line_id].row)
            cells.fault("line_id", f"{line.line_id!r} is in {there} of the same order already")
        seen.setdefault(line.line_id, cells)
        if cells.has("line_id"):
            continue
        if cells.row.file != group[0].row.file:
            there = place_of(group[0].row)
            cells.fault("order_id", f"the order is in {there} too and its lines have no ids; give it in one file")
        same = alike.setdefault(repr(sorted(cells.row.cells.items(), key=lambda cell: cell[0])), cells)
        if same is not cells and same.row.file == cells.row.file:
            there = place_of(same.row)
            cells.fault("order_id", f"the row is the same as {there}; take one out, or give both a line_id")


# Payments, parcels, buyers, history -------------------------------------------------------------------------------


def _payment(group: Sequence[Cells], defaults: Defaults) -> Payment:
    (cells,) = group
    currency = cells.currency(defaults.currency)
    payment_id = cells.code("payment_id")
    tender = Tender(
        tender_id=cells.code("tender_id", default=payment_id),
        provider=cells.kind("provider"),
        payment_id=payment_id,
        currency=currency,
        captured_minor=cells.amount("amount", currency, least=1),
        captured_at=cells.time("captured_at"),
        payment_total_minor=cells.amount("payment_total", currency, default=0) or None,
    )
    return Payment(cells.id("order_id"), tender)


def _parcel(group: Sequence[Cells], _: Defaults) -> Parcel:
    first = group[0]
    # otherwise the rows repeat one scan of the whole parcel
    named = any(cells.has("line_id") or cells.has("quantity") for cells in group)
    lines = tuple(
        LineUnits(cells.id("line_id"), cells.whole("quantity", least=1, most=MOST_UNITS)) for cells in group if named
    )
    update = ShipmentUpdate(
        degree=first.word("degree", ShipmentStatus),
        carrier=next((carrier for cells in group if (carrier := cells.name("carrier"))), ""),
        tracking_no=first.code("tracking_no"),
        source=first.word("source", ShipmentSource, ShipmentSource.MERCHANT),
        happened_at=first.time("happened_at"),
        lines=lines,
    )
    return Parcel(first.id("order_id"), update)


def _buyer(group: Sequence[Cells], defaults: Defaults) -> Buyer:
    (cells,) = group
    buyer_id = cells.id("buyer_id")
    names = [name for name in cells.theirs if name.startswith(ATTRIBUTE) and cells.has(name)]
    if len(names) > MOST_ATTRIBUTES:
        cells.fault("", f"has {len(names)} attributes, {MOST_ATTRIBUTES} at most are taken")
    return Buyer(
        lane=lane_of(buyer_id),
        buyer_id=buyer_id,
        registered_at=cells.optional_time("registered_at"),
        region=cells.optional_id("region"),
        attributes={
            name.removeprefix(ATTRIBUTE): cells.attribute(name, defaults.attributes.get(name.removeprefix(ATTRIBUTE)))
            for name in names
        },
    )


def _event(group: Sequence[Cells], defaults: Defaults) -> RecordBuyerEvent:
    (cells,) = group
    at = cells.time("at")
    return RecordBuyerEvent(
        buyer_id=cells.id("buyer_id"),
        event_id=cells.code("event_id"),
        kind=cells.one_of("kind", BUYER_EVENTS),
        at=at,
        recorded_at=defaults.now,
        order_id=cells.optional_id("order_id"),
        amount_minor=cells.minor("amount_minor", default=0),
        currency=cells.currency(defaults.currency) if cells.has("currency") or defaults.currency else None,
        retracts=cells.code("retracts", default="") or None,
    )


KINDS = {
    "orders": Kind(
        required=("order_id", "buyer_id", "shop_id", "placed_at", "item_id", "paid_minor|paid"),
        optional=(
            "currency", "line_id", "sku", "category_id", "title", "quantity", "customised", "virtual",
            "freight_minor|freight", "hold", "ship_by",
            *(f"{funder}_minor|{funder}" for funder in _FUNDERS),
        ),
        group=lambda cells: (cells.id("order_id"),),
        build=_order,
    ),
    "payments": Kind(
        required=("order_id", "provider", "payment_id", "amount_minor|amount", "captured_at"),
        optional=("currency", "tender_id", "payment_total_minor|payment_total"),
        group=None,
        build=_payment,
    ),
    "shipments": Kind(
        required=("order_id", "degree", "tracking_no", "happened_at"),
        optional=("carrier", "source", "line_id", "quantity"),
        group=lambda cells: (
            cells.id("order_id"), waybill_of(cells.code("tracking_no")), cells.text("degree"),
        ),
        build=_parcel,
    ),
    "buyers": Kind(
        required=("buyer_id",), optional=("registered_at", "region"), group=None, build=_buyer, subject="buyer_id"
    ),
    "history": Kind(
        required=("buyer_id", "event_id", "kind", "at"),
        optional=("order_id", "amount_minor", "currency", "retracts"),
        group=None,
        build=_event,
        subject="buyer_id",
    ),
}  # fmt: skip
