"""Whatever is lost between Jitui and Vendure, one refund is made there, and it is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.operations.platform_connections import resolve_lost_call
from jitui.aftersales.operations.platform_refunds import ASKED_BEFORE
from jitui.aftersales.ports import RefundRef
from jitui.bootstrap import utc_now
from jitui.ids import lane_of_id
from tests.platforms.market import LEASE, ShopMarket, instruction_of, send_and_die
from tests.platforms.proxy import Fault, Proxy
from tests.platforms.vendure.market import open_shop_market
from tests.platforms.vendure.shop import Vendure, books, fulfil, place, refunds_in

LATER = timedelta(hours=1)


@pytest.fixture
async def behind(database_url: str, vendure: Vendure, proxy: Proxy) -> AsyncIterator[ShopMarket]:
    """A market that reaches Vendure through the proxy alone."""
    async with open_shop_market(database_url, proxy.url, vendure.token, timeout_seconds=6) as opened:
        yield opened


@pytest.mark.parametrize("word", ["cancelOrder(", "refundOrder(", "settleRefund("])
@pytest.mark.parametrize("fault", [Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.NEVER])
async def test_an_answer_that_is_lost_after_vendure_acted(
    behind: ShopMarket, vendure: Vendure, proxy: Proxy, word: str, fault: Fault
) -> None:
    code = await place(vendure, "ann", [("cup", 2)], method="by-hand")
    await behind.sync()
    line = (await behind.order(code)).lines[0].line_id
    await behind.asked(code, (line, 1))
    proxy.faults[word] = fault
    await behind.pay()
    await behind.pay(after=LATER)
    await behind.pay(after=2 * LATER)
    there, here = await books(vendure, code), await behind.order(code)
    assert proxy.calls.count("refundOrder(") <= 1, "one attempt asks once"
    assert [item["quantity"] for item in there["lines"]] == [1]
    assert [(one["total"], one["state"]) for one in refunds_in(there)] == [(3990, "Settled")]
    assert here.refunds[0].state is RefundState.SUCCEEDED
    assert here.attempts[0].attempt_no == 1


@pytest.mark.parametrize("word", ["cancelOrder("])
@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.CUT_BEFORE])
async def test_what_never_reached_vendure_is_sent_again(
    behind: ShopMarket, vendure: Vendure, proxy: Proxy, word: str, fault: Fault
) -> None:
    code = await place(vendure, "ann")
    await behind.sync()
    await behind.asked(code)
    proxy.faults[word] = fault
    await behind.pay()
    assert (await behind.order(code)).refunds[0].state is RefundState.UNKNOWN
    for hours in (1, 2):
        await behind.pay(after=hours * LATER)
    assert len(refunds_in(await books(vendure, code))) == 1
    assert (await behind.order(code)).refunds[0].state is RefundState.SUCCEEDED


async def test_a_refund_that_was_asked_for_and_is_not_there_waits_for_a_person(
    behind: ShopMarket, vendure: Vendure, proxy: Proxy
) -> None:
    """The gateway may have paid although Vendure has no row: a second call could pay twice."""
    code = await place(vendure, "ann")
    await behind.sync()
    await behind.asked(code)
    proxy.faults["refundOrder("] = Fault.CUT_BEFORE
    for hours in range(4):
        await behind.pay(after=hours * LATER)
    assert refunds_in(await books(vendure, code)) == []
    refund = (await behind.order(code)).refunds[0]
    assert (refund.state, refund.reason) == (RefundState.UNKNOWN, ASKED_BEFORE)
    calls, ref = PostgresPlatformCalls(behind.jitui.pool), RefundRef(lane_of_id(refund.refund_id), refund.refund_id)
    resolved = await resolve_lost_call(
        behind.jitui.store, calls, ref, made=False, note="the gateway has none", by="wei", now=utc_now() + LATER
    )
    assert resolved is None
    await behind.pay(after=5 * LATER)
    assert len(refunds_in(await books(vendure, code))) == 1


@pytest.mark.parametrize("word", ["cancelOrder(", "refundOrder(", "settleRefund("])
async def test_a_worker_that_dies_before_a_call(behind: ShopMarket, vendure: Vendure, proxy: Proxy, word: str) -> None:
    """Its lease runs out, and another worker looks up before it does anything."""
    code = await place(vendure, "ann", method="by-hand")
    await behind.sync()
    await behind.asked(code)
    await send_and_die(behind, proxy, word)
    assert await behind.pay() == 0, "the lease stands"
    for hours in range(1, 4):
        await behind.pay(after=LEASE + hours * LATER)
    there, here = refunds_in(await books(vendure, code)), (await behind.order(code)).refunds[0]
    assert proxy.calls.count("refundOrder(") <= 1
    if word == "refundOrder(":  # its note stands, and nobody took it back
        assert there == []
        assert here.state is RefundState.UNKNOWN, "it may be on its way: only a person knows"
    else:
        assert [one["state"] for one in there] == ["Settled"]
        assert here.state is RefundState.SUCCEEDED


async def test_two_workers_that_hold_one_attempt_pay_once(behind: ShopMarket, vendure: Vendure) -> None:
    """One was stopped past its lease, and goes on beside the other."""
    for _ in range(5):
        code = await place(vendure, "ann", [("cup", 2)])
        await behind.sync()
        line = (await behind.order(code)).lines[0].line_id
        await behind.asked(code, (line, 1))
        (claimed,) = [each for each in await behind.claim() if each.refund.order_id == code]
        one = instruction_of(claimed)
        await asyncio.gather(behind.provider.send(one), behind.provider.send(one))
        assert len(refunds_in(await books(vendure, code))) <= 1


async def test_a_shipment_between_the_cancelling_and_the_refund(
    behind: ShopMarket, vendure: Vendure, proxy: Proxy
) -> None:
    """Vendure refuses it, since the units are cancelled: the refund goes out."""
    code = await place(vendure, "ann")
    await behind.sync()
    await behind.asked(code)
    shipped: list[object] = []

    async def ship() -> None:
        shipped.append(await fulfil(vendure, code))

    proxy.before["refundOrder("] = ship
    await behind.pay()
    assert shipped == [("ItemsAlreadyFulfilledError", "")]
    assert len(refunds_in(await books(vendure, code))) == 1
