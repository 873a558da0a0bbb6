"""Two people do not answer the same ticket, and its deadline is announced before it passes (R4)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from jitui.aftersales.commands.assignment import ASSIGNED_FOR, assign, release, remind
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve, expire, reject, withdraw
from jitui.aftersales.model.review import next_reminder
from jitui.aftersales.model.ticket import Actor, ActorKind, TicketState
from jitui.aftersales.model.view import view_ticket, without_staff
from jitui.aftersales.outcomes import Refusal, RefusalCode
from tests.aftersales.market import NOW, Market, on_both_stores, rejection, ticket_of
from tests.aftersales.test_review import BUYER, DEADLINE, refused, reviewed
from tests.known_bugs.steps import snapshot_of, where

WANG = Actor(ActorKind.MERCHANT, "wang.fang")
LI = Actor(ActorKind.MERCHANT, "li.na")
STAFF = Actor(ActorKind.OPERATOR, "chen.jie")
ENDS = NOW + ASSIGNED_FOR


@on_both_stores
async def test_somebody_elses_ticket_is_not_decided_until_the_assignment_ends(market: Market) -> None:
    _, _, ref = await reviewed(market)
    assigned = ticket_of(await assign(market.store, ref, Acting(WANG, NOW)))
    assert (assigned.version, assigned.assignment is not None) == (1, True), "nothing was decided"
    last = ENDS - timedelta(seconds=1)
    assert refused(await approve(market.store, ref, Acting(LI, last))) is RefusalCode.TICKET_ASSIGNED
    assert refused(await reject(market.store, ref, rejection(), Acting(LI, last))) is RefusalCode.TICKET_ASSIGNED
    assert refused(await assign(market.store, ref, Acting(LI, last))) is RefusalCode.TICKET_ASSIGNED
    assert refused(await release(market.store, ref, Acting(LI, last))) is RefusalCode.TICKET_ASSIGNED
    assert ticket_of(await approve(market.store, ref, Acting(LI, ENDS))).state is TicketState.REFUNDING


@on_both_stores
async def test_whoever_took_it_decides_and_prolongs_it(market: Market) -> None:
    _, _, ref = await reviewed(market)
    await assign(market.store, ref, Acting(WANG, NOW))
    again = ticket_of(await assign(market.store, ref, Acting(WANG, NOW + timedelta(minutes=20))))
    assert again.assignment is not None and again.assignment.until == ENDS + timedelta(minutes=20)
    snapshot = await snapshot_of(market, ref)
    assert [event.why for event in snapshot.timeline] == ["requested", "assigned"], "prolonging is not told"
    assert ticket_of(await approve(market.store, ref, Acting(WANG, ENDS))).state is TicketState.REFUNDING


@on_both_stores
async def test_a_ticket_can_be_taken_over_and_given_back(market: Market) -> None:
    _, _, ref = await reviewed(market)
    await assign(market.store, ref, Acting(WANG, NOW))
    taken = ticket_of(await assign(market.store, ref, Acting(LI, NOW), take_over=True))
    assert taken.assignment is not None and taken.assignment.person == "li.na"
    assert refused(await approve(market.store, ref, Acting(WANG, NOW))) is RefusalCode.TICKET_ASSIGNED
    assert ticket_of(await release(market.store, ref, Acting(LI, NOW))).assignment is None
    assert ticket_of(await approve(market.store, ref, Acting(WANG, NOW))).state is TicketState.REFUNDING


@on_both_stores
async def test_the_buyer_and_the_deadline_wait_for_nobody(market: Market) -> None:
    _, _, ref = await reviewed(market)
    await assign(market.store, ref, Acting(WANG, DEADLINE - timedelta(minutes=1)))
    assert ticket_of(await expire(market.store, ref, now=DEADLINE)).state is TicketState.REFUNDING
    buyer = await market.premium_buyer("b-2")
    await market.paid_order(buyer, "o-2", amounts=(40000,))
    other = await market.asked(buyer, "o-2")
    await assign(market.store, where(other), Acting(WANG, NOW))
    done = await withdraw(market.store, where(other), Acting(Actor(ActorKind.BUYER, buyer), NOW))
    assert ticket_of(done).state is TicketState.WITHDRAWN
    assert refused(await assign(market.store, where(other), Acting(WANG, NOW))) is RefusalCode.TICKET_ALREADY_CLOSED


async def test_of_two_who_take_a_ticket_at_once_one_gets_it(market: Market) -> None:
    _, _, ref = await reviewed(market)
    done = await asyncio.gather(*(assign(market.store, ref, Acting(by, NOW)) for by in (WANG, LI)))
    assert sorted(type(one).__name__ for one in done) == ["Executed", "Refusal"]


@on_both_stores
async def test_a_shop_is_not_told_who_of_the_platform_works_on_it_nor_a_buyer_who_of_the_shop(market: Market) -> None:
    _, ticket, ref = await reviewed(market)
    await assign(market.store, ref, Acting(STAFF, NOW))
    told = await approve(market.store, ref, Acting(WANG, NOW))
    assert isinstance(told, Refusal) and "chen.jie" not in told.message and "platform" in told.message
    view = view_ticket(await snapshot_of(market, ref), ticket.ticket_id)
    for_shop, for_buyer = (without_staff(view, shop=shop).review for shop in (True, False))
    assert for_shop is not None and for_shop.assignment is not None and for_shop.assignment.person == ""
    assert for_buyer is not None and for_buyer.assignment is None
    await assign(market.store, ref, Acting(WANG, NOW), take_over=True)
    own = without_staff(view_ticket(await snapshot_of(market, ref), ticket.ticket_id), shop=True).review
    assert own is not None and own.assignment is not None and own.assignment.person == "wang.fang"


# Reminders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours_left", "hours_to_reminder"), [(48, 24), (24, 22), (25, 1), (2, None), (3, 1), (1, None)]
)
def test_a_deadline_is_announced_a_day_and_two_hours_before_it(hours_left: int, hours_to_reminder: int | None) -> None:
    found = next_reminder(NOW + timedelta(hours=hours_left), NOW)
    assert found == (None if hours_to_reminder is None else NOW + timedelta(hours=hours_to_reminder))


@on_both_stores
async def test_each_reminder_is_announced_once_and_decides_nothing(market: Market) -> None:
    _, ticket, ref = await reviewed(market)
    told = []
    for hours in (23, 24, 24, 30, 46, 46, 47):
        now = NOW + timedelta(hours=hours)
        if await market.store.tickets_to_remind(now, 10):
            done = await remind(market.store, ref, now=now)
            assert isinstance(done, Executed) and done.changes
            told.append(hours)
        else:
            done = await remind(market.store, ref, now=now)
            assert isinstance(done, Executed) and not done.changes
    assert told == [24, 46]
    snapshot = await snapshot_of(market, ref)
    assert [event.why for event in snapshot.timeline].count("review_due") == 2
    assert snapshot.ticket(ticket.ticket_id).version == ticket.version


async def test_two_workers_announce_a_deadline_once(market: Market) -> None:
    _, _, ref = await reviewed(market)
    now = NOW + timedelta(hours=24)
    done = await asyncio.gather(*(remind(market.store, ref, now=now) for _ in range(3)))
    assert sum(isinstance(one, Executed) and bool(one.changes) for one in done) == 1


@on_both_stores
async def test_a_decided_ticket_is_announced_no_more(market: Market) -> None:
    _, _, ref = await reviewed(market)
    gone = ticket_of(await withdraw(market.store, ref, Acting(BUYER, NOW)))
    assert gone.remind_at is None
    assert await market.store.tickets_to_remind(DEADLINE, 10) == []
    done = await remind(market.store, ref, now=DEADLINE)
    assert isinstance(done, Executed) and not done.changes


@on_both_stores
async def test_a_ticket_that_is_approved_at_once_is_announced_never(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    ticket = await market.asked(buyer, "o-1")
    assert (ticket.state, ticket.remind_at) == (TicketState.REFUNDING, None)
