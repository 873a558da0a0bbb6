"""The port to a commerce platform: orders, payments and shipments that live in somebody else's system.

A platform is read here. Its refunds go through `jitui.aftersales.provider.PaymentProvider`, as those of every provider.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, TicketState
from jitui.aftersales.ports import Store

# What a platform can do ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlatformCapabilities:
    """What a platform can do, in words for `docs/reference/platforms.md`; `tried`: the version met for real, if any."""

    name: str
    title: str
    tried: str
    adapter: bool  # whether this installation can connect it
    request: str  # who takes the buyer's request
    holds: str  # how it keeps goods from being shipped
    looks_up: str  # how one of our refunds is found there
    key: str  # what keeps a repeated refund from paying twice
    cancels: str  # what cancelling does there
    changes: str  # how it tells of changes
    limits: str


_NEVER = "never met for real"

PLATFORMS: tuple[PlatformCapabilities, ...] = (
    PlatformCapabilities(
        name="vendure",
        title="Vendure",
        tried="3.7.3",
        adapter=True,
        request="Jitui",
        holds="no hold; cancelled units cannot be shipped afterwards",
        looks_up="by the attempt's id in the refund's `reason`",
        key="none of its own; an order note of ours is written before the refund, and one attempt asks once",
        cancels="units and shipping costs, without any refund",
        changes="polling by `updatedAt`, which shipments and refunds leave as it is: open orders are read again",
        limits="at most 1000 orders in a list; no webhooks, no request limit of its own",
    ),
    PlatformCapabilities(
        name="medusa",
        title="Medusa 2",
        tried="",
        adapter=False,
        request="Jitui",
        holds="none",
        looks_up="by the refunds of the payment",
        key="none",
        cancels="depends on the version: 2.0 refuses after a capture, newer ones refund every captured payment",
        changes="subscribers inside of Medusa; none go out by themselves",
        limits="none told",
    ),
    PlatformCapabilities(
        name="woocommerce",
        title="WooCommerce",
        tried="",
        adapter=False,
        request="Jitui",
        holds="none",
        looks_up="by the refund's reason or metadata",
        key="none: the same refund twice makes two while money is left",
        cancels="the status `cancelled`, without any refund",
        changes="webhooks without retries; the signature carries no time; `order.updated` repeats",
        limits="none in the core, hosts add their own",
    ),
    PlatformCapabilities(
        name="saleor",
        title="Saleor",
        tried="",
        adapter=False,
        request="Jitui",
        holds="none",
        looks_up="by the granted refund's id",
        key="a granted refund that is pending or paid is refused a second time",
        cancels="releases stock and sets the status, without any refund",
        changes="webhooks, signed by JWS, up to five retries",
        limits="a limit on the cost of a query",
    ),
    PlatformCapabilities(
        name="shopify",
        title="Shopify",
        tried="",
        adapter=False,
        request="Jitui",
        holds="not told in the sources",
        looks_up="not told in the sources",
        key="`@idempotent(key:)` on `refundCreate`, required from version 2026-04",
        cancels="a job that runs later; refused while a fulfilment cannot be cancelled",
        changes="webhooks",
        limits="not told in the sources",
    ),
    PlatformCapabilities(
        name="kuaishou",
        title="Kuaishou",
        tried="",
        adapter=False,
        request="the platform",
        holds="not told in the sources",
        looks_up="by the platform's refund request",
        key="the request's state guards it",
        cancels="the platform pays after an approval",
        changes="messages, and lists of requests in windows of a day at most, over 90 days",
        limits="100 requests in a page",
    ),
)
"""Every platform that is known here; `vendure` alone was met for real."""


def tried_for_real(platform: PlatformCapabilities) -> str:
    """The version that the tests run against, or that it was never met."""
    return platform.tried or _NEVER


# What is read there ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlatformRefund:
    """A refund there that did not fail; `attempt_id`: it is one of ours."""

    refund_id: str
    amount_minor: int
    at: datetime
    attempt_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PlatformPayment:
    """A captured payment there."""

    payment_id: str
    amount_minor: int
    captured_at: datetime
    refunds: tuple[PlatformRefund, ...] = ()

    @property
    def elsewhere_minor(self) -> int:
        """What was refunded there, and not by us."""
        return sum(refund.amount_minor for refund in self.refunds if refund.attempt_id is None)


@dataclass(frozen=True, slots=True)
class PlatformLine:
    """A line as it was placed; `paid_minor` for all of its units, `cancelled` of them will not be shipped."""

    line_id: str
    sku: str
    item_id: str
    title: str
    quantity: int
    paid_minor: int
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class PlatformShipment:
    """A shipment there; `shipment_id` stands for a tracking number that is missing, or is another buyer's."""

    shipment_id: str
    tracking_no: str
    carrier: str
    status: ShipmentStatus
    at: datetime
    lines: tuple[LineUnits, ...]


