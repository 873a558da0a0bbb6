"""Money captured after its goods were requested or refunded is decided on again, never approved unseen, never lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve, expire, reject
from jitui.aftersales.governance.registry import Pause, Scope
from jitui.aftersales.model.order import Funder, Funding, ShipmentSource, ShipmentStatus, Tender
from jitui.aftersales.model.ticket import ApprovedBy, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import OrderRef, TicketRef
from tests.aftersales.market import NOW, Market, on_both_stores, rejection
from tests.aftersales.test_intake import balances_of
from tests.known_bugs.steps import MERCHANT, claim, heard, snapshot_of, where

DEPOSIT = Tender("t1", "simulator", "pay-1", "CNY", 2000, NOW)
LATER = NOW + timedelta(minutes=5)


async def deposit_refunded(market: Market, worth_minor: int = 10000, **order: Any) -> tuple[OrderRef, Ticket]:
    """An order of which a deposit was captured, refunded at once."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(worth_minor,), tenders=(), **order)
    assert isinstance(await capture(market, ref, DEPOSIT), Executed)
    ticket = await market.asked(buyer, "o-1")
    assert (ticket.approved_by, ticket.amount_minor) == (ApprovedBy.INSTANT_REFUND, 2000)
    return ref, ticket


async def capture(market: Market, ref: OrderRef, tender: Tender) -> object:
    return await capture_payment(market.store, ref, tender, market.decision_settings, now=NOW)


def balance_of(minor: int) -> Tender:
    """The balance as a payment of its own."""
    return replace(DEPOSIT, tender_id="t2", payment_id="pay-2", captured_minor=minor)


async def paid_back(market: Market, ref: OrderRef) -> int:
    """What has gone back or is on its way over all payments; everything that is due is paid first."""
    for claimed in await claim(market):
        await heard(market, claimed)
    return sum(tender.pending_minor + tender.refunded_minor for tender in (await snapshot_of(market, ref)).tenders)


async def tasks(market: Market) -> list[tuple[str, int]]:
    async with market.pool.connection() as connection:
        rows = await connection.execute("SELECT kind, amount_minor FROM task ORDER BY opened_at")
        return [(str(kind), int(str(minor))) for kind, minor in await rows.fetchall()]


@pytest.mark.parametrize("paid_first", [False, True], ids=["still refunding", "refunded already"])
@pytest.mark.parametrize("balance", [balance_of(8000), replace(DEPOSIT, captured_minor=10000)], ids=["another", "same"])
async def test_the_same_approval_carries_the_balance_where_the_policy_still_holds(
    market: Market, balance: Tender, paid_first: bool
) -> None:
    ref, ticket = await deposit_refunded(market)
    if paid_first:
        assert await paid_back(market, ref) == 2000
    assert isinstance(await capture(market, ref, balance), Executed)
    assert isinstance(await capture(market, ref, balance), Executed), "told again, nothing more happens"
    snapshot = await snapshot_of(market, ref)
    (raised,) = snapshot.tickets
    assert (raised.ticket_id, raised.amount_minor, raised.state) == (ticket.ticket_id, 10000, TicketState.REFUNDING)
    assert raised.version > ticket.version
    assert sum(refund.amount_minor for refund in snapshot.refunds) == 10000
    assert await paid_back(market, ref) == 10000
    after = await snapshot_of(market, ref)
    assert after.tickets[0].state is TicketState.REFUNDED
    assert (await balances_of(market, "o-1")).get("escrow", 0) == 0
    assert await tasks(market) == []


async def test_a_refund_that_is_reopened_by_a_balance_counts_once_in_the_buyers_history(market: Market) -> None:
    ref, _ = await deposit_refunded(market)
    await paid_back(market, ref)
    await capture(market, ref, balance_of(8000))
    await paid_back(market, ref)
    async with market.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT sum(events)::int, sum(amount_minor)::int FROM buyer_day WHERE kind = 'refund_before_shipment'"
        )
        assert await rows.fetchone() == (1, 10000)


