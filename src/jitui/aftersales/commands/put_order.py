"""Plans how to record an order that may exist: created, replaced, unchanged, or refused with the field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.ledger import Account, Cause
from jitui.aftersales.model.order import Buyer, Funder, Funding, Order, OrderLine, captured_minor
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder


@dataclass(frozen=True, slots=True)
class CategoryFlags:
    """The flags of a category in the platform's category table."""

    customised: bool | None = None
    virtual: bool | None = None


@dataclass(frozen=True, slots=True)
class StandingOrder:
    """The recorded order, and what keeps it from being replaced.

    `stands_on_it`: a ticket, a shipment or the completion. `booked_minor`: each funder's share in the ledger.
    """

    shop_id: str
    currency: str
    placed_at: datetime
    freight_minor: int
    lines: tuple[OrderLine, ...]
    funding: tuple[Funding, ...] = ()
    paid: bool = False
    captured_minor: int = 0
    stands_on_it: str | None = None
    booked_minor: dict[Funder, int] = field(default_factory=dict)
    bookings: int = 0
    categories: dict[str, CategoryFlags] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderPut:
    """What to write. Without `replaces`, only hold and ship-by; `entries` are the postings that its funding needs.

    `paid_now`: the order costs nothing, and did not before, so it counts as paid from now on.
    """

    replaces: bool
    paid_now: bool = False
    entries: tuple[LedgerEntry, ...] = ()


def standing_order(
    snapshot: OrderSnapshot, entries: Iterable[LedgerEntry] = (), categories: Mapping[str, CategoryFlags] | None = None
) -> StandingOrder:
    """The recorded order of a snapshot, with the funding in its ledger.

    Without the ledger entries it is enough for finding out what would be refused, but not what would be posted.
    """
    booked = [entry for entry in entries if entry.posting.startswith(Cause.FUNDED)]
    order = snapshot.order
    standing = (
        (snapshot.tickets, "a ticket"),
        (snapshot.shipments, "a shipment"),
        (snapshot.is_completed, "the completion"),
    )
    return StandingOrder(
        shop_id=order.shop_id,
        currency=order.currency,
        placed_at=order.placed_at,
        freight_minor=order.freight_minor,
        lines=snapshot.lines,
        funding=snapshot.funding,
        paid=bool(snapshot.tenders),
        captured_minor=captured_minor(snapshot.tenders),
        stands_on_it=next((what for there, what in standing if there), None),
        booked_minor=_booked(booked),
        bookings=len(booked),
        categories=dict(categories or {}),
    )


def _booked(entries: Iterable[LedgerEntry]) -> dict[Funder, int]:
    shares: dict[Funder, int] = {}
    for entry in entries:
        put_in = entry.debit.startswith(_SUBSIDY)
        funder = Funder((entry.debit if put_in else entry.credit).removeprefix(_SUBSIDY))
        shares[funder] = shares.get(funder, 0) + (entry.amount_minor if put_in else -entry.amount_minor)
    return shares


_SUBSIDY = Account.SUBSIDY.value.partition(":")[0] + ":"


def order_after(snapshot: OrderSnapshot | None, buyer: Buyer, new: NewOrder, put: OrderPut) -> OrderSnapshot:
    """The snapshot after the order was recorded; a replaced order keeps its payments and its time of payment."""
    if snapshot is not None and not put.replaces:
        return replace(snapshot, order=replace(snapshot.order, hold=new.hold, ship_by=new.ship_by))
    tenders = snapshot.tenders if snapshot is not None else ()
    free = is_free(new)
    order = Order(
        lane=buyer.lane,
        order_id=new.order_id,
        buyer_id=new.buyer_id,
        shop_id=new.shop_id,
        currency=new.currency,
        placed_at=new.placed_at,
        freight_minor=new.freight_minor,
        freight_claimed_minor=snapshot.order.freight_claimed_minor if snapshot is not None else 0,
        hold=new.hold,
        paid_at=min((tender.captured_at for tender in tenders), default=new.placed_at if free else None),
        completed_at=snapshot.order.completed_at if snapshot is not None else None,
        ship_by=new.ship_by,
        free_of_charge=free and not tenders,
    )
    lines = tuple(_as_sold(line) for line in new.lines)
    funding = tuple(sorted((Funding(fund.funder, fund.amount_minor) for fund in new.funding), key=lambda x: x.funder))
    return replace(snapshot or OrderSnapshot(order, buyer), order=order, lines=lines, funding=funding)


def _as_sold(line: OrderLine) -> OrderLine:
    """The line without units claimed or shipped; those are set by this service alone."""
    return replace(line, claimed_quantity=0, claimed_minor=0, shipped_quantity=0, scanned_quantity=0)


