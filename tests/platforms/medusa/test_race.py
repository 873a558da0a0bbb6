"""Both at once: somebody packs in Medusa's admin while Jitui refunds. The books of both are compared."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from jitui.aftersales.model.refund import RefundState
from tests.platforms.market import ShopMarket
from tests.platforms.medusa.shop import Medusa, books, pack, place, refund_by_hand, refunds_in, sent_in

ROUNDS = int(os.environ.get("JITUI_TEST_ROUNDS", "12"))
BARE_ROUNDS = max(8, ROUNDS // 10)
LATEST_SECONDS = 1.2
"""By so much one of the two begins later than the other, at most."""


async def test_never_refunded_and_packed(market: ShopMarket, medusa: Medusa) -> None:
    outcomes: Counter[str] = Counter()
    chance = random.Random(17)
    bought = [await place(medusa, f"racer{number}") for number in range(ROUNDS)]
    await market.sync()
    for one in bought:
        await market.asked(one.number)
        lead = chance.uniform(-LATEST_SECONDS, LATEST_SECONDS)
        await asyncio.gather(_after(-lead, market.pay), _after(lead, partial(pack, medusa, one)))
    await market.sync()
    for one in bought:
        there, here = await books(medusa, one), await market.order(one.number)
        refunds, sent = refunds_in(there), sent_in(there)
        assert len(refunds) <= 1, there
        assert bool(refunds) == (here.refunds[0].state is RefundState.SUCCEEDED), (there, here.refunds)
        assert not (refunds and sent), "an open edit lets nobody pack, and a packed unit lets no edit through"
        outcomes[_named(bool(refunds), bool(sent))] += 1
    print(f"\nThrough Jitui, {ROUNDS} rounds: {dict(outcomes)}")
    assert outcomes["refunded"] and outcomes["packed"], "the race went both ways"


async def test_bare_medusa_lets_both_through(medusa: Medusa) -> None:
    """Why units are taken out first: without that, Medusa refunds and ships one order."""
    outcomes: Counter[str] = Counter()
    for number in range(BARE_ROUNDS):
        one = await place(medusa, f"bare{number}")
        await asyncio.gather(*(refund_by_hand(medusa, one, 22) for _ in range(2)), pack(medusa, one))
        there = await books(medusa, one)
        outcomes[_named(bool(refunds_in(there)), bool(sent_in(there)))] += 1
        outcomes["refunded twice"] += len(refunds_in(there)) > 1
    print(f"\nBare Medusa, {BARE_ROUNDS} rounds: {dict(outcomes)}")
    assert outcomes["both"]


async def _after(seconds: float, step: Callable[[], Awaitable[object]]) -> None:
    await asyncio.sleep(max(0, seconds))
    await step()


def _named(refunded: bool, packed: bool) -> str:
    return {(True, True): "both", (True, False): "refunded", (False, True): "packed"}.get((refunded, packed), "neither")