async def test_a_small_deposit_does_not_carry_a_balance_over_the_policys_limit(market: Market) -> None:
    """29999 is the most that the policy refunds at once; the deposit's approval says nothing of the rest."""
    ref, ticket = await deposit_refunded(market, 500000)
    assert isinstance(await capture(market, ref, balance_of(498000)), Executed)
    snapshot = await snapshot_of(market, ref)
    review = next(other for other in snapshot.tickets if other.ticket_id != ticket.ticket_id)
    assert (review.state, review.amount_minor, review.review_reason) == (
        TicketState.AWAITING_MERCHANT,
        498000,
        "captured_later",
    )
    assert review.expires_at is not None
    assert await paid_back(market, ref) == 2000
    assert await tasks(market) == [("captured_after_refund", 498000)]


@pytest.mark.parametrize(("worth", "instant"), [(29999, True), (30000, False)])
@on_both_stores
async def test_the_policy_reads_the_new_total(market: Market, worth: int, instant: bool) -> None:
    ref, _ = await deposit_refunded(market, worth)
    await capture(market, ref, balance_of(worth - 2000))
    assert (await paid_back(market, ref) == worth) is instant


@pytest.mark.parametrize("approved", [True, False])
async def test_the_balance_in_review_goes_back_when_it_is_approved_and_stays_when_it_is_not(
    market: Market, approved: bool
) -> None:
    ref, ticket = await deposit_refunded(market, 500000)
    await capture(market, ref, balance_of(498000))
    snapshot = await snapshot_of(market, ref)
    review = where(next(other for other in snapshot.tickets if other.ticket_id != ticket.ticket_id))
    if approved:
        done: object = await approve(market.store, review, Acting(MERCHANT, LATER, 1))
    else:
        done = await reject(
            market.store,
            review,
            rejection("made already"),
            Acting(MERCHANT, LATER, 1),
        )
    assert isinstance(done, Executed), done
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE refund SET due_at = %s WHERE state = 'queued'", (NOW,))
    assert await paid_back(market, ref) == (500000 if approved else 2000)
    line = (await snapshot_of(market, ref)).lines[0]
    assert (line.claimed_quantity, line.claimed_minor) == (1, 500000 if approved else 2000)


@on_both_stores
async def test_silence_approves_the_balance_unless_the_goods_have_left(market: Market) -> None:
    ref, ticket = await deposit_refunded(market, 500000)
    await capture(market, ref, balance_of(498000))
    review = next(t for t in (await snapshot_of(market, ref)).tickets if t.ticket_id != ticket.ticket_id)
    assert review.expires_at is not None
    shipped = await market.ship(ref, source=ShipmentSource.CARRIER, status=ShipmentStatus.SHIPPED)
    assert isinstance(shipped, Executed)
    await expire(market.store, TicketRef(ref.lane, review.ticket_id), now=review.expires_at)
    assert await paid_back(market, ref) == 2000


async def test_the_cap_counts_the_balance_and_the_approval_once(market: Market) -> None:
    """60000 in 30 days: 2000 were counted, 28000 more fit; of the next deposit's 28500 more, only 28500 - 600 would."""
    ref, _ = await deposit_refunded(market, 29900)
    await capture(market, ref, balance_of(27900))
    buyer = "b-1"
    second = await market.paid_order(buyer, "o-2", amounts=(29900,), tenders=(2000,))
    await market.asked(buyer, "o-2")
    other = Tender("t2", "simulator", "pay-o-2-2", "CNY", 27900, NOW)
    await capture(market, second, other)
    third = await market.paid_order(buyer, "o-3", amounts=(29900,), tenders=(200,))
    ticket = await market.asked(buyer, "o-3")
    assert ticket.approved_by is ApprovedBy.INSTANT_REFUND, "three approvals, 59800 + 200: exactly the cap"
    await capture(market, third, replace(other, payment_id="pay-o-3-2", captured_minor=1))
    assert await tasks(market) == [("captured_after_refund", 1)], "one more minor unit does not fit"
    assert (await snapshot_of(market, ref)).tickets[0].amount_minor == 29900


async def test_the_roll_up_counts_the_money_and_no_further_approval(market: Market) -> None:
    ref, _ = await deposit_refunded(market)
    await capture(market, ref, balance_of(8000))
    await market.feed.roll_up(NOW)
    async with market.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT approvals::int, amount_minor::int FROM usage_bucket WHERE scope = 'shop' AND bucket_seconds = 60"
        )
        assert await rows.fetchall() == [(1, 10000)]


