"""The port to a commerce platform: orders, payments and shipments that live in somebody else's system.

An adapter implements `Platform`, which reads, and `PlatformWriter`, whose calls change something there. What is done
when, and what is never done twice, is `jitui.aftersales.operations.platform_refunds`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, TicketState
from jitui.aftersales.ports import Store, read_order_by_id
from jitui.aftersales.provider import CallTrouble, NotificationIgnored, NotificationRefused, RefundResultKind

# What a platform can do ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlatformCapabilities:
    """What a platform can do, in words for `docs/reference/platforms.md`; `tried`: the version met for real, if any.

    `pause_seconds`: how long after a cancellation a shipment that was under way may still appear, where none is held.
    """

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
    pause_seconds: float = 0.0


_NEVER = "never met for real"
_JITUI, _THE_PLATFORM = "Jitui", "the platform"
_A_SHIPMENT_SECONDS = 1.0
"""Longer than a platform takes to record one: Vendure's transaction takes 0.1 to 0.3 s, and locks nothing."""

PLATFORMS: tuple[PlatformCapabilities, ...] = (
    PlatformCapabilities(
        name="vendure",
        title="Vendure",
        tried="3.7.3",
        adapter=True,
        request=_JITUI,
        holds="no hold; cancelled units cannot be shipped afterwards",
        looks_up="by the attempt's id in the refund's `reason`",
        key="none of its own; one attempt asks once, by a note of ours",
        cancels="units and shipping costs, without any refund",
        changes="polling by `updatedAt`, which shipments and refunds leave as it is: open orders are read again",
        limits="at most 1000 orders in a list; no webhooks, no request limit of its own",
        pause_seconds=_A_SHIPMENT_SECONDS,
    ),
    PlatformCapabilities(
        name="medusa",
        title="Medusa 2",
        tried="2.21.2",
        adapter=True,
        request=_JITUI,
        holds="an open order edit lets nobody ship; units that it took out cannot be shipped afterwards",
        looks_up="by the attempt's id in the refund's `note`",
        key="none: the same refund twice makes two while money is left; one attempt asks once",
        cancels="an order edit takes units out, without any refund; cancelling the order refunds every payment",
        changes="polling by `updated_at`, which a refund after an edit leaves as it is: open orders are read again",
        limits="no order is found by its number alone; no webhooks, no request limit of its own",
    ),
    PlatformCapabilities(
        name="woocommerce",
        title="WooCommerce",
        tried="",
        adapter=True,
        request=_JITUI,
        holds="none; a whole order is cancelled first, units of a part are named in a note to the merchant",
        looks_up="by the attempt's id in the refund's `reason`",
        key="none: the same refund twice makes two while money is left; one attempt asks once",
        cancels="the status `cancelled` of a whole order, without any refund",
        changes="polling by `date_modified_gmt`; webhooks without retries, whose signature carries no time, are hints",
        limits="100 orders in a page; no request limit in the core, hosts add their own",
        pause_seconds=_A_SHIPMENT_SECONDS,
    ),
    PlatformCapabilities(
        name="saleor",
        title="Saleor",
        tried="",
        adapter=True,
        request=_JITUI,
        holds="none",
        looks_up="by the attempt's id in the granted refund's `reason`",
        key="a granted refund is requested once: Saleor refuses it while it is pending or paid",
        cancels="whole orders, without any refund; a part cannot be cancelled",
        changes="polling by `updatedAt`; webhooks, signed by JWS, are hints",
        limits="a limit on the cost of a query",
        pause_seconds=_A_SHIPMENT_SECONDS,
    ),
    PlatformCapabilities(
        name="shopify",
        title="Shopify",
        tried="",
        adapter=True,
        request=_JITUI,
        holds="units of a fulfilment order on hold are fulfilled by nobody; the refund takes them out",
        looks_up="by the attempt's id in the refund's note",
        key="`@idempotent(key:)` on `refundCreate`, required from version 2026-04; one attempt asks once",
        cancels="`orderCancel`, a job that runs later; it is not used, since a hold and the refund take single units",
        changes="polling by `updatedAt`; webhooks, signed by the app's secret, are hints",
        limits="a bucket of points for each shop; a query may cost 1000; orders of 60 days without `read_all_orders`",
    ),
    PlatformCapabilities(
        name="kuaishou",
        title="Kuaishou",
        tried="",
        adapter=True,
        request=_THE_PLATFORM,
        holds="an order is not shipped there while a request waits",
        looks_up="by the state of the platform's refund request",
        key="the request's state: one that was approved is not approved again",
        cancels="nothing is cancelled: the platform pays, and ends the order, after an approval",
        changes="lists of requests by the time of their change, in windows of a day at most, over 90 days; messages "
        "are hints",
        limits="100 requests in a page; a token lasts two days",
    ),
)
"""Every platform that is known here; `vendure` and `medusa` were met for real."""

ASKED_HERE = frozenset(one.name for one in PLATFORMS if one.request == _JITUI)
ASKED_THERE = frozenset(one.name for one in PLATFORMS if one.request == _THE_PLATFORM)
"""Platforms by who takes their buyers' requests."""


