"""Finds the order of a cancellation when the file names only the customer and the stock code."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from jitui.backtest.history.past import (
    AskedUnits,
    CancelledGoods,
    PastCancellation,
    PastEvent,
    PastOrder,
    PastRequest,
    SetAside,
    Unmatched,
    UnmatchedReason,
)
from jitui.money import share_of_units

Goods = tuple[str, str]
"""A customer and a stock code."""


@dataclass(slots=True)
class _OpenLine:
    order_id: str
    placed_at: datetime
    line_id: str
    left: int


@dataclass(frozen=True, slots=True)
class _Taken:
    line: _OpenLine
    quantity: int
    credited_minor: int


def match_cancellations(
    events: Iterable[PastOrder | PastCancellation | SetAside | Unmatched],
    *,
    cancelled: Container[Goods],
    not_goods: Container[str] = (),
) -> Iterator[PastEvent]:
    """Assign every cancelled unit to the customer's latest earlier order of that code that has units left.

    One request for each cancellation and order; a cancellation may be split over several orders. `events` are ordered
    by time. Only goods in `cancelled` are remembered, so memory grows with the cancellations and not with the sales.
    """
    bought: dict[Goods, list[_OpenLine]] = {}
    known: set[Goods] = set()
    for event in events:
        match event:
            case PastOrder():
                _remember(event, bought, known, cancelled)
                yield event
            case PastCancellation():
                yield from _match(event, bought, known, not_goods)
            case _:
                yield event


def _remember(
    order: PastOrder, bought: dict[Goods, list[_OpenLine]], known: set[Goods], cancelled: Container[Goods]
) -> None:
    # backwards, so that units are taken from the first line of an order first
    for line in reversed(order.lines):
        goods = (order.buyer_id, line.sku)
        if goods in cancelled:
            known.add(goods)
            bought.setdefault(goods, []).append(_OpenLine(order.order_id, order.placed_at, line.line_id, line.quantity))


def _match(
    cancellation: PastCancellation, bought: dict[Goods, list[_OpenLine]], known: set[Goods], not_goods: Container[str]
) -> Iterator[PastEvent]:
    taken: list[_Taken] = []
    for goods in cancellation.goods:
        key = (cancellation.buyer_id, goods.sku)
        parts, left = _take(goods, bought.get(key, []))
        taken += parts
        if left:
            yield _unmatched(cancellation, goods, left, known=key in known, is_goods=goods.sku not in not_goods)
    yield from _requests(cancellation, taken)


def _take(goods: CancelledGoods, lines: list[_OpenLine]) -> tuple[list[_Taken], int]:
    """Take units from the end of the list, which is the latest order; the credit is split exactly over the parts."""
    parts: list[_Taken] = []
    done = 0
    while lines and done < goods.quantity:
        line = lines[-1]
        quantity = min(line.left, goods.quantity - done)
        credit = share_of_units(goods.credited_minor, goods.quantity, done, quantity)
        parts.append(_Taken(line, quantity, credit))
        line.left -= quantity
        done += quantity
        if not line.left:
            lines.pop()
    return parts, goods.quantity - done


def _requests(cancellation: PastCancellation, taken: list[_Taken]) -> Iterator[PastRequest]:
    by_order: dict[str, list[_Taken]] = {}
    for part in taken:
        by_order.setdefault(part.line.order_id, []).append(part)
    for order_id, parts in by_order.items():
        units: dict[str, int] = {}
        for part in parts:
            units[part.line.line_id] = units.get(part.line.line_id, 0) + part.quantity
        yield PastRequest(
            request_id=f"{cancellation.cancellation_id}/{order_id}",
            cancellation_id=cancellation.cancellation_id,
            order_id=order_id,
            buyer_id=cancellation.buyer_id,
            placed_at=parts[0].line.placed_at,
            asked_at=cancellation.asked_at,
            units=tuple(AskedUnits(line_id, quantity) for line_id, quantity in sorted(units.items())),
            credited_minor=sum(part.credited_minor for part in parts),
        )


def _unmatched(
    cancellation: PastCancellation, goods: CancelledGoods, left: int, *, known: bool, is_goods: bool
) -> Unmatched:
    if known:
        reason = UnmatchedReason.TAKEN_BACK_ALREADY
    else:
        reason = UnmatchedReason.NEVER_BOUGHT if is_goods else UnmatchedReason.NOT_GOODS
    return Unmatched(
        row=goods.row,
        cancellation_id=cancellation.cancellation_id,
        buyer_id=cancellation.buyer_id,
        sku=goods.sku,
        quantity=left,
        credited_minor=share_of_units(goods.credited_minor, goods.quantity, goods.quantity - left, left),
        reason=reason,
    )
