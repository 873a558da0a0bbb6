"""Values that several resources share. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from jitui.client.call import Sent, Shown, Word


class ActorKind(Word):
    """Who did something, as the timeline shows it."""

    BUYER = "buyer"
    CARRIER = "carrier"
    MERCHANT = "merchant"
    OPERATOR = "operator"
    PLATFORM = "platform"
    PROVIDER = "provider"
    SYSTEM = "system"


class ApprovedBy(Word):
    """What approved the refund: one automation, or one person."""

    ARBITRATION = "arbitration"
    INSTANT_REFUND = "instant_refund"
    MERCHANT = "merchant"
    MERCHANT_TIMEOUT = "merchant_timeout"
    OPERATOR = "operator"


class Reason(Word):
    """Why the buyer asks; the values are those of WeChat shops and Taobao."""

    FOUND_CHEAPER = "found_cheaper"
    NO_LONGER_WANTED = "no_longer_wanted"
    NOT_SHIPPED_IN_TIME = "not_shipped_in_time"
    OTHER = "other"
    OUT_OF_STOCK = "out_of_stock"
    WRONG_SELECTION = "wrong_selection"


class RefundState(Word):
    """The state of a refund.

    `unknown` is not `failed`: a refund fails only when the provider has certainly refused it.
    """

    FAILED = "failed"
    PENDING = "pending"
    QUEUED = "queued"
    SENDING = "sending"
    SUCCEEDED = "succeeded"
    UNKNOWN = "unknown"


class Scope(Word):
    """Where a pause or a coverage row applies.

    An order is covered when its shop is (by the shop's row, else the platform's) and every line is (by the item's row,
    else its category's).
    """

    CATEGORY = "category"
    ITEM = "item"
    PLATFORM = "platform"
    REGION = "region"
    SHOP = "shop"


class TicketState(Word):
    """The states of a ticket; `refunding` lasts from the approval until the money has arrived."""

    AWAITING_MERCHANT = "awaiting_merchant"
    CLOSED = "closed"
    REFUND_FAILED = "refund_failed"
    REFUNDED = "refunded"
    REFUNDING = "refunding"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Amount(Shown, frozen=True):
    """An amount, as the API writes it."""

    amount_minor: int
    currency: str


class PositiveMoney(Sent, frozen=True):
    """An amount of at least one minor unit."""

    amount_minor: int
    currency: str


class RefundView(Shown, frozen=True, kw_only=True):
    """The refund from one tender."""

    refund_id: UUID
    tender_id: str
    provider: str
    state: RefundState
    amount: Amount
    queued_at: datetime
    closed_at: datetime | None
    reason: str


class TicketLineView(Shown, frozen=True, kw_only=True):
    """Units of one line, and the money that is refunded for them."""

    line_id: str
    sku: str
    title: str
    quantity: int
    amount: Amount


class TicketView(Shown, frozen=True, kw_only=True):
    """A ticket with its lines, refunds and timeline; `notice` says that the service decided, if it did."""

    ticket_id: UUID
    order_id: str
    buyer_id: str
    shop_id: str
    state: TicketState
    version: int
    reason: Reason
    amount: Amount
    freight: Amount
    approved_by: ApprovedBy | None
    notice: Mapping[str, str] | None
    review_reason: str | None
    requested_at: datetime
    expires_at: datetime | None
    approved_at: datetime | None
    closed_at: datetime | None
    seconds_to_refund: float | None
    lines: tuple[TicketLineView, ...]
    refunds: tuple[RefundView, ...]
    timeline: tuple[TimelineView, ...]


class TimelineView(Shown, frozen=True, kw_only=True):
    """One transition: when, who, from, to, why."""

    at: datetime
    actor: ActorKind
    actor_id: str
    from_state: TicketState | None
    to_state: TicketState
    why: str
    detail: Mapping[str, object]


class UnitsSent(Sent, frozen=True, kw_only=True):
    """A number of units of one order line."""

    line_id: str
    quantity: int
