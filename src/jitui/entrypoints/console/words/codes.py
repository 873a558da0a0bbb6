"""English texts for the codes of the core; the catalogues translate them.

`_` only marks a text for the catalogues. A test checks that every code has a text here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from jitui.aftersales.governance.appeals import AppealState
from jitui.aftersales.governance.complaint import ContestOutcome
from jitui.aftersales.governance.coverage import GateStatus
from jitui.aftersales.governance.registry import Scope
from jitui.aftersales.model.order import FulfillmentStatus, Hold
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.review import RejectionCode
from jitui.aftersales.model.ticket import ActorKind, ApprovedBy, Reason, TicketState
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.shipping_risks import RiskKind
from jitui.entrypoints.console.words.cases import CASE_WORDS
from jitui.entrypoints.console.words.operations import OPERATIONS_WORDS
from jitui.entrypoints.console.words.policies import POLICY_WORDS
from jitui.entrypoints.console.words.risk import RISK_WORDS
from jitui.identity.access import Role
from jitui.identity.people import SignInRefusal
from jitui.policy import Verdict


def _(message: str) -> str:
    return message


WORDS: Mapping[type[StrEnum], Mapping[str, str]] = {
    **CASE_WORDS,
    Role: {
        Role.BUYER: _("Buyer"),
        Role.MERCHANT: _("Merchant"),
        Role.SUPPORT: _("Support"),
        Role.RISK: _("Risk"),
        Role.OPERATOR: _("Operator"),
        Role.AUDITOR: _("Auditor"),
        Role.ADMIN: _("Administrator"),
    },
    SignInRefusal: {
        SignInRefusal.WRONG: _("The name or the password is not right."),
        SignInRefusal.TOO_MANY_ATTEMPTS: _("Too many attempts. Please wait a quarter of an hour and try again."),
        SignInRefusal.WRONG_CODE: _("The code is not right."),
        SignInRefusal.CODE_USED: _("This code was used already. Please wait for the next one."),
        SignInRefusal.TOO_LATE: _("That took too long. Please sign in again."),
        SignInRefusal.NO_PASSWORDS: _("Nobody signs in by a password here. Please use single sign-on."),
        SignInRefusal.ISSUER_AWAY: _("Single sign-on does not answer. Please try again in a few minutes."),
        SignInRefusal.ISSUER_REFUSED: _("Single sign-on did not let you in, or you left it. Please try again."),
        SignInRefusal.OTHER_WINDOW: _("This sign-in was begun in another browser or window. Please sign in again."),
        SignInRefusal.NOT_ACCEPTED: _("The answer of single sign-on cannot be accepted. Please sign in again."),
        SignInRefusal.NOBODY_HERE: _("You have no account here that may sign in. Please ask an administrator."),
        SignInRefusal.FACTOR_MISSING: _("Single sign-on did not ask you for a second factor, which is needed here."),
    },
    TicketState: {
        TicketState.AWAITING_MERCHANT: _("Waiting for the shop"),
        TicketState.REFUNDING: _("Refund on its way"),
        TicketState.REFUNDED: _("Refunded"),
        TicketState.REFUND_FAILED: _("Payment held up"),
        TicketState.REJECTED: _("Rejected"),
        TicketState.WITHDRAWN: _("Withdrawn"),
        TicketState.CLOSED: _("Closed"),
    },
    ApprovedBy: {
        ApprovedBy.INSTANT_REFUND: _("Platform guarantee"),
        ApprovedBy.WITHDRAWAL: _("Right of withdrawal"),
        ApprovedBy.MERCHANT: _("The shop"),
        ApprovedBy.MERCHANT_TIMEOUT: _("Deadline passed"),
        ApprovedBy.ARBITRATION: _("Arbitration"),
        ApprovedBy.OPERATOR: _("Platform operator"),
    },
    Reason: {
        Reason.NO_LONGER_WANTED: _("No longer wanted"),
        Reason.WRONG_SELECTION: _("Wrong item or address chosen"),
        Reason.NOT_SHIPPED_IN_TIME: _("Not shipped in time"),
        Reason.FOUND_CHEAPER: _("Found cheaper elsewhere"),
        Reason.OUT_OF_STOCK: _("Out of stock at the shop"),
        Reason.OTHER: _("Another reason"),
    },
    RejectionCode: {
        RejectionCode.ALREADY_SHIPPED: _("The goods have left"),
        RejectionCode.MADE_TO_ORDER: _("The goods are made for this order"),
        RejectionCode.AGREED_WITH_BUYER: _("Agreed otherwise with the buyer"),
        RejectionCode.SUSPECTED_ABUSE: _("Suspected abuse"),
        RejectionCode.OTHER: _("Another reason"),
    },
    ActorKind: {
        ActorKind.BUYER: _("Buyer"),
        ActorKind.MERCHANT: _("The shop"),
        ActorKind.PLATFORM: _("The platform"),
        ActorKind.OPERATOR: _("Platform operator"),
        ActorKind.SYSTEM: _("Automatically"),
        ActorKind.CARRIER: _("The carrier"),
        ActorKind.PROVIDER: _("Payment provider"),
    },
    FulfillmentStatus: {
        FulfillmentStatus.UNSHIPPED: _("Not shipped"),
        FulfillmentStatus.LABEL_PRINTED: _("Label printed"),
        FulfillmentStatus.PICKED_UP: _("Picked up by the carrier"),
        FulfillmentStatus.PARTLY_SHIPPED: _("Partly shipped"),
        FulfillmentStatus.SHIPPED: _("Shipped"),
        FulfillmentStatus.DELIVERED: _("Delivered"),
    },
    Hold: {
        Hold.NONE: _("Not held"),
        Hold.PRESALE: _("Presale"),
        Hold.GROUP_BUY: _("Group purchase not complete"),
        Hold.RISK_REVIEW: _("Held for a check"),
    },
    RefundState: {
        RefundState.QUEUED: _("Queued"),
        RefundState.SENDING: _("Being sent"),
        RefundState.PENDING: _("Accepted by the provider"),
        RefundState.UNKNOWN: _("Being checked with the provider"),
        RefundState.SUCCEEDED: _("Paid back"),
        RefundState.FAILED: _("Refused by the provider"),
    },
    Verdict: {
        Verdict.TRUE: _("Holds"),
        Verdict.FALSE: _("Does not hold"),
        Verdict.UNKNOWN: _("Not known"),
    },
    Scope: {
        Scope.PLATFORM: _("Whole platform"),
        Scope.SHOP: _("Shop"),
        Scope.CATEGORY: _("Category"),
        Scope.ITEM: _("Item"),
        Scope.REGION: _("Region"),
    },
    AppealState: {
        AppealState.OPEN: _("Waiting for an answer"),
        AppealState.UPHELD: _("You are right"),
        AppealState.REJECTED: _("Not upheld"),
    },
    GateStatus: {
        GateStatus.IN: _("Kept"),
        GateStatus.NOTICE: _("Notice given"),
        GateStatus.OUT: _("Not covered"),
    },
    ContestOutcome: {
        ContestOutcome.UPHELD: _("The platform agrees"),
        ContestOutcome.REJECTED: _("The platform does not agree"),
    },
    RiskKind: {
        RiskKind.LABEL_NOT_HANDED_OVER: _("Label printed, parcel not handed over"),
        RiskKind.SHIP_BY_NEAR: _("To be shipped soon"),
        RiskKind.SHIP_BY_PASSED: _("Not shipped in time"),
        RiskKind.SCAN_WITHOUT_TRACKING: _("With the carrier, no tracking number entered"),
        RiskKind.OPEN_TICKET: _("Refund asked for: do not ship"),
        RiskKind.STOP_SHIP_UNANSWERED: _("Refunded with a printed label, not answered"),
    },
    RefusalCode: {
        RefusalCode.NOT_FOUND: _("There is no such thing here, or it is not yours to see."),
        RefusalCode.ORDER_NOT_REPLACEABLE: _("This order cannot be changed any more."),
        RefusalCode.ORDER_BELONGS_TO_ANOTHER: _("This order belongs to another buyer or shop."),
        RefusalCode.ORDER_NOT_PAID: _("Nothing has been paid on this order yet."),
        RefusalCode.ORDER_HELD: _("This order is held and cannot be shipped yet."),
        RefusalCode.ORDER_ALREADY_SHIPPED: _("These goods have left. This refund is for goods that have not."),
        RefusalCode.REFUND_IN_PROGRESS: _("A refund of these goods has been asked for already."),
        RefusalCode.UNITS_REFUNDED: _("These units were refunded: do not ship them."),
        RefusalCode.UNITS_NOT_AVAILABLE: _("Not so many units are left: some were asked for already, or have shipped."),
        RefusalCode.WAYBILL_OF_ANOTHER_BUYER: _("This tracking number is on another buyer's order. Please check it."),
        RefusalCode.NO_STOP_SHIP: _("No goods of this ticket are to be stopped."),
        RefusalCode.STOP_SHIP_ANSWERED: _("These goods were said to be gone, and an incident stands."),
        RefusalCode.NOTHING_TO_REFUND: _("There is nothing on this order that can still be refunded."),
        RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE: _("Less than this amount can still be refunded on this order."),
        RefusalCode.TOO_MANY_REQUESTS: _("You asked for this order a moment ago. Please try again in a minute."),
        RefusalCode.LINE_REQUEST_LIMIT: _("These goods were asked for too often. Please talk to the shop."),
        RefusalCode.CURRENCY_MISMATCH: _("The currency is not the order's."),
        RefusalCode.UNKNOWN_LINE: _("Please choose what you want back."),
        RefusalCode.DUPLICATE_PAYMENT_DIFFERS: _("The same payment was reported with another amount."),
        RefusalCode.PAYMENT_BELONGS_TO_ANOTHER: _("The payment belongs to another buyer."),
        RefusalCode.PAYMENT_TOTAL_DIFFERS: _("The orders of this payment were reported with different totals."),
        RefusalCode.PAYMENT_TOTAL_EXCEEDED: _("The orders of this payment are more than the payment."),
        RefusalCode.RESTRICTION_OVER: _("This restriction is over; there is nothing left to contest."),
        RefusalCode.APPEAL_OPEN: _("You have contested this restriction already; that is answered first."),
        RefusalCode.APPEAL_DECIDED: _("This appeal was decided already."),
        RefusalCode.BUYER_ERASED: _("The data of this order's buyer were erased, so the order cannot be changed."),
        RefusalCode.ERASURE_PENDING: _("Something of this buyer is still open, so nothing is erased yet."),
        RefusalCode.PROVIDER_NOT_CONFIGURED: _("The platform cannot refund through this payment provider."),
        RefusalCode.TICKET_STALE: _("Somebody changed this ticket since you opened it. This is how it stands now."),
        RefusalCode.TICKET_ALREADY_APPROVED: _("This ticket was approved already. This is how it stands now."),
        RefusalCode.TICKET_ALREADY_CLOSED: _("This ticket was closed already. This is how it stands now."),
        RefusalCode.WITHDRAWAL_NEEDS_GROUND: _(
            "The buyer withdraws by right. Approve, or reject with the tracking number if the goods have left."
        ),
        RefusalCode.TICKET_NOT_EXPIRED: _("The ticket's deadline has not passed."),
        RefusalCode.TICKET_ASSIGNED: _("Somebody else works on this ticket now."),
        RefusalCode.EVIDENCE_MISSING: _("The reason needs something that shows it."),
        RefusalCode.OFFER_NOT_OPEN: _("The shop offers nothing on this ticket now. This is how it stands now."),
        RefusalCode.TICKET_NOT_REJECTED: _("The platform looks at requests that the shop has rejected."),
        RefusalCode.ARBITRATION_TOO_LATE: _("The seven days in which the platform can be asked are over."),
        RefusalCode.ARBITRATION_OPEN: _("The platform looks at this request already."),
        RefusalCode.ARBITRATION_DECIDED: _("The platform has decided on this request already."),
        RefusalCode.ARBITRATION_NOT_OPEN: _("The platform was not asked to look at this request."),
        RefusalCode.TOO_MANY_REVIEW_TEMPLATES: _("There are too many templates. Please delete one first."),
        RefusalCode.INCIDENT_STALE: _("Somebody changed this incident since you opened it. This is how it stands now."),
        RefusalCode.INCIDENT_CONTESTED: _("The shop has contested this incident. It is answered first."),
        RefusalCode.INCIDENT_NOT_CONTESTED: _("Nobody has contested this incident."),
        RefusalCode.INCIDENT_NOT_CONTESTABLE: _("This incident cannot be contested any more."),
        RefusalCode.INCIDENT_ANSWER_INCOMPLETE: _("An answer that agrees needs a new outcome."),
        RefusalCode.INCIDENT_REFERENCE_MISSING: _("Please name the payment."),
        RefusalCode.INCIDENT_FULL: _("This incident has too many entries."),
        RefusalCode.AMOUNT_EXCEEDS_INCIDENT: _("That is more than the incident is about."),
        RefusalCode.LOSS_TERMS_DIFFER: _("The policy says otherwise who bears this loss."),
        RefusalCode.NOTHING_TO_RECOVER: _("Nothing is left to recover."),
        RefusalCode.RECOVERY_EXCEEDS_RECEIVABLE: _("That is more than the shop still owes."),
        RefusalCode.PERIOD_NOT_OVER: _("This period is not over yet."),
        RefusalCode.PERIOD_CLOSED: _("This period is closed already."),
        RefusalCode.LEDGER_BUSY: _("The books are in use just now. Please try again."),
        RefusalCode.REFUND_NOT_FAILED: _("This refund has not failed."),
        RefusalCode.REFUND_STALE: _("Somebody changed this refund since you opened it. This is how it stands now."),
        RefusalCode.SETTLEMENT_DIFFERS: _("This is not the amount of the refund."),
        RefusalCode.SETTLEMENT_PROPOSED: _("A payment by hand waits for a second person."),
        RefusalCode.SETTLEMENT_NOT_PROPOSED: _("No payment by hand waits for a second person."),
        RefusalCode.WEBHOOK_ENDPOINT_EXISTS: _("There is a webhook endpoint for this address already."),
        RefusalCode.TOO_MANY_WEBHOOK_ENDPOINTS: _("There are too many webhook endpoints."),
        RefusalCode.ENCRYPTION_NOT_CONFIGURED: _("Secrets cannot be stored in this installation."),
        RefusalCode.SECOND_PERSON_NEEDED: _("Another person must confirm this."),
        RefusalCode.PROPOSAL_CHANGED: _("The proposal has changed. Read it again."),
        RefusalCode.PROPOSAL_CLOSED: _("Somebody has decided on this proposal already."),
        RefusalCode.STEP_NOT_POSSIBLE: _("This step cannot be taken now."),
        RefusalCode.POLICY_BLOCKED: _("Something stands against this policy."),
        RefusalCode.UNKNOWN_TENDER: _("This order has no such payment."),
        RefusalCode.DISPUTE_DIFFERS: _("This dispute was reported otherwise before."),
        RefusalCode.DISPUTE_OPEN: _(
            "The buyer's bank is asked for the same money. Wait until it has decided, or reject."
        ),
        RefusalCode.SHOP_CANNOT_OPT_OUT: _("The guarantee is the platform's; a shop cannot switch it on or off."),
        RefusalCode.COMPLAINT_OPEN: _("A complaint is open. Please wait for its answer."),
        RefusalCode.COMPLAINT_ANSWERED: _("This complaint was answered already."),
        RefusalCode.IDEMPOTENCY_KEY_REUSED: _("This page was sent already, with other choices. Please open it again."),
        RefusalCode.REQUEST_IN_FLIGHT: _("Your request is being worked on. Please look again in a moment."),
        RefusalCode.ASKED_AT_PLATFORM: _("Please ask for this refund where you bought the order."),
        RefusalCode.PLATFORM_UNAVAILABLE: _(
            "The shop's system does not answer, so nothing was decided. Please try again in a moment."
        ),
    },
    **OPERATIONS_WORDS,
    **POLICY_WORDS,
    **RISK_WORDS,
}

WHY: Mapping[str, str] = {
    "requested": _("Refund asked for"),
    "approved_instant_refund": _("Approved by the platform guarantee"),
    "approved_withdrawal": _("Approved, because the buyer withdrew by right"),
    "approved_merchant": _("Approved by the shop"),
    "approved_merchant_timeout": _("Approved, because the deadline passed"),
    "approved_arbitration": _("Approved in arbitration"),
    "approved_operator": _("Approved by the platform"),
    "rejected": _("Rejected by the shop"),
    "timeout": _("Rejected, because the deadline passed"),
    "goods_left": _("Closed, because the goods have left"),
    "dispute_open": _("Closed, because the buyer's bank is asked for the same money"),
    "withdrawn": _("Withdrawn by the buyer"),
    "withdrawn_at_platform": _("Withdrawn by the buyer at the shop's platform"),
    "refused_at_platform": _("Refused by the shop at its platform"),
    "disputed_at_platform": _("The shop's platform decides about it"),
    "changed_at_platform": _("Changed at the shop's platform, and decided anew"),
    "returning_at_platform": _("It became a return at the shop's platform"),
    "refunded_at_platform": _("The shop's platform paid another refund for it"),
    "told_platform": _("The shop's platform was told of the rejection"),
    "platform_refused_answer": _("The shop's platform did not take the rejection"),
    "assigned": _("Somebody at the shop works on it"),
    "review_due": _("The deadline is near"),
    "offered": _("The shop offers to refund a part"),
    "offer_accepted": _("The buyer accepted the offer"),
    "offer_declined": _("The buyer declined the offer"),
    "arbitration_opened": _("The buyer asked the platform to decide"),
    "arbitration_withdrawn": _("The buyer no longer asks the platform to decide"),
    "arbitration_decided": _("The platform decided"),
    "arbitration_evidence_added": _("Evidence was added"),
    "carrier_scan": _("The carrier scanned a parcel"),
    "stop_ship_asked": _("A label is printed, so the warehouse is asked first"),
    "stop_ship_held": _("The warehouse holds the goods"),
    "stop_ship_already_gone": _("The warehouse says that the goods had left"),
    "freight_moved": _("The freight now goes with this ticket"),
    "captured_later": _("More was paid on this order, and goes with this ticket"),
    "paid": _("The money has arrived"),
    "declined": _("The payment provider refused; the platform looks into it"),
    "failed_after_success": _("The payment came back; it is paid again"),
    "conflicting_news": _("The payment is being checked with the provider"),
    "answer_differs": _("The payment provider's answer does not fit this refund; the platform looks into it"),
    "stuck": _("The payment is held up at the provider; the platform looks into it"),
    "under_way": _("The payment is under way again"),
    "retried": _("The platform tries the payment again"),
    "settled_by_hand": _("The platform paid it back by another way"),
    "settlement_proposed": _("The platform looks for another way to pay it back"),
    "settlement_rejected": _("The other way was not taken; the platform looks into it"),
}
"""The texts for the `why` of timeline rows."""

REVIEW_REASONS: Mapping[str, str] = {
    "partly_shipped": _("Some goods of this order have left, so the shop decides"),
    "captured_later": _("This was paid after the goods were refunded, so the shop decides"),
    "deadline_passed": _("The platform could not decide in time, so the shop decides"),
    "platform_differs": _("The shop's system and ours do not say the same of this order, so the shop decides"),
    "platform_amount_differs": _("The shop's platform would refund another amount, so the shop decides"),
}
"""The guards that a reader may know; any other reason for a review is one of the platform's other factors (R16)."""
