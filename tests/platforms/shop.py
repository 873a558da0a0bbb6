"""A commerce platform in memory, with the faults that real ones have: it has no lock, no key, and loses answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto

from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.platform import (
    CallFailed,
    CallRefused,
    PlatformLine,
    PlatformOrder,
    PlatformPayment,
    PlatformRefund,
    PlatformShipment,
    UnreadableOrder,
    WantedRefund,
)
from jitui.aftersales.provider import CallTrouble, NotificationRefused, RefundResultKind
from tests.aftersales.market import NOW

PLACED = NOW - timedelta(hours=1)
ORDER = PlatformOrder(
    order_id="S-1",
    buyer_id="shop-1",
    currency="CNY",
    placed_at=PLACED,
    changed_at=PLACED,
    lines=(PlatformLine("l1", "cup", "item-1", "Cup", 2, 2000),),
    freight_minor=500,
    payments=(PlatformPayment("p1", 2500, PLACED),),
    platform_id="1",
)


class Fault(StrEnum):
    """What goes wrong with the next call."""

    LOST_BEFORE = auto()  # nothing is done, and nobody can know
    LOST_AFTER = auto()  # it is done, and the answer is lost
    UNREACHED = auto()  # certainly nothing is done
    REFUSED = auto()


async def _nothing() -> None: ...


@dataclass
class MemoryShop:
    """Platform and PlatformWriter at once. `before`: what happens meanwhile, by the call's name."""

    name: str = "memory"
    orders: dict[str, PlatformOrder] = field(default_factory=lambda: {"S-1": ORDER})
    faults: dict[str, Fault] = field(default_factory=dict)
    before: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    freight: list[bool] = field(default_factory=list)
    new_refunds: RefundResultKind = RefundResultKind.SUCCEEDED
    problem: str | None = None

    async def check(self) -> str | None:
        return self.problem

    async def contact_address(self, order_id: str) -> str | None:
        return None

    async def read_hint(self, headers: Mapping[str, str], body: bytes) -> NotificationRefused:
        return NotificationRefused("There are none")

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        self.calls.append("find_order")
        await self.before.get("find_order", _nothing)()
        fault = self.faults.pop("find_order", None)
        return _failed(fault) if fault else self.orders.get(order_id)

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
        return [self.orders[order_id] for order_id in order_ids if order_id in self.orders]

    async def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        yield list(self.orders.values())

    async def cancel(
        self, order: PlatformOrder, units: Mapping[str, int], *, freight: bool, reference: str
    ) -> CallFailed | CallRefused | None:
        def act() -> None:
            now = self.orders[order.order_id]
            lines = tuple(replace(one, cancelled=one.cancelled + units.get(one.line_id, 0)) for one in now.lines)
            self.orders[order.order_id] = replace(now, lines=lines)
            self.freight.append(freight)

        return await self._call("cancel", act)

    async def refund(self, order: PlatformOrder, wanted: WantedRefund) -> PlatformRefund | CallFailed | CallRefused:
        made = PlatformRefund(
            f"r{len(self.refunds) + 1}", wanted.amount_minor, NOW, wanted.attempt_id, self.new_refunds
        )
        failed = await self._call("refund", lambda: self._put(order.order_id, wanted.payment_id, made))
        return made if failed is None else failed

    async def settle(self, order: PlatformOrder, refund: PlatformRefund) -> PlatformRefund | CallFailed | CallRefused:
        made = replace(refund, state=RefundResultKind.SUCCEEDED)

        def act() -> None:
            for paid in self.orders[order.order_id].payments:
                if refund in paid.refunds:
                    kept = tuple(one for one in paid.refunds if one != refund)
                    self._replace(order.order_id, replace(paid, refunds=(*kept, made)))

        failed = await self._call("settle", act)
        return made if failed is None else failed

    @property
    def refunds(self) -> list[PlatformRefund]:
        """Every refund that was made here."""
        return [refund for order in self.orders.values() for paid in order.payments for refund in paid.refunds]

    def ship(self, units: int = 2) -> None:
        """Somebody packs, whatever was cancelled."""
        sent = PlatformShipment("m-1", "SF1", "sf", ShipmentStatus.SHIPPED, NOW, (LineUnits("l1", units),))
        self.orders["S-1"] = replace(self.orders["S-1"], shipments=(sent,))

    def refund_by_hand(self, amount_minor: int) -> None:
        """Somebody refunds in its admin."""
        self._put("S-1", "p1", PlatformRefund("by-hand", amount_minor, NOW))

    def _put(self, order_id: str, payment_id: str, made: PlatformRefund) -> None:
        paid = self.orders[order_id].payment(payment_id)
        assert paid is not None
        self._replace(order_id, replace(paid, refunds=(*paid.refunds, made)))

    def _replace(self, order_id: str, paid: PlatformPayment) -> None:
        order = self.orders[order_id]
        payments = tuple(paid if one.payment_id == paid.payment_id else one for one in order.payments)
        self.orders[order_id] = replace(order, payments=payments)

    async def _call(self, name: str, act: Callable[[], None]) -> CallFailed | CallRefused | None:
        self.calls.append(name)
        await self.before.get(name, _nothing)()
        fault = self.faults.pop(name, None)
        if fault is Fault.REFUSED:
            return CallRefused("the gateway declines")
        if fault in (None, Fault.LOST_AFTER):
            act()
        return None if fault is None else _failed(fault)


def _failed(fault: Fault) -> CallFailed:
    if fault is Fault.UNREACHED:
        return CallFailed("no connection", CallTrouble.UNREACHABLE, reached=False)
    return CallFailed("no answer in time", CallTrouble.TIMED_OUT)
