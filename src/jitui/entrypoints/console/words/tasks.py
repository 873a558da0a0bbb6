"""English texts for tasks: what each kind is about, and what is to be done; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.model.task import TaskKind, TaskState


def _(message: str) -> str:
    return message


STATE_WORDS: Mapping[str, str] = {
    TaskState.OPEN: _("Open"),
    TaskState.RESOLVED: _("Ended"),
}

KIND_WORDS: Mapping[str, str] = {
    TaskKind.OURS_ONLY: _("Only in our books"),
    TaskKind.THEIRS_ONLY: _("Only in the provider's statement"),
    TaskKind.AMOUNT_DIFFERS: _("The amounts differ"),
    TaskKind.CURRENCY_DIFFERS: _("The currencies differ"),
    TaskKind.PAID_TWICE: _("Paid twice"),
    TaskKind.UNREADABLE_ROW: _("A row of a statement cannot be read"),
    TaskKind.CAPTURED_AFTER_REFUND: _("Paid after the refund"),
    TaskKind.ANSWER_DIFFERS: _("A provider's answer does not fit"),
    TaskKind.PAYMENT_DIFFERS: _("The payments differ"),
    TaskKind.DISPUTE_DIFFERS: _("A dispute was reported otherwise before"),
    TaskKind.DISPUTE_OVERLAPS: _("A dispute is about refunded money"),
    TaskKind.REFUND_NOT_IN_BOOKS: _("The provider knows a refund that we do not"),
    TaskKind.REFUND_FAILED: _("A refund failed"),
    TaskKind.OUTCOME_OVERDUE: _("What became of refunds is not known"),
    TaskKind.PROVIDER_NOT_CONFIGURED: _("A provider is not configured"),
    TaskKind.PROVIDER_TROUBLE: _("A provider cannot be worked with"),
    TaskKind.LEDGER_UNBALANCED: _("The ledger differs from an order"),
    TaskKind.ROLL_UP_STALE: _("The usage of caps is old"),
    TaskKind.WORKER_SILENT: _("A worker is silent"),
    TaskKind.NO_WORKER: _("No worker is at work"),
    TaskKind.APPEAL_OVERDUE: _("Appeals are overdue"),
    TaskKind.ARBITRATION_OVERDUE: _("Arbitrations are overdue"),
    TaskKind.COMPLAINT_OVERDUE: _("A shop's complaint is overdue"),
    TaskKind.WEBHOOK_DEAD_LETTER: _("An event could not be delivered"),
    TaskKind.WEBHOOK_ENDPOINT_PAUSED: _("A webhook endpoint is paused"),
    TaskKind.NOTICE_DEAD: _("Notices were given up"),
    TaskKind.NOTICE_UNKNOWN: _("It is not known whether a notice was sent"),
    TaskKind.CANARY_ENDED: _("A guard ended the canary"),
    TaskKind.CANARY_SIGNAL: _("The canary's share is not raised"),
    TaskKind.CHANGE_UNCONFIRMED: _("A change waits for a second person"),
    TaskKind.PLATFORM_UNREAD: _("A shop's platform cannot be read"),
}

_BY_STATEMENT = _("Compare with the provider. Correct what is wrong, then say here what it was.")
_BY_WORKERS = _("Look at the workers: start them, and read their log. It ends by itself.")

WHAT_TO_DO: Mapping[str, str] = {
    TaskKind.OURS_ONLY: _BY_STATEMENT,
    TaskKind.THEIRS_ONLY: _BY_STATEMENT,
    TaskKind.AMOUNT_DIFFERS: _BY_STATEMENT,
    TaskKind.CURRENCY_DIFFERS: _BY_STATEMENT,
    TaskKind.PAYMENT_DIFFERS: _BY_STATEMENT,
    TaskKind.REFUND_NOT_IN_BOOKS: _BY_STATEMENT,
    TaskKind.PAID_TWICE: _("Get one of the two payments back from the buyer, or write it off; then say here which."),
    TaskKind.UNREADABLE_ROW: _("Read the row yourself, and download the statement again if it is damaged."),
    TaskKind.CAPTURED_AFTER_REFUND: _("Decide whether this money goes back too: the order was refunded before."),
    TaskKind.ANSWER_DIFFERS: _("Ask the provider what it paid. Until then the refund is neither paid nor sent again."),
    TaskKind.DISPUTE_DIFFERS: _("Ask the provider which report is right."),
    TaskKind.DISPUTE_OVERLAPS: _("Tell the buyer's bank that the money was refunded, with the evidence."),
    TaskKind.REFUND_FAILED: _("Open the refund: send it again, or settle it by hand. It ends by itself."),
    TaskKind.OUTCOME_OVERDUE: _("Open the refunds: each says whom to ask. The provider's next statement ends it too."),
    TaskKind.PROVIDER_NOT_CONFIGURED: _("Configure the provider and start the workers anew, or settle by hand."),
    TaskKind.PROVIDER_TROUBLE: _("Look at the provider's status page, the network and our key. It ends by itself."),
    TaskKind.LEDGER_UNBALANCED: _("Something else has written to the database. Find out what before you correct it."),
    TaskKind.ROLL_UP_STALE: _BY_WORKERS,
    TaskKind.WORKER_SILENT: _BY_WORKERS,
    TaskKind.NO_WORKER: _BY_WORKERS,
    TaskKind.APPEAL_OVERDUE: _("Answer them: the day that was promised is past. It ends by itself."),
    TaskKind.ARBITRATION_OVERDUE: _("Decide them: the day that was promised is past. It ends by itself."),
    TaskKind.COMPLAINT_OVERDUE: _("Answer it: the day that was promised is past. It ends by itself."),
    TaskKind.WEBHOOK_DEAD_LETTER: _("Ask the receiver what is wrong, then send the event again."),
    TaskKind.WEBHOOK_ENDPOINT_PAUSED: _("Ask the receiver what is wrong, then let the endpoint go on."),
    TaskKind.NOTICE_DEAD: _("See why they were given up, mend it, and send them again."),
    TaskKind.NOTICE_UNKNOWN: _("Look in the mail server's log, and send it again where it is not there."),
    TaskKind.CANARY_ENDED: _("Read the numbers, then mend the policy under a new version, or retire it."),
    TaskKind.CANARY_SIGNAL: _("Look at what its buyers ask and get; end the canary, or wait."),
    TaskKind.CHANGE_UNCONFIRMED: _("Another person reads the change, and confirms it."),
    TaskKind.PLATFORM_UNREAD: _(
        "Its buyers cannot ask for refunds. Look at its address, its key, and whether it runs. It ends by itself."
    ),
}