def tried_for_real(platform: PlatformCapabilities) -> str:
    """The version that the tests run against, or that it was never met."""
    return platform.tried or _NEVER


# What is read there ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlatformRefund:
    """A refund there. `attempt_id`: it is one of ours. `state`: SUCCEEDED, PENDING, DECLINED or UNKNOWN.

    `at`: when it came into this state. `said`: the platform's own words about it.
    """

    refund_id: str
    amount_minor: int
    at: datetime
    attempt_id: UUID | None = None
    state: RefundResultKind = RefundResultKind.SUCCEEDED
    said: str = ""


@dataclass(frozen=True, slots=True)
class PlatformPayment:
    """A captured payment there."""

    payment_id: str
    amount_minor: int
    captured_at: datetime
    refunds: tuple[PlatformRefund, ...] = ()

    @property
    def elsewhere_minor(self) -> int:
        """What was refunded there, and not by us; also what is on its way."""
        return sum(
            refund.amount_minor
            for refund in self.refunds
            if refund.attempt_id is None and refund.state is not RefundResultKind.DECLINED
        )

    def refund_of(self, attempt_id: UUID) -> PlatformRefund | None:
        """The refund that one of our attempts made."""
        return next((refund for refund in self.refunds if refund.attempt_id == attempt_id), None)


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
    category_id: str | None = None


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
    """An order as the platform has it now; amounts in minor units of its currency.

    `order_id`: the number that buyers know. `platform_id`: what its calls want, where that is something else.
    """

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
    platform_id: str = ""

    def payment(self, payment_id: str) -> PlatformPayment | None:
        """The captured payment of this id."""
        return next((paid for paid in self.payments if paid.payment_id == payment_id), None)

    def shipped_units(self) -> dict[str, int]:
        """By line, the units in shipments there, from the packing on."""
        found: dict[str, int] = {}
        for sent in self.shipments:
            for line in sent.lines:
                found[line.line_id] = found.get(line.line_id, 0) + line.quantity
        return found


@dataclass(frozen=True, slots=True)
class UnreadableOrder:
    """An order there that cannot be an order here, and why."""

    order_id: str
    changed_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CallFailed:
    """A call to a platform that came to nothing; `reached`: it may have done what was asked."""

    reason: str
    trouble: CallTrouble
    reached: bool = True


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A refusal by which the platform did nothing and will not later; `reason` has its own words."""

    reason: str


@dataclass(frozen=True, slots=True)
class OrderHint:
    """What a platform's webhook may say: this order is to be read again, by its number or the platform's own id."""

    order_id: str


class Platform(Protocol):
    """A source of orders, payments and shipments."""

    @property
    def name(self) -> str: ...

    async def check(self) -> str | None:
        """Why the platform cannot be read, and what to do; None when it can."""
        ...

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order now; None when there is none, or it was not placed yet."""
        ...

    async def contact_address(self, order_id: str) -> str | None:
        """The mail address of the order's buyer there, to be compared and written to, and never kept.

        Raises Unavailable, with what to do.
        """
        ...

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
        """The orders now; those that do not exist are left out. Raises Unavailable, with what to do."""
        ...

    def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        """Pages of placed orders that changed after the cursor less the overlap, oldest change first.

        Raises Unavailable, with what to do.
        """
        ...

    async def read_hint(
        self, headers: Mapping[str, str], body: bytes
    ) -> OrderHint | NotificationIgnored | NotificationRefused:
        """The order that a webhook with a valid signature is about; nothing else of its body is believed."""
        ...


# What is done there --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WantedRefund:
    """A refund to make there. `reference`: a text that must be found at the refund again; it names the attempt."""

    payment_id: str
    amount_minor: int
    currency: str
    attempt_id: UUID
    reference: str


class PlatformWriter(Protocol):
    """The calls that change something at a platform; each is made on an order that has just been read.

    None of them repeats itself. A call without an answer is CallFailed with `reached`: nobody knows what it did.
    """

    async def cancel(
        self, order: PlatformOrder, units: Mapping[str, int], *, freight: bool, reference: str
    ) -> CallFailed | CallRefused | None:
        """Take these units out of what is to be shipped, without any refund; None when that is done.

        `units`: by line, beyond those that are cancelled already. `freight`: shipping costs are refunded too.
        """
        ...

    async def refund(self, order: PlatformOrder, wanted: WantedRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Pay back; the refund as the platform has made it."""
        ...

    async def settle(self, order: PlatformOrder, refund: PlatformRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Tell the platform that a person's part of a pending refund is done; called only where the shop wants it."""
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
    snapshot = await read_order_by_id(store, order_id)
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


# Our reference ------------------------------------------------------------------------------------------------------

_REFERENCE = re.compile(r"\bJitui ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


def reference_of(attempt_id: UUID) -> str:
    """The text that we leave at a refund, by which its attempt is found."""
    return f"Jitui {attempt_id}"


def attempt_in(text: str) -> UUID | None:
    """The attempt that a text at a refund names; None for a refund that is not ours."""
    found = _REFERENCE.search(text)
    return UUID(found[1]) if found else None
