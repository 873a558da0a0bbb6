"""Finds orders by any id that somebody has in hand, also by a waybill; of a shop, only that there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from jitui.aftersales.governance.registry import Registry
from jitui.aftersales.model.order import waybill_of
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.ports import IncidentRef, OrderFilter, OrderRef, Ref, RefundRef, Store, TicketRef
from jitui.aftersales.queries import Queries
from jitui.ids import lane_of_id
from jitui.text import why_no_id

MOST_ORDERS = 10
"""The most orders that one id brings; a buyer may have more."""


class IdKind(StrEnum):
    """What an id can be the id of."""

    ORDER = "order"
    TICKET = "ticket"
    REFUND = "refund"
    INCIDENT = "incident"
    WAYBILL = "waybill"
    BUYER = "buyer"
    SHOP = "shop"


@dataclass(frozen=True, slots=True)
class Match:
    """What an id is the id of, and its orders, newest first.

    `subject`: the ticket, refund or incident itself. `more`: there are further orders. A buyer may have none; those of
    a shop are not read.
    """

    kind: IdKind
    orders: tuple[OrderSnapshot, ...]
    subject: UUID | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read."""

    store: Store
    queries: Queries
    registry: Registry


async def look_up(sources: Sources, text: str, *, shop_id: str | None = None) -> tuple[Match, ...]:
    """Everything that has exactly this id; with `shop_id` only what is on orders of this shop (I8)."""
    found: list[Match | None] = []
    if why_no_id(text) is None:
        found.append(await _by_order(sources, text, shop_id))
        found += await _by_our_id(sources, text, shop_id)
        found.append(await _by_buyer(sources, text, shop_id))
        if shop_id is None and await sources.registry.get_shop(text) is not None:
            found.append(Match(IdKind.SHOP, ()))
    if why_no_id(text, slashes=True) is None:
        found.append(await _by_waybill(sources, text, shop_id))
    return tuple(match for match in found if match is not None)


async def _by_order(sources: Sources, text: str, shop_id: str | None) -> Match | None:
    ref = await sources.store.find_order(text)
    return None if ref is None else _match(IdKind.ORDER, await _read(sources, (ref,), shop_id))


async def _by_our_id(sources: Sources, text: str, shop_id: str | None) -> list[Match | None]:
    try:
        known = UUID(text)
    except ValueError:
        return []
    lane = lane_of_id(known)
    refs: dict[IdKind, Ref] = {
        IdKind.TICKET: TicketRef(lane, known),
        IdKind.REFUND: RefundRef(lane, known),
        IdKind.INCIDENT: IncidentRef(lane, known),
    }
    return [_match(kind, await _read(sources, (ref,), shop_id), known) for kind, ref in refs.items()]


async def _by_waybill(sources: Sources, text: str, shop_id: str | None) -> Match | None:
    refs = await sources.queries.orders_of_waybill(waybill_of(text))
    return _match(IdKind.WAYBILL, await _read(sources, refs, shop_id))


async def _by_buyer(sources: Sources, text: str, shop_id: str | None) -> Match | None:
    wanted = OrderFilter(buyer_id=text, shop_id=shop_id, limit=MOST_ORDERS + 1)
    rows = await sources.queries.orders(wanted)
    refs = [OrderRef(row.lane, row.order_id) for row in rows[:MOST_ORDERS]]
    orders = await _read(sources, refs, shop_id)
    known = shop_id is None and await sources.registry.get_buyer(text) is not None
    return Match(IdKind.BUYER, orders, more=len(rows) > MOST_ORDERS) if orders or known else None


def _match(kind: IdKind, orders: tuple[OrderSnapshot, ...], subject: UUID | None = None) -> Match | None:
    return Match(kind, orders, subject) if orders else None


async def _read(sources: Sources, refs: Sequence[Ref], shop_id: str | None) -> tuple[OrderSnapshot, ...]:
    """One after another, so that a look-up takes one connection."""
    read = [await sources.store.read_order(ref) for ref in refs]
    return tuple(one for one in read if one is not None and shop_id in (None, one.order.shop_id))
