"""Whatever is lost between Jitui and Medusa, one refund is made there, and it is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.provider import RefundResultKind
from tests.platforms.market import LEASE, ShopMarket, instruction_of, send_and_die
from tests.platforms.medusa.conftest import BEGIN, CONFIRM, LOWER, REFUND
from tests.platforms.medusa.market import open_shop_market
from tests.platforms.medusa.shop import (
    GATEWAY,
    Medusa,
    books,
    fulfil,
    left_in,
    lines_in,
    pack,
    payment_in,
    place,
    refund_by_hand,
    refunds_in,
    tried,
)
from tests.platforms.proxy import Fault, Proxy

LATER = timedelta(hours=1)


@pytest.fixture
async def behind(database_url: str, medusa: Medusa, proxy: Proxy) -> AsyncIterator[ShopMarket]:
    """A market that reaches Medusa through the proxy alone."""
    async with open_shop_market(database_url, proxy.url, medusa.token, timeout_seconds=6) as opened:
        yield opened


@pytest.mark.parametrize("word", [BEGIN, LOWER, CONFIRM, REFUND])
@pytest.mark.parametrize("fault", [Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.NEVER])
async def test_an_answer_that_is_lost_after_medusa_acted(
    behind: ShopMarket, medusa: Medusa, proxy: Proxy, word: str, fault: Fault
) -> None:
    bought = await place(medusa, "ann", [("cup", 2)])
    await behind.sync()
    line = (await behind.order(bought.number)).lines[0].line_id
    await behind.asked(bought.number, (line, 1))
    proxy.faults[word] = fault
    for hours in range(4):
        await behind.pay(after=hours * LATER)
    there, here = await books(medusa, bought), await behind.order(bought.number)
    assert proxy.calls.count(REFUND) <= 1, "one attempt asks once"
    assert left_in(there) == {"cup": 1}
    assert [amount for amount, _ in refunds_in(there)] == [39.9]
    assert here.refunds[0].state is RefundState.SUCCEEDED
    assert here.attempts[0].attempt_no == 1
    assert await pack(medusa, bought) == (200, ""), "no edit of ours is left open"


@pytest.mark.parametrize("word", [BEGIN, LOWER, CONFIRM])
@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.CUT_BEFORE])
async def test_what_never_reached_medusa_is_sent_again(
    behind: ShopMarket, medusa: Medusa, proxy: Proxy, word: str, fault: Fault
) -> None:
    bought = await place(medusa, "ann")
    await behind.sync()
    await behind.asked(bought.number)
    proxy.faults[word] = fault
    await behind.pay()
    assert (await behind.order(bought.number)).refunds[0].state is RefundState.UNKNOWN
    for hours in range(1, 4):
        await behind.pay(after=hours * LATER)
    assert [amount for amount, _ in refunds_in(await books(medusa, bought))] == [44.9]
    assert (await behind.order(bought.number)).refunds[0].state is RefundState.SUCCEEDED


async def test_a_refund_that_was_asked_for_and_is_not_there_waits_for_a_person(
    behind: ShopMarket, medusa: Medusa, proxy: Proxy
) -> None:
    bought = await place(medusa, "ann")
    await behind.sync()
    await behind.asked(bought.number)
    proxy.faults[REFUND] = Fault.CUT_BEFORE
    for hours in range(4):
        await behind.pay(after=hours * LATER)
    assert refunds_in(await books(medusa, bought)) == []
    assert proxy.calls.count(REFUND) == 1
    here = await behind.order(bought.number)
    assert here.refunds[0].state is RefundState.UNKNOWN
    assert "asked for once" in here.refunds[0].reason


@pytest.mark.parametrize("word", [BEGIN, LOWER, CONFIRM, REFUND])
async def test_a_worker_that_dies_before_a_call(behind: ShopMarket, medusa: Medusa, proxy: Proxy, word: str) -> None:
    """Its lease runs out, and another worker looks up before it does anything."""
    bought = await place(medusa, "ann")
    await behind.sync()
    await behind.asked(bought.number)
    await send_and_die(behind, proxy, word)
    assert await behind.pay() == 0, "the lease stands"
    for hours in range(1, 5):
        await behind.pay(after=LEASE + hours * LATER)
    there, here = await books(medusa, bought), (await behind.order(bought.number)).refunds[0]
    assert proxy.calls.count(REFUND) <= 1
    if word == REFUND:
        assert (refunds_in(there), here.state) == ([], RefundState.UNKNOWN)
    else:
        assert [amount for amount, _ in refunds_in(there)] == [44.9]
        assert here.state is RefundState.SUCCEEDED


async def test_two_workers_that_hold_one_attempt_pay_once(behind: ShopMarket, medusa: Medusa) -> None:
    """One was stopped past its lease, and goes on beside the other."""
    for _ in range(3):
        bought = await place(medusa, "ann", [("cup", 2)])
        await behind.sync()
        line = (await behind.order(bought.number)).lines[0].line_id
        await behind.asked(bought.number, (line, 1))
        (claimed,) = [each for each in await behind.claim() if each.refund.order_id == bought.number]
        one = instruction_of(claimed)
        await asyncio.gather(behind.provider.send(one), behind.provider.send(one))
        assert len(refunds_in(await books(medusa, bought))) <= 1


# In between ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [LOWER, CONFIRM])
async def test_nothing_is_packed_while_our_edit_is_open(
    behind: ShopMarket, medusa: Medusa, proxy: Proxy, word: str
) -> None:
    bought = await place(medusa, "ann")
    await behind.sync()
    await behind.asked(bought.number)
    packed: list[tuple[int, str]] = []

    async def try_to_pack() -> None:
        packed.append(await pack(medusa, bought))

    proxy.before[word] = try_to_pack
    for hours in range(3):  # packing takes time, and may make the first try too long
        await behind.pay(after=hours * LATER)
    assert [status for status, _ in packed] == [400]
    assert [amount for amount, _ in refunds_in(await books(medusa, bought))] == [44.9]


async def test_what_is_packed_just_before_our_edit_ends_the_refund(
    behind: ShopMarket, medusa: Medusa, proxy: Proxy
) -> None:
    """Medusa lowers no quantity below what is packed: our edit is taken back, and the next try finds the shipment."""
    bought = await place(medusa, "ann", [("cup", 2)])
    await behind.sync()
    await behind.asked(bought.number)
    packed: list[tuple[int, str]] = []

    async def pack_one() -> None:
        line = lines_in(await books(medusa, bought))["cup"]
        packed.append(await fulfil(medusa, bought, {line: 1}))

    proxy.before[BEGIN] = pack_one
    await behind.pay()
    assert packed == [(200, "")]
    for hours in (1, 2):
        await behind.pay(after=hours * LATER)
    there, here = await books(medusa, bought), await behind.order(bought.number)
    assert (refunds_in(there), left_in(there)) == ([], {"cup": 2})
    assert here.refunds[0].state is RefundState.FAILED
    assert "shipped at the shop's platform" in here.refunds[0].reason
    assert await fulfil(medusa, bought, {lines_in(there)["cup"]: 1}) == (200, ""), "it ships on"


async def test_an_edit_of_ours_that_is_left_open_is_taken_back(market: ShopMarket, medusa: Medusa) -> None:
    """And not another's, which `test_an_edit_that_somebody_has_open_is_waited_for` has."""
    bought = await place(medusa, "ann", [("cup", 2)])
    await market.sync()
    await market.asked(bought.number)
    note = "Jitui 01234567-89ab-cdef-0123-456789abcdef"
    await tried(medusa, "POST", "order-edits", {"order_id": bought.there, "internal_note": note})
    await market.pay()
    assert "left open" in (await market.order(bought.number)).refunds[0].reason
    assert (await market.order(bought.number)).refunds[0].state is RefundState.UNKNOWN
    await market.pay(after=LATER)
    assert (await market.order(bought.number)).refunds[0].state is RefundState.SUCCEEDED