def is_free(new: NewOrder) -> bool:
    """Whether lines and freight sum to zero. A coupon then paid for everything, and no payment will be reported."""
    return _costs_nothing(new.lines, new.freight_minor)


def _costs_nothing(lines: Sequence[OrderLine], freight_minor: int) -> bool:
    return not _total_minor(lines, freight_minor)


def _total_minor(lines: Sequence[OrderLine], freight_minor: int) -> int:
    return freight_minor + sum(line.paid_minor for line in lines)


def plan_order(standing: StandingOrder | None, new: NewOrder, now: datetime) -> OrderPut | Refusal:
    """Plan to create or replace an order; it can be replaced while it has no ticket, shipment or completion."""
    if standing is None:
        return OrderPut(replaces=True, paid_now=is_free(new), entries=_entries(_nothing(new), new, now))
    changed = next(_differences(standing, new), None)
    if changed is None:
        return OrderPut(replaces=False)
    if standing.stands_on_it is not None:
        return Refusal(
            RefusalCode.ORDER_NOT_REPLACEABLE,
            f"{changed} differs from the recorded order, which cannot change after {standing.stands_on_it}.",
            changed,
        )
    if standing.paid and changed in ("currency", "shop_id"):
        return Refusal(
            RefusalCode.ORDER_NOT_REPLACEABLE, f"The order is paid; its {changed} cannot change any more.", changed
        )
    stood_minor, total_minor = (
        _total_minor(standing.lines, standing.freight_minor),
        _total_minor(new.lines, new.freight_minor),
    )
    if total_minor < min(stood_minor, standing.captured_minor):
        return Refusal(
            RefusalCode.ORDER_NOT_REPLACEABLE,
            f"Lines and freight would sum to {total_minor}, and {standing.captured_minor} was captured: the rest would "
            "belong to no goods.",
            changed,
        )
    paid_now = is_free(new) and not standing.paid and not _costs_nothing(standing.lines, standing.freight_minor)
    return OrderPut(replaces=True, paid_now=paid_now, entries=_entries(standing, new, now))


def _nothing(new: NewOrder) -> StandingOrder:
    return StandingOrder(new.shop_id, new.currency, new.placed_at, 0, ())


# What differs ----------------------------------------------------------------------------------------------------


def _differences(standing: StandingOrder, new: NewOrder) -> Iterator[str]:
    """The fields that differ, as callers name them; hold and ship-by may always change."""
    for name in ("currency", "shop_id", "placed_at"):
        if getattr(standing, name) != getattr(new, name):
            yield name
    if standing.freight_minor != new.freight_minor:
        yield "freight"
    if len(standing.lines) != len(new.lines):
        yield "lines"
    for index, (line, sent) in enumerate(zip(standing.lines, new.lines, strict=False)):
        flags = standing.categories.get(line.category_id or "", CategoryFlags())
        for name in _line_differences(line, sent, flags):
            yield f"lines[{index}].{name}"
    if _shares(standing.funding) != _shares(new.funding):
        yield "funding"


def _line_differences(line: OrderLine, sent: OrderLine, category: CategoryFlags) -> Iterator[str]:
    for name in ("line_id", "sku", "item_id", "quantity", "category_id", "title"):
        if getattr(line, name) != getattr(sent, name):
            yield name
    if line.paid_minor != sent.paid_minor:
        yield "paid"
    if _flag_differs(line.customised, sent.customised, category.customised):
        yield "customised"
    if _flag_differs(line.virtual, sent.virtual, category.virtual):
        yield "virtual"


def _flag_differs(standing: bool | None, sent: bool | None, category: bool | None) -> bool:
    """Whether a flag differs from the recorded one of the line or its category; a missing flag is no change."""
    if sent is None or sent == standing:
        return False
    return not (standing is True and category is True)


def _shares(funding: Sequence[Funding]) -> dict[Funder, int]:
    return {fund.funder: fund.amount_minor for fund in funding}


# Funding in the ledger -------------------------------------------------------------------------------------------


def _entries(standing: StandingOrder, new: NewOrder, now: datetime) -> tuple[LedgerEntry, ...]:
    """The postings for the funders' shares.

    They are posted when an order is paid or costs nothing; later changes of the funding are posted as differences.
    """
    if not standing.booked_minor and not standing.paid and not is_free(new):
        return ()
    wanted = _shares(new.funding)
    number = standing.bookings
    postings = []
    for funder in Funder:
        delta_minor = wanted.get(funder, 0) - standing.booked_minor.get(funder, 0)
        if delta_minor:
            first = funder not in standing.booked_minor
            postings.append(ledger.funding_changed(funder, delta_minor, new.currency, now, 0 if first else number))
            number += 1
    return tuple(postings)
