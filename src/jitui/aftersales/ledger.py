"""The double-entry ledger. Only this module decides which two accounts a cause of money has (I7).

A posting moves a positive amount from `credit` to `debit`, so it is always balanced. Its name contains its cause and
its object, so the same cause twice is one posting. A balance is the debits less the credits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.model.incident import Incident, IncidentKind
from jitui.aftersales.model.order import Dispute, Funder, Funding, Tender
from jitui.aftersales.model.refund import Attempt, Refund
from jitui.aftersales.model.ticket import Ticket


class Account(StrEnum):
    """The chart of accounts; after the `:` stands the provider or the funder."""

    PROVIDER_CLEARING = "provider_clearing:{provider}"
    ESCROW = "escrow"
    BUYER_PAYABLE = "buyer_payable"
    SUBSIDY = "subsidy:{funder}"
    MANUAL_PAYOUT = "manual_payout"
    BUYER_RECEIVABLE = "buyer_receivable"
    PLATFORM_ADVANCE = "platform_advance"
    GOODS_RETURNED = "goods_returned"
    BUYER_REPAYMENT = "buyer_repayment"
    LOSS = "loss"
    SHOP_RECEIVABLE = "shop_receivable"
    SHOP_SETTLEMENT = "shop_settlement"
    SHOP_PAYABLE = "shop_payable"


ACCOUNTS: Mapping[Account, str] = {
    Account.PROVIDER_CLEARING: "What a provider holds of the order: captured, less what it has paid back",
    Account.ESCROW: "What is kept for the order until it is fulfilled or granted back; never a debit balance",
    Account.BUYER_PAYABLE: "Granted to the buyer and not yet paid",
    Account.SUBSIDY: "What a funder has put in, less what went back to it",
    Account.MANUAL_PAYOUT: "Paid to the buyer outside the provider, by an operator with evidence",
    Account.BUYER_RECEIVABLE: "Paid to the buyer a second time: to be got back",
    Account.PLATFORM_ADVANCE: "What the platform stands in for: goods that left, and refunds that it paid for a shop",
    Account.GOODS_RETURNED: "Of these goods, those that came back",
    Account.BUYER_REPAYMENT: "Of these goods, those that the buyer paid for again",
    Account.LOSS: "What the platform bears: goods that nobody pays for, and refunds after an arbitration",
    Account.SHOP_RECEIVABLE: "Of these, what the shop bears and has not paid yet; never a credit balance",
    Account.SHOP_SETTLEMENT: "What shops have paid of what they bear, kept back from a settlement or transferred",
    Account.SHOP_PAYABLE: "Owed to the shop: what it paid beyond what it bears, and refunds that the platform bears",
}


class Cause(StrEnum):
    """Why money moved; it is the first word of a posting's name."""

    CAPTURED = "captured"
    CAPTURED_MORE = "captured_more"
    FUNDED = "funded"
    FUNDED_MORE = "funded_more"
    FUNDED_LESS = "funded_less"
    GRANTED = "granted"
    RETURNED = "returned"
    TAKEN_BACK = "taken_back"
    PAID = "paid"
    UNPAID = "unpaid"
    SETTLED = "settled"
    PAID_AGAIN = "paid_again"
    PAID_BACK = "paid_back"
    REFUNDED_ELSEWHERE = "refunded_elsewhere"
    CHARGED_BACK = "charged_back"
    CHARGED_BACK_TOO = "charged_back_too"
    COMPENSATED = "compensated"
    INCIDENT_OWED_BACK_CORRECTED = "incident_owed_back_corrected"
    INCIDENT_WRITTEN_OFF_CORRECTED = "incident_written_off_corrected"
    INCIDENT_CHARGED = "incident_charged"
    INCIDENT_CHARGED_CORRECTED = "incident_charged_corrected"
    INCIDENT_BORNE_CORRECTED = "incident_borne_corrected"
    INCIDENT_REPAID_CORRECTED = "incident_repaid_corrected"
    INCIDENT_RETURNED_CORRECTED = "incident_returned_corrected"
    INCIDENT_RETURNED = "incident_returned"
    INCIDENT_REPAID = "incident_repaid"
    INCIDENT_BORNE = "incident_borne"
    INCIDENT_OWED_BACK = "incident_owed_back"
    INCIDENT_RECOVERED = "incident_recovered"
    INCIDENT_RECOVERED_LATE = "incident_recovered_late"
    INCIDENT_WRITTEN_OFF = "incident_written_off"


