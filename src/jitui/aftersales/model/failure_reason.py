"""Why a refund is not paid, or stands as it does: our words for what providers say in theirs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class FailureReason(StrEnum):
    """What a person does about it is the same for all texts of one reason."""

    ACCOUNT_CLOSED = "account_closed"
    CARD_UNUSABLE = "card_unusable"
    ACCOUNT_REFUSES = "account_refuses"
    BALANCE_SHORT = "balance_short"
    EXCEEDS_PAYMENT = "exceeds_payment"
    REFUNDED_ALREADY = "refunded_already"
    DISPUTED = "disputed"
    PAYMENT_UNKNOWN = "payment_unknown"
    PAYMENT_NOT_REFUNDABLE = "payment_not_refundable"
    PARTIAL_NOT_ALLOWED = "partial_not_allowed"
    CURRENCY_DIFFERS = "currency_differs"
    REQUEST_REFUSED = "request_refused"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    NEEDS_ACTION = "needs_action"
    UNAUTHORISED = "unauthorised"
    RATE_LIMITED = "rate_limited"
    KEY_REUSED = "key_reused"
    UNDER_WAY = "under_way"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    PROVIDER_FAILING = "provider_failing"
    UNREADABLE = "unreadable"
    ANSWER_DIFFERS = "answer_differs"
    NOT_FOUND = "not_found"
    CONTRADICTS_ITSELF = "contradicts_itself"
    KEY_EXPIRED = "key_expired"
    STATEMENT_NEEDED = "statement_needed"
    TOO_LATE_TO_SEND = "too_late_to_send"
    CAME_BACK = "came_back"
    SENT_AGAIN = "sent_again"
    SETTLED_BY_HAND = "settled_by_hand"
    SHIPPED_ELSEWHERE = "shipped_elsewhere"
    REFUNDED_ELSEWHERE = "refunded_elsewhere"
    ASKED_WITHOUT_ANSWER = "asked_without_answer"


def find_reason(text: str, known: Mapping[str, FailureReason]) -> FailureReason | None:
    """The reason of a text that is known, or that begins with one as with a whole word; the longest one counts."""
    for begins in sorted(known, key=len, reverse=True):
        rest = text.removeprefix(begins)
        if text.startswith(begins) and not (rest[:1].isalnum() or rest[:1] == "_"):
            return known[begins]
    return None
