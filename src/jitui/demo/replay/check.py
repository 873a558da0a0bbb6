"""Nothing paid twice, nothing too much, nothing forgotten: the database against the provider's own books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from jitui.aftersales.ticket import Ticket, TicketState
from jitui.demo.replay.books import Books
from jitui.wiring import App

_INCIDENTS = 10_000


@dataclass(frozen=True, slots=True)
class Check:
    """Every count must be zero; the two sums must agree."""

    paid_twice: int
    over_refunded: int
    approved_but_unpaid: int
    shipped_and_refunded: int
    orders_that_differ: int
    refunded_by_database_minor: int
    refunded_by_provider_minor: int

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        wrong = (
            self.paid_twice,
            self.over_refunded,
            self.approved_but_unpaid,
            self.shipped_and_refunded,
            self.orders_that_differ,
        )
        return not any(wrong) and self.refunded_by_database_minor == self.refunded_by_provider_minor


async def check_books(app: App, books: Books, tickets: Iterable[Ticket]) -> Check:
    """Compare order by order what our tickets call refunded with what the provider says that it paid."""
    ours: Counter[str] = Counter()
    unpaid = 0
    for ticket in tickets:
        if ticket.state is TicketState.REFUNDED:
            ours[ticket.order_id] += ticket.amount_minor
        unpaid += ticket.state in (TicketState.REFUNDING, TicketState.REFUND_FAILED)
    theirs: Counter[str] = Counter()
    async for payment in books.paid_back():
        theirs[payment.order_id] += payment.refunded_minor + payment.pending_minor
    totals = await books.totals()
    incidents = await app.shelf.incidents(shop_id=None, limit=_INCIDENTS)
    return Check(
        paid_twice=len(totals.paid_twice),
        over_refunded=len(totals.over_refunded),
        approved_but_unpaid=unpaid,
        shipped_and_refunded=len(incidents),
        orders_that_differ=sum(ours[order_id] != theirs[order_id] for order_id in ours.keys() | theirs.keys()),
        refunded_by_database_minor=ours.total(),
        refunded_by_provider_minor=theirs.total(),
    )