@dataclass(frozen=True, slots=True)
class Flow:
    """The two accounts of a cause, and a sentence about it."""

    debit: Account
    credit: Account
    meaning: str


FLOWS: Mapping[Cause, Flow] = {
    Cause.CAPTURED: Flow(Account.PROVIDER_CLEARING, Account.ESCROW, "The buyer paid"),
    Cause.CAPTURED_MORE: Flow(Account.PROVIDER_CLEARING, Account.ESCROW, "The buyer paid more with the same payment"),
    Cause.FUNDED: Flow(Account.SUBSIDY, Account.ESCROW, "A funder put in its share"),
    Cause.FUNDED_MORE: Flow(Account.SUBSIDY, Account.ESCROW, "The order was replaced: a funder puts in more"),
    Cause.FUNDED_LESS: Flow(Account.ESCROW, Account.SUBSIDY, "The order was replaced: a funder puts in less"),
    Cause.GRANTED: Flow(Account.ESCROW, Account.BUYER_PAYABLE, "A refund was approved"),
    Cause.RETURNED: Flow(Account.ESCROW, Account.SUBSIDY, "A funder gets its share back"),
    Cause.TAKEN_BACK: Flow(
        Account.BUYER_PAYABLE, Account.ESCROW, "An approval was taken back: the request ended at the shop's platform"
    ),
    Cause.PAID: Flow(Account.BUYER_PAYABLE, Account.PROVIDER_CLEARING, "The provider paid the refund"),
    Cause.UNPAID: Flow(Account.PROVIDER_CLEARING, Account.BUYER_PAYABLE, "The provider took the refund back"),
    Cause.SETTLED: Flow(Account.BUYER_PAYABLE, Account.MANUAL_PAYOUT, "An operator settled it by hand"),
    Cause.PAID_AGAIN: Flow(Account.BUYER_RECEIVABLE, Account.PROVIDER_CLEARING, "The provider paid it a second time"),
    Cause.PAID_BACK: Flow(Account.PROVIDER_CLEARING, Account.BUYER_RECEIVABLE, "The second payment came back"),
    Cause.REFUNDED_ELSEWHERE: Flow(
        Account.ESCROW, Account.PROVIDER_CLEARING, "The shop refunded it in its own system, past this service"
    ),
    Cause.CHARGED_BACK: Flow(Account.ESCROW, Account.PROVIDER_CLEARING, "The buyer's bank took the payment back"),
    Cause.CHARGED_BACK_TOO: Flow(
        Account.BUYER_RECEIVABLE, Account.PROVIDER_CLEARING, "The buyer's bank took back what was refunded as well"
    ),
    Cause.COMPENSATED: Flow(Account.LOSS, Account.SHOP_PAYABLE, "The platform bears a refund, and owes it to the shop"),
    Cause.INCIDENT_OWED_BACK_CORRECTED: Flow(
        Account.SHOP_PAYABLE, Account.SHOP_RECEIVABLE, "Corrected: nothing is owed back to the shop"
    ),
    Cause.INCIDENT_WRITTEN_OFF_CORRECTED: Flow(
        Account.SHOP_RECEIVABLE, Account.LOSS, "Corrected: what was written off is not"
    ),
    Cause.INCIDENT_CHARGED: Flow(
        Account.SHOP_RECEIVABLE,
        Account.PLATFORM_ADVANCE,
        "Goods left, or the platform paid: the shop bears it",
    ),
    Cause.INCIDENT_CHARGED_CORRECTED: Flow(
        Account.PLATFORM_ADVANCE, Account.SHOP_RECEIVABLE, "Corrected: the shop does not bear it"
    ),
    Cause.INCIDENT_BORNE_CORRECTED: Flow(
        Account.PLATFORM_ADVANCE, Account.LOSS, "Corrected: the platform does not bear it"
    ),
    Cause.INCIDENT_REPAID_CORRECTED: Flow(
        Account.PLATFORM_ADVANCE, Account.BUYER_REPAYMENT, "Corrected: the buyer has not paid again"
    ),
    Cause.INCIDENT_RETURNED_CORRECTED: Flow(
        Account.PLATFORM_ADVANCE, Account.GOODS_RETURNED, "Corrected: the goods have not come back"
    ),
    Cause.INCIDENT_RETURNED: Flow(Account.GOODS_RETURNED, Account.PLATFORM_ADVANCE, "Goods that left came back"),
    Cause.INCIDENT_REPAID: Flow(
        Account.BUYER_REPAYMENT, Account.PLATFORM_ADVANCE, "Goods that left: the buyer paid again"
    ),
    Cause.INCIDENT_BORNE: Flow(Account.LOSS, Account.PLATFORM_ADVANCE, "Goods left, or the platform paid: it bears it"),
    Cause.INCIDENT_OWED_BACK: Flow(
        Account.SHOP_RECEIVABLE, Account.SHOP_PAYABLE, "The shop has paid more than it bears: owed back"
    ),
    Cause.INCIDENT_RECOVERED: Flow(
        Account.SHOP_SETTLEMENT, Account.SHOP_RECEIVABLE, "The shop paid what it bears, or a part of it"
    ),
    Cause.INCIDENT_RECOVERED_LATE: Flow(
        Account.SHOP_SETTLEMENT, Account.LOSS, "The shop paid what had been written off"
    ),
    Cause.INCIDENT_WRITTEN_OFF: Flow(
        Account.LOSS, Account.SHOP_RECEIVABLE, "The recovery has ended: the rest is written off"
    ),
}