# The payment's gateway ----------------------------------------------------------------------------------------------


async def test_a_refund_that_the_gateway_is_being_asked_for_is_not_known(market: ShopMarket, medusa: Medusa) -> None:
    """Medusa shows it at once, and deletes it when the gateway fails."""
    bought = await place(medusa, "ann", provider=GATEWAY)
    asking = asyncio.create_task(refund_by_hand(medusa, bought, 0.17, "Jitui 01234567-89ab-cdef-0123-456789abcdef"))
    for _ in range(40):
        await asyncio.sleep(0.1)
        if refunds_in(await books(medusa, bought)):
            break
    found = await market.orders.find_order(bought.number)
    assert [refund.state for refund in found.payments[0].refunds] == [RefundResultKind.UNKNOWN]  # type: ignore[union-attr]
    assert (await asking)[0] == 200
    found = await market.orders.find_order(bought.number)
    assert [refund.state for refund in found.payments[0].refunds] == [RefundResultKind.SUCCEEDED]  # type: ignore[union-attr]


async def test_an_error_of_the_gateway_does_not_say_that_nothing_was_paid(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann", provider=GATEWAY)
    payment = payment_in(await books(medusa, bought))["id"]
    status, _ = await tried(medusa, "POST", f"payments/{payment}/refund", {"amount": 44.77, "note": "most of it"})
    assert status == 200
    assert (await refund_by_hand(medusa, bought, 0.13))[0] >= 400
    assert [amount for amount, _ in refunds_in(await books(medusa, bought))] == [44.77], "Medusa keeps no trace"
