"""The ticket: its states, who approved it, and its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from jitui.aftersales.model.order import Funder
from jitui.aftersales.model.review import Arbitration, Assignment, Offer


class TicketState(StrEnum):
    """The states of a ticket; `refunding` lasts from the approval until the money has arrived."""

    AWAITING_MERCHANT = "awaiting_merchant"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


OPEN_STATES = frozenset({TicketState.AWAITING_MERCHANT, TicketState.REFUNDING, TicketState.REFUND_FAILED})
"""While a ticket is in one of these states, its units can neither be requested again nor shipped."""

APPROVED_STATES = frozenset({TicketState.REFUNDING, TicketState.REFUNDED, TicketState.REFUND_FAILED})
"""The refund was approved; the ticket keeps its units for good."""


class Basis(StrEnum):
    """On what ground the buyer asks: the platform's guarantee, or the law's right to withdraw from the contract."""

    GOODWILL = "goodwill"
    WITHDRAWAL = "withdrawal"


class ApprovedBy(StrEnum):
    """What approved the refund: one automation, or one person."""

    INSTANT_REFUND = "instant_refund"
    WITHDRAWAL = "withdrawal"
    MERCHANT = "merchant"
    MERCHANT_TIMEOUT = "merchant_timeout"
    ARBITRATION = "arbitration"
    OPERATOR = "operator"


class Reason(StrEnum):
    """Why the buyer asks; the values are those of WeChat shops and Taobao."""

    NO_LONGER_WANTED = "no_longer_wanted"
    WRONG_SELECTION = "wrong_selection"
    NOT_SHIPPED_IN_TIME = "not_shipped_in_time"
    FOUND_CHEAPER = "found_cheaper"
    OUT_OF_STOCK = "out_of_stock"
    OTHER = "other"


class Arm(StrEnum):
    """The arm of the experiment that the ticket is in.

    The hold-out shows results without the service (R7), the canary those of a policy that a share of buyers tries. A
    request that no policy of the platform's decides is in none.
    """

    LIVE = "live"
    CANARY = "canary"
    HOLD_OUT = "hold_out"
    NONE = "none"


class ActorKind(StrEnum):
    """Who did something, as the timeline shows it."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    PLATFORM = "platform"
    OPERATOR = "operator"
    SYSTEM = "system"
    CARRIER = "carrier"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts; operators act under their own name (I8).

    `through`: the owner of the API key that passed the action on.
    """

    kind: ActorKind
    id: str = ""
    through: str = ""


SYSTEM = Actor(ActorKind.SYSTEM, "jitui")


def approver(by: Actor) -> ApprovedBy:
    """How an approval by a person counts: as the merchant's own, or as one by the platform for the merchant."""
    return ApprovedBy.MERCHANT if by.kind is ActorKind.MERCHANT else ApprovedBy.OPERATOR


@dataclass(frozen=True, slots=True)
class Ticket:
    """The ticket's own row; `version` is the token that a decision on the ticket must carry.

    `remind_at`: when its deadline is announced again, while it is in review. `offer`: what the shop would refund.
    `advance_up_to_minor`: the largest amount that the platform's account may pay for the shop, as the policy says that
    decided the request; None: nothing.
    """

    lane: int
    ticket_id: UUID
    order_id: str
    buyer_id: str
    shop_id: str
    state: TicketState
    version: int
    reason: Reason
    currency: str
    amount_minor: int
    freight_minor: int
    arm: Arm
    requested_at: datetime
    basis: Basis = Basis.GOODWILL
    funding_returns: dict[Funder, int] = field(default_factory=dict)
    notice: dict[str, str] | None = None
    approved_by: ApprovedBy | None = None
    review_reason: str | None = None
    on_timeout: str = "approve"
    expires_at: datetime | None = None
    approved_at: datetime | None = None
    closed_at: datetime | None = None
    remind_at: datetime | None = None
    assignment: Assignment | None = None
    offer: Offer | None = None
    arbitration: Arbitration | None = None
    advance_up_to_minor: int | None = None


@dataclass(frozen=True, slots=True)
class TicketLine:
    """Units and money of one order line under a ticket.

    `open` becomes false when the ticket first leaves `OPEN_STATES`; an index allows one open ticket per line. It stays
    false when a refund is undone later: another ticket may by then have the line's other units, and these stay claimed.
    """

    ticket_id: UUID
    line_id: str
    quantity: int
    amount_minor: int
    open: bool = True


@dataclass(frozen=True, slots=True)
class TicketEvent:
    """One transition of a ticket: when, who, from, to, why."""

    ticket_id: UUID
    seq: int
    at: datetime
    actor_kind: ActorKind
    actor_id: str
    from_state: TicketState | None
    to_state: TicketState
    why: str
    detail: Mapping[str, object] = field(default_factory=dict)