AT_PROVIDER = frozenset({Cause.PAID, Cause.UNPAID, Cause.PAID_AGAIN, Cause.PAID_BACK})
"""Causes that move money at a provider for an attempt; their postings are named `cause:attempt:moves`."""


# Postings ----------------------------------------------------------------------------------------------------------


def captured(tender: Tender) -> LedgerEntry:
    """The posting of a payment that was captured."""
    name = (Cause.CAPTURED, tender.tender_id)
    return _entry(name, tender.captured_minor, tender.currency, tender.captured_at, provider=tender.provider)


def captured_more(tender: Tender, amount_minor: int, at: datetime) -> LedgerEntry:
    """The posting of a further capture; it is named after the total that `tender` now has."""
    name = (Cause.CAPTURED_MORE, tender.captured_minor, tender.tender_id)
    return _entry(name, amount_minor, tender.currency, at, provider=tender.provider)


def funded(fund: Funding, currency: str, now: datetime) -> LedgerEntry:
    """The posting of a funder's share, which joins the escrow with the first payment."""
    return _entry((Cause.FUNDED, fund.funder.value), fund.amount_minor, currency, now, funder=fund.funder)


def funding_changed(funder: Funder, delta_minor: int, currency: str, now: datetime, number: int) -> LedgerEntry:
    """The posting for a funder's share after the order was replaced.

    `number` is how many postings of this share there were; 0 makes it the first one.
    """
    if number == 0:
        return funded(Funding(funder, delta_minor), currency, now)
    cause = Cause.FUNDED_MORE if delta_minor > 0 else Cause.FUNDED_LESS
    return _entry((cause, funder.value, number), abs(delta_minor), currency, now, funder=funder)


def granted(refund: Refund, now: datetime) -> LedgerEntry:
    """The posting of an approved refund: the order's escrow owes it to the buyer."""
    return _entry((Cause.GRANTED, refund.refund_id), refund.amount_minor, refund.currency, now)


def returned(ticket_id: object, funder: Funder, amount_minor: int, currency: str, now: datetime) -> LedgerEntry:
    """The posting of a funder's share that is returned to the funder."""
    return _entry((Cause.RETURNED, ticket_id, funder.value), amount_minor, currency, now, funder=funder)


def taken_back(refund: Refund, now: datetime) -> LedgerEntry:
    """The posting of an approval that was never carried out: nothing is owed to the buyer for it."""
    return _entry((Cause.TAKEN_BACK, refund.refund_id), refund.amount_minor, refund.currency, now)


def at_provider(cause: Cause, refund: Refund, attempt: Attempt, now: datetime) -> LedgerEntry:
    """The posting of money that moved at the provider for an attempt.

    Each move of an attempt has a name of its own: a provider may take back a refund and then pay it after all.
    """
    name = (cause, attempt.attempt_id, attempt.moves)
    return _entry(name, refund.amount_minor, refund.currency, now, provider=refund.provider)


def settled(refund: Refund, now: datetime) -> LedgerEntry:
    """The posting of a refund that was paid outside the provider."""
    return _entry((Cause.SETTLED, refund.refund_id), refund.amount_minor, refund.currency, now)


def refunded_elsewhere(tender: Tender, said_minor: int, amount_minor: int, now: datetime) -> LedgerEntry:
    """The posting of what was refunded past this service; it is named after the sum that its platform says."""
    name = (Cause.REFUNDED_ELSEWHERE, said_minor, tender.tender_id)
    return _entry(name, amount_minor, tender.currency, now, provider=tender.provider)


