"""Refunds and their attempts: the state machine that pays one approved refund exactly once (I2)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class RefundState(StrEnum):
    """The state of a refund.

    `unknown` is not `failed`: a refund fails only when the provider has certainly refused it.
    """

    QUEUED = "queued"
    SENDING = "sending"
    PENDING = "pending"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class AttemptState(StrEnum):
    """What is known of one call to a provider."""

    SENDING = "sending"
    PENDING = "pending"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class SettlementProposal:
    """A payment by hand that waits for a second person: the evidence, who proposed it, and when."""

    reference: str
    note: str
    by: str
    at: datetime


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, whatever their letters' case and width and the blanks around them."""
    return _as_compared(one) == _as_compared(other)


def _as_compared(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().lower()


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an operator paid a refund outside its provider: the evidence, who, and when.

    `confirmed_by`: another person, where it took two. `attempts`: how many there were then; the database refuses the
    settlement when a worker has begun another one meanwhile.
    """

    reference: str  # the reference of the payment, at a bank for example
    note: str
    by: str
    at: datetime
    confirmed_by: str | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """A ticket's refund from one tender; these rows are the queue. A settled refund is never sent again."""

    refund_id: UUID
    ticket_id: UUID
    order_id: str
    tender_id: str
    provider: str
    payment_id: str
    amount_minor: int
    captured_minor: int
    currency: str
    state: RefundState
    queued_at: datetime
    attempt_no: int = 0
    tries: int = 0
    due_at: datetime | None = None
    leased_until: datetime | None = None
    reason: str = ""
    closed_at: datetime | None = None
    settlement: Settlement | None = None
    proposal: SettlementProposal | None = None
    may_advance: bool = False  # the platform's account may pay it, where the shop's balance at the provider is short


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to the provider; its id is the idempotency key, and our reference at the provider."""

    attempt_id: UUID
    refund_id: UUID
    attempt_no: int
    state: AttemptState
    started_at: datetime
    provider_refund_id: str | None = None
    reason: str = ""
    moves: int = 0
    news_at: datetime | None = None
