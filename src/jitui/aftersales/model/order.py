"""An order: its lines, tenders, funding, shipments, and how far the goods have gone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

MOST_ATTRIBUTES = 64
"""The most attributes of a buyer."""


class Hold(StrEnum):
    """Why an order may not be shipped yet; a held order is unshipped."""

    NONE = "none"
    PRESALE = "presale"
    GROUP_BUY = "group_buy"
    RISK_REVIEW = "risk_review"


class Funder(StrEnum):
    """Who paid a share of the price besides the buyer."""

    PLATFORM_SUBSIDY = "platform_subsidy"
    MERCHANT_COUPON = "merchant_coupon"
    TALENT_SUBSIDY = "talent_subsidy"


class ShipmentStatus(StrEnum):
    """How far one shipment has gone; with a printed label it is not yet on its way."""

    LABEL_PRINTED = "label_printed"
    PICKED_UP = "picked_up"
    SHIPPED = "shipped"
    DELIVERED = "delivered"


_FURTHER = {status: rank for rank, status in enumerate(ShipmentStatus)}


def is_further(new: ShipmentStatus, old: ShipmentStatus) -> bool:
    """Whether `new` is further than `old`.

    Shipments only move forward; a late report of an earlier state is ignored.
    """
    return _FURTHER[new] > _FURTHER[old]


def has_left(status: ShipmentStatus) -> bool:
    """Whether the goods have left: shipped or delivered. Whether picked up counts is for the policy to say."""
    return status in (ShipmentStatus.SHIPPED, ShipmentStatus.DELIVERED)


class FulfillmentStatus(StrEnum):
    """How far the whole order has gone, as decisions read it."""

    UNSHIPPED = "unshipped"
    LABEL_PRINTED = "label_printed"
    PICKED_UP = "picked_up"
    PARTLY_SHIPPED = "partly_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"


class ShipmentSource(StrEnum):
    """Who reported the shipment.

    A merchant's ship command may conflict with a refund; a carrier's scan is always recorded.
    """

    MERCHANT = "merchant"
    CARRIER = "carrier"


@dataclass(frozen=True, slots=True)
class LineUnits:
    """A number of units of one order line."""

    line_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderLine:
    """The units and money of one line; `paid_minor` is what the buyer paid for all units, after discounts (T23)."""

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
        """Units that have left, by a ship command or a carrier's scan."""
        return min(self.quantity, self.shipped_quantity + self.scanned_quantity)

    @property
    def free_quantity(self) -> int:
        """Units that no ticket has claimed and that have not left: they can be refunded or shipped."""
        return max(0, self.quantity - self.claimed_quantity - self.shipped_quantity - self.scanned_quantity)


@dataclass(frozen=True, slots=True)
class Tender:
    """A captured payment.

    The database ensures that what is refunded, pending and lost stays within `captured_minor` (I1).

    `payment_total_minor`: the total of a payment for several orders; None when this tender is the whole payment.
    """

    tender_id: str
    provider: str
    payment_id: str
    currency: str
    captured_minor: int
    captured_at: datetime
    pending_minor: int = 0
    refunded_minor: int = 0
    lost_minor: int = 0  # taken back by the buyer's bank in card disputes
    payment_total_minor: int | None = None

    @property
    def payment_minor(self) -> int:
        """What the provider captured with this payment, for all orders that it pays for."""
        return self.captured_minor if self.payment_total_minor is None else self.payment_total_minor

    @property
    def remaining_minor(self) -> int:
        """What can still be refunded from this payment."""
        return self.captured_minor - self.pending_minor - self.refunded_minor - self.lost_minor


class DisputeState(StrEnum):
    """A card dispute is open until the bank decides. Won: we keep the money. Lost: the bank gives it to the buyer."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A card dispute on a payment; `lost_minor` is the part of the loss that was still refundable."""

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
    """The share of the price that a funder paid, and how much of it was returned."""

    funder: Funder
    amount_minor: int
    returned_minor: int = 0


@dataclass(frozen=True, slots=True)
class Shipment:
    """A shipment, identified by its waybill; the same waybill again is the same shipment.

    `commanded_lines`: its units that left by a ship command; the others left by a carrier's scan alone. `entered_at`:
    when the merchant told of it first; None while only the carrier has (R9).
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
    entered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """The order's own row; `free_of_charge`: lines and freight sum to zero, so it was paid when it was placed."""

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
    """The buyer's own row; an unknown registration time stays unknown (I5).

    `erased`: it stands in the place of a buyer who was erased. `history_from`: what happened to the buyer before is not
    known here, because it was erased.
    """

    lane: int
    buyer_id: str
    registered_at: datetime | None = None
    region: str | None = None
    attributes: dict[str, int | str | bool] = field(default_factory=dict)
    erased: bool = False
    history_from: datetime | None = None


def waybill_of(tracking_no: str) -> str:
    """The key of a shipment within its order: its tracking number, independent of case, width and kind of dash.

    Hyphens are kept, because some carriers number the pieces of a consignment after one. The carrier's name is not part
    of the key, because it has many spellings.
    """
    return _DASHES.sub("-", unicodedata.normalize("NFKC", tracking_no)).strip().casefold()


WAYBILL_KEPT = timedelta(days=180)
"""Within this time a carrier does not give a number out again: a claim gives way to one that is so much later.

In the constraint `waybill_of_one_buyer` too.
"""

_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63]")


def captured_minor(tenders: Iterable[Tender]) -> int:
    """What the buyer paid for the whole order before any refund, freight included: the amount that R3(b) tests."""
    return sum(tender.captured_minor for tender in tenders)


def fulfillment_status_of(
    lines: Sequence[OrderLine], shipments: Sequence[Shipment], *, completed: bool = False
) -> FulfillmentStatus:
    """How far the order has gone: the state that all goods have reached, or PARTLY_SHIPPED when some have left.

    INVARIANT: a completed order is delivered, whatever its shipments say, because the buyer has the goods.
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
