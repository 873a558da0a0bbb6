"""What callers send. Unknown fields are refused: an amount or an approval in a refund request is one (T30)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from jitui.aftersales.order import DisputeState, Funder, Hold, ParcelDegree, ShipmentSource
from jitui.aftersales.registry import Scope
from jitui.aftersales.task import TaskKind, TaskState
from jitui.aftersales.ticket import ApprovedBy, Reason, TicketState
from jitui.entrypoints.http.fields import (
    AmountMinor,
    Attributes,
    Code,
    Currency,
    Cursor,
    Id,
    IdOrNone,
    Kind,
    Money,
    NameOrNone,
    PageLimit,
    PositiveMinor,
    PositiveMoney,
    Quantity,
    Text,
    Time,
    Why,
)

MAX_LINES = 1_000
MAX_EVENTS = 1_000


class _Sent(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _ActingSent(_Sent, frozen=True, kw_only=True):
    """For whom a platform acts. Unset fields leave no trace in a request's hash, so that older requests keep theirs."""

    acting_for: Annotated[
        Literal["merchant"] | UnsetType,
        Meta(description="With a platform key: the merchant decided this; `person` says who. Else an operator did."),
    ] = UNSET
    person: Annotated[
        Code | UnsetType, Meta(description="Who decided it at the merchant's, as the merchant names its people.")
    ] = UNSET


class ApprovalSent(_ActingSent, frozen=True, kw_only=True):
    """For whom it is approved; need not be sent at all."""


# Orders ----------------------------------------------------------------------------------------------------------


class LineSent(_Sent, frozen=True, kw_only=True):
    """A line of an order; `paid` is what the buyer paid for all its units, discounts taken off."""

    line_id: Id
    sku: Code
    item_id: Id
    quantity: Quantity
    paid: Money
    category_id: Id | None = None
    title: Text = ""
    customised: Annotated[bool | None, Meta(description="Not given: as the category table says.")] = None
    virtual: Annotated[bool | None, Meta(description="Not given: as the category table says.")] = None


class FundingSent(_Sent, frozen=True, kw_only=True):
    """A share of the price that somebody else than the buyer paid."""

    funder: Funder
    amount: PositiveMoney


class OrderSent(_Sent, frozen=True, kw_only=True):
    """An order as the platform has it; it can be replaced until it is paid or ships."""

    buyer_id: Id
    shop_id: Id
    currency: Currency
    placed_at: Time
    lines: Annotated[list[LineSent], Meta(min_length=1, max_length=MAX_LINES)]
    freight: Money | None = None
    funding: Annotated[list[FundingSent], Meta(max_length=3)] = []
    hold: Hold = Hold.NONE
    ship_by: Time | None = None


class PaymentSent(_Sent, frozen=True, kw_only=True):
    """A captured payment: `provider` and `payment_id` name it; `amount` is what was captured with it so far."""

    tender_id: Code
    provider: Kind
    payment_id: Code
    amount: PositiveMoney
    captured_at: Time
    payment_total_minor: Annotated[
        PositiveMinor | None,
        Meta(description="For a payment that several orders of the buyer share: all of it, the same on each order."),
    ] = None


class DisputeSent(_Sent, frozen=True, kw_only=True):
    """A card dispute on a payment of the order; `amount` is what the buyer's bank is asked for."""

    dispute_id: Code
    tender_id: Code
    state: DisputeState
    amount: PositiveMoney
    happened_at: Time
    reason: Text = ""


class UnitsSent(_Sent, frozen=True, kw_only=True):
    """So many units of one order line."""

    line_id: Id
    quantity: Quantity


class ShipmentSent(_ActingSent, frozen=True, kw_only=True):
    """News of a parcel; the same waybill again is the same parcel. No lines: everything not in another parcel."""

    degree: ParcelDegree
    tracking_no: Code
    happened_at: Time
    carrier: Annotated[NameOrNone | None, Meta(description="Empty or not given: as it was said before.")] = None
    source: Annotated[
        ShipmentSource, Meta(description="A merchant's word is a command; a carrier's is a fact, always recorded.")
    ] = ShipmentSource.MERCHANT
    lines: Annotated[list[UnitsSent], Meta(max_length=MAX_LINES)] = []


class CompletionSent(_Sent, frozen=True, kw_only=True):
    """The buyer has the goods and the order is closed well."""

    completed_at: Time


# After-sales -----------------------------------------------------------------------------------------------------


class RefundRequestSent(_Sent, frozen=True, kw_only=True):
    """A buyer asks for the money back; no lines: everything that can be refunded. Amounts are never taken from here."""

    order_id: Id
    buyer_id: Annotated[Id | None, Meta(description="A buyer key may leave it out; a platform key must not.")] = None
    reason: Reason = Reason.OTHER
    lines: Annotated[list[UnitsSent], Meta(max_length=MAX_LINES)] = []


class EvidenceSent(_Sent, frozen=True, kw_only=True):
    """The parcel that left: recorded in the same step as the rejection."""

    tracking_no: Code
    happened_at: Time
    carrier: Annotated[NameOrNone | None, Meta(description="Empty or not given: as it was said before.")] = None
    lines: Annotated[list[UnitsSent], Meta(max_length=MAX_LINES)] = []


class RejectionSent(_ActingSent, frozen=True, kw_only=True):
    """Why the merchant rejects; a shipment as evidence frees the units for it."""

    reason: Why
    shipment: EvidenceSent | None = None


