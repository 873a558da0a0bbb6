"""English texts for codes that stand on the pages of one ticket or incident, and for the ledger; see `words`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from jitui.aftersales.commands.bulk_shipments import RowOutcome
from jitui.aftersales.ledger import Account, Cause
from jitui.aftersales.lookup import IdKind
from jitui.aftersales.model.incident import ContactChannel, EntryKind, IncidentKind, IncidentOutcome, IncidentState
from jitui.aftersales.model.order import DisputeState, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.review import ArbitrationState, AtFault, RefundBorneBy
from jitui.aftersales.model.ticket import Basis
from jitui.notices.model import NoticeKind, NoticeState, RecipientKind
from jitui.policy import Outcome


def _(message: str) -> str:
    return message


CASE_WORDS: Mapping[type[StrEnum], Mapping[str, str]] = {
    IdKind: {
        IdKind.ORDER: _("An order"),
        IdKind.TICKET: _("A refund ticket"),
        IdKind.REFUND: _("A refund"),
        IdKind.INCIDENT: _("An incident"),
        IdKind.WAYBILL: _("A tracking number"),
        IdKind.BUYER: _("A buyer"),
        IdKind.SHOP: _("A shop"),
    },
    ShipmentStatus: {
        ShipmentStatus.LABEL_PRINTED: _("Label printed"),
        ShipmentStatus.PICKED_UP: _("Picked up by the carrier"),
        ShipmentStatus.SHIPPED: _("Shipped"),
        ShipmentStatus.DELIVERED: _("Delivered"),
    },
    ShipmentSource: {
        ShipmentSource.MERCHANT: _("The shop"),
        ShipmentSource.CARRIER: _("The carrier"),
    },
    DisputeState: {
        DisputeState.OPEN: _("With the bank"),
        DisputeState.WON: _("The payment stands"),
        DisputeState.LOST: _("The bank took the payment back"),
    },
    ArbitrationState: {
        ArbitrationState.OPEN: _("Waiting for the platform"),
        ArbitrationState.APPROVED: _("Decided for the buyer"),
        ArbitrationState.DENIED: _("Decided for the shop"),
        ArbitrationState.WITHDRAWN: _("Withdrawn"),
    },
    AtFault: {
        AtFault.BUYER: _("Buyer"),
        AtFault.MERCHANT: _("The shop"),
        AtFault.PLATFORM: _("The platform"),
        AtFault.NOBODY: _("Nobody"),
    },
    RefundBorneBy: {
        RefundBorneBy.MERCHANT: _("The shop"),
        RefundBorneBy.PLATFORM: _("The platform"),
    },
    Basis: {
        Basis.GOODWILL: _("Platform guarantee"),
        Basis.WITHDRAWAL: _("Right of withdrawal"),
    },
    Outcome: {
        Outcome.INSTANT: _("Refund at once"),
        Outcome.REVIEW: _("Review by the shop"),
    },
    IncidentState: {
        IncidentState.OPEN: _("Not decided yet"),
        IncidentState.CONTESTED: _("Contested by the shop"),
        IncidentState.RECOVERING: _("The shop still owes"),
        IncidentState.DECIDED: _("Decided, can be contested"),
        IncidentState.SETTLED: _("Settled"),
    },
    IncidentKind: {
        IncidentKind.GOODS_LEFT: _("Goods left after the refund"),
        IncidentKind.PLATFORM_ADVANCE: _("The platform paid for the shop"),
    },
    IncidentOutcome: {
        IncidentOutcome.RETURNED: _("The goods came back"),
        IncidentOutcome.REPAID: _("The buyer paid again"),
        IncidentOutcome.BORNE_BY_PLATFORM: _("The platform bears it"),
        IncidentOutcome.BORNE_BY_SHOP: _("The shop bears it"),
        IncidentOutcome.BORNE_BY_BOTH: _("Shop and platform bear it"),
    },
    EntryKind: {
        EntryKind.EVIDENCE: _("Evidence"),
        EntryKind.CONTACT: _("Contact with the buyer"),
        EntryKind.OUTCOME: _("Decided"),
        EntryKind.RECOVERY: _("Recovery attempt"),
        EntryKind.WRITTEN_OFF: _("Written off"),
        EntryKind.CONTEST: _("Contested by the shop"),
        EntryKind.ANSWER: _("Contest answered"),
        EntryKind.REMINDER: _("Reminder"),
        EntryKind.CLOSED: _("Time to contest over"),
    },
    ContactChannel: {
        ContactChannel.PLATFORM_CHAT: _("Platform chat"),
        ContactChannel.PHONE: _("Telephone"),
        ContactChannel.SMS: _("Text message"),
        ContactChannel.EMAIL: _("E-mail"),
        ContactChannel.OTHER: _("Another way"),
    },
    RowOutcome: {
        RowOutcome.DONE: _("Recorded"),
        RowOutcome.UNCHANGED: _("Known already"),
        RowOutcome.REFUSED: _("Refused"),
    },
    RecipientKind: {
        RecipientKind.BUYER: _("Buyer"),
        RecipientKind.SHOP: _("The shop"),
        RecipientKind.OPERATOR: _("An operator"),
    },
    NoticeKind: {
        NoticeKind.REQUEST_RECEIVED: _("The request was taken in"),
        NoticeKind.REQUEST_APPROVED: _("The request was approved"),
        NoticeKind.REQUEST_REJECTED: _("The request was rejected"),
        NoticeKind.REFUNDED: _("The money has arrived"),
        NoticeKind.RESTRICTED: _("Instant refunds are restricted"),
        NoticeKind.APPEAL_ANSWERED: _("The appeal was answered"),
        NoticeKind.ARBITRATION_OPENED: _("The platform was asked to decide"),
        NoticeKind.ARBITRATION_DECIDED: _("The platform has decided"),
        NoticeKind.REVIEW_ASKED: _("A request waits for the shop"),
        NoticeKind.REVIEW_REMINDER: _("The deadline is near"),
        NoticeKind.STOP_SHIP: _("Do not ship these goods"),
        NoticeKind.INCIDENT_OPENED: _("Goods left after the refund"),
        NoticeKind.EVIDENCE_ASKED: _("Evidence is asked for"),
        NoticeKind.INCIDENT_DECIDED: _("An incident was decided"),
        NoticeKind.COMPLAINT_ANSWERED: _("The complaint was answered"),
        NoticeKind.TASK_OPENED: _("A task needs a person"),
    },
    NoticeState: {
        NoticeState.PENDING: _("To be sent"),
        NoticeState.SENT: _("Sent"),
        NoticeState.SKIPPED: _("Not needed or not wanted"),
        NoticeState.DEAD: _("Could not be sent"),
        NoticeState.UNKNOWN: _("Not known whether it was sent"),
    },
    Account: {
        Account.PROVIDER_CLEARING: _("Held by the payment provider"),
        Account.ESCROW: _("Held for the order"),
        Account.BUYER_PAYABLE: _("Owed to the buyer"),
        Account.SUBSIDY: _("Put in by a funder"),
        Account.MANUAL_PAYOUT: _("Paid by hand"),
        Account.BUYER_RECEIVABLE: _("To be got back from the buyer"),
        Account.PLATFORM_ADVANCE: _("Advanced by the platform"),
        Account.GOODS_RETURNED: _("Goods that came back"),
        Account.BUYER_REPAYMENT: _("Paid again by the buyer"),
        Account.LOSS: _("Borne by the platform"),
        Account.SHOP_RECEIVABLE: _("Owed by the shop"),
        Account.SHOP_SETTLEMENT: _("Paid by the shop"),
        Account.SHOP_PAYABLE: _("Owed to the shop"),
    },
}

CAUSES: Mapping[Cause, str] = {
    Cause.CAPTURED: _("The buyer paid"),
    Cause.CAPTURED_MORE: _("The buyer paid more with the same payment"),
    Cause.FUNDED: _("A funder put in its share"),
    Cause.FUNDED_MORE: _("The order was replaced: a funder puts in more"),
    Cause.FUNDED_LESS: _("The order was replaced: a funder puts in less"),
    Cause.GRANTED: _("A refund was approved"),
    Cause.RETURNED: _("A funder gets its share back"),
    Cause.TAKEN_BACK: _("An approval was taken back: the request ended at the shop's platform"),
    Cause.PAID: _("The provider paid the refund"),
    Cause.UNPAID: _("The provider took the refund back"),
    Cause.SETTLED: _("An operator settled it by hand"),
    Cause.PAID_AGAIN: _("The provider paid it a second time"),
    Cause.PAID_BACK: _("The second payment came back"),
    Cause.REFUNDED_ELSEWHERE: _("The shop refunded it in its own system, past this service"),
    Cause.CHARGED_BACK: _("The buyer's bank took the payment back"),
    Cause.CHARGED_BACK_TOO: _("The buyer's bank took back what was refunded as well"),
    Cause.COMPENSATED: _("The platform bears a refund, and owes it to the shop"),
    Cause.INCIDENT_OWED_BACK_CORRECTED: _("Corrected: nothing is owed back to the shop"),
    Cause.INCIDENT_WRITTEN_OFF_CORRECTED: _("Corrected: what was written off is not"),
    Cause.INCIDENT_CHARGED: _("Goods left, or the platform paid: the shop bears it"),
    Cause.INCIDENT_CHARGED_CORRECTED: _("Corrected: the shop does not bear it"),
    Cause.INCIDENT_BORNE_CORRECTED: _("Corrected: the platform does not bear it"),
    Cause.INCIDENT_REPAID_CORRECTED: _("Corrected: the buyer has not paid again"),
    Cause.INCIDENT_RETURNED_CORRECTED: _("Corrected: the goods have not come back"),
    Cause.INCIDENT_RETURNED: _("Goods that left came back"),
    Cause.INCIDENT_REPAID: _("Goods that left: the buyer paid again"),
    Cause.INCIDENT_BORNE: _("Goods left, or the platform paid: it bears it"),
    Cause.INCIDENT_OWED_BACK: _("The shop has paid more than it bears: owed back"),
    Cause.INCIDENT_RECOVERED: _("The shop paid what it bears, or a part of it"),
    Cause.INCIDENT_RECOVERED_LATE: _("The shop paid what had been written off"),
    Cause.INCIDENT_WRITTEN_OFF: _("The recovery has ended: the rest is written off"),
}
"""Why money moved, in the words of the books (`aftersales.ledger.FLOWS`)."""

ACCOUNT_WORDS: Mapping[str, str] = {account.partition(":")[0]: word for account, word in CASE_WORDS[Account].items()}
"""The names of accounts by what stands before the colon, after which an account names its provider or funder."""
