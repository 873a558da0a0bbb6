"""The reasons of refunds that this service writes itself, beside those of the providers."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.commands.pay import NO_WAY_TO_ASK, NO_WAY_TO_REPEAT
from jitui.aftersales.commands.refund_updates import KEY_EXPIRED
from jitui.aftersales.model.failure_reason import FailureReason, find_reason

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
    "retried": FailureReason.SENT_AGAIN,
    "settled by hand": FailureReason.SETTLED_BY_HAND,
}
_LOOK_UP = "look-up: "


def reason_of(text: str, provider_words: Mapping[str, FailureReason]) -> FailureReason | None:
    """What a refund's or an attempt's reason means; None where nobody has said. The text itself stays beside it."""
    told = text.removeprefix(_LOOK_UP)
    return find_reason(told, _OURS) or find_reason(told, provider_words)
