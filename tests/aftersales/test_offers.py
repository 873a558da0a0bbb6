"""A partial approval: what the shop offers is refunded with the buyer's consent, and the rest can be shipped (R4)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jitui.aftersales.changes import Announce, OutgoingEventKind
from jitui.aftersales.commands.assignment import assign
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.offer import accept_offer, decline_offer, offer, plan_acceptance
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import withdraw
from jitui.aftersales.model.order import LineUnits
from jitui.aftersales.model.review import Offer
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.model.view import view_ticket, without_staff
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderRef, TicketRef
from tests.aftersales.market import NOW, Market, on_both_stores, ticket_of
from tests.aftersales.test_allocation import OrderCase, order_case, order_cases
from tests.aftersales.test_review import MERCHANT, refused
from tests.known_bugs.steps import snapshot_of, where

BUYER = Actor(ActorKind.BUYER, "b-1")


async def asked_for_all(market: Market) -> tuple[OrderRef, Ticket, TicketRef]:
    """Three units for 300.00, one for 200.00, and freight."""
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1", amounts=(30000, 20000), quantities=(3, 1), freight_minor=700)
    ticket = await market.asked(buyer, "o-1")
    assert ticket.state is TicketState.AWAITING_MERCHANT
    return order, ticket, where(ticket)


def units(*wanted: tuple[str, int]) -> tuple[LineUnits, ...]:
    return tuple(LineUnits(*one) for one in wanted)


async def offered(market: Market, ref: TicketRef, *wanted: tuple[str, int]) -> Ticket:
    return ticket_of(await offer(market.store, ref, units(*wanted), "the other is made", Acting(MERCHANT, NOW)))


@on_both_stores
async def test_the_offered_units_are_refunded_and_the_others_can_be_shipped(market: Market) -> None:
    order, ticket, ref = await asked_for_all(market)
    made = await offered(market, ref, ("l1", 1))
    assert (made.version, made.state, made.expires_at) == (2, TicketState.AWAITING_MERCHANT, ticket.expires_at)
    assert refused(await market.ship(order, lines=[("l2", 1)])) is RefusalCode.REFUND_IN_PROGRESS
    done = ticket_of(await accept_offer(market.store, ref, Acting(BUYER, NOW, 2, buyer_id="b-1")))
    assert (done.state, done.approved_by) == (TicketState.REFUNDING, ApprovedBy.MERCHANT)
    assert (done.amount_minor, done.freight_minor) == (10000, 0), "freight goes with the last goods alone"
    snapshot = await snapshot_of(market, ref)
    assert [(line.claimed_quantity, line.claimed_minor) for line in snapshot.lines] == [(1, 10000), (0, 0)]
    assert snapshot.order.freight_claimed_minor == 0
    assert [refund.amount_minor for refund in snapshot.refunds] == [10000]
    whys = [(event.why, event.actor_kind) for event in snapshot.timeline]
    assert whys[1:] == [
        ("offered", ActorKind.MERCHANT),
        ("offer_accepted", ActorKind.BUYER),
        ("approved_merchant", ActorKind.BUYER),
    ]
    assert [(row.line_id, row.quantity, row.open) for row in snapshot.ticket_lines] == [
        ("l1", 1, True),
        ("l2", 0, False),
    ]
    assert isinstance(await market.ship(order, lines=[("l1", 2), ("l2", 1)]), Executed)


@on_both_stores
async def test_the_warehouse_is_told_to_hold_the_accepted_units_alone(market: Market) -> None:
    _, _, ref = await asked_for_all(market)
    await offered(market, ref, ("l1", 1))
    done = await accept_offer(market.store, ref, Acting(BUYER, NOW))
    assert isinstance(done, Executed)
    (told,) = [
        one.body for one in done.changes if isinstance(one, Announce) and one.kind is OutgoingEventKind.STOP_SHIP
    ]
    assert told["lines"] == [{"line_id": "l1", "sku": "sku-1", "item_id": "item-1", "quantity": 1}]


@on_both_stores
async def test_who_works_on_the_ticket_offers_and_nobody_else(market: Market) -> None:
    _, _, ref = await asked_for_all(market)
    await assign(market.store, ref, Acting(Actor(ActorKind.MERCHANT, "wang.fang"), NOW))
    done = await offer(market.store, ref, units(("l1", 1)), "why", Acting(MERCHANT, NOW))
    assert refused(done) is RefusalCode.TICKET_ASSIGNED


def test_a_part_is_never_worth_more_than_the_whole_was() -> None:
    """Of 200.00 only 50.00 can still go back: two units were asked for, and one of them brings no more than that."""
    opened = order_case([(2, 20000)])
    (tender,) = opened.snapshot.tenders
    opened.snapshot = replace(opened.snapshot, tenders=(replace(tender, refunded_minor=15000),))
    whole = opened.ask([])
    assert not isinstance(whole, Refusal) and whole.amount_minor == 5000
    made = replace(whole, offer=Offer(units(("l1", 1)), "why", "shop", NOW))
    reduced = opened.done(plan_acceptance(opened.snapshot, made, Acting(BUYER, opened.at)))
    assert not isinstance(reduced, Refusal) and reduced.amount_minor == 5000


@on_both_stores
async def test_a_declined_offer_leaves_the_request_in_review_whole(market: Market) -> None:
    _, ticket, ref = await asked_for_all(market)
    await offered(market, ref, ("l1", 1))
    declined = ticket_of(await decline_offer(market.store, ref, Acting(BUYER, NOW, 2)))
    assert declined == replace(ticket, version=3)
    assert refused(await accept_offer(market.store, ref, Acting(BUYER, NOW))) is RefusalCode.OFFER_NOT_OPEN
    assert refused(await decline_offer(market.store, ref, Acting(BUYER, NOW))) is RefusalCode.OFFER_NOT_OPEN


@on_both_stores
async def test_consent_is_to_the_offer_that_was_read(market: Market) -> None:
    """The shop changes its offer while the buyer reads: the buyer's word was about the first one."""
    _, _, ref = await asked_for_all(market)
    first = await offered(market, ref, ("l1", 3))
    await offered(market, ref, ("l1", 1))
    stale = await accept_offer(market.store, ref, Acting(BUYER, NOW, first.version))
    assert refused(stale) is RefusalCode.TICKET_STALE


