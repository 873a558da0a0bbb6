"""The port to a payment provider: three calls, whose results are values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.aftersales.model.order import DisputeState


class RefundResultKind(StrEnum):
    """What is known of an attempt after a call. UNKNOWN does not mean failed."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    NOT_FOUND = "absent"  # only from look_up: the provider has no record of this attempt


class CallTrouble(StrEnum):
    """Why a call came to nothing, where that says something of the provider and not of the refund."""

    UNAUTHORISED = "unauthorised"  # it does not take our key, signature or rights: somebody must mend the settings
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"  # no connection, or one that broke
    FAILING = "failing"  # it says itself that it cannot answer now
    UNREADABLE = "unreadable"  # an answer that is not the provider's, or not as documented


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do after a lost answer. Without both, a lost one waits for reconciliation (T36).

    `known_within`, `paid_within`: how long it takes as a rule, at most, until it is known whether it has a refund, and
    until one that it accepted is paid. What takes longer is a person's matter.
    """

    keys: bool  # the same attempt again is the same refund
    look_up: bool  # it says what became of an attempt
    known_within: timedelta = timedelta(minutes=15)
    paid_within: timedelta = timedelta(minutes=15)


BOTH = Capabilities(keys=True, look_up=True)


@dataclass(frozen=True, slots=True)
class RefundInstruction:
    """The refund that one attempt asks for; repeating the same attempt is always safe."""

    attempt_id: UUID  # the idempotency key and our reference
    provider: str
    payment_id: str  # the provider's id of the captured payment
    order_id: str
    amount_minor: int
    currency: str
    captured_minor: int
    may_advance: bool = False  # from the platform's account, where the shop's balance is short


@dataclass(frozen=True, slots=True)
class RefundResult:
    """What a provider said about an attempt, in our terms; `reason` has the provider's own words."""

    kind: RefundResultKind
    reason: str = ""
    provider_refund_id: str | None = None
    payment_ids: tuple[str, ...] = ()  # every id that the provider gives the payment; empty when it gives none
    amount_minor: int | None = None
    currency: str | None = None
    # set instead when the provider tells only the sum of all refunds of the payment
    refunds_in_all_minor: int | None = None
    occurred_at: datetime | None = None
    final: bool = True  # for DECLINED; False: may be tried again later (rate limit …)
    retry_after_seconds: float | None = None
    key_life: timedelta | None = None  # for NOT_FOUND: how long its key keeps a repeat from paying; None: for ever
    trouble: CallTrouble | None = None  # why the call came to nothing, where that is the provider's matter
    # for SUCCEEDED: the platform's account paid it, and not the shop's; None: not told
    advanced: bool | None = False
    stuck: bool = False  # for PENDING: it may still be paid, but only once a person has acted at the provider


@dataclass(frozen=True, slots=True)
class Notification:
    """A webhook with a valid signature, age and form; the same event id may arrive many times."""

    provider: str
    event_id: str
    attempt_id: UUID
    result: RefundResult
    acknowledgement: str = ""  # the body that the provider expects in our response; "" when a status is enough


@dataclass(frozen=True, slots=True)
class ToldDispute:
    """What a provider said about a card dispute: on which payment, how much, and its state."""

    provider: str
    dispute_id: str
    payment_ids: tuple[str, ...]
    state: DisputeState
    amount_minor: int
    currency: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DisputeNotification:
    """A webhook about a card dispute."""

    event_id: str
    dispute: ToldDispute


@dataclass(frozen=True, slots=True)
class NotificationRefused:
    """A webhook that is not accepted, and why; `signed`: the provider sent it, but the body cannot be understood."""

    reason: str
    signed: bool = False


@dataclass(frozen=True, slots=True)
class NotificationIgnored:
    """A genuine webhook that is not about one of our attempts (T13), and why."""

    reason: str
    acknowledgement: str = ""  # see Notification


class PaymentProvider(Protocol):
    """A payment provider.

    Calls raise nothing for failures of the network or the provider; RefundResult says what is known.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """Ask for the refund, with the attempt's id as idempotency key; UNKNOWN when the response was lost."""
        ...

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """What became of this attempt; NOT_FOUND only when the provider itself has no record of it.

        Called only when `capabilities.look_up` is true.
        """
        ...

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        """Check the signature, age (against `now`) and form of a webhook, given its exact bytes."""
        ...
