"""The store in memory refuses what the database's constraints refuse, and then writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from jitui.aftersales import changes as c
from jitui.aftersales.constraints import broken_constraint
from jitui.aftersales.model.order import Dispute, DisputeState, Funder, Funding, ShipmentSource, ShipmentStatus, Tender
from jitui.aftersales.model.refund import AttemptState, RefundState, Settlement, SettlementProposal
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.aftersales.outcomes import IdempotencyKey
from jitui.aftersales.ports import OrderRef
from jitui.errors import InvariantBroken, Overtaken
from tests.aftersales.market import NOW, Market, on_both_stores
from tests.known_bugs.steps import claim, snapshot_of

MANY = 10**9


def tender(**changed: Any) -> c.CaptureTender:
    return c.CaptureTender(replace(Tender("t9", "simulator", "pay-9", "CNY", 1, NOW), **changed))


def post(**changed: Any) -> c.LedgerEntry:
    return replace(c.LedgerEntry("captured:t9", "escrow", "manual_payout", 1, "CNY", NOW), **changed)


def disputed(**changed: Any) -> c.PutDispute:
    told = Dispute("d9", "t1", "simulator", DisputeState.OPEN, 5, "CNY", NOW)
    return c.PutDispute(replace(told, **changed))


def queued(snapshot: OrderSnapshot, **changed: Any) -> c.QueueRefund:
    fresh = {"refund_id": uuid4(), "state": RefundState.QUEUED, "attempt_no": 0}
    return c.QueueRefund(replace(snapshot.refunds[0], **{**fresh, **changed}))


def by_hand(snapshot: OrderSnapshot, **changed: Any) -> c.SettleRefund:
    settlement = Settlement("BANK-1", "", "li.na", NOW, attempts=snapshot.refunds[0].attempt_no)
    return c.SettleRefund(snapshot.refunds[0].refund_id, replace(settlement, **changed))


def decided(snapshot: OrderSnapshot) -> c.RecordDecision:
    return c.RecordDecision(snapshot.tickets[0].ticket_id, "p", "1", "", "instant", NOW, {}, {})


def another_ticket(snapshot: OrderSnapshot) -> c.OpenTicket:
    other = uuid4()
    ticket = replace(snapshot.tickets[0], ticket_id=other)
    return c.OpenTicket(ticket, (replace(snapshot.ticket_lines[0], ticket_id=other, open=True),))


def second_shipment(snapshot: OrderSnapshot) -> c.PutShipment:
    return c.PutShipment(replace(snapshot.shipments[0], shipment_id=uuid4(), tracking_no="sf1"), "sf1")


BAD: dict[str, Callable[[OrderSnapshot], tuple[c.Change, ...]]] = {
    "more units under tickets than were bought": lambda _: (c.ClaimUnits("l2", 99, 0),),
    "a unit refunded and shipped": lambda _: (c.UnitsLeft("l1", shipped=1),),
    "fewer than none under a ticket": lambda _: (c.ClaimUnits("l2", -1, 0),),
    "more money of a line than was paid": lambda _: (c.ClaimUnits("l2", 0, MANY),),
    "more freight than there was": lambda _: (c.ClaimFreight(MANY),),
    "freight set free that was not taken": lambda _: (c.ClaimFreight(-1),),
    "more held than was captured": lambda _: (c.HoldTender("t1", MANY),),
    "less than nothing refunded": lambda _: (c.HoldTender("t1", 0, -1),),
    "a funder gets more than its share": lambda _: (c.ReturnFunding(Funder.PLATFORM_SUBSIDY, MANY),),
    "one payment as two tenders": lambda snapshot: (tender(payment_id=snapshot.tenders[0].payment_id),),
    "two tenders of one id": lambda _: (tender(tender_id="t1"),),
    "a payment of nothing": lambda _: (tender(captured_minor=0),),
    "a second open ticket on a line": lambda snapshot: (another_ticket(snapshot),),
    "a ticket twice": lambda snapshot: (c.OpenTicket(snapshot.tickets[0], ()),),
    "a moment of the timeline twice": lambda snapshot: (c.AddTimeline((snapshot.timeline[0],)),),
    "a refund of nothing": lambda snapshot: (queued(snapshot, amount_minor=0),),
    "a refund of an unknown payment": lambda snapshot: (queued(snapshot, tender_id="t9"),),
    "settled by hand while a worker began to send it": lambda snapshot: (by_hand(snapshot, attempts=0),),
    "settled by hand before it was sent, and due all the same": lambda snapshot: (
        (new := queued(snapshot)),
        c.SettleRefund(new.refund.refund_id, Settlement("BANK-1", "", "li.na", NOW)),
        c.MoveRefund(new.refund.refund_id, RefundState.SUCCEEDED, NOW, "", None, 0),
    ),
    "confirmed by the person who proposed it": lambda snapshot: (by_hand(snapshot, confirmed_by="li.na"),),
    "confirmed by the same person in other letters": lambda snapshot: (by_hand(snapshot, confirmed_by=" Ｌi.NA"),),
    "proposed after it was settled": lambda snapshot: (
        by_hand(snapshot),
        c.ProposeSettlement(snapshot.refunds[0].refund_id, SettlementProposal("BANK-1", "", "li.na", NOW)),
    ),
    "a posting of nothing": lambda _: (post(amount_minor=0),),
    "a posting from an account to itself": lambda _: (post(credit="escrow"),),
    "a ticket decided twice": lambda snapshot: (decided(snapshot),),
    "decided again twice at one moment": lambda snapshot: (
        c.RecordLaterDecision(decided(snapshot)),
        c.RecordLaterDecision(decided(snapshot)),
    ),
    "two shipments of one waybill": lambda snapshot: (second_shipment(snapshot),),
    "a dispute of an unknown payment": lambda _: (disputed(tender_id="t9"),),
    "more lost than is disputed": lambda _: (disputed(state=DisputeState.LOST, closed_at=NOW, lost_minor=6),),
    "lost while it is open": lambda _: (disputed(lost_minor=1),),
    "closed while it is open": lambda _: (disputed(closed_at=NOW),),
    "parts beyond a payment's total": lambda _: (c.SharePayment("simulator", "pay-9", 5, 6),),
    "a total that no share names": lambda _: (c.StatePaymentTotal("t1", 5),),
    "a payment claimed twice": lambda _: (c.ClaimPayment("simulator", "p"), c.ClaimPayment("simulator", "p")),
    "a payment that is another's": lambda snapshot: (c.ClaimPayment("simulator", snapshot.tenders[0].payment_id),),
}


async def under_way(market: Market) -> OrderRef:
    """An order with a refund that was sent, a printed label, funding and freight that stays."""
    buyer = await market.premium_buyer("b-1")
    funding = (Funding(Funder.PLATFORM_SUBSIDY, 100),)
    ref = await market.paid_order(buyer, "o-1", amounts=(500, 700), freight_minor=9, funding=funding)
    await market.asked(buyer, "o-1", lines=[("l1", 1)])
    await claim(market)
    await market.ship(
        ref, status=ShipmentStatus.LABEL_PRINTED, source=ShipmentSource.CARRIER, tracking_no="SF1", lines=[("l2", 1)]
    )
    return ref


async def commit(market: Market, ref: OrderRef, *changes: c.Change) -> None:
    async with market.store.transaction() as transaction:
        opened = await transaction.open(ref)
        assert opened.snapshot is not None
        await transaction.commit(opened.snapshot, changes)


@on_both_stores
async def test_a_plan_that_breaks_a_constraint_is_refused_whole(market: Market) -> None:
    ref = await under_way(market)
    before, postings = await snapshot_of(market, ref), await market.queries.ledger(ref)
    innocent = (c.CompleteOrder(NOW), post(posting="paid_back:x"))
    for name, made in BAD.items():
        with pytest.raises((InvariantBroken, Overtaken)):
            await commit(market, ref, *innocent, *made(before))
            pytest.fail(name)
        assert await snapshot_of(market, ref) == before, name
        assert await market.queries.ledger(ref) == postings, name


async def test_a_payment_that_was_taken_meanwhile_is_overtaken_and_not_broken(market: Market) -> None:
    ref = await under_way(market)
    with pytest.raises(Overtaken):
        await commit(market, ref, *BAD["a payment that is another's"](await snapshot_of(market, ref)))


@on_both_stores
async def test_the_same_again_is_one_posting_and_one_task(market: Market) -> None:
    ref = await under_way(market)
    task = NewTask("one", TaskKind.PAID_TWICE, "simulator", {}, NOW)
    twice = (post(), post(amount_minor=2), c.OpenTask(task.task_id, task), c.OpenTask(task.task_id, task))
    before = len(await market.queries.ledger(ref))
    await commit(market, ref, *twice)
    await commit(market, ref, *twice)
    assert len(await market.queries.ledger(ref)) == before + 1


async def test_a_refund_has_one_attempt_that_may_still_pay(market: Market) -> None:
    """The database's own index is tried in `test_pay`; this is the rule of the store in memory."""
    snapshot = await snapshot_of(market, await under_way(market))
    (attempt,) = snapshot.attempts
    second = replace(attempt, attempt_id=uuid4(), attempt_no=2)
    assert broken_constraint(snapshot) is None
    assert broken_constraint(replace(snapshot, attempts=(attempt, second))) == "one_live_attempt_per_refund"
    closed = replace(attempt, state=AttemptState.DECLINED)
    assert broken_constraint(replace(snapshot, attempts=(closed, second))) is None
    again = replace(snapshot, attempts=(closed, replace(second, attempt_no=1)))
    assert broken_constraint(again) == "one_attempt_per_number"
    orphan = replace(snapshot, attempts=(replace(attempt, refund_id=uuid4()),))
    assert broken_constraint(orphan) == "refund_attempt_refund_fkey"