async def test_of_acceptance_and_withdrawal_at_once_one_wins(market: Market) -> None:
    _, _, ref = await asked_for_all(market)
    await offered(market, ref, ("l1", 1))
    done = await asyncio.gather(
        accept_offer(market.store, ref, Acting(BUYER, NOW)),
        accept_offer(market.store, ref, Acting(BUYER, NOW)),
        withdraw(market.store, ref, Acting(BUYER, NOW)),
    )
    assert sum(isinstance(one, Executed) for one in done) == 1


@on_both_stores
@pytest.mark.parametrize(
    ("wanted", "code", "path"),
    [
        ((), RefusalCode.UNITS_NOT_AVAILABLE, "lines"),
        ((("l1", 3), ("l2", 1)), RefusalCode.UNITS_NOT_AVAILABLE, "lines"),
        ((("l1", 4),), RefusalCode.UNITS_NOT_AVAILABLE, "lines[0].quantity"),
        ((("l1", 0),), RefusalCode.UNITS_NOT_AVAILABLE, "lines[0].quantity"),
        ((("l2", 1), ("l9", 1)), RefusalCode.UNKNOWN_LINE, "lines[1].line_id"),
        ((("l1", 1), ("l1", 1)), RefusalCode.UNKNOWN_LINE, "lines[1].line_id"),
    ],
)
async def test_an_offer_names_some_of_the_requests_units(
    market: Market, wanted: tuple[tuple[str, int], ...], code: RefusalCode, path: str
) -> None:
    _, ticket, ref = await asked_for_all(market)
    done = await offer(market.store, ref, units(*wanted), "why", Acting(MERCHANT, NOW))
    assert isinstance(done, Refusal) and (done.code, done.path) == (code, path)
    assert (await snapshot_of(market, ref)).ticket(ticket.ticket_id) == ticket


@on_both_stores
async def test_the_buyer_is_not_told_who_at_the_shop_offered(market: Market) -> None:
    _, ticket, ref = await asked_for_all(market)
    await offered(market, ref, ("l1", 1))
    view = view_ticket(await snapshot_of(market, ref), ticket.ticket_id)
    shown = without_staff(view, shop=False).review
    assert shown is not None and shown.offer is not None and shown.offer.offered_by == ""
    own = without_staff(view, shop=True).review
    assert own is not None and own.offer is not None and own.offer.offered_by == MERCHANT.id


@given(opened=order_cases(), data=st.data())
def test_what_is_kept_is_worth_what_it_would_be_worth_alone(opened: OrderCase, data: st.DataObject) -> None:
    """Asked for all and reduced, or asked for so much at once: the same amounts of lines and the same refunds."""
    lines = {line.line_id: line.quantity for line in opened.snapshot.lines}
    kept = {line_id: data.draw(st.integers(0, quantity)) for line_id, quantity in lines.items()}
    wanted = [(line_id, quantity) for line_id, quantity in kept.items() if quantity]
    assume(wanted and kept != lines)
    other = OrderCase(opened.snapshot)
    alone = other.ask(wanted)
    alone = alone if isinstance(alone, Refusal) else other.approve(alone)
    whole = opened.ask([])
    assert not isinstance(whole, Refusal)
    made = replace(whole, offer=Offer(units(*wanted), "why", "shop", NOW))
    reduced = opened.done(plan_acceptance(opened.snapshot, made, Acting(BUYER, opened.at)))
    if isinstance(alone, Refusal):
        assert isinstance(reduced, Refusal) and alone.code is reduced.code is RefusalCode.NOTHING_TO_REFUND
        return
    assert not isinstance(reduced, Refusal)
    assert reduced.amount_minor == alone.amount_minor
    rows = [row for row in opened.snapshot.lines_of(reduced.ticket_id) if row.quantity]
    expected = other.snapshot.lines_of(alone.ticket_id)
    assert [(r.line_id, r.quantity, r.amount_minor) for r in rows] == [
        (r.line_id, r.quantity, r.amount_minor) for r in expected
    ]
    assert sum(fund.returned_minor for fund in opened.snapshot.funding) == sum(
        fund.returned_minor for fund in other.snapshot.funding
    )
