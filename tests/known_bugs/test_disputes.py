"""Card disputes, and reports whose order is not known yet.

- T34 gumroad PR 4372, hyperswitch PR 10533, woocommerce-payments #6196: a refund went out while the card's dispute was
  open and the buyer had the money twice; a lost dispute made the rest of the payment unrefundable, or nothing of it.
- T40 polar PR 9630: the report of a payment came before its order was stored, was answered with an error, and was lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from jitui.adapters.postgres.parked_disputes import PostgresParkedDisputes
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.commands.dispute import link_parked, record_dispute, take_dispute
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve, expire
from jitui.aftersales.commands.settle_refund import retry
from jitui.aftersales.model.order import Dispute, DisputeState, Tender
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind
from jitui.aftersales.model.ticket import Actor, ActorKind, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderRef, RefundRef
from jitui.aftersales.provider import RefundResult, RefundResultKind, ToldDispute
from jitui.errors import Unavailable
from tests.aftersales.market import NOW, RULES, Market, ticket_of
from tests.http.api import Api, money
from tests.known_bugs.steps import MERCHANT, claim, heard, later, postings, refused, snapshot_of, where

OPEN = Dispute("dp-1", "t1", "", DisputeState.OPEN, 4000, "CNY", NOW)
LOST = replace(OPEN, state=DisputeState.LOST, closed_at=NOW)
WON = replace(LOST, state=DisputeState.WON)
TOLD = ToldDispute("simulator", "dp-1", ("pay-o-1-1",), DisputeState.OPEN, 4000, "CNY", NOW)


async def tell(market: Market, ref: OrderRef, *disputes: Dispute) -> None:
    for dispute in disputes:
        done = await record_dispute(market.store, ref, dispute, now=NOW)
        assert isinstance(done, Executed), done


async def tasks(market: Market) -> list[OperatorTask]:
    return list(await PostgresTasks(market.pool).list(TaskFilter()))


async def premium_order(market: Market, **more: Any) -> OrderRef:
    buyer = await market.premium_buyer("b-1")
    return await market.paid_order(buyer, "o-1", **{"amounts": (6000, 4000), **more})


async def test_t34_an_open_dispute_blocks_an_instant_refund_and_a_won_one_frees_it(market: Market) -> None:
    ref = await premium_order(market)
    await tell(market, ref, OPEN)
    held = await market.asked("b-1", "o-1", lines=[("l1", 1)])
    assert (held.state, held.review_reason) == (TicketState.AWAITING_MERCHANT, "dispute_open")
    await tell(market, ref, WON)
    freed = await market.asked("b-1", "o-1", lines=[("l2", 1)], now=await later(market))
    assert (freed.state, freed.amount_minor) == (TicketState.REFUNDING, 4000)


async def test_t34_silence_does_not_pay_while_the_bank_decides_about_the_same_money(market: Market) -> None:
    ref = await premium_order(market)
    await tell(market, ref, OPEN)
    held = await market.asked("b-1", "o-1")
    assert held.expires_at is not None
    done = ticket_of(await expire(market.store, where(held), now=held.expires_at))
    snapshot = await snapshot_of(market, ref)
    assert (done.state, snapshot.refunds) == (TicketState.CLOSED, ())
    assert [event.why for event in snapshot.timeline][-1] == "dispute_open"
    assert [line.claimed_quantity for line in snapshot.lines] == [0, 0], "the buyer can ask again"


async def test_t34_an_approval_by_hand_gives_nothing_that_the_bank_is_asked_for_as_well(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(36000, 4000), tenders=(30000, 10000))
    await tell(market, ref, replace(OPEN, amount_minor=4001))
    part = await market.asked("b-1", "o-1", lines=[("l1", 1)])
    for by in (MERCHANT, Actor(ActorKind.PLATFORM, "p")):
        done = await approve(market.store, where(part), Acting(by, NOW))
        assert refused(done) is RefusalCode.DISPUTE_OPEN
    assert (await snapshot_of(market, ref)).refunds == ()
    await tell(market, ref, replace(OPEN, amount_minor=4000))
    assert isinstance(await approve(market.store, where(part), Acting(MERCHANT, NOW)), Executed)
    snapshot = await snapshot_of(market, ref)
    assert {refund.tender_id: refund.amount_minor for refund in snapshot.refunds} == {"t1": 26000, "t2": 10000}
    await tell(market, ref, LOST)
    assert await tasks(market) == [], "the bank took what was left for it"
    assert [tender.remaining_minor for tender in (await snapshot_of(market, ref)).tenders] == [0, 0]


async def test_t34_a_dispute_of_more_than_its_payment_has_left_holds_back_none_of_the_others(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(2000, 38000), tenders=(4000, 36000))
    first = await market.asked("b-1", "o-1", lines=[("l1", 1)])
    assert isinstance(await approve(market.store, where(first), Acting(MERCHANT, NOW)), Executed)
    await tell(market, ref, OPEN)
    held = await market.asked("b-1", "o-1", lines=[("l2", 1)], now=await later(market))
    assert refused(await approve(market.store, where(held), Acting(MERCHANT, NOW))) is (RefusalCode.DISPUTE_OPEN)
    free_minor = sum(tender.remaining_minor for tender in (await snapshot_of(market, ref)).undisputed_tenders)
    assert free_minor == 36000 - 1800


async def test_t34_a_won_dispute_frees_what_waits_for_an_approval(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(40000,))
    held = await market.asked("b-1", "o-1")
    await tell(market, ref, OPEN, replace(OPEN, dispute_id="dp-2"), WON)
    done = await approve(market.store, where(held), Acting(MERCHANT, NOW))
    assert refused(done) is RefusalCode.DISPUTE_OPEN, "of two disputes one is open"
    await tell(market, ref, replace(WON, dispute_id="dp-2"))
    assert ticket_of(await approve(market.store, where(held), Acting(MERCHANT, NOW))).state is (TicketState.REFUNDING)


async def test_t34_a_failed_refund_is_not_sent_again_while_the_bank_decides_about_its_money(market: Market) -> None:
    ref = await premium_order(market)
    await market.asked("b-1", "o-1", lines=[("l1", 1)])
    (claimed,) = await claim(market)
    await heard(market, claimed, RefundResult(RefundResultKind.DECLINED, "charge_disputed"))
    refund = RefundRef(ref.lane, claimed.refund.refund_id)
    await tell(market, ref, replace(OPEN, amount_minor=4001))
    done = await retry(market.store, refund, RULES, by=MERCHANT, now=NOW)
    assert refused(done) is RefusalCode.DISPUTE_OPEN
    await tell(market, ref, replace(OPEN, amount_minor=4000))
    assert isinstance(await retry(market.store, refund, RULES, by=MERCHANT, now=NOW), Executed), (
        "that leaves this refund alone"
    )


async def test_t34_a_lost_dispute_lowers_what_is_refundable_by_its_own_amount_and_only_that(market: Market) -> None:
    ref = await premium_order(market)
    await tell(market, ref, OPEN, LOST, LOST, OPEN)
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert (tender.lost_minor, tender.remaining_minor) == (4000, 6000)
    first = await market.asked("b-1", "o-1", lines=[("l1", 1)])
    assert (first.state, first.amount_minor) == (TicketState.REFUNDING, 6000)
    assert refused(await market.ask("b-1", "o-1", now=await later(market))) is RefusalCode.NOTHING_TO_REFUND
    assert await postings(market, "o-1") == ["captured", "charged_back", "granted"]
    assert await tasks(market) == []


async def test_t34_it_is_the_disputed_payments_money_that_is_gone(market: Market) -> None:
    ref = await premium_order(market, tenders=(4000, 6000))
    await tell(market, ref, LOST)
    ticket = await market.asked("b-1", "o-1")
    parts = {refund.tender_id: refund.amount_minor for refund in (await snapshot_of(market, ref)).refunds}
    assert (ticket.amount_minor, parts) == (6000, {"t2": 6000})


async def test_t34_what_was_refunded_already_went_back_twice_and_a_person_is_told(market: Market) -> None:
    ref = await premium_order(market)
    await market.asked("b-1", "o-1", lines=[("l1", 1)])
    (claimed,) = await claim(market)
    await heard(market, claimed)
    await tell(market, ref, replace(LOST, amount_minor=10000), replace(LOST, amount_minor=10000))
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert (tender.refunded_minor, tender.lost_minor, tender.remaining_minor) == (6000, 4000, 0)
    assert [(task.kind, task.amount_minor) for task in await tasks(market)] == [(TaskKind.DISPUTE_OVERLAPS, 6000)]
    assert await postings(market, "o-1") == ["captured", "charged_back", "charged_back_too", "granted", "paid"]


async def test_t34_an_approval_that_waited_gives_no_more_than_the_bank_left(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(40000,))
    held = await market.asked("b-1", "o-1")
    await tell(market, ref, LOST)
    done = await approve(market.store, where(held), Acting(MERCHANT, NOW))
    assert refused(done) is RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE


async def test_t34_the_tables_hold_refunds_and_lost_disputes_within_what_was_captured(market: Market) -> None:
    ref = await premium_order(market)
    await tell(market, ref, LOST)
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="refund_within_captured"):
            await connection.execute("UPDATE tender SET pending_minor = 6001")


async def test_t34_a_dispute_lost_while_a_refund_is_asked_for_takes_turns_with_it(market: Market) -> None:
    """Two connections at once: whoever comes second sees what the first one left."""
    ref = await premium_order(market)
    whole = replace(LOST, amount_minor=10000)
    await asyncio.gather(record_dispute(market.store, ref, whole, now=NOW), market.ask("b-1", "o-1"))
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert tender.pending_minor + tender.lost_minor == 10000
    assert len(await tasks(market)) == (1 if tender.pending_minor else 0)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (replace(LOST, tender_id="t9"), RefusalCode.UNKNOWN_TENDER),
        (replace(LOST, currency="USD"), RefusalCode.CURRENCY_MISMATCH),
        (replace(LOST, amount_minor=10001), RefusalCode.DISPUTE_DIFFERS),
        (WON, RefusalCode.DISPUTE_DIFFERS),
        (replace(LOST, amount_minor=3999), RefusalCode.DISPUTE_DIFFERS),
    ],
)
async def test_t34_what_does_not_fit_a_lost_dispute_moves_nothing(
    market: Market, told: Dispute, code: RefusalCode
) -> None:
    ref = await premium_order(market)
    await tell(market, ref, LOST)
    before = await snapshot_of(market, ref)
    done = await record_dispute(market.store, ref, told, now=NOW)
    assert isinstance(done, Refusal) and done.code is code
    assert await snapshot_of(market, ref) == before


@pytest.mark.parametrize("before", [OPEN, LOST, WON])
async def test_t34_a_dispute_is_one_of_one_payment(market: Market, before: Dispute) -> None:
    ref = await premium_order(market, tenders=(4000, 6000))
    await tell(market, ref, before)
    for state, closed_at in ((DisputeState.OPEN, None), (before.state, before.closed_at), (DisputeState.LOST, NOW)):
        other = replace(before, tender_id="t2", state=state, closed_at=closed_at)
        done = await record_dispute(market.store, ref, other, now=NOW)
        if before.state is DisputeState.OPEN or state is not DisputeState.OPEN:
            assert refused(done) is RefusalCode.DISPUTE_DIFFERS
    (known,) = (await snapshot_of(market, ref)).disputes
    assert (known.tender_id, known.state) == ("t1", before.state)


async def test_t34_a_dispute_keeps_the_time_at_which_it_was_opened(market: Market) -> None:
    ref = await premium_order(market)
    after = NOW + timedelta(days=30)
    await tell(market, ref, OPEN)
    done = await record_dispute(market.store, ref, replace(LOST, opened_at=after, closed_at=after), now=NOW)
    assert isinstance(done, Executed)
    for snapshot in (done.snapshot, await snapshot_of(market, ref)):
        assert [(known.opened_at, known.closed_at) for known in snapshot.disputes] == [(NOW, after)]


async def test_t34_a_platform_tells_of_a_dispute_and_reads_it_on_the_order(api: Api) -> None:
    await api.paid_order("o-1")
    body = {
        "dispute_id": "dp-1",
        "tender_id": "t1",
        "state": "open",
        "amount": money(100),
        "happened_at": "2026-06-01T12:00:00Z",
    }
    for state, status in (("open", 201), ("open", 200), ("lost", 201), ("lost", 200)):
        got = await api.post("/v1/orders/o-1/disputes", {**body, "state": state})
        assert got.status_code == status, got.text
    assert (await api.post("/v1/orders/o-1/disputes", {**body, "state": "won"})).status_code == 409
    assert (await api.post("/v1/orders/o-1/disputes", body, key=api.shop)).status_code == 403
    shown = (await api.get("/v1/orders/o-1")).json()
    assert [(dispute["state"], dispute["lost"]) for dispute in shown["disputes"]] == [("lost", money(100))]
    assert [tender["lost"] for tender in shown["tenders"]] == [money(100)]
    assert (await api.get("/v1/orders/o-1", key=api.shop)).json()["disputes"] == []


async def shared_payment(market: Market, *amounts: int, total_minor: int | None = None) -> list[OrderRef]:
    """Orders o-1, o-2, … of one buyer, paid together."""
    total_minor = total_minor or sum(amounts)
    buyer = await market.premium_buyer("b-1")
    refs = []
    for number, amount in enumerate(amounts, start=1):
        refs.append(await market.paid_order(buyer, f"o-{number}", amounts=(amount,), tenders=()))
        part = Tender("t1", "simulator", "pay-1", "CNY", amount, NOW, payment_total_minor=total_minor)
        assert isinstance(
            await capture_payment(market.store, refs[-1], part, market.decision_settings, now=NOW), Executed
        )
    return refs


async def told(market: Market, state: DisputeState, amount_minor: int) -> None:
    news = replace(TOLD, payment_ids=("pay-1",), state=state, amount_minor=amount_minor)
    waiting = PostgresParkedDisputes(market.pool)
    assert await take_dispute(market.store, waiting, PostgresTasks(market.pool), news, now=NOW)


async def parts(market: Market, refs: list[OrderRef]) -> list[tuple[str, int, int]]:
    """State, amount, and what was taken off, on each order."""
    found = [(await snapshot_of(market, ref)).disputes for ref in refs]
    return [(one.state.value, one.amount_minor, one.lost_minor) for disputes in found for one in disputes]


async def test_t34_an_open_dispute_of_a_shared_payment_holds_every_order_of_it(market: Market) -> None:
    refs = await shared_payment(market, 1000, 2500)
    await told(market, DisputeState.OPEN, 1200)
    assert await parts(market, refs) == [("open", 1000, 0), ("open", 1200, 0)]
    for ref in refs:
        assert (await market.asked("b-1", ref.order_id)).review_reason == "dispute_open"
    await told(market, DisputeState.WON, 1200)
    assert await parts(market, refs) == [("won", 1000, 0), ("won", 1200, 0)]
    assert await tasks(market) == []


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize(
    ("lost_minor", "shares"),
    [
        (1000, [("lost", 1000, 1000), ("won", 1000, 0)]),
        (999, [("lost", 999, 999), ("won", 999, 0)]),
        (1001, [("lost", 1000, 1000), ("lost", 1, 1)]),
        (3500, [("lost", 1000, 1000), ("lost", 2500, 2500)]),
    ],
)
async def test_t34_what_is_lost_of_a_shared_payment_is_taken_off_its_orders_once(
    market: Market, opened: bool, lost_minor: int, shares: list[tuple[str, int, int]]
) -> None:
    refs = await shared_payment(market, 1000, 2500)
    if opened:
        await told(market, DisputeState.OPEN, lost_minor)
    for _ in range(2):
        await told(market, DisputeState.LOST, lost_minor)
        assert await parts(market, refs) == shares
    assert sum([(await snapshot_of(market, ref)).tenders[0].remaining_minor for ref in refs]) == 3500 - lost_minor
    assert await tasks(market) == []


async def test_t34_a_shared_payment_gives_no_more_than_refunds_and_banks_have_left_of_it(market: Market) -> None:
    """The refunded order has nothing left to take, so the other one bears it: only beyond that it went back twice."""
    refs = await shared_payment(market, 1000, 2500)
    assert (await market.asked("b-1", "o-1")).state is TicketState.REFUNDING
    for _ in range(2):
        await told(market, DisputeState.LOST, 2000)
        assert await parts(market, refs) == [("won", 1000, 0), ("lost", 2000, 2000)]
    assert await tasks(market) == []
    assert (await snapshot_of(market, refs[1])).tenders[0].remaining_minor == 500


async def test_t34_of_a_shared_payment_too_what_went_back_twice_is_told(market: Market) -> None:
    refs = await shared_payment(market, 1000, 2500)
    assert (await market.asked("b-1", "o-1")).state is TicketState.REFUNDING
    await told(market, DisputeState.LOST, 3000)
    assert await parts(market, refs) == [("lost", 500, 0), ("lost", 2500, 2500)]
    assert [(task.kind, task.amount_minor) for task in await tasks(market)] == [(TaskKind.DISPUTE_OVERLAPS, 500)]


async def test_t34_half_recorded_news_of_a_shared_payment_is_finished_by_its_repetition(market: Market) -> None:
    refs = await shared_payment(market, 1000, 2500)
    await told(market, DisputeState.OPEN, 1500)
    await tell(market, refs[0], replace(LOST, amount_minor=1000))
    assert (await market.asked("b-1", "o-2")).review_reason == "dispute_open"
    await told(market, DisputeState.LOST, 1500)
    assert await parts(market, refs) == [("lost", 1000, 1000), ("lost", 500, 500)]
    assert await tasks(market) == []


async def test_t34_an_order_that_the_first_half_of_the_news_freed_is_not_taken_from_by_its_repetition(
    market: Market,
) -> None:
    refs = await shared_payment(market, 1000, 2500, total_minor=4000)
    assert (await market.asked("b-1", "o-1")).state is TicketState.REFUNDING
    await tell(market, refs[0], replace(WON, amount_minor=1000))
    assert (await market.asked("b-1", "o-2")).state is TicketState.REFUNDING
    await told(market, DisputeState.LOST, 2000)
    after = [("won", 1000, 0), ("lost", 2000, 0)]
    assert await parts(market, refs) == after
    more = Tender("t1", "simulator", "pay-1", "CNY", 1500, NOW, payment_total_minor=4000)
    assert isinstance(await capture_payment(market.store, refs[0], more, market.decision_settings, now=NOW), Executed)
    await told(market, DisputeState.LOST, 2000)
    assert await parts(market, refs) == after
    assert TaskKind.DISPUTE_DIFFERS not in {task.kind for task in await tasks(market)}


@pytest.mark.parametrize("orders", [(1000, 2500), (3500,), (500, 500, 2500)])
@pytest.mark.parametrize("then", [500, 1499, 1501, 4000])
async def test_t34_another_amount_than_before_on_a_payment_moves_nothing_and_is_told(
    market: Market, then: int, orders: tuple[int, ...]
) -> None:
    refs = await shared_payment(market, *orders)
    await told(market, DisputeState.LOST, 1500)
    before = await parts(market, refs)
    await told(market, DisputeState.LOST, then)
    assert await parts(market, refs) == before
    assert {task.kind for task in await tasks(market)} == {TaskKind.DISPUTE_DIFFERS}


async def test_t34_less_than_one_order_lost_already_takes_nothing_off_the_others(market: Market) -> None:
    refs = await shared_payment(market, 1000, 2500)
    await told(market, DisputeState.OPEN, 1500)
    await tell(market, refs[0], replace(LOST, amount_minor=1000))
    await told(market, DisputeState.LOST, 400)
    assert (await parts(market, refs))[0] == ("lost", 1000, 1000)
    assert (await snapshot_of(market, refs[1])).tenders[0].lost_minor == 0
    assert {task.kind for task in await tasks(market)} == {TaskKind.DISPUTE_DIFFERS}


async def test_t34_a_dispute_of_more_than_we_know_to_be_captured_holds_what_we_know(market: Market) -> None:
    ref = await premium_order(market)
    waiting, opened = PostgresParkedDisputes(market.pool), PostgresTasks(market.pool)
    larger = replace(TOLD, amount_minor=10001)
    await take_dispute(market.store, waiting, opened, larger, now=NOW)
    assert (await market.asked("b-1", "o-1")).review_reason == "dispute_open"
    await take_dispute(market.store, waiting, opened, replace(larger, state=DisputeState.LOST), now=NOW)
    assert [task.kind for task in await tasks(market)] == [TaskKind.DISPUTE_DIFFERS]
    assert (await snapshot_of(market, ref)).is_disputed, "a person decides"


async def test_t40_news_of_a_payment_that_no_order_names_yet_is_kept_and_linked(market: Market) -> None:
    waiting, opened = PostgresParkedDisputes(market.pool), PostgresTasks(market.pool)
    lost = replace(TOLD, state=DisputeState.LOST)
    for told in (TOLD, TOLD, lost):
        assert not await take_dispute(market.store, waiting, opened, told, now=NOW)
    assert await link_parked(market.store, waiting, opened, now=NOW) == 0, "its order is still not known"
    ref = await premium_order(market)
    await asyncio.gather(*(link_parked(market.store, waiting, opened, now=NOW) for _ in range(2)))
    snapshot = await snapshot_of(market, ref)
    assert [(dispute.state, dispute.lost_minor) for dispute in snapshot.disputes] == [(DisputeState.LOST, 4000)]
    assert snapshot.tenders[0].remaining_minor == 6000
    assert await link_parked(market.store, waiting, opened, now=NOW) == 0
    assert await tasks(market) == []


async def test_t40_a_payment_by_another_name_or_of_another_provider_stays_parked(market: Market) -> None:
    waiting, opened = PostgresParkedDisputes(market.pool), PostgresTasks(market.pool)
    await premium_order(market)
    for other in (replace(TOLD, payment_ids=("PAY-O-1-1",)), replace(TOLD, provider="stripe")):
        assert not await take_dispute(market.store, waiting, opened, other, now=NOW)
    assert await link_parked(market.store, waiting, opened, now=NOW) == 0
    assert await take_dispute(market.store, waiting, opened, replace(TOLD, payment_ids=("x", "pay-o-1-1")), now=NOW)


async def test_t40_parked_news_is_taken_in_as_it_came(market: Market) -> None:
    waiting, opened = PostgresParkedDisputes(market.pool), PostgresTasks(market.pool)
    for minutes, amount in ((0, 4000), (2, 2000), (1, 3000)):
        told_at = NOW + timedelta(minutes=minutes)
        await take_dispute(market.store, waiting, opened, replace(TOLD, amount_minor=amount), now=told_at)
    ref = await premium_order(market)
    assert await link_parked(market.store, waiting, opened, now=NOW) == 3
    assert [dispute.amount_minor for dispute in (await snapshot_of(market, ref)).disputes] == [2000]


async def test_t40_parked_news_whose_handling_fails_stays_parked(market: Market) -> None:
    waiting, opened = PostgresParkedDisputes(market.pool), PostgresTasks(market.pool)
    await take_dispute(market.store, waiting, opened, TOLD, now=NOW)
    ref = await premium_order(market)
    async with market.pool.connection() as connection:
        await connection.execute("ALTER TABLE dispute RENAME TO dispute_away")
    with pytest.raises(Unavailable):
        await link_parked(market.store, waiting, opened, now=NOW)
    async with market.pool.connection() as connection:
        await connection.execute("ALTER TABLE dispute_away RENAME TO dispute")
    assert await link_parked(market.store, waiting, opened, now=NOW) == 1
    assert (await snapshot_of(market, ref)).is_disputed


async def test_t40_what_a_provider_tells_against_what_is_known_opens_a_task(market: Market) -> None:
    waiting, opened = PostgresParkedDisputes(market.pool), PostgresTasks(market.pool)
    ref = await premium_order(market)
    await tell(market, ref, LOST)
    for _ in range(2):
        assert await take_dispute(market.store, waiting, opened, replace(TOLD, state=DisputeState.WON), now=NOW)
    assert [task.kind for task in await tasks(market)] == [TaskKind.DISPUTE_DIFFERS]
    assert (await snapshot_of(market, ref)).tenders[0].lost_minor == 4000


async def test_t40_a_notification_of_an_attempt_that_is_not_stored_is_sent_again(market: Market) -> None:
    """An attempt is committed before its call goes out, so news of an unknown one is answered 404 and comes again."""
    ref = await premium_order(market)
    await market.asked("b-1", "o-1")
    (claimed,) = await claim(market)
    snapshot = await snapshot_of(market, ref)
    assert [attempt.attempt_id for attempt in snapshot.attempts] == [claimed.attempt.attempt_id]
    assert claimed.attempt.started_at <= NOW + timedelta(seconds=1)