@dataclass(frozen=True, slots=True)
class PlatformOrder:
    """An order as the platform has it now; amounts in minor units of its currency."""

    order_id: str
    buyer_id: str
    currency: str
    placed_at: datetime
    changed_at: datetime
    lines: tuple[PlatformLine, ...]
    freight_minor: int
    payments: tuple[PlatformPayment, ...] = ()
    shipments: tuple[PlatformShipment, ...] = ()
    delivered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UnreadableOrder:
    """An order there that cannot be an order here, and why."""

    order_id: str
    changed_at: datetime
    reason: str


class Platform(Protocol):
    """A source of orders, payments and shipments. Reading raises Unavailable, with what to do."""

    @property
    def name(self) -> str: ...

    async def check(self) -> str | None:
        """Why the platform cannot be read; None when it can."""
        ...

    async def read_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | None: ...

    async def contact_address(self, order_id: str) -> str | None:
        """The mail address of the order's buyer there, to be compared and written to, and never kept."""
        ...

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]: ...

    def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        """Pages of placed orders that changed after the cursor less the overlap, oldest change first."""
        ...


# What has to be cancelled there --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RefundedUnits:
    """What of an order may not be shipped any more, as it is known here.

    `units`: by line, approved here and refunded elsewhere. `elsewhere_minor`: by payment, refunds elsewhere that are
    counted here.
    """

    units: Mapping[str, int] = field(default_factory=dict)
    freight: bool = False
    elsewhere_minor: Mapping[str, int] = field(default_factory=dict)


def refunded_units(snapshot: OrderSnapshot) -> RefundedUnits:
    """What the order's approved tickets, and the refunds that were made elsewhere, take out of it."""
    approved = approved_units(snapshot)
    units = {
        line.line_id: approved.get(line.line_id, 0) + claimed_elsewhere(snapshot, line.line_id)
        for line in snapshot.lines
    }
    return RefundedUnits(
        units={line_id: quantity for line_id, quantity in units.items() if quantity},
        freight=0 < snapshot.order.freight_minor <= snapshot.order.freight_claimed_minor,
        elsewhere_minor={
            tender.payment_id: counted_elsewhere_minor(snapshot, tender.tender_id) for tender in snapshot.tenders
        },
    )


async def read_refunded_units(store: Store, order_id: str) -> RefundedUnits:
    """What the order has refunded, as the store says now."""
    ref = await store.find_order(order_id)
    snapshot = None if ref is None else await store.read_order(ref)
    return RefundedUnits() if snapshot is None else refunded_units(snapshot)


def approved_units(snapshot: OrderSnapshot) -> dict[str, int]:
    """By line, the units of approved tickets."""
    found: dict[str, int] = {}
    for row in snapshot.ticket_lines:
        if snapshot.ticket(row.ticket_id).state in APPROVED_STATES:
            found[row.line_id] = found.get(row.line_id, 0) + row.quantity
    return found


def claimed_elsewhere(snapshot: OrderSnapshot, line_id: str) -> int:
    """The claimed units of a line that no ticket has: those of refunds that were made elsewhere."""
    holding = APPROVED_STATES | {TicketState.AWAITING_MERCHANT}
    by_tickets = sum(
        row.quantity
        for row in snapshot.ticket_lines
        if row.line_id == line_id and snapshot.ticket(row.ticket_id).state in holding
    )
    return max(0, snapshot.line(line_id).claimed_quantity - by_tickets)


def counted_elsewhere_minor(snapshot: OrderSnapshot, tender_id: str) -> int:
    """Of what a tender has refunded, the part that no refund of ours paid."""
    tender = next(tender for tender in snapshot.tenders if tender.tender_id == tender_id)
    ours = sum(
        refund.amount_minor
        for refund in snapshot.refunds
        if refund.tender_id == tender_id and refund.state is RefundState.SUCCEEDED
    )
    return tender.refunded_minor - ours