def refunded_for(tender: Tender, ticket_id: object, amount_minor: int, now: datetime) -> LedgerEntry:
    """The posting of what a platform paid for a ticket's request past this service."""
    name = (Cause.REFUNDED_ELSEWHERE, ticket_id, tender.tender_id)
    return _entry(name, amount_minor, tender.currency, now, provider=tender.provider)


def charged_back(cause: Cause, dispute: Dispute, amount_minor: int, now: datetime) -> LedgerEntry:
    """The posting of a lost card dispute: the provider gave the money to the buyer's bank."""
    return _entry((cause, dispute.dispute_id), amount_minor, dispute.currency, now, provider=dispute.provider)


def compensated(ticket: Ticket, now: datetime) -> LedgerEntry:
    """The posting of a refund that the platform bears after an arbitration."""
    return _entry((Cause.COMPENSATED, ticket.ticket_id), ticket.amount_minor, ticket.currency, now)


def incident_decided(before: Incident, after: Incident, now: datetime) -> tuple[LedgerEntry, ...]:
    """The postings of an outcome; those of the one before are first posted back, and what the shop paid stays.

    An advance that comes back does so by the posting of the refund that the provider took back.
    """
    goods = after.kind is IncidentKind.GOODS_LEFT
    back = (
        (Cause.INCIDENT_OWED_BACK_CORRECTED, before.owed_back_minor),
        (Cause.INCIDENT_WRITTEN_OFF_CORRECTED, before.written_off_minor),
        (Cause.INCIDENT_CHARGED_CORRECTED, before.shop_minor),
        (Cause.INCIDENT_BORNE_CORRECTED, before.platform_minor),
        (Cause.INCIDENT_REPAID_CORRECTED, before.repaid_minor),
        (Cause.INCIDENT_RETURNED_CORRECTED, before.returned_minor),
    )
    new = (
        (Cause.INCIDENT_CHARGED, after.shop_minor),
        (Cause.INCIDENT_BORNE, after.platform_minor),
        (Cause.INCIDENT_REPAID, after.repaid_minor),
        (Cause.INCIDENT_RETURNED, after.returned_minor if goods else 0),
        (Cause.INCIDENT_OWED_BACK, after.owed_back_minor),
    )
    named = ((cause, minor, before.outcome_no) for cause, minor in back)
    named_new = ((cause, minor, after.outcome_no) for cause, minor in new)
    return tuple(
        _entry((cause, after.incident_id, number), minor, after.currency, now)
        for cause, minor, number in (*named, *named_new)
        if minor
    )


def incident_money(cause: Cause, incident: Incident, amount_minor: int, now: datetime) -> LedgerEntry:
    """The posting of a recovery, or of what is written off; it is named after the entry of the incident's log."""
    return _entry((cause, incident.incident_id, incident.entries), amount_minor, incident.currency, now)


def _entry(
    name: tuple[Cause, *tuple[object, ...]],
    amount_minor: int,
    currency: str,
    at: datetime,
    *,
    provider: str = "",
    funder: Funder | None = None,
) -> LedgerEntry:
    flow = FLOWS[name[0]]
    return LedgerEntry(
        posting=":".join(map(str, name)),
        debit=flow.debit.value.format(provider=provider, funder=funder),
        credit=flow.credit.value.format(provider=provider, funder=funder),
        amount_minor=amount_minor,
        currency=currency,
        posted_at=at,
    )


# Reading -----------------------------------------------------------------------------------------------------------


def cause_of(entry: LedgerEntry) -> Cause:
    """The cause in a posting's name."""
    return Cause(entry.posting.partition(":")[0])


def story(entries: Iterable[LedgerEntry]) -> tuple[LedgerEntry, ...]:
    """Postings by time; those of the same time in the order in which causes happen to an order."""
    rank = {cause: place for place, cause in enumerate(Cause)}
    return tuple(sorted(entries, key=lambda entry: (entry.posted_at, rank[cause_of(entry)], entry.posting)))


def balances(entries: Sequence[LedgerEntry]) -> dict[tuple[str, str], int]:
    """The balance of each (account, currency), in minor units; the balances of a currency sum to zero."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        sums[entry.debit, entry.currency] += entry.amount_minor
        sums[entry.credit, entry.currency] -= entry.amount_minor
    return dict(sorted(sums.items()))