async def test_a_funder_gives_more_than_nothing(market: Market) -> None:
    """The database's CHECK is its table's; this is the rule of the store in memory."""
    snapshot = await snapshot_of(market, await under_way(market))
    nothing = replace(snapshot, funding=(Funding(Funder.MERCHANT_COUPON, 0),))
    least = replace(snapshot, funding=(Funding(Funder.MERCHANT_COUPON, 1),))
    assert [broken_constraint(nothing), broken_constraint(least)] == ["funding_amount_minor_check", None]


@on_both_stores
async def test_a_key_in_flight_is_told_at_once_and_free_again_afterwards(market: Market) -> None:
    ref = await under_way(market)
    idempotency_key = IdempotencyKey("key", "route", "k-1", b"body")
    async with market.store.transaction() as first:
        assert (await first.open(ref, idempotency_key=idempotency_key)).snapshot is not None
        async with market.store.transaction() as second:
            assert (await second.open(ref, idempotency_key=idempotency_key)).in_flight
    async with market.store.transaction() as third:
        assert (await third.open(ref, idempotency_key=idempotency_key)).snapshot is not None


@on_both_stores
async def test_a_transaction_without_commit_leaves_nothing(market: Market) -> None:
    ref = await under_way(market)
    before = await snapshot_of(market, ref)
    with pytest.raises(ZeroDivisionError):
        async with market.store.transaction() as transaction:
            await transaction.open(ref)
            _ = 1 / 0
    assert await snapshot_of(market, ref) == before
    await commit(market, ref, c.CompleteOrder(NOW + timedelta(days=1)))
    assert (await snapshot_of(market, ref)).order.completed_at is not None
