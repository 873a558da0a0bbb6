"""After a rejection the buyer asks the platform, which decides with fault and who bears it (R4)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from psycopg.errors import CheckViolation

from jitui.aftersales.commands.arbitration import (
    ArbitrationDecision,
    add_evidence,
    decide_arbitration,
    escalate,
    withdraw_arbitration,
)
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve, expire, reject
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.review import ArbitrationState, AtFault, EvidenceItem, RefundBorneBy
from jitui.aftersales.model.task import TaskKind
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.model.view import view_ticket, without_staff
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import OrderRef, TicketRef
from jitui.aftersales.queries import ArbitrationFilter
from jitui.policy import Policy
from tests.aftersales.looking import Looking
from tests.aftersales.market import NOW, Market, beside, on_both_stores, rejection, ticket_of
from tests.aftersales.test_review import refused, reviewed
from tests.known_bugs.steps import claim, heard, snapshot_of

BUYER = Actor(ActorKind.BUYER, "b-1")
MERCHANT = Actor(ActorKind.MERCHANT, "wang.fang")
STAFF = Actor(ActorKind.OPERATOR, "chen.jie")
A_DAY = timedelta(days=1)
SHOP_BEARS = ArbitrationDecision(AtFault.MERCHANT, RefundBorneBy.MERCHANT, "Nothing was handed over.")
PLATFORM_BEARS = ArbitrationDecision(AtFault.PLATFORM, RefundBorneBy.PLATFORM, "Our page promised it.")
DENIED = ArbitrationDecision(AtFault.BUYER, None, "It was agreed to wait.")


async def rejected(market: Market) -> tuple[OrderRef, Ticket, TicketRef]:
    order, _, ref = await reviewed(market)
    done = ticket_of(await reject(market.store, ref, rejection(), Acting(MERCHANT, NOW)))
    return order, done, ref


async def escalated(market: Market) -> tuple[OrderRef, Ticket, TicketRef]:
    order, _, ref = await rejected(market)
    evidence = (EvidenceItem("the carrier knows no parcel", "https://carrier.example/1"),)
    done = await escalate(market.store, ref, "nothing was shipped", evidence, Acting(BUYER, NOW), answer_days=7)
    return order, ticket_of(done), ref


@on_both_stores
async def test_the_buyer_asks_within_seven_days_to_the_second(market: Market) -> None:
    _, _, ref = await rejected(market)
    late = await escalate(
        market.store, ref, "why", (), Acting(BUYER, NOW + 7 * A_DAY + timedelta(seconds=1)), answer_days=7
    )
    assert refused(late) is RefusalCode.ARBITRATION_TOO_LATE
    done = ticket_of(await escalate(market.store, ref, "why", (), Acting(BUYER, NOW + 7 * A_DAY), answer_days=5))
    assert done.state is TicketState.REJECTED and done.version == 3
    assert done.arbitration is not None and done.arbitration.answer_by == NOW + 12 * A_DAY
    again = await escalate(market.store, ref, "why", (), Acting(BUYER, NOW + 8 * A_DAY), answer_days=7)
    assert refused(again) is RefusalCode.ARBITRATION_OPEN, "and not that it is too late"


@on_both_stores
async def test_arbitration_follows_a_rejection_alone(market: Market) -> None:
    _, _, ref = await reviewed(market)
    early = await escalate(market.store, ref, "why", (), Acting(BUYER, NOW), answer_days=7)
    assert refused(early) is RefusalCode.TICKET_NOT_REJECTED
    for done in (
        await decide_arbitration(market.store, ref, DENIED, Acting(STAFF, NOW)),
        await withdraw_arbitration(market.store, ref, Acting(BUYER, NOW)),
        await add_evidence(market.store, ref, (EvidenceItem("x"),), Acting(BUYER, NOW)),
    ):
        assert refused(done) is RefusalCode.ARBITRATION_NOT_OPEN


@on_both_stores
async def test_a_rejection_by_silence_can_be_contested_too(market: Market) -> None:
    text = market.policy.text.replace("on_timeout: approve", "on_timeout: reject")
    assert text != market.policy.text
    market = market.deciding_by(Policy.from_text(text))
    _, _, ref = await reviewed(market)
    ticket_of(await expire(market.store, ref, now=NOW + 2 * A_DAY))
    done = await escalate(market.store, ref, "why", (), Acting(BUYER, NOW + 3 * A_DAY), answer_days=7)
    assert ticket_of(done).arbitration is not None


@on_both_stores
async def test_an_approval_takes_the_goods_again_and_pays_once(market: Market) -> None:
    order, ticket, ref = await escalated(market)
    acting = Acting(STAFF, NOW + A_DAY, ticket.version)
    done = ticket_of(await decide_arbitration(market.store, ref, SHOP_BEARS, acting))
    assert (done.state, done.approved_by) == (TicketState.REFUNDING, ApprovedBy.ARBITRATION)
    assert done.arbitration is not None and done.arbitration.state is ArbitrationState.APPROVED
    snapshot = await snapshot_of(market, ref)
    assert (snapshot.lines[0].claimed_quantity, snapshot.lines[0].claimed_minor) == (1, 40000)
    assert refused(await market.ship(order)) is RefusalCode.UNITS_REFUNDED
    row = snapshot.timeline[-1]
    assert (row.why, row.from_state, row.to_state) == (
        "approved_arbitration",
        TicketState.REJECTED,
        TicketState.REFUNDING,
    )
    assert (row.detail["at_fault"], row.detail["borne_by"]) == ("merchant", "merchant")
    again = await decide_arbitration(market.store, ref, PLATFORM_BEARS, Acting(STAFF, NOW + A_DAY))
    assert refused(again) is RefusalCode.ARBITRATION_DECIDED
    (claimed,) = await claim(market, NOW + A_DAY)
    assert claimed.refund.amount_minor == 40000
    await heard(market, claimed)
    paid = (await snapshot_of(market, ref)).ticket(ticket.ticket_id)
    assert (paid.state, paid.approved_by) == (TicketState.REFUNDED, ApprovedBy.ARBITRATION)


async def test_what_the_platform_bears_it_owes_the_shop(market: Market) -> None:
    order, _, ref = await escalated(market)
    await decide_arbitration(market.store, ref, PLATFORM_BEARS, Acting(STAFF, NOW))
    entries = await market.queries.ledger(order)
    found = {account: minor for (account, _), minor in balances(entries).items()}
    assert (found["loss"], found["shop_payable"], found["buyer_payable"]) == (40000, -40000, -40000)
    assert sum(found.values()) == 0


@on_both_stores
async def test_the_goods_are_worth_what_they_are_worth_now_freight_included(market: Market) -> None:
    """Three units for 100.00 and freight: two were rejected, the third was refunded meanwhile."""
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1", amounts=(40000,), quantities=(3,), freight_minor=700)
    first = await market.asked(buyer, "o-1", lines=[("l1", 2)])
    ref = TicketRef(first.lane, first.ticket_id)
    await reject(market.store, ref, rejection(), Acting(MERCHANT, NOW))
    later = NOW + timedelta(minutes=2)
    second = await market.asked(buyer, "o-1", lines=[("l1", 1)], now=later)
    other = TicketRef(second.lane, second.ticket_id)
    assert isinstance(await approve(market.store, other, Acting(MERCHANT, later)), Executed)
    await escalate(market.store, ref, "why", (), Acting(BUYER, later), answer_days=7)
    done = ticket_of(await decide_arbitration(market.store, ref, SHOP_BEARS, Acting(STAFF, later)))
    assert (first.amount_minor, second.amount_minor) == (26666, 13333)
    assert (done.amount_minor, done.freight_minor) == (26667 + 700, 700)
    snapshot = await snapshot_of(market, order)
    assert snapshot.order.freight_claimed_minor == 700
    assert sum(row.amount_minor for row in snapshot.lines_of(done.ticket_id)) == 26667


@on_both_stores
async def test_a_denial_closes_the_ticket(market: Market) -> None:
    order, _, ref = await escalated(market)
    done = ticket_of(await decide_arbitration(market.store, ref, DENIED, Acting(STAFF, NOW)))
    assert (done.state, done.approved_by) == (TicketState.CLOSED, None)
    late = await escalate(market.store, ref, "why", (), Acting(BUYER, NOW), answer_days=7)
    assert refused(late) is RefusalCode.ARBITRATION_DECIDED
    assert (await snapshot_of(market, ref)).refunds == ()
    assert isinstance(await market.ship(order), Executed)


@on_both_stores
async def test_goods_that_left_meanwhile_are_not_refunded_by_it(market: Market) -> None:
    order, _, ref = await escalated(market)
    assert isinstance(await market.ship(order), Executed), "the rejection set the goods free"
    done = await decide_arbitration(market.store, ref, SHOP_BEARS, Acting(STAFF, NOW))
    assert refused(done) is RefusalCode.ORDER_ALREADY_SHIPPED
    assert isinstance(await decide_arbitration(market.store, ref, DENIED, Acting(STAFF, NOW)), Executed)


@on_both_stores
async def test_goods_that_the_buyer_asked_back_again_are_refunded_once(market: Market) -> None:
    """The same units under a second ticket: the arbitration on the first is not a second refund."""
    _, _, ref = await escalated(market)
    second = await market.asked("b-1", "o-1", now=NOW + timedelta(minutes=2))
    assert second.state is TicketState.AWAITING_MERCHANT
    done = await decide_arbitration(market.store, ref, SHOP_BEARS, Acting(STAFF, NOW + A_DAY))
    assert refused(done) is RefusalCode.REFUND_IN_PROGRESS


async def test_of_an_approval_and_a_shipment_at_once_the_first_wins(market: Market) -> None:
    order, _, ref = await escalated(market)
    done = await asyncio.gather(
        decide_arbitration(market.store, ref, SHOP_BEARS, Acting(STAFF, NOW)),
        decide_arbitration(market.store, ref, PLATFORM_BEARS, Acting(STAFF, NOW)),
        market.ship(order),
    )
    assert sum(isinstance(one, Executed) for one in done) == 1


@on_both_stores
async def test_whoever_rejected_does_not_arbitrate(market: Market) -> None:
    """An operator may reject for a shop; the same person does not judge it."""
    _, _, ref = await reviewed(market)
    await reject(market.store, ref, rejection(), Acting(STAFF, NOW))
    await escalate(market.store, ref, "why", (), Acting(BUYER, NOW), answer_days=7)
    for decision in (SHOP_BEARS, DENIED):
        own = await decide_arbitration(market.store, ref, decision, Acting(Actor(STAFF.kind, "Chen.Jie"), NOW))
        assert refused(own) is RefusalCode.SECOND_PERSON_NEEDED
    other = Actor(ActorKind.OPERATOR, "li.na")
    assert isinstance(await decide_arbitration(market.store, ref, DENIED, Acting(other, NOW)), Executed)


@on_both_stores
async def test_it_can_be_taken_back_and_asked_for_again_within_the_seven_days(market: Market) -> None:
    _, _, ref = await escalated(market)
    done = ticket_of(await withdraw_arbitration(market.store, ref, Acting(BUYER, NOW)))
    assert done.state is TicketState.REJECTED
    assert refused(await decide_arbitration(market.store, ref, DENIED, Acting(STAFF, NOW))) is (
        RefusalCode.ARBITRATION_NOT_OPEN
    )
    again = await escalate(market.store, ref, "after all", (), Acting(BUYER, NOW + A_DAY), answer_days=7)
    assert ticket_of(again).arbitration is not None


@on_both_stores
async def test_both_parties_bring_evidence_and_ten_pieces_each(market: Market) -> None:
    _, ticket, ref = await escalated(market)
    assert (
        ticket_of(await add_evidence(market.store, ref, (EvidenceItem("a photo"),) * 9, Acting(BUYER, NOW))).version
        == ticket.version + 1
    )
    more = await add_evidence(market.store, ref, (EvidenceItem("one more"),), Acting(BUYER, NOW))
    assert refused(more) is RefusalCode.EVIDENCE_MISSING
    done = ticket_of(await add_evidence(market.store, ref, (EvidenceItem("the label"),), Acting(MERCHANT, NOW)))
    assert done.arbitration is not None
    assert [piece.by for piece in done.arbitration.evidence] == ["buyer"] * 10 + ["merchant"]


@on_both_stores
async def test_neither_party_learns_who_decided(market: Market) -> None:
    _, ticket, ref = await escalated(market)
    await decide_arbitration(market.store, ref, SHOP_BEARS, Acting(STAFF, NOW))
    view = view_ticket(await snapshot_of(market, ref), ticket.ticket_id)
    for shop in (True, False):
        shown = without_staff(view, shop=shop)
        assert "chen.jie" not in str(shown)
        assert shown.review is not None and shown.review.arbitration is not None
        assert shown.review.arbitration.note == "Nothing was handed over."


# The database ----------------------------------------------------------------------------------------------------


async def test_open_arbitrations_are_listed_by_the_day_of_the_answer(market: Market) -> None:
    found = []
    for index, (name, days) in enumerate((("b-0", 9), (beside("b-0"), 3), ("b-2", 5))):
        buyer = await market.premium_buyer(name)
        await market.paid_order(buyer, f"o-{index}", amounts=(40000,), shop_id=f"shop-{days}")
        ticket = await market.asked(buyer, f"o-{index}")
        ref = TicketRef(ticket.lane, ticket.ticket_id)
        await reject(market.store, ref, rejection(), Acting(MERCHANT, NOW))
        await escalate(market.store, ref, f"in {days}", (), Acting(BUYER, NOW), answer_days=days)
        found.append(ref)
    rows = await market.queries.arbitrations(ArbitrationFilter())
    assert [row.reason for row in rows] == ["in 3", "in 5", "in 9"]
    place = (rows[0].answer_by, rows[0].ticket_id)
    assert [row.reason for row in await market.queries.arbitrations(ArbitrationFilter(after=place))] == ["in 5", "in 9"]
    assert [row.reason for row in await market.queries.arbitrations(ArbitrationFilter(shop_id="shop-5"))] == ["in 5"]
    assert [row.reason for row in await market.queries.arbitrations(ArbitrationFilter(buyer_id="b-0"))] == ["in 9"]
    await decide_arbitration(market.store, found[1], DENIED, Acting(STAFF, NOW))
    assert len(await market.queries.arbitrations(ArbitrationFilter())) == 2


async def test_one_that_was_not_decided_by_its_day_is_a_task_until_it_is(market: Market) -> None:
    _, _, ref = await escalated(market)
    looking, kind, day = Looking(market), TaskKind.ARBITRATION_OVERDUE, NOW + 7 * A_DAY
    assert await looking.look(day - timedelta(seconds=1), kind) == []
    assert [task.state for task in await looking.look(day, kind)] == ["open"]
    await decide_arbitration(market.store, ref, DENIED, Acting(STAFF, day))
    assert [task.state for task in await looking.look(day, kind)] == ["resolved"]


@pytest.mark.parametrize(
    "wrong",
    [
        "approved_by = 'arbitration', state = 'refunding'",
        'arbitration = arbitration || \'{"state": "approved", "borne_by": "platform"}\'',
        "arbitration = arbitration || '{\"state\": \"denied\"}', state = 'closed'",
        "state = 'refunding'",
        'arbitration = \'{"state": "forgotten"}\'',
    ],
)
async def test_the_database_refuses_an_arbitration_that_contradicts_its_ticket(market: Market, wrong: str) -> None:
    await escalated(market)
    with pytest.raises(CheckViolation, match="arbitration"):
        async with market.pool.connection() as connection:
            await connection.execute(f"UPDATE ticket SET {wrong}".encode())
