"""Both at once: somebody ships in Vendure's admin while Jitui refunds. The books of both are compared."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.model.refund import RefundState
from jitui.bootstrap import utc_now
from tests.platforms.market import ShopMarket, incidents_of
from tests.platforms.vendure.shop import (
    AMOUNT_ALONE,
    Vendure,
    VendureError,
    admin,
    books,
    fulfil,
    place,
    refunds_in,
    shipped_in,
)

ROUNDS = int(os.environ.get("JITUI_TEST_ROUNDS", "12"))
BARE_ROUNDS = max(8, ROUNDS // 10)
AT_ONCE = 4
LATEST_SECONDS = 1.2
"""By so much one of the two begins later than the other, at most."""


async def test_never_refunded_and_shipped_without_an_incident(market: ShopMarket, vendure: Vendure) -> None:
    outcomes: Counter[str] = Counter()
    chance = random.Random(17)
    codes = [await place(vendure, f"racer{number}", [("cup", 1)]) for number in range(ROUNDS)]
    await market.sync()
    for code in codes:
        await market.asked(code)
        lead = chance.uniform(-LATEST_SECONDS, LATEST_SECONDS)
        await asyncio.gather(_pay_after(market, -lead), _ship_after(vendure, code, lead))
    await market.sync()
    for code in codes:
        there, here = await books(vendure, code), await market.order(code)
        refunds, shipped = refunds_in(there), shipped_in(there)
        assert len(refunds) <= 1, there
        assert bool(refunds) == (here.refunds[0].state is RefundState.SUCCEEDED), (there, here.refunds)
        if refunds and shipped:
            assert await incidents_of(market, code) == 1, "both went through: the incident is open"
        outcomes[_named(bool(refunds), shipped)] += 1
    print(f"\nThrough Jitui, {ROUNDS} rounds: {dict(outcomes)}")
    assert outcomes["refunded"] and outcomes["shipped"], "the race went both ways"


async def test_every_request_is_refunded_and_how_fast_is_printed(market: ShopMarket, vendure: Vendure) -> None:
    codes = [await place(vendure, f"hurry{number}", [("cup", 1)]) for number in range(ROUNDS)]
    await market.sync()
    began = time.monotonic()
    for code in codes:
        await market.asked(code)
    asked = time.monotonic()
    while claimed := await market.claim():  # a worker takes a share at a time
        ways = [partial(pay_claimed, market.jitui.store, {market.name: market.provider}, each) for each in claimed]
        for some in range(0, len(ways), AT_ONCE):
            await asyncio.gather(*(way(clock=utc_now) for way in ways[some : some + AT_ONCE]))
    seconds = time.monotonic() - asked
    print(f"\n{ROUNDS} requests decided in {asked - began:.1f} s")
    print(f"Refunded, {AT_ONCE} at once: {ROUNDS / seconds:.1f} a second")
    left = [(await market.order(code)).refunds[0] for code in codes]
    assert [(one.state, one.reason) for one in left if one.state is not RefundState.SUCCEEDED] == []


async def test_bare_vendure_lets_both_through(vendure: Vendure) -> None:
    """Why there is a lock of ours: without it, Vendure cancels, refunds and ships one order."""
    outcomes: Counter[str] = Counter()
    for number in range(BARE_ROUNDS):
        code = await place(vendure, f"bare{number}", [("cup", 1)])
        await asyncio.gather(_refund_bare(vendure, code), _ship(vendure, code))
        there = await books(vendure, code)
        outcomes[_named(bool(refunds_in(there)), shipped_in(there))] += 1
        over = sum(refund["total"] for refund in refunds_in(there)) > there["payments"][0]["amount"]
        outcomes["refunded too much"] += over
    print(f"\nBare Vendure, {BARE_ROUNDS} rounds: {dict(outcomes)}")
    assert outcomes["both"]


async def _pay_after(market: ShopMarket, seconds: float) -> None:
    await asyncio.sleep(max(0, seconds))
    await market.pay()


async def _ship_after(vendure: Vendure, code: str, seconds: float) -> None:
    await asyncio.sleep(max(0, seconds))
    await _ship(vendure, code)


async def _ship(vendure: Vendure, code: str) -> None:
    """An error of Vendure's own is no failure of the test: what stands in its books afterwards counts."""
    with suppress(VendureError):
        await fulfil(vendure, code, f"SF{code}")


async def _refund_bare(vendure: Vendure, code: str) -> None:
    """As a script without a lock does it: cancel, then two refunds that a repetition makes of one."""
    order = await books(vendure, code)
    await admin(
        vendure,
        "mutation ($i: CancelOrderInput!) { cancelOrder(input: $i) { __typename } }",
        i={"orderId": order["id"], "reason": "asked"},
    )
    refund = {**AMOUNT_ALONE, "paymentId": order["payments"][0]["id"], "amount": 3990, "reason": "asked"}
    ask = "mutation ($i: RefundOrderInput!) { refundOrder(input: $i) { __typename } }"
    await asyncio.gather(*(admin(vendure, ask, i=refund) for _ in range(2)))


def _named(refunded: bool, shipped: bool) -> str:
    return {(True, True): "both", (True, False): "refunded", (False, True): "shipped"}.get(
        (refunded, shipped), "neither"
    )


async def test_every_order_is_found_by_its_time(market: ShopMarket, vendure: Vendure) -> None:
    """A page boundary loses none, and a second reading from the start changes nothing."""
    began = datetime.now(UTC)
    codes = [await place(vendure, f"page{number}") for number in range(3)]
    await market.sync()
    known = [await market.order(code) for code in codes]
    state = await market.states.state("vendure")
    assert state.cursor is not None and state.cursor > began
    await market.states.forget("vendure")
    again = await market.sync()
    assert again.read >= 3
    assert not again.refused
    assert [await market.order(code) for code in codes] == known
