"""Checks that nothing was paid twice, too much or not at all: the replay's database against the provider's books."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from jitui.aftersales.model.ticket import TicketState
from jitui.demo.audit import PaidState, judge, read_books, read_records
from jitui.demo.replay.environment import ReplayEnvironment

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class BooksCheck:
    """The result: every count must be zero, and the two sums equal. `findings` has sentences about the first errors."""

    paid_twice: int
    over_refunded: int
    shipped_and_refunded: int
    approved_but_unpaid: int
    refunded_by_database_minor: int
    refunded_by_provider_minor: int
    findings: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings and self.refunded_by_database_minor == self.refunded_by_provider_minor


async def check_books(environment: ReplayEnvironment) -> BooksCheck:
    """The checks of the demo's audit, and the sums of both sides."""
    books = await read_books(environment.simulator.url, environment.simulator.api_key)
    records = await asyncio.to_thread(read_records, environment.database_url)
    found = judge(records, books)
    every = (*found.paid_twice, *found.over_refunded, *found.shipped_and_refunded, *found.approved_but_unpaid)
    paid = (refund.amount_minor for refund in books.refunds if refund.status is PaidState.SUCCEEDED)
    refunded = (ticket.amount_minor for ticket in records.tickets if ticket.state == TicketState.REFUNDED)
    return BooksCheck(
        paid_twice=len(found.paid_twice),
        over_refunded=len(found.over_refunded),
        shipped_and_refunded=len(found.shipped_and_refunded),
        approved_but_unpaid=len(found.approved_but_unpaid),
        refunded_by_database_minor=sum(refunded),
        refunded_by_provider_minor=sum(paid),
        findings=every[:_SHOWN],
    )
