"""A provider's payment is one tender of an order, under whatever id it is reported; a buyer's orders may share it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.model.order import Tender
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import OrderRef
from tests.aftersales.market import NOW, Market, on_both_stores
from tests.aftersales.test_intake import balances_of
from tests.known_bugs.steps import snapshot_of

PAYMENT = Tender("t1", "simulator", "pay-1", "CNY", 1000, NOW)


async def placed(market: Market, order_id: str, amount_minor: int, buyer_id: str = "b-1") -> OrderRef:
    return await market.paid_order(buyer_id, order_id, amounts=(amount_minor,), tenders=())


async def capture(market: Market, ref: OrderRef, tender: Tender) -> Executed | Refusal | StoredResponse:
    return await capture_payment(market.store, ref, tender, market.decision_settings, now=NOW)


async def captured(market: Market, ref: OrderRef) -> list[tuple[str, int]]:
    return [(tender.tender_id, tender.captured_minor) for tender in (await snapshot_of(market, ref)).tenders]


def code_of(done: object) -> tuple[RefusalCode, str]:
    assert isinstance(done, Refusal), done
    return done.code, done.path


@on_both_stores
async def test_one_payment_under_two_tender_ids_is_paid_once(market: Market) -> None:
    ref = await placed(market, "o-1", 2000)
    names = [replace(PAYMENT, tender_id=f"t{number}") for number in range(6)]
    done = await asyncio.gather(*(capture(market, ref, tender) for tender in names))
    assert all(isinstance(one, Executed) for one in done)
    assert [minor for _, minor in await captured(market, ref)] == [1000]
    assert (await balances_of(market, "o-1"))["escrow"] == -1000


async def test_the_database_refuses_one_payment_as_two_tenders(market: Market) -> None:
    ref = await placed(market, "o-1", 2000)
    await capture(market, ref, PAYMENT)
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with market.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO tender (lane, order_id, tender_id, provider, payment_id, currency, captured_minor, "
                "captured_at) SELECT lane, order_id, 't2', provider, payment_id, currency, 1, captured_at FROM tender"
            )


@on_both_stores
async def test_a_larger_amount_is_a_later_capture_and_a_smaller_one_is_refused(market: Market) -> None:
    ref = await placed(market, "o-1", 3000)
    await capture(market, ref, PAYMENT)
    for minor in (1000, 2500, 2500, 3000):
        assert isinstance(await capture(market, ref, replace(PAYMENT, captured_minor=minor)), Executed)
    assert await captured(market, ref) == [("t1", 3000)]
    assert (await balances_of(market, "o-1"))["provider_clearing:simulator"] == 3000
    smaller = await capture(market, ref, replace(PAYMENT, captured_minor=2999))
    assert code_of(smaller) == (RefusalCode.DUPLICATE_PAYMENT_DIFFERS, "amount.amount_minor")
    other = await capture(market, ref, replace(PAYMENT, payment_id="pay-2"))
    assert code_of(other) == (RefusalCode.DUPLICATE_PAYMENT_DIFFERS, "tender_id")


@on_both_stores
async def test_a_later_capture_is_not_lost_to_a_tender_of_a_similar_name(market: Market) -> None:
    """Ledger postings are named; `t` captured up to 2000 and a tender `2000:t` are two things."""
    ref = await placed(market, "o-1", 9000)
    await capture(market, ref, replace(PAYMENT, tender_id="t"))
    await capture(market, ref, replace(PAYMENT, tender_id="t", captured_minor=2000))
    await capture(market, ref, replace(PAYMENT, tender_id="2000:t", payment_id="pay-2", captured_minor=3000))
    assert (await balances_of(market, "o-1"))["escrow"] == -5000


@on_both_stores
async def test_a_later_capture_is_about_one_tender_of_one_order(market: Market) -> None:
    first, second = [await placed(market, f"o-{number}", 9000) for number in range(2)]
    await capture(market, first, PAYMENT)
    await capture(market, first, replace(PAYMENT, tender_id="t2", payment_id="pay-2"))
    await capture(market, second, replace(PAYMENT, payment_id="pay-3"))
    more = replace(PAYMENT, captured_minor=2500, payment_total_minor=4000)
    assert isinstance(await capture(market, first, more), Executed)
    assert await captured(market, first) == [("t1", 2500), ("t2", 1000)]
    assert await captured(market, second) == [("t1", 1000)]
    tenders = [*(await snapshot_of(market, first)).tenders, *(await snapshot_of(market, second)).tenders]
    assert [tender.payment_total_minor for tender in tenders] == [4000, None, None]


@on_both_stores
async def test_several_orders_share_a_payment_within_its_total(market: Market) -> None:
    first, second, third = [await placed(market, f"o-{number}", 2500) for number in range(3)]
    part = replace(PAYMENT, payment_total_minor=3500)
    assert isinstance(await capture(market, first, part), Executed)
    assert isinstance(await capture(market, second, replace(part, captured_minor=2500)), Executed)
    assert code_of(await capture(market, third, replace(part, captured_minor=1))) == (
        RefusalCode.PAYMENT_TOTAL_EXCEEDED,
        "amount.amount_minor",
    )
    for said in (None, 3501):
        refused = await capture(market, third, replace(part, payment_total_minor=said))
        assert code_of(refused) == (RefusalCode.PAYMENT_TOTAL_DIFFERS, "payment_total_minor")
    more = await capture(market, first, replace(part, captured_minor=1001))
    assert code_of(more)[0] is RefusalCode.PAYMENT_TOTAL_EXCEEDED, "a later capture is within the total too"


@on_both_stores
async def test_a_payment_that_was_told_for_one_order_is_shared_after_it_is_told_again(market: Market) -> None:
    first, second = [await placed(market, f"o-{number}", 2500) for number in range(2)]
    assert isinstance(await capture(market, first, PAYMENT), Executed)
    part = replace(PAYMENT, captured_minor=2500, payment_total_minor=3500)
    assert code_of(await capture(market, second, part))[0] is RefusalCode.PAYMENT_TOTAL_DIFFERS
    assert isinstance(await capture(market, first, replace(PAYMENT, payment_total_minor=3500)), Executed)
    assert isinstance(await capture(market, second, part), Executed)
    (tender,) = (await snapshot_of(market, first)).tenders
    assert (tender.captured_minor, tender.payment_minor) == (1000, 3500)


@on_both_stores
async def test_orders_racing_for_a_shared_payment_stay_within_its_total(market: Market) -> None:
    refs = [await placed(market, f"o-{number}", 1000) for number in range(6)]
    part = replace(PAYMENT, payment_total_minor=3500)
    done = await asyncio.gather(*(capture(market, ref, part) for ref in refs))
    assert sum(isinstance(one, Executed) for one in done) == 3
    assert {code_of(one)[0] for one in done if not isinstance(one, Executed)} == {RefusalCode.PAYMENT_TOTAL_EXCEEDED}


async def test_the_database_holds_the_parts_within_the_total(market: Market) -> None:
    first, second = [await placed(market, f"o-{number}", 1000) for number in range(2)]
    await capture(market, first, replace(PAYMENT, payment_total_minor=1500))
    await capture(market, second, replace(PAYMENT, captured_minor=500, payment_total_minor=1500))
    with pytest.raises(psycopg.errors.CheckViolation):
        async with market.pool.connection() as connection:
            await connection.execute("UPDATE shared_payment SET captured_minor = captured_minor + 1")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        async with market.pool.connection() as connection:
            await connection.execute("UPDATE tender SET payment_total_minor = 1501")


@on_both_stores
async def test_another_buyers_order_cannot_name_the_payment_also_when_both_come_at_once(market: Market) -> None:
    for number in range(10):
        buyers = [f"b-{number}-{index}" for index in range(4)]
        refs = [await placed(market, f"o-{buyer}", 1000, buyer) for buyer in buyers]
        payment = replace(PAYMENT, payment_id=f"pay-{number}")
        done = await asyncio.gather(*(capture(market, ref, payment) for ref in refs))
        assert sum(isinstance(one, Executed) for one in done) == 1
        refused = {code_of(one) for one in done if not isinstance(one, Executed)}
        assert refused == {(RefusalCode.PAYMENT_BELONGS_TO_ANOTHER, "payment_id")}


@on_both_stores
async def test_a_payment_that_was_refused_is_nobodys(market: Market) -> None:
    ref = await placed(market, "o-1", 1000)
    assert isinstance(await capture(market, ref, replace(PAYMENT, currency="USD")), Refusal)
    other = await placed(market, "o-2", 1000, "b-2")
    assert isinstance(await capture(market, other, PAYMENT), Executed)


@on_both_stores
async def test_the_provider_is_told_the_whole_payment_with_the_refund_of_a_part(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await placed(market, "o-1", 1000, buyer)
    await capture(market, ref, replace(PAYMENT, payment_total_minor=3500))
    await market.asked(buyer, "o-1")
    (refund,) = (await snapshot_of(market, ref)).refunds
    assert (refund.amount_minor, refund.captured_minor) == (1000, 3500)


# A provider that nobody here can refund through -------------------------------------------------------------------


@on_both_stores
async def test_new_money_through_a_provider_that_is_not_configured_is_refused(market: Market) -> None:
    ref = await placed(market, "o-1", 2000)
    elsewhere = replace(PAYMENT, provider="paypal")
    before = await snapshot_of(market, ref)
    refused = await capture(market, ref, elsewhere)
    assert code_of(refused) == (RefusalCode.PROVIDER_NOT_CONFIGURED, "provider")
    assert isinstance(refused, Refusal) and "'paypal' (alipay, simulator, stripe, wechat_pay)" in refused.message
    assert await snapshot_of(market, ref) == before

    nobody = replace(market.decision_settings, providers=frozenset())
    without = await capture_payment(market.store, ref, PAYMENT, nobody, now=NOW)
    assert code_of(without) == (RefusalCode.PROVIDER_NOT_CONFIGURED, "provider")
    assert isinstance(without, Refusal) and "(none is configured)" in without.message


@on_both_stores
async def test_a_payment_that_was_recorded_before_may_be_told_again_and_takes_no_more_money(market: Market) -> None:
    """Its provider was configured when it was recorded; whoever tells of it once more is not in the wrong."""
    ref = await placed(market, "o-1", 2000)
    assert isinstance(await capture(market, ref, PAYMENT), Executed)
    left = replace(market.decision_settings, providers=frozenset({"stripe"}))
    again = await capture_payment(market.store, ref, PAYMENT, left, now=NOW)
    assert isinstance(again, Executed) and again.changes == ()
    more = await capture_payment(market.store, ref, replace(PAYMENT, captured_minor=1001), left, now=NOW)
    assert code_of(more) == (RefusalCode.PROVIDER_NOT_CONFIGURED, "provider")
    assert await captured(market, ref) == [("t1", 1000)]