@on_both_stores
async def test_a_request_in_review_takes_the_balance_in_and_its_version_moves(market: Market) -> None:
    ref = await market.paid_order("stranger", "o-1", amounts=(10000,), freight_minor=1000, tenders=(5500,))
    waiting = await market.asked("stranger", "o-1")
    assert (waiting.state, waiting.amount_minor) == (TicketState.AWAITING_MERCHANT, 5500)
    await capture(market, ref, replace(balance_of(5500), payment_id="pay-o-1-2"))
    raised = (await snapshot_of(market, ref)).tickets[0]
    assert (raised.amount_minor, raised.freight_minor) == (11000, 1000)
    stale = await approve(market.store, where(raised), Acting(MERCHANT, LATER, waiting.version))
    assert isinstance(stale, Refusal)
    done = await approve(market.store, where(raised), Acting(MERCHANT, NOW, raised.version))
    assert isinstance(done, Executed), done
    assert await paid_back(market, ref) == 11000
    assert (await balances_of(market, "o-1")).get("escrow", 0) == 0


async def test_what_a_merchant_approved_is_not_extended_by_the_system(market: Market) -> None:
    ref = await market.paid_order("stranger", "o-1", amounts=(10000,), tenders=(5000,))
    waiting = await market.asked("stranger", "o-1")
    assert isinstance(await approve(market.store, where(waiting), Acting(MERCHANT, NOW, 1)), Executed)
    await capture(market, ref, replace(balance_of(5000), payment_id="pay-o-1-2"))
    assert await paid_back(market, ref) == 5000
    assert await tasks(market) == [("captured_after_refund", 5000)]


@on_both_stores
async def test_a_partial_refund_takes_its_share_of_the_balance_and_no_more(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(9000,), quantities=(3,), tenders=(3000,))
    assert (await market.asked(buyer, "o-1", lines=[("l1", 1)])).amount_minor == 1000
    await capture(market, ref, replace(balance_of(6000), payment_id="pay-o-1-2"))
    snapshot = await snapshot_of(market, ref)
    assert (snapshot.tickets[0].amount_minor, snapshot.lines[0].claimed_minor) == (3000, 3000)
    assert await paid_back(market, ref) == 3000


@on_both_stores
async def test_each_line_of_a_request_takes_its_own_share_of_the_balance(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(6000, 3000), tenders=(3000,))
    assert (await market.asked(buyer, "o-1")).amount_minor == 3000
    await capture(market, ref, replace(balance_of(6000), payment_id="pay-o-1-2"))
    snapshot = await snapshot_of(market, ref)
    assert {row.line_id: row.amount_minor for row in snapshot.ticket_lines} == {"l1": 6000, "l2": 3000}
    assert {line.line_id: line.claimed_minor for line in snapshot.lines} == {"l1": 6000, "l2": 3000}
    assert await paid_back(market, ref) == 9000


@on_both_stores
async def test_a_request_that_was_rejected_takes_nothing_of_the_balance(market: Market) -> None:
    ref = await market.paid_order("stranger", "o-1", amounts=(9000,), quantities=(3,), tenders=(3000,))
    ticket = await market.asked("stranger", "o-1", lines=[("l1", 1)])
    done = await reject(
        market.store,
        where(ticket),
        rejection("made already"),
        Acting(MERCHANT, NOW, 1),
    )
    assert isinstance(done, Executed), done
    waiting = await market.asked("stranger", "o-1", lines=[("l1", 2)], now=NOW + timedelta(minutes=2))
    await capture(market, ref, replace(balance_of(6000), payment_id="pay-o-1-2"))
    snapshot = await snapshot_of(market, ref)
    amounts = {one.ticket_id: one.amount_minor for one in snapshot.tickets}
    assert amounts == {ticket.ticket_id: 1000, waiting.ticket_id: 6000}


