"""I1 and I3 at once: partial refunds of one order over several payments, and one line refunded while another ships."""

from __future__ import annotations

import asyncio
import random

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import TicketRef
from jitui.money import split_by_weight
from tests.aftersales.market import NOW, Market
from tests.known_bugs.steps import A_MINUTE, snapshot_of

MERCHANT = Actor(ActorKind.MERCHANT, "shop-1")


async def test_partial_refunds_at_once_share_the_payments_as_if_one_after_the_other(market: Market) -> None:
    """Two approvals on two connections: whichever is first, the payments give in step with what they captured."""
    for number in range(8):
        ref = await market.paid_order(
            f"b-{number}",
            f"o-{number}",
            amounts=(30001 + number, 20001, 507 - number),
            tenders=(33333, 17169, 7),
        )
        tickets = [
            await market.asked(f"b-{number}", f"o-{number}", lines=[(f"l{n}", 1)], now=NOW + n * A_MINUTE)
            for n in (1, 2)
        ]
        random.Random(number).shuffle(tickets)
        done = await asyncio.gather(
            *(approve(market.store, TicketRef(t.lane, t.ticket_id), Acting(MERCHANT, NOW)) for t in tickets)
        )
        assert all(isinstance(outcome, Executed) for outcome in done)
        snapshot = await snapshot_of(market, ref)
        gone = tuple(tender.pending_minor for tender in snapshot.tenders)
        assert gone == split_by_weight(50002 + number, [33333, 17169, 7])
        for ticket in snapshot.tickets:
            assert sum(refund.amount_minor for refund in snapshot.refunds_of(ticket.ticket_id)) == ticket.amount_minor


async def test_two_requests_at_once_for_two_lines_leave_nothing_half_held(market: Market) -> None:
    """One request a minute on an order: one of the two is told to wait, and the payments hold exactly the other."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5001, 4002), tenders=(7003, 2000))
    done = await asyncio.gather(*(market.ask(buyer, "o-1", lines=[(line, 1)]) for line in ("l1", "l2")))
    (plan,) = [outcome for outcome in done if isinstance(outcome, Executed)]
    assert plan.ticket_id is not None
    amount = plan.snapshot.ticket(plan.ticket_id).amount_minor
    snapshot = await snapshot_of(market, ref)
    assert tuple(tender.pending_minor for tender in snapshot.tenders) == split_by_weight(amount, [7003, 2000])


async def test_one_line_is_refunded_while_another_ships(market: Market) -> None:
    """Both go through, however they interleave; freight stays, because one line ships or was still to ship."""
    for number in range(10):
        buyer = await market.premium_buyer(f"b-{number}")
        ref = await market.paid_order(buyer, f"o-{number}", amounts=(5000, 6000), freight_minor=800)
        asked, shipped = await asyncio.gather(
            market.ask(buyer, ref.order_id, lines=[("l1", 1)]), market.ship(ref, lines=[("l2", 1)])
        )
        assert isinstance(asked, Executed) and isinstance(shipped, Executed)
        snapshot = await snapshot_of(market, ref)
        assert [(line.claimed_quantity, line.shipped_quantity) for line in snapshot.lines] == [(1, 0), (0, 1)]
        assert [(ticket.amount_minor, ticket.freight_minor) for ticket in snapshot.tickets] == [(5000, 0)]
