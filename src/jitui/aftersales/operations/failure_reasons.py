"""The reasons of refunds that this service writes itself, beside those of the providers."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.commands.pay import NO_WAY_TO_ASK, NO_WAY_TO_REPEAT
from jitui.aftersales.commands.refund_updates import KEY_EXPIRED
from jitui.aftersales.model.failure_reason import FailureReason, find_reason
from jitui.aftersales.operations import platform_approvals, platform_calls, platform_refunds

_OURS: Mapping[str, FailureReason] = {
    NO_WAY_TO_ASK: FailureReason.STATEMENT_NEEDED,
    NO_WAY_TO_REPEAT: FailureReason.STATEMENT_NEEDED,
    KEY_EXPIRED: FailureReason.KEY_EXPIRED,
    "the provider no longer knows an attempt that it had accepted": FailureReason.NOT_FOUND,
    "the lease ran out before the refund was sent": FailureReason.TOO_LATE_TO_SEND,
    "the provider reports payment": FailureReason.ANSWER_DIFFERS,
    "the provider reports currency": FailureReason.ANSWER_DIFFERS,
    "the provider reports amount": FailureReason.ANSWER_DIFFERS,
    "declined after it had succeeded": FailureReason.CONTRADICTS_ITSELF,
    "succeeded after it was declined": FailureReason.CONTRADICTS_ITSELF,
    "accepted, although it was not known when its key expired": FailureReason.CONTRADICTS_ITSELF,
    "returned, as the statement says": FailureReason.CAME_BACK,
    "returned, as the provider's list says": FailureReason.CAME_BACK,
    platform_refunds.SHIPPED: FailureReason.SHIPPED_ELSEWHERE,
    platform_refunds.REFUNDED_THERE: FailureReason.REFUNDED_ELSEWHERE,
    platform_refunds.ASKED_BEFORE: FailureReason.ASKED_WITHOUT_ANSWER,
    platform_refunds.MADE_UNSEEN: FailureReason.NEEDS_ACTION,
    platform_calls.BUSY: FailureReason.UNDER_WAY,
    "the order is not at the shop's platform any more": FailureReason.NOT_FOUND,
    "the shop's platform has no payment": FailureReason.PAYMENT_UNKNOWN,
    "no refund with our reference, and none was asked for": FailureReason.NOT_FOUND,
    "cancelling": FailureReason.REFUSED,
    "settling": FailureReason.NEEDS_ACTION,
    platform_approvals.SHIPPED: FailureReason.SHIPPED_ELSEWHERE,
    platform_approvals.CHANGED: FailureReason.ANSWER_DIFFERS,
    platform_approvals.ANOTHER_AMOUNT: FailureReason.ANSWER_DIFFERS,
    platform_approvals.NO_REQUEST: FailureReason.NOT_FOUND,
    "approved; the platform pays": FailureReason.UNDER_WAY,
    **dict.fromkeys(platform_approvals.ENDED.values(), FailureReason.CANCELLED),
    "retried": FailureReason.SENT_AGAIN,
    "settled by hand": FailureReason.SETTLED_BY_HAND,
}
_LOOK_UP = "look-up: "


def reason_of(text: str, provider_words: Mapping[str, FailureReason]) -> FailureReason | None:
    """What a refund's or an attempt's reason means; None where nobody has said. The text itself stays beside it."""
    told = text.removeprefix(_LOOK_UP)
    return find_reason(told, _OURS) or find_reason(told, provider_words)


def is_own_reason(text: str) -> bool:
    """Whether it is a sentence of this service, which says in English what the words for it say; not a code."""
    return find_reason(text.removeprefix(_LOOK_UP), _OURS) is not None
