"""The ordinary review: approve, reject, withdraw and deadline, and what the later of two decisions gets."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.review import approve, expire, reject, withdraw
from jitui.aftersales.commands.ship import ShipmentUpdate
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.model.view import view_ticket
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, OrderRef, TicketRef
from tests.aftersales.market import NOW, Market, on_both_stores, rejection, ticket_of
from tests.known_bugs.steps import SUCCEEDED, claim, snapshot_of, where

MERCHANT = Actor(ActorKind.MERCHANT, "shop-1")
BUYER = Actor(ActorKind.BUYER, "b-1")
DEADLINE = NOW + timedelta(hours=48)


async def reviewed(market: Market, *, amount: int = 40000) -> tuple[OrderRef, Ticket, TicketRef]:
    """A ticket that missed the 300 CNY condition and waits for the merchant."""
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1", amounts=(amount,))
    ticket = await market.asked(buyer, "o-1")
    assert ticket.state is TicketState.AWAITING_MERCHANT
    return order, ticket, TicketRef(ticket.lane, ticket.ticket_id)


async def went_back_elsewhere(market: Market, amount_minor: int) -> None:
    """Somebody booked by hand what was refunded past this service; no command of ours does that."""
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE tender SET refunded_minor = %s", (amount_minor,))


def refused(done: object) -> RefusalCode:
    assert isinstance(done, Refusal), done
    return done.code


@on_both_stores
async def test_a_merchants_approval_queues_the_money(market: Market) -> None:
    _, ticket, ref = await reviewed(market)
    done = ticket_of(await approve(market.store, ref, Acting(MERCHANT, NOW, ticket.version)))
    assert (done.state, done.approved_by, done.version) == (TicketState.REFUNDING, ApprovedBy.MERCHANT, 2)
    assert done.notice is None, "R14's sentence is for tickets that the service decided"
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    assert [refund.amount_minor for refund in snapshot.refunds] == [40000]
    assert snapshot.tenders[0].pending_minor == 40000


@on_both_stores
async def test_a_decision_on_a_stale_version_is_refused(market: Market) -> None:
    _, ticket, ref = await reviewed(market)
    stale = await approve(market.store, ref, Acting(MERCHANT, NOW, ticket.version + 1))
    assert refused(stale) is RefusalCode.TICKET_STALE


@on_both_stores
async def test_exactly_one_path_wins_and_late_ones_get_their_own_code(market: Market) -> None:
    _, _, ref = await reviewed(market)
    done = await asyncio.gather(
        approve(market.store, ref, Acting(MERCHANT, NOW)),
        approve(market.store, ref, Acting(MERCHANT, NOW)),
        withdraw(market.store, ref, Acting(BUYER, NOW)),
        reject(market.store, ref, rejection("no"), Acting(MERCHANT, NOW)),
        expire(market.store, ref, now=DEADLINE),
    )
    assert sum(isinstance(outcome, Executed) for outcome in done) == 1
    late = {refused(outcome) for outcome in done if not isinstance(outcome, Executed)}
    assert late <= {RefusalCode.TICKET_ALREADY_APPROVED, RefusalCode.TICKET_ALREADY_CLOSED}


@on_both_stores
async def test_another_shops_merchant_sees_no_such_ticket(market: Market) -> None:
    _, _, ref = await reviewed(market)
    done = await approve(market.store, ref, Acting(MERCHANT, NOW, shop_id="shop-2"))
    assert refused(done) is RefusalCode.NOT_FOUND


@on_both_stores
async def test_a_withdrawn_request_frees_units_and_freight(market: Market) -> None:
    order, _, ref = await reviewed(market)
    ticket_of(await withdraw(market.store, ref, Acting(BUYER, NOW)))
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    assert (snapshot.lines[0].claimed_quantity, snapshot.lines[0].claimed_minor) == (0, 0)
    again = await market.asked("b-1", "o-1", now=NOW + timedelta(seconds=61))
    assert again.amount_minor == 40000


@on_both_stores
async def test_rejecting_with_a_tracking_number_records_the_shipment_in_the_same_step(market: Market) -> None:
    order, _, ref = await reviewed(market)
    update = ShipmentUpdate(ShipmentStatus.SHIPPED, "sf", "SF77", ShipmentSource.MERCHANT, NOW)
    done = await reject(market.store, ref, rejection("shipped", update), Acting(MERCHANT, NOW))
    assert ticket_of(done).state is TicketState.REJECTED
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    assert (snapshot.lines[0].shipped_quantity, snapshot.lines[0].claimed_quantity) == (1, 0)
    assert snapshot.timeline[-1].detail == {
        "reason_code": "already_shipped",
        "reason": "shipped",
        "evidence": [{"text": "a message", "url": ""}],
        "carrier": "sf",
        "tracking_no": "SF77",
    }
    late = await market.ask("b-1", "o-1", now=NOW + timedelta(seconds=61))
    assert refused(late) is RefusalCode.ORDER_ALREADY_SHIPPED


@on_both_stores
async def test_an_order_with_an_open_ticket_cannot_be_shipped(market: Market) -> None:
    order, _, _ = await reviewed(market)
    assert refused(await market.ship(order)) is RefusalCode.REFUND_IN_PROGRESS


@on_both_stores
async def test_silence_till_the_deadline_approves(market: Market) -> None:
    _, _, ref = await reviewed(market)
    early = await expire(market.store, ref, now=DEADLINE - timedelta(seconds=1))
    assert refused(early) is RefusalCode.TICKET_NOT_EXPIRED
    assert await market.store.expired_tickets(DEADLINE - timedelta(seconds=1), 10) == []
    assert await market.store.expired_tickets(DEADLINE, 10) == [ref]
    done = ticket_of(await expire(market.store, ref, now=DEADLINE))
    assert done.approved_by is ApprovedBy.MERCHANT_TIMEOUT
    assert await market.store.expired_tickets(DEADLINE, 10) == []


@on_both_stores
async def test_silence_never_pays_for_a_parcel_that_has_left(market: Market) -> None:
    order, _, ref = await reviewed(market)
    await market.ship(order, status=ShipmentStatus.PICKED_UP, source=ShipmentSource.CARRIER)
    done = ticket_of(await expire(market.store, ref, now=DEADLINE))
    assert (done.state, done.approved_by) == (TicketState.CLOSED, None)
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    assert snapshot.refunds == () and snapshot.tenders[0].pending_minor == 0


@on_both_stores
async def test_a_merchant_cannot_approve_an_unshipped_refund_for_goods_that_left(market: Market) -> None:
    order, _, ref = await reviewed(market)
    await market.ship(order, status=ShipmentStatus.SHIPPED, source=ShipmentSource.CARRIER)
    done = await approve(market.store, ref, Acting(MERCHANT, NOW))
    assert refused(done) is RefusalCode.ORDER_ALREADY_SHIPPED


async def test_t1_two_approvals_at_once_never_exceed_what_was_captured(market: Market) -> None:
    """Two of 60 in review, and only 100 left, because 20 went back past this service."""
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(60000, 60000))
    tickets = [
        await market.asked(buyer, "o-1", lines=[("l1", 1)]),
        await market.asked(buyer, "o-1", lines=[("l2", 1)], now=NOW + timedelta(seconds=61)),
    ]
    await went_back_elsewhere(market, 20000)
    done = await asyncio.gather(
        *(approve(market.store, TicketRef(t.lane, t.ticket_id), Acting(MERCHANT, NOW)) for t in tickets)
    )
    assert [isinstance(outcome, Executed) for outcome in done].count(True) == 1
    assert RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE in {o.code for o in done if isinstance(o, Refusal)}


async def test_silence_closes_a_ticket_that_can_no_longer_be_paid(market: Market) -> None:
    """Found by reading: its deadline stayed due for ever, and the worker tried it again and again."""
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(60000, 60000))
    first = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    second = await market.asked(buyer, "o-1", lines=[("l2", 1)], now=NOW + timedelta(seconds=61))
    await went_back_elsewhere(market, 20000)
    later = DEADLINE + timedelta(minutes=5)
    for ticket, state in ((first, TicketState.REFUNDING), (second, TicketState.CLOSED)):
        done = await expire(market.store, TicketRef(ticket.lane, ticket.ticket_id), now=later)
        assert ticket_of(done).state is state
    assert await market.store.expired_tickets(later, 10) == []


@on_both_stores
async def test_how_long_a_refund_took_is_shown_of_a_refunded_ticket_alone(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(5000,))
    await market.paid_order(buyer, "o-2", amounts=(40000,))
    paid = await market.asked(buyer, "o-1")
    waiting = await market.asked(buyer, "o-2")
    assert isinstance(await withdraw(market.store, where(waiting), Acting(BUYER, NOW)), Executed)
    shown = view_ticket(await snapshot_of(market, where(paid)), paid.ticket_id)
    assert (shown.state, shown.seconds_to_refund) == (TicketState.REFUNDING, None)
    (claimed,) = await claim(market)
    ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    await confirm(market.store, ref, RefundUpdate(SUCCEEDED), now=NOW + timedelta(seconds=90))
    shown_now = [view_ticket(await snapshot_of(market, where(one)), one.ticket_id) for one in (paid, waiting)]
    assert [one.seconds_to_refund for one in shown_now] == [90.0, None]
