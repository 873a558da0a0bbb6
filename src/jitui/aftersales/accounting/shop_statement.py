"""What a shop is told of its money over some days: refunds by who paid them, incidents, what it owes. Pure.

It is made from sums by cause over the ledgers of the shop's orders, all by the day of booking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jitui.aftersales.ledger import Account, Cause

BUYER = "buyer"
"""Who paid the part of a refund that goes back to the buyer."""


@dataclass(frozen=True, slots=True)
class CauseSum:
    """All entries of a shop's orders with one cause, two accounts and a currency: before the days, and within them."""

    cause: Cause
    debit: str
    credit: str
    currency: str
    before_minor: int
    within_minor: int
    entries: int


@dataclass(frozen=True, slots=True)
class StatementAccount:
    """An account over the shop's orders."""

    account: str
    opening_minor: int
    debit_minor: int
    credit_minor: int
    closing_minor: int


@dataclass(frozen=True, slots=True)
class IncidentFigures:
    """What became of incidents within the days, corrections taken off."""

    returned_minor: int
    repaid_minor: int
    borne_by_platform_minor: int
    charged_minor: int


@dataclass(frozen=True, slots=True)
class ReceivableFigures:
    """What the shop owes for incidents: opening and what was charged, less recovered and written off, is closing.

    `owed_back_minor` is what the shop has overpaid at the end, after corrections in its favour.
    """

    opening_minor: int
    charged_minor: int
    recovered_minor: int
    written_off_minor: int
    moved_to_owed_back_minor: int
    closing_minor: int
    owed_back_minor: int


@dataclass(frozen=True, slots=True)
class CurrencyStatement:
    """A shop's statement in one currency. Jitui takes no fees, and says so."""

    currency: str
    refunds_minor: Mapping[str, int]  # by funder, `buyer` among them
    fees_minor: int
    incidents: IncidentFigures
    receivable: ReceivableFigures
    accounts: tuple[StatementAccount, ...]


def shop_statement(sums: Sequence[CauseSum]) -> tuple[CurrencyStatement, ...]:
    """The statement of each currency that the shop's orders have."""
    return tuple(
        _in_currency(currency, [one for one in sums if one.currency == currency])
        for currency in sorted({one.currency for one in sums})
    )


def _in_currency(currency: str, sums: Sequence[CauseSum]) -> CurrencyStatement:
    within = _by_cause(sums)

    def net(cause: Cause, corrected: Cause) -> int:
        return within.get(cause, 0) - within.get(corrected, 0)

    paid = (Cause.PAID, Cause.SETTLED, Cause.REFUNDED_ELSEWHERE)
    paid_minor = sum(within.get(cause, 0) for cause in paid) - within.get(Cause.UNPAID, 0)
    refunds = {BUYER: paid_minor}
    for one in sums:
        if one.cause is Cause.RETURNED:
            funder = one.debit.partition(":")[2] or one.credit.partition(":")[2]
            refunds[funder] = refunds.get(funder, 0) + one.within_minor
    accounts = _accounts(sums)
    held = {one.account: one for one in accounts}
    receivable, payable = held.get(Account.SHOP_RECEIVABLE), held.get(Account.SHOP_PAYABLE)
    incidents = IncidentFigures(
        returned_minor=net(Cause.INCIDENT_RETURNED, Cause.INCIDENT_RETURNED_CORRECTED),
        repaid_minor=net(Cause.INCIDENT_REPAID, Cause.INCIDENT_REPAID_CORRECTED),
        borne_by_platform_minor=net(Cause.INCIDENT_BORNE, Cause.INCIDENT_BORNE_CORRECTED),
        charged_minor=net(Cause.INCIDENT_CHARGED, Cause.INCIDENT_CHARGED_CORRECTED),
    )
    owing = ReceivableFigures(
        opening_minor=receivable.opening_minor if receivable else 0,
        charged_minor=incidents.charged_minor,
        recovered_minor=within.get(Cause.INCIDENT_RECOVERED, 0),
        written_off_minor=net(Cause.INCIDENT_WRITTEN_OFF, Cause.INCIDENT_WRITTEN_OFF_CORRECTED),
        moved_to_owed_back_minor=net(Cause.INCIDENT_OWED_BACK, Cause.INCIDENT_OWED_BACK_CORRECTED),
        closing_minor=receivable.closing_minor if receivable else 0,
        owed_back_minor=-payable.closing_minor if payable else 0,
    )
    return CurrencyStatement(currency, refunds, 0, incidents, owing, accounts)


def _by_cause(sums: Iterable[CauseSum]) -> dict[Cause, int]:
    found: dict[Cause, int] = {}
    for one in sums:
        found[one.cause] = found.get(one.cause, 0) + one.within_minor
    return found


def _accounts(sums: Iterable[CauseSum]) -> tuple[StatementAccount, ...]:
    opening: dict[str, int] = {}
    debited: dict[str, int] = {}
    credited: dict[str, int] = {}
    for one in sums:
        for account, sign, moved in ((one.debit, 1, debited), (one.credit, -1, credited)):
            opening[account] = opening.get(account, 0) + sign * one.before_minor
            moved[account] = moved.get(account, 0) + one.within_minor
    return tuple(
        StatementAccount(
            account,
            minor,
            debited.get(account, 0),
            credited.get(account, 0),
            minor + debited.get(account, 0) - credited.get(account, 0),
        )
        for account, minor in sorted(opening.items())
    )
