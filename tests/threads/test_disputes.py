"""Card disputes, and news whose order is not known yet.

- T34 gumroad PR 4372, hyperswitch PR 10533, woocommerce-payments #6196: a refund went out while the card's dispute was
  open and the buyer had the money twice; a lost dispute made the rest of the payment unrefundable, or nothing of it.
- T40 polar PR 9630: news of a payment came before its order was stored, was answered with an error, and was lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from jitui.adapters.postgres.parked import PostgresWaiting
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.command import Executed
from jitui.aftersales.dispute import link_parked, record_dispute, take_dispute
from jitui.aftersales.order import Dispute, DisputeState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderRef
from jitui.aftersales.provider import ToldDispute
from jitui.aftersales.review import approve, expire
from jitui.aftersales.task import Task, TaskFilter, TaskKind
from jitui.aftersales.ticket import TicketState
from tests.aftersales.market import NOW, Market, ticket_of
from tests.http.api import Api, money
from tests.threads.steps import MERCHANT, claim, file_of, heard, later, postings, refused, where

OPEN = Dispute("dp-1", "t1", "", DisputeState.OPEN, 4000, "CNY", NOW)
LOST = replace(OPEN, state=DisputeState.LOST, closed_at=NOW)
WON = replace(LOST, state=DisputeState.WON)
TOLD = ToldDispute("simulator", "dp-1", ("pay-o-1-1",), DisputeState.OPEN, 4000, "CNY", NOW)


async def tell(market: Market, ref: OrderRef, *disputes: Dispute) -> None:
    for dispute in disputes:
        done = await record_dispute(market.store, ref, dispute, now=NOW)
        assert isinstance(done, Executed), done


async def tasks(market: Market) -> list[Task]:
    return list(await PostgresTasks(market.pool).list(TaskFilter()))


async def premium_order(market: Market, **more: object) -> OrderRef:
    buyer = await market.premium_buyer("b-1")
    return await market.paid_order(buyer, "o-1", **{"amounts": (6000, 4000), **more})  # type: ignore[arg-type]


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
    file = await file_of(market, ref)
    assert (done.state, file.refunds) == (TicketState.CLOSED, ())
    assert [event.why for event in file.timeline][-1] == "dispute_open"
    assert [line.claimed_quantity for line in file.lines] == [0, 0], "the buyer can ask again"


async def test_t34_a_lost_dispute_lowers_what_is_refundable_by_its_own_amount_and_only_that(market: Market) -> None:
    ref = await premium_order(market)
    await tell(market, ref, OPEN, LOST, LOST, OPEN)
    (tender,) = (await file_of(market, ref)).tenders
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
    parts = {refund.tender_id: refund.amount_minor for refund in (await file_of(market, ref)).refunds}
    assert (ticket.amount_minor, parts) == (6000, {"t2": 6000})


async def test_t34_what_was_refunded_already_went_back_twice_and_a_person_is_told(market: Market) -> None:
    ref = await premium_order(market)
    await market.asked("b-1", "o-1", lines=[("l1", 1)])
    (claimed,) = await claim(market)
    await heard(market, claimed)
    await tell(market, ref, replace(LOST, amount_minor=10000), replace(LOST, amount_minor=10000))
    (tender,) = (await file_of(market, ref)).tenders
    assert (tender.refunded_minor, tender.lost_minor, tender.remaining_minor) == (6000, 4000, 0)
    assert [(task.kind, task.amount_minor) for task in await tasks(market)] == [(TaskKind.DISPUTE_OVERLAPS, 6000)]
    assert await postings(market, "o-1") == ["captured", "charged_back", "charged_back_too", "granted", "paid"]


async def test_t34_an_approval_that_waited_gives_no_more_than_the_bank_left(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(40000,))
    held = await market.asked("b-1", "o-1")
    await tell(market, ref, LOST)
    done = await approve(market.store, where(held), version=None, by=MERCHANT, now=NOW)
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
    (tender,) = (await file_of(market, ref)).tenders
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
    before = await file_of(market, ref)
    done = await record_dispute(market.store, ref, told, now=NOW)
    assert isinstance(done, Refusal) and done.code is code
    assert await file_of(market, ref) == before


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


async def test_t40_news_of_a_payment_that_no_order_names_yet_is_kept_and_linked(market: Market) -> None:
    waiting, opened = PostgresWaiting(market.pool), PostgresTasks(market.pool)
    lost = replace(TOLD, state=DisputeState.LOST)
    for told in (TOLD, TOLD, lost):
        assert not await take_dispute(market.store, waiting, opened, told, now=NOW)
    assert await link_parked(market.store, waiting, opened, now=NOW) == 0, "its order is still not known"
    ref = await premium_order(market)
    await asyncio.gather(*(link_parked(market.store, waiting, opened, now=NOW) for _ in range(2)))
    file = await file_of(market, ref)
    assert [(dispute.state, dispute.lost_minor) for dispute in file.disputes] == [(DisputeState.LOST, 4000)]
    assert file.tenders[0].remaining_minor == 6000
    assert await link_parked(market.store, waiting, opened, now=NOW) == 0
    assert await tasks(market) == []


async def test_t40_a_payment_by_another_name_or_of_another_provider_stays_parked(market: Market) -> None:
    waiting, opened = PostgresWaiting(market.pool), PostgresTasks(market.pool)
    await premium_order(market)
    for other in (replace(TOLD, payment_ids=("PAY-O-1-1",)), replace(TOLD, provider="stripe")):
        assert not await take_dispute(market.store, waiting, opened, other, now=NOW)
    assert await take_dispute(market.store, waiting, opened, replace(TOLD, payment_ids=("x", "pay-o-1-1")), now=NOW)


async def test_t40_what_a_provider_tells_against_what_is_known_opens_a_task(market: Market) -> None:
    waiting, opened = PostgresWaiting(market.pool), PostgresTasks(market.pool)
    ref = await premium_order(market)
    await tell(market, ref, LOST)
    for _ in range(2):
        assert await take_dispute(market.store, waiting, opened, replace(TOLD, state=DisputeState.WON), now=NOW)
    assert [task.kind for task in await tasks(market)] == [TaskKind.DISPUTE_DIFFERS]
    assert (await file_of(market, ref)).tenders[0].lost_minor == 4000


async def test_t40_a_notification_of_an_attempt_that_is_not_stored_is_sent_again(market: Market) -> None:
    """An attempt is committed before its call goes out, so news of an unknown one is answered 404 and comes again."""
    ref = await premium_order(market)
    await market.asked("b-1", "o-1")
    (claimed,) = await claim(market)
    file = await file_of(market, ref)
    assert [attempt.attempt_id for attempt in file.attempts] == [claimed.attempt.attempt_id]
    assert claimed.attempt.started_at <= NOW + timedelta(seconds=1)