@on_both_stores
async def test_freight_that_is_captured_later_stays_while_units_of_the_order_are_not_asked_for(market: Market) -> None:
    ref = await market.paid_order(
        "stranger", "o-1", amounts=(9000,), quantities=(3,), freight_minor=900, tenders=(3300,)
    )
    await market.asked("stranger", "o-1", lines=[("l1", 1)])
    await capture(market, ref, replace(balance_of(6600), payment_id="pay-o-1-2"))
    snapshot = await snapshot_of(market, ref)
    (raised,) = snapshot.tickets
    assert (raised.amount_minor, raised.freight_minor, snapshot.order.freight_claimed_minor) == (3000, 0, 0)


@on_both_stores
async def test_the_funders_share_went_back_once_with_the_units(market: Market) -> None:
    funding = (Funding(Funder.PLATFORM_SUBSIDY, 700),)
    ref, _ = await deposit_refunded(market, funding=funding)
    await capture(market, ref, balance_of(8000))
    assert await paid_back(market, ref) == 10000
    balance = await balances_of(market, "o-1")
    assert (balance.get("escrow", 0), balance.get("subsidy:platform_subsidy", 0)) == (0, 0)


async def test_a_duplicate_charge_after_the_refund_brings_nothing_back_and_is_a_task(market: Market) -> None:
    """More than the goods cost was captured: that is no refund of these goods (T29)."""
    ref, _ = await deposit_refunded(market)
    await capture(market, ref, balance_of(8000))
    await capture(market, ref, replace(balance_of(10000), tender_id="t3", payment_id="pay-3"))
    assert await paid_back(market, ref) == 10000
    assert await tasks(market) == [("captured_after_refund", 10000)]


@on_both_stores
async def test_captures_and_requests_that_race_give_back_what_was_captured(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    for number in range(3):
        ref = await market.paid_order(buyer, f"o-{number}", amounts=(9000,), tenders=(1000,))
        balance = replace(balance_of(8000), payment_id=f"pay-o-{number}-2")
        done = await asyncio.gather(
            market.ask(buyer, f"o-{number}"), *(capture(market, ref, balance) for _ in range(3))
        )
        assert all(isinstance(one, Executed) for one in done)
        snapshot = await snapshot_of(market, ref)
        assert sum(ticket.amount_minor for ticket in snapshot.tickets) == 9000
        assert sum(refund.amount_minor for refund in snapshot.refunds) == 9000


async def test_the_second_decision_is_stored_with_its_facts(market: Market) -> None:
    ref, ticket = await deposit_refunded(market)
    await capture(market, ref, balance_of(8000))
    async with market.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT ticket_id, outcome, facts ->> 'order.paid_minor', facts ->> 'request.amount_minor' "
            "FROM later_decision"
        )
        assert await rows.fetchall() == [(ticket.ticket_id, "instant", "10000", "10000")]


async def test_a_review_of_the_balance_is_decided_on_its_own_tickets_beside_an_extended_one(market: Market) -> None:
    """Half was refunded at once and half by the merchant: the review's decision is about the merchant's half."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(8000, 6000), tenders=(7000,))
    instant = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    await market.registry.set_pause(Pause(Scope.SHOP, "shop-1", "audit", "li.na", NOW))
    waiting = await market.asked(buyer, "o-1", lines=[("l2", 1)], now=LATER)
    await market.registry.lift_pause(Scope.SHOP, "shop-1", by="li.na", now=LATER)
    assert isinstance(await approve(market.store, where(waiting), Acting(MERCHANT, NOW, 1)), Executed)
    await capture(market, ref, replace(balance_of(7000), payment_id="pay-o-1-2"))
    tickets = (await snapshot_of(market, ref)).tickets
    (review,) = [ticket for ticket in tickets if ticket.ticket_id not in (instant.ticket_id, waiting.ticket_id)]
    async with market.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT ticket_id, facts ->> 'request.amount_minor' FROM decision WHERE ticket_id = %(review)s "
            "UNION ALL SELECT ticket_id, facts ->> 'request.amount_minor' FROM later_decision",
            {"review": review.ticket_id},
        )
        assert set(await rows.fetchall()) == {(instant.ticket_id, "8000"), (review.ticket_id, "6000")}
    assert review.amount_minor == 3000
