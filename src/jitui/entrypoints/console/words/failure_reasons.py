"""English texts for why a refund is not paid, or stands as it does; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.model.failure_reason import FailureReason


def _(message: str) -> str:
    return message


FAILURE_REASON_WORDS: Mapping[str, str] = {
    FailureReason.ACCOUNT_CLOSED: _(
        "The buyer's account or card for this payment is closed, so the money cannot go back to it."
    ),
    FailureReason.CARD_UNUSABLE: _("The buyer's card was lost, stolen, cancelled, or has expired."),
    FailureReason.ACCOUNT_REFUSES: _("The buyer's account or bank does not take the money."),
    FailureReason.BALANCE_SHORT: _("The balance at the provider is less than this refund."),
    FailureReason.EXCEEDS_PAYMENT: _("Less than this amount is left of the payment."),
    FailureReason.REFUNDED_ALREADY: _("The provider says that this payment was refunded already."),
    FailureReason.DISPUTED: _("The buyer's bank has asked for the money back, so the provider does not refund it."),
    FailureReason.PAYMENT_UNKNOWN: _("The provider does not know this payment."),
    FailureReason.PAYMENT_NOT_REFUNDABLE: _(
        "The provider does not refund this payment: it may be refunded, closed, frozen or too old."
    ),
    FailureReason.PARTIAL_NOT_ALLOWED: _("The provider does not refund a part of this payment."),
    FailureReason.CURRENCY_DIFFERS: _("The provider does not refund this payment in this currency or amount."),
    FailureReason.REQUEST_REFUSED: _("The provider takes the request for wrong."),
    FailureReason.REFUSED: _("The provider refused it and gave no closer reason."),
    FailureReason.CANCELLED: _("It was cancelled at the provider."),
    FailureReason.NEEDS_ACTION: _("It waits at the provider until somebody acts there."),
    FailureReason.UNAUTHORISED: _("The provider does not take our key, signature or permission."),
    FailureReason.RATE_LIMITED: _("The provider was asked too often; it is asked again later."),
    FailureReason.KEY_REUSED: _("The provider knows this attempt's key from another request."),
    FailureReason.UNDER_WAY: _("It is still being worked on."),
    FailureReason.TIMED_OUT: _("The provider did not answer in time."),
    FailureReason.UNREACHABLE: _("The provider could not be reached."),
    FailureReason.PROVIDER_FAILING: _("The provider had an error of its own."),
    FailureReason.UNREADABLE: _("The provider's answer cannot be read or trusted."),
    FailureReason.ANSWER_DIFFERS: _("The provider's answer does not fit this refund."),
    FailureReason.NOT_FOUND: _("The provider does not know this refund."),
    FailureReason.CONTRADICTS_ITSELF: _("The provider now says otherwise than before, so it is asked again."),
    FailureReason.KEY_EXPIRED: _(
        "The provider has no such refund, and its key has expired: check the payment there before you send it again."
    ),
    FailureReason.STATEMENT_NEEDED: _(
        "The provider cannot be asked about it: its next statement says what became of it."
    ),
    FailureReason.TOO_LATE_TO_SEND: _("A worker was held up and did not send it; another one does."),
    FailureReason.CAME_BACK: _("The money came back, as the provider's list or statement says."),
    FailureReason.SENT_AGAIN: _("An operator had it sent again."),
    FailureReason.SETTLED_BY_HAND: _("It was paid by hand."),
    FailureReason.SHIPPED_ELSEWHERE: _(
        "The goods were shipped in the shop's own system first, so nothing was refunded."
    ),
    FailureReason.REFUNDED_ELSEWHERE: _(
        "It was refunded by hand in the shop's own system, so nothing was refunded on top."
    ),
    FailureReason.ASKED_WITHOUT_ANSWER: _(
        "It was asked for once and the shop's own system shows none: look at the payment's gateway."
    ),
}
