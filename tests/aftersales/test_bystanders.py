"""What is done to one order, refund or database leaves those beside it as they are, and is not led by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from jitui.adapters.postgres.payout_hold import PostgresPayoutHold
from jitui.adapters.postgres.queue import SeenLog
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.ship import complete_order
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.order import Funder, Funding, Hold, OrderLine, Tender
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, NewOrder, OrderRef, OrderTaken
from jitui.ids import LANES, lane_of
from tests.aftersales.market import NOW, Market

A_SECOND = timedelta(seconds=1)
A_MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=60)
COUPON = Funder.MERCHANT_COUPON


def buyers_of_lane(lane: int, count: int) -> list[str]:
    names = (f"n-{number}" for number in range(100_000))
    return [name for name in names if lane_of(name) == lane][:count]


async def stored(market: Market, refs: Sequence[OrderRef]) -> list[tuple[OrderSnapshot | None, dict[object, int]]]:
    """Orders with their accounts."""
    return [
        (await market.store.read_order(ref), dict(balances(await market.queries.ledger(ref)).items())) for ref in refs
    ]


async def execute(market: Market, sql: str, *values: object) -> None:
    async with market.pool.connection() as connection:
        await connection.execute(sql, values)


# An order that is put ----------------------------------------------------------------------------------------------


async def test_an_order_is_recorded_beside_others_of_its_buyer_that_are_fixed(market: Market) -> None:
    """A ticket, a shipment, a payment and a booking of another order fix nothing here, and stay as they are."""
    buyer = await market.premium_buyer("b-1")
    subsidy = (Funding(Funder.PLATFORM_SUBSIDY, 300), Funding(COUPON, 40))
    asked = await market.paid_order(buyer, "o-asked", amounts=(700,), funding=subsidy)
    await market.asked(buyer, "o-asked")
    shipped = await market.paid_order(buyer, "o-shipped", amounts=(900,), funding=subsidy)
    assert isinstance(await market.ship(shipped), Executed)
    completed = await market.paid_order(buyer, "o-completed")
    assert isinstance(await complete_order(market.store, completed, now=NOW, completed_at=NOW), Executed)
    before = await stored(market, [asked, shipped, completed])

    first = NewOrder("o-1", buyer, "shop-1", "CNY", NOW - A_MINUTE, (OrderLine("l1", "sku", "item", 1, 500),))
    elsewhere = replace(first, shop_id="shop-2", currency="USD", funding=(Funding(COUPON, 70),))
    free = replace(elsewhere, lines=(OrderLine("l1", "sku", "item", 1, 0),))
    for new, changed in (
        (first, True),
        (elsewhere, True),
        (replace(elsewhere, hold=Hold.PRESALE), False),
        (free, True),
    ):
        taken = await put_order(market.store, new, now=NOW)
        assert isinstance(taken, OrderTaken) and taken.changed is changed, taken
    ref = OrderRef(lane_of(buyer), "o-1")
    ((snapshot, accounts),) = await stored(market, [ref])
    assert snapshot is not None and [line.paid_minor for line in snapshot.lines] == [0]
    assert (snapshot.order.free_of_charge, snapshot.order.paid_at) == (True, free.placed_at)
    assert accounts == {("subsidy:merchant_coupon", "USD"): 70, ("escrow", "USD"): -70}
    assert await stored(market, [asked, shipped, completed]) == before


async def test_the_owner_of_an_order_is_not_taken_for_the_erased_buyer_beside_him(market: Market) -> None:
    lane = lane_of("b-1")
    erased, *neighbours = buyers_of_lane(lane, 3)
    await market.premium_buyer(erased)
    await execute(market, "UPDATE buyer SET erased = true WHERE lane = %s AND buyer_id = %s", lane, erased)
    for buyer in neighbours:
        await market.premium_buyer(buyer)
    await market.paid_order(neighbours[0], "o-1")
    line = OrderLine("l1", "sku", "item", 1, 500)
    refused = await put_order(market.store, NewOrder("o-1", neighbours[1], "shop-1", "CNY", NOW, (line,)), now=NOW)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_BELONGS_TO_ANOTHER
    own = NewOrder("o-2", neighbours[1], "shop-1", "CNY", NOW, (line,))
    assert isinstance(await put_order(market.store, own, now=NOW), OrderTaken)


async def test_lines_are_compared_in_their_order_after_one_of_them_was_claimed(market: Market) -> None:
    """The claim moved the row behind those of the other lines, and its name sorts behind them too."""
    buyer = await market.premium_buyer("b-1")
    lines = tuple(OrderLine(name, f"sku-{name}", f"item-{name}", 1, 500, "apparel") for name in ("z", "m", "a"))
    new = NewOrder("o-1", buyer, "shop-1", "CNY", NOW, lines)
    taken = await put_order(market.store, new, now=NOW)
    assert isinstance(taken, OrderTaken)
    tender = Tender("t1", "simulator", "pay-1", "CNY", 1500, NOW)
    paid = await capture_payment(market.store, taken.ref, tender, market.decision_settings, now=NOW)
    assert isinstance(paid, Executed)
    await market.asked(buyer, "o-1", lines=[("z", 1)])
    again = await put_order(market.store, new, now=NOW)
    assert isinstance(again, OrderTaken) and not again.changed, again


# Refunds that are claimed ------------------------------------------------------------------------------------------


async def owed(market: Market, buyer: str, order_id: str, provider: str = "simulator", now: datetime = NOW) -> OrderRef:
    """A refund in the queue, by way of a provider."""
    ref = await market.paid_order(buyer, order_id, tenders=())
    tender = Tender("t1", provider, f"pay-{order_id}", "CNY", 12900, now)
    assert isinstance(await capture_payment(market.store, ref, tender, market.decision_settings, now=now), Executed)
    await market.asked(buyer, order_id, now=now)
    return ref


async def claim(market: Market, now: datetime, limit: int = 10, provider: str | None = None) -> list[ClaimedRefund]:
    return list(await market.store.claim_refunds(now=now, lease_until=now + LEASE, limit=limit, provider=provider))


async def test_a_claim_for_one_provider_passes_over_the_lanes_and_refunds_of_another(market: Market) -> None:
    mine = await market.premium_buyer("b-1")
    (before,) = buyers_of_lane((lane_of(mine) - 1) % LANES, 1)
    await owed(market, await market.premium_buyer(before), "o-0")
    await owed(market, mine, "o-1")
    await owed(market, mine, "o-2", "stripe")
    await owed(market, before, "o-later", "stripe", now=NOW + A_SECOND)
    claimed = await claim(market, NOW, limit=1, provider="stripe")
    assert [one.refund.order_id for one in claimed] == ["o-2"]
    assert await claim(market, NOW, provider="stripe") == []
    assert {one.refund.order_id for one in await claim(market, NOW)} == {"o-0", "o-1"}


async def test_of_two_refunds_the_one_that_is_due_longer_is_claimed_first_and_no_earlier_than_due(
    market: Market,
) -> None:
    buyer = await market.premium_buyer("b-1")
    late = NOW + 5 * A_SECOND
    await owed(market, buyer, "o-late", now=late)
    await owed(market, buyer, "o-early")
    assert [one.refund.order_id for one in await claim(market, NOW)] == ["o-early"]
    assert await claim(market, late - timedelta(microseconds=1)) == []
    moment = NOW + LEASE
    assert [one.refund.order_id for one in await claim(market, moment, limit=1)] == ["o-late"]
    assert [one.refund.order_id for one in await claim(market, moment, limit=1)] == ["o-early"]


async def test_only_the_open_task_about_an_unexplained_refund_of_this_order_holds_its_refund(
    market: Market, tmp_path: Path
) -> None:
    buyer = await market.premium_buyer("b-1")
    for order_id in ("o-held", "o-other-kind", "o-resolved"):
        await owed(market, buyer, order_id)
    put = (
        "INSERT INTO task (task_id, kind, provider, state, order_id, evidence, opened_at,"
        " resolved_at, resolved_by, note) VALUES (gen_random_uuid(), %s, 'simulator', %s, %s, '{}', %s, %s, %s, %s)"
    )
    await execute(market, put, "refund_not_in_books", "open", "o-held", NOW, None, None, None)
    await execute(market, put, "refund_failed", "open", "o-other-kind", NOW, None, None, None)
    await execute(market, put, "refund_not_in_books", "resolved", "o-resolved", NOW, NOW, "li.na", "explained")
    claimed = await claim(market, NOW)
    assert {one.refund.order_id for one in claimed} == {"o-other-kind", "o-resolved"}
    assert (await PostgresPayoutHold(market.pool, tmp_path / "marks.json").status()).unexplained == 1


# Which database pays -----------------------------------------------------------------------------------------------


async def test_a_hold_an_acceptance_and_a_mark_are_of_this_database_alone(market: Market, tmp_path: Path) -> None:
    """The row of the system from which a dump came stays as it is, and says nothing about this one."""
    payouts = PostgresPayoutHold(market.pool, tmp_path / "marks.json")
    insert = (
        "INSERT INTO accepted_database (system_id, timeline_id, acceptance_id, accepted_at, accepted_by)"
        " VALUES (current_system_id() + 1, 7, %s, %s, 'the other')"
    )
    other = uuid4()
    await execute(market, insert, other, NOW)

    async def others() -> list[object]:
        async with market.pool.connection() as connection:
            found = await connection.execute(
                "SELECT to_jsonb(d), (SELECT count(*) FROM worker_mark w WHERE w.acceptance_id = d.acceptance_id)"
                " FROM accepted_database d WHERE d.acceptance_id = %s",
                (other,),
            )
            return list(await found.fetchall())

    before = await others()
    await payouts.mark(NOW)
    await payouts.accept_promotion(NOW)
    await payouts.hold(reason="a copy of the disk", by="li.na", now=NOW)
    held = await payouts.status()
    assert (held.allowed, held.held_reason) == (False, "a copy of the disk")
    await payouts.mark(NOW + A_MINUTE)
    assert (await payouts.status()).last_seen_at == NOW, "nothing is marked while payouts are held"
    await payouts.accept(note="looked at", by="li.na", now=NOW)
    assert (await payouts.status()).allowed
    assert await others() == before


async def test_orders_are_found_by_payment_and_provider_and_attempts_are_the_newest_open_ones(
    market: Market, tmp_path: Path
) -> None:
    payouts = PostgresPayoutHold(market.pool, tmp_path / "marks.json")
    buyer = await market.premium_buyer("b-1")
    await owed(market, buyer, "o-1")
    await owed(market, buyer, "o-2", "stripe")
    queued = await owed(market, buyer, "o-3", now=NOW + A_SECOND)
    assert [ref.order_id for ref in await payouts.orders_paid_by("simulator", ["pay-o-1", "pay-o-2"])] == ["o-1"]
    assert await payouts.open_attempts() == [], "what is queued has no attempt to ask about"
    claimed = await claim(market, NOW)
    assert {one.refund.order_id for one in claimed} == {"o-1", "o-2"}
    first, second = claimed
    done = (
        "UPDATE refund SET state = 'succeeded', due_at = NULL, leased_until = NULL, closed_at = %s WHERE refund_id = %s"
    )
    await execute(market, done, NOW, first.refund.refund_id)
    add = (
        "INSERT INTO refund_attempt (lane, attempt_id, refund_id, order_id, attempt_no, state, started_at)"
        " SELECT lane, gen_random_uuid(), refund_id, order_id, 0, 'declined', started_at FROM refund_attempt"
        " WHERE attempt_id = %s"
    )
    await execute(market, add, second.attempt.attempt_id)
    assert [ref.attempt_id for ref in await payouts.open_attempts()] == [second.attempt.attempt_id]
    status = await payouts.status()
    assert (status.open_refunds, status.unexplained) == (2, 0)
    assert queued.lane == lane_of(buyer)


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE accepted_database SET synchronous = false",
        "UPDATE accepted_database SET timeline_id = current_timeline_id() - 2",
        "UPDATE accepted_database SET held_since = now(), held_by = 'li.na', held_reason = 'a copy'",
        "UPDATE accepted_database SET system_id = system_id + 1",
        "UPDATE worker_mark SET marks = marks - 1",
        "UPDATE worker_mark SET home_id = gen_random_uuid()",
        "an unknown claim",
        "",
    ],
)
async def test_a_promotion_is_accepted_only_where_every_condition_holds(
    market: Market, tmp_path: Path, wrong: str
) -> None:
    seen = SeenLog(last_claim=AttemptRef(7, uuid4())) if wrong == "an unknown claim" else SeenLog()
    payouts = PostgresPayoutHold(market.pool, tmp_path / "marks.json", seen)
    await payouts.mark(NOW)
    await execute(
        market, "UPDATE accepted_database SET timeline_id = current_timeline_id() - 1, synchronous = true, note = ''"
    )
    if wrong.startswith("UPDATE"):
        await execute(market, wrong)
    assert await payouts.accept_promotion(NOW) is (wrong == "")


async def test_a_promotion_is_accepted_for_the_attempt_that_was_claimed_last_and_for_none_of_its_lane(
    market: Market, tmp_path: Path
) -> None:
    buyer = await market.premium_buyer("b-1")
    await owed(market, buyer, "o-1")
    (claimed,) = await claim(market, NOW)
    for attempt_id, accepted in ((uuid4(), False), (claimed.attempt.attempt_id, True)):
        seen = SeenLog(last_claim=AttemptRef(lane_of(buyer), attempt_id))
        payouts = PostgresPayoutHold(market.pool, tmp_path / "marks.json", seen)
        await payouts.mark(NOW)
        await execute(
            market, "UPDATE accepted_database SET timeline_id = current_timeline_id() - 1, synchronous = true"
        )
        assert await payouts.accept_promotion(NOW) is accepted


# History -----------------------------------------------------------------------------------------------------------


async def test_an_event_without_a_currency_is_summed_in_that_of_its_own_order(market: Market) -> None:
    """The buyer has others in two other currencies."""
    (buyer,) = buyers_of_lane(lane_of("b-1"), 1)
    for order_id, currency in (("o-1", "USD"), ("o-2", "EUR"), ("o-3", "JPY")):
        new = NewOrder(order_id, buyer, "shop-1", currency, NOW, (OrderLine("l1", "sku", "item", 1, 500),))
        assert isinstance(await put_order(market.store, new, now=NOW), OrderTaken)
    event = RecordBuyerEvent(buyer, "e-1", "dispute_lost", NOW, NOW, order_id="o-2", amount_minor=10)
    assert await market.registry.record_buyer_events([event]) == 1
    async with market.pool.connection() as connection:
        found = await connection.execute(
            "SELECT currency, events, amount_minor::int FROM buyer_day WHERE kind = 'dispute_lost'"
        )
        assert await found.fetchall() == [("EUR", 1, 10)]