class ManualPayoutSent(_Sent, frozen=True, kw_only=True):
    """A failed refund was paid outside the provider: the evidence. The amount must be the refund's."""

    reference: Annotated[Code, Meta(description="The payment's own number, such as the bank's. Shown on the ticket.")]
    note: Annotated[Why, Meta(description="How it was paid and who checked. Shown to the platform alone.")]
    amount: PositiveMoney


class ResolutionSent(_Sent, frozen=True, kw_only=True):
    """What became of a task."""

    note: Why


# Buyers, shops, coverage -----------------------------------------------------------------------------------------


class BuyerSent(_Sent, frozen=True, kw_only=True):
    """What the platform knows of a buyer; what is not given stays as it is, null and {} make it unknown."""

    registered_at: Time | UnsetType | None = UNSET
    region: Id | UnsetType | None = UNSET
    attributes: Annotated[Attributes | UnsetType, Meta(description="All of them: others are forgotten.")] = UNSET


class EventSent(_Sent, frozen=True, kw_only=True):
    """An event of a buyer's history; the same id again counts once."""

    event_id: Code
    kind: Kind
    at: Time
    order_id: Id | None = None
    amount_minor: AmountMinor = 0
    currency: Annotated[
        Currency | None, Meta(description="Of the amount. Not given: that of the order, where it is known here.")
    ] = None
    retracts: Annotated[Code | None, Meta(description="The id of an event that this one takes back.")] = None


class EventsSent(_Sent, frozen=True, kw_only=True):
    """A batch of one buyer's history."""

    events: Annotated[list[EventSent], Meta(min_length=1, max_length=MAX_EVENTS)]


class ShopSent(_Sent, frozen=True, kw_only=True):
    """What the platform knows of a shop; what is not given stays as it is."""

    name: Text | UnsetType = UNSET
    attributes: Annotated[Attributes | UnsetType, Meta(description="All of them: others are forgotten.")] = UNSET


class CategorySent(_Sent, frozen=True, kw_only=True):
    """A row of the platform's category table; what is not given stays as it is, and is no at first."""

    title: Text | UnsetType = UNSET
    customised: bool | UnsetType = UNSET
    virtual: bool | UnsetType = UNSET


CoverageScope = Literal["platform", "shop", "category", "item"]


class CoverageSent(_Sent, frozen=True, kw_only=True):
    """Whether a place is covered, and why, as the merchant will read it; `ref` is empty for the platform."""

    scope: CoverageScope
    covered: bool
    reason: Why
    ref: Annotated[IdOrNone, Meta(description="The shop, category or item; empty for the platform.")] = ""


class ShopCoverageSent(_Sent, frozen=True, kw_only=True):
    """Whether one shop is covered, and why."""

    covered: bool
    reason: Why


class HistorySent(_Sent, frozen=True, kw_only=True):
    """From when on a kind of event is complete; what is not given stays as it is."""

    complete_from: Time
    fresh_until: Annotated[
        Time | UnsetType | None, Meta(description="Up to when it is fresh; null, and at first: fed as it happens.")
    ] = UNSET


# Governance ------------------------------------------------------------------------------------------------------


class PauseSent(_Sent, frozen=True, kw_only=True):
    """Stops instant approvals for a place; `ref` is empty for the platform."""

    scope: Scope
    reason: Why
    ref: Annotated[IdOrNone, Meta(description="The shop, category, item or region; empty for the platform.")] = ""


class RestrictionSent(_Sent, frozen=True, kw_only=True):
    """Withdraws the service from a buyer; `ends_at` not given: until it is lifted."""

    buyer_id: Id
    reason: Why
    starts_at: Time | None = None
    ends_at: Time | None = None


class SelectionSent(_Sent, frozen=True, kw_only=True):
    """Puts a buyer on the allow or the deny list."""

    verdict: Literal["allow", "deny"]
    reason: Text = ""


# Queries ---------------------------------------------------------------------------------------------------------


class OrderQuery(_Sent, frozen=True, kw_only=True):
    """Filters of the list of orders."""

    shop_id: Id | None = None
    buyer_id: Id | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class TicketQuery(_Sent, frozen=True, kw_only=True):
    """Filters of the list of tickets."""

    shop_id: Id | None = None
    buyer_id: Id | None = None
    order_id: Id | None = None
    state: TicketState | None = None
    approved_by: Annotated[ApprovedBy | None, Meta(description="`instant_refund`: decided by the service.")] = None
    requested_from: Time | None = None
    requested_until: Time | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class PolicyQuery(_Sent, frozen=True, kw_only=True):
    """A page of published policies, newest first."""

    cursor: Cursor | None = None
    limit: PageLimit = 50


class TaskQuery(_Sent, frozen=True, kw_only=True):
    """A page of tasks, newest first."""

    state: TaskState | None = None
    provider: Kind | None = None
    kind: TaskKind | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class IncidentQuery(_Sent, frozen=True, kw_only=True):
    """Filters of the list of incidents."""

    shop_id: Id | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ChangeQuery(_Sent, frozen=True, kw_only=True):
    """A page of the feed."""

    after: Annotated[Cursor | None, Meta(description="`next` of the page before; not given: from the beginning.")] = (
        None
    )
    limit: PageLimit = 50
    wait_seconds: Annotated[
        int, Meta(ge=0, le=30, description="How long to wait for something new when there is nothing yet.")
    ] = 0


class RestrictionQuery(_Sent, frozen=True, kw_only=True):
    """Whose restrictions."""

    buyer_id: Id


class BenefitQuery(_Sent, frozen=True, kw_only=True):
    """Since when."""

    since: Time | None = None
