"""An order as the after-sales service needs it: lines, tenders, funding, shipments, and how far goods have gone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

MOST_ATTRIBUTES = 64
"""So many attributes of a buyer are taken, at most."""


class Hold(StrEnum):
    """Fulfilment holds: a held order is unshipped and not shippable."""

    NONE = "none"
    PRESALE = "presale"
    GROUP_BUY = "group_buy"
    RISK_REVIEW = "risk_review"


class Funder(StrEnum):
    """Who, besides the buyer, paid a share of the price."""

    PLATFORM_SUBSIDY = "platform_subsidy"
    MERCHANT_COUPON = "merchant_coupon"
    TALENT_SUBSIDY = "talent_subsidy"


class ShipmentStatus(StrEnum):
    """How far one shipment has gone; a printed label is not yet on its way."""

    LABEL_PRINTED = "label_printed"
    PICKED_UP = "picked_up"
    SHIPPED = "shipped"
    DELIVERED = "delivered"


_FURTHER = {status: rank for rank, status in enumerate(ShipmentStatus)}


def is_further(new: ShipmentStatus, old: ShipmentStatus) -> bool:
    """Shipments only move forward; late news of an earlier degree changes nothing."""
    return _FURTHER[new] > _FURTHER[old]


def has_left(status: ShipmentStatus) -> bool:
    """Whether the goods are gone: shipped or delivered. Picked up is a degree that a policy may choose to allow."""
    return status in (ShipmentStatus.SHIPPED, ShipmentStatus.DELIVERED)


class FulfillmentStatus(StrEnum):
    """How far an order as a whole has gone, as a decision reads it."""

    UNSHIPPED = "unshipped"
    LABEL_PRINTED = "label_printed"
    PICKED_UP = "picked_up"
    PARTLY_SHIPPED = "partly_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"


class ShipmentSource(StrEnum):
    """A merchant's ship is a command and can meet a conflict; a carrier's scan is a fact and is always recorded."""

    MERCHANT = "merchant"
    CARRIER = "carrier"


@dataclass(frozen=True, slots=True)
class LineUnits:
    """So many units of one order line."""

    line_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderLine:
    """Units and money of one line; `paid_minor` is what the buyer paid for all units, discounts taken off (T23)."""

    line_id: str
    sku: str
    item_id: str
    quantity: int
    paid_minor: int
    category_id: str | None = None
    title: str = ""
    customised: bool | None = None
    virtual: bool | None = None
    claimed_quantity: int = 0
    claimed_minor: int = 0
    shipped_quantity: int = 0
    scanned_quantity: int = 0

    @property
    def left_quantity(self) -> int:
        """Units that have left, by command or by a carrier's word."""
        return min(self.quantity, self.shipped_quantity + self.scanned_quantity)

    @property
    def free_quantity(self) -> int:
        """Units neither under a ticket nor gone: what can still be asked for, or shipped."""
        return max(0, self.quantity - self.claimed_quantity - self.shipped_quantity - self.scanned_quantity)


@dataclass(frozen=True, slots=True)
class Tender:
    """A captured payment; `pending + refunded <= captured` is the database's to hold (I1).

    `payment_total_minor`: of a payment that several orders share; None where this tender is the whole payment.
    """

    tender_id: str
    provider: str
    payment_id: str
    currency: str
    captured_minor: int
    captured_at: datetime
    pending_minor: int = 0
    refunded_minor: int = 0
    lost_minor: int = 0  # taken back by the buyer's bank: card disputes that were lost
    payment_total_minor: int | None = None

    @property
    def payment_minor(self) -> int:
        """What the provider captured with this payment, for all orders that share it."""
        return self.captured_minor if self.payment_total_minor is None else self.payment_total_minor

    @property
    def remaining_minor(self) -> int:
        """What can still be promised to the buyer from this payment."""
        return self.captured_minor - self.pending_minor - self.refunded_minor - self.lost_minor


class DisputeState(StrEnum):
    """A card dispute is open until the bank decides: won, the money stays; lost, the bank gives it to the buyer."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A card dispute on a payment, by the provider's id; `lost_minor` is what it took of what was still refundable."""

    dispute_id: str
    tender_id: str
    provider: str
    state: DisputeState
    amount_minor: int
    currency: str
    opened_at: datetime
    reason: str = ""
    lost_minor: int = 0
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Funding:
    """A share of the price that a funder other than the buyer paid, and how much of it went back."""

    funder: Funder
    amount_minor: int
    returned_minor: int = 0


@dataclass(frozen=True, slots=True)
class Shipment:
    """A shipment by its waybill; repeating the waybill is the same shipment.

    `commanded_lines`: those of its units that left by a ship command; the others left by the carrier's word alone.
    """

    shipment_id: UUID
    degree: ShipmentStatus
    carrier: str
    tracking_no: str
    source: ShipmentSource
    commanded: bool
    lines: tuple[LineUnits, ...]
    happened_at: datetime
    recorded_at: datetime
    commanded_lines: tuple[LineUnits, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """The order's own row; `free_of_charge`: lines and freight sum to nothing, so it was paid when it was placed."""

    lane: int
    order_id: str
    buyer_id: str
    shop_id: str
    currency: str
    placed_at: datetime
    freight_minor: int
    freight_claimed_minor: int = 0
    hold: Hold = Hold.NONE
    paid_at: datetime | None = None
    completed_at: datetime | None = None
    ship_by: datetime | None = None
    free_of_charge: bool = False


@dataclass(frozen=True, slots=True)
class Buyer:
    """The buyer's own row; an unknown registration time stays unknown (I5)."""

    lane: int
    buyer_id: str
    registered_at: datetime | None = None
    region: str | None = None
    attributes: dict[str, int | str | bool] = field(default_factory=dict)


def waybill_of(tracking_no: str) -> str:
    """What tells a shipment from the order's others: its number in whatever letters and widths it is written.

    Hyphens stay, all dashes as one: some carriers number the pieces of a consignment behind one. The carrier's name has
    many spellings.
    """
    return _DASHES.sub("-", unicodedata.normalize("NFKC", tracking_no)).strip().casefold()


_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63]")


def captured_minor(tenders: Iterable[Tender]) -> int:
    """What the buyer paid for the whole order before any refund: the amount R3(b) tests, freight included."""
    return sum(tender.captured_minor for tender in tenders)


def fulfillment_status_of(
    lines: Sequence[OrderLine], shipments: Sequence[Shipment], *, completed: bool = False
) -> FulfillmentStatus:
    """How far the order has gone: the furthest that is true of all goods, *partly shipped* when only some have left.

    INVARIANT: a completed order has gone, whatever was told of its shipments: the buyer has the goods.
    """
    if completed:
        return FulfillmentStatus.DELIVERED
    left = sum(line.left_quantity for line in lines)
    whole = sum(line.quantity for line in lines)
    if left >= whole:
        gone = [shipment for shipment in shipments if has_left(shipment.degree)]
        delivered = bool(gone) and all(shipment.degree is ShipmentStatus.DELIVERED for shipment in gone)
        return FulfillmentStatus.DELIVERED if delivered else FulfillmentStatus.SHIPPED
    if left:
        return FulfillmentStatus.PARTLY_SHIPPED
    degrees = {shipment.degree for shipment in shipments}
    if ShipmentStatus.PICKED_UP in degrees:
        return FulfillmentStatus.PICKED_UP
    if ShipmentStatus.LABEL_PRINTED in degrees:
        return FulfillmentStatus.LABEL_PRINTED
    return FulfillmentStatus.UNSHIPPED
