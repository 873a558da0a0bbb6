"""Whatever happens between us and a platform, an attempt asks for its refund once, and nothing shipped is refunded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest

from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.aftersales.commands.pay import pay_claimed, refund_instruction
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.commands.settle_refund import ManualPaymentRules, why_not_retried, why_not_settled
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.operations.platform_calls import BUSY
from jitui.aftersales.operations.platform_connections import (
    LOST_AFTER,
    CallSeen,
    CallStanding,
    GatewayAnswer,
    NotDone,
    read_call,
    resolve_lost_call,
)
from jitui.aftersales.operations.platform_refunds import (
    ASKED_BEFORE,
    REFUNDED_THERE,
    SHIPPED,
    PlatformProvider,
    PlatformRules,
)
from jitui.aftersales.operations.platform_sync import take_order
from jitui.aftersales.platform import PlatformPayment, read_refunded_units
from jitui.aftersales.ports import ClaimedRefund, RefundRef
from jitui.aftersales.provider import RefundInstruction, RefundResultKind
from jitui.ids import lane_of_id
from tests.aftersales.market import NOW, Market, open_market
from tests.platforms.market import POLICY
from tests.platforms.shop import ORDER, Fault, MemoryShop

HOUR = timedelta(hours=1)
TIMEOUT_SECONDS = 2.0
RULES = ManualPaymentRules(frozenset({"memory"}), {"CNY": 100_000})


@dataclass
class Shop:
    """Jitui beside a shop in memory; `now` is the time."""

    market: Market
    there: MemoryShop = field(default_factory=MemoryShop)
    now: datetime = NOW
    settles: bool = False
    pause_seconds: float = 0.0

    def clock(self) -> datetime:
        return self.now

    @property
    def calls(self) -> PostgresPlatformCalls:
        return PostgresPlatformCalls(self.market.pool)

    @property
    def provider(self) -> PlatformProvider:
        """A worker's own: what two of them share is the database."""
        units = partial(read_refunded_units, self.market.store)
        rules = PlatformRules(self.settles, TIMEOUT_SECONDS, self.pause_seconds)
        return PlatformProvider(self.there, self.there, units, self.calls, rules, self.clock)

    async def take(self) -> None:
        settings = self.market.decision_settings
        deciding = DecisionSettings(Deciding(POLICY), settings.time_zone, frozenset({"memory"}))
        for order in self.there.orders.values():
            assert await take_order(self.market.store, deciding, "memory", "shop-1", order, now=NOW) == []

    async def ask(self, *lines: tuple[str, int]) -> None:
        await self.market.deciding_by(POLICY).asked("shop-1", "S-1", lines=lines)

    async def claim(self) -> list[ClaimedRefund]:
        until = self.now + timedelta(seconds=60)
        return await self.market.store.claim_refunds(now=self.now, lease_until=until, limit=9, provider="memory")

    async def pay(self, *, after: timedelta = timedelta(0)) -> Refund:
        """What a worker does then; the refund after it."""
        self.now += after
        for claimed in await self.claim():
            await pay_claimed(self.market.store, {"memory": self.provider}, claimed, clock=self.clock)
        return (await self.order()).refunds[0]

    async def order(self) -> OrderSnapshot:
        ref = await self.market.store.find_order("S-1")
        assert ref is not None
        found = await self.market.store.read_order(ref)
        assert found is not None
        return found

    async def instruction(self) -> RefundInstruction:
        (claimed,) = await self.claim()
        return refund_instruction(claimed.refund, claimed.attempt)


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url) as opened:
        yield opened


@pytest.fixture
async def shop(market: Market) -> Shop:
    """A paid order of two cups that the buyer asks for, whole."""
    opened = Shop(market)
    await opened.take()
    await opened.ask()
    return opened


async def test_cancelled_then_refunded(shop: Shop) -> None:
    paid = await shop.pay()
    assert paid.state is RefundState.SUCCEEDED
    assert shop.there.calls == ["find_order", "cancel", "find_order", "refund"]
    assert (shop.there.orders["S-1"].lines[0].cancelled, shop.there.freight) == (2, [True])
    assert [refund.amount_minor for refund in shop.there.refunds] == [2500]


async def test_only_the_units_that_were_asked_for_are_cancelled(market: Market) -> None:
    shop = Shop(market)
    await shop.take()
    await shop.ask(("l1", 1))
    assert (await shop.pay()).amount_minor == 1000
    assert (shop.there.orders["S-1"].lines[0].cancelled, shop.there.freight) == (1, [False])


# Answers that are lost -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["find_order", "cancel", "refund"])
@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.UNREACHED])
async def test_what_was_done_is_found_and_what_was_not_is_done_again(shop: Shop, call: str, fault: Fault) -> None:
    shop.there.faults[call] = fault
    await shop.pay()
    for _ in range(2):
        paid = await shop.pay(after=HOUR)
    assert paid.state is RefundState.SUCCEEDED
    assert len(shop.there.refunds) == 1
    assert shop.there.orders["S-1"].lines[0].cancelled == 2
    assert shop.there.calls.count("refund") == (2 if (call, fault) == ("refund", Fault.UNREACHED) else 1)


async def test_a_lost_answer_is_looked_up_at_once(shop: Shop) -> None:
    shop.there.faults["refund"] = Fault.LOST_AFTER
    assert (await shop.pay()).state is RefundState.SUCCEEDED


async def test_who_sends_again_what_was_made_is_told_so(shop: Shop) -> None:
    wanted = await shop.instruction()
    assert (await shop.provider.send(wanted)).kind is RefundResultKind.SUCCEEDED
    shop.there.calls.clear()
    assert (await shop.provider.send(wanted)).kind is RefundResultKind.SUCCEEDED
    assert shop.there.calls == ["find_order"]


async def test_of_two_people_the_first_ones_answer_counts(shop: Shop) -> None:
    attempt_id = (await shop.instruction()).attempt_id
    await shop.calls.begin("memory", "S-1", attempt_id, shop.now)
    said = [
        await shop.calls.answer(attempt_id, made=made, note=note, by=note, now=shop.now)
        for made, note in ((True, "first"), (True, "second"), (False, "third"))
    ]
    assert said == [True, False, False]
    call = await shop.calls.call(attempt_id)
    assert call is not None
    assert call.made_note == "first"


async def test_a_refusal_fails_the_refund(shop: Shop) -> None:
    shop.there.faults["refund"] = Fault.REFUSED
    refund = await shop.pay()
    assert (refund.state, refund.reason) == (RefundState.FAILED, "the gateway declines")


async def test_a_refund_that_nobody_can_see_is_never_asked_for_again(shop: Shop) -> None:
    shop.there.faults["refund"] = Fault.LOST_BEFORE
    for hours in range(4):
        refund = await shop.pay(after=hours * HOUR)
    assert (refund.state, refund.reason) == (RefundState.UNKNOWN, ASKED_BEFORE)
    assert shop.there.calls.count("refund") == 1


async def test_it_is_asked_for_again_once_a_person_has_seen_that_it_was_not_made(shop: Shop) -> None:
    shop.there.faults["refund"] = Fault.LOST_BEFORE
    refund = await shop.pay()
    assert await resolved(shop, refund, made=False) == NotDone(
        "The call is only a few minutes old, and may still be answered. Try again in a quarter of an hour."
    )
    shop.now += LOST_AFTER - timedelta(microseconds=1)
    assert isinstance(await resolved(shop, refund, made=False), NotDone)
    shop.now += timedelta(microseconds=1)
    assert await resolved(shop, refund, made=False) is None
    assert (await shop.pay(after=HOUR)).state is RefundState.SUCCEEDED
    assert shop.there.calls.count("refund") == 2
    assert len((await shop.order()).attempts) == 1, "the same attempt asked again"
    shop.now += HOUR
    assert isinstance(await resolved(shop, refund, made=False), NotDone)


async def test_a_refund_that_a_person_has_seen_at_the_gateway_is_settled_with_evidence(shop: Shop) -> None:
    """It is never sent again, not even by hand, and closing it takes the steps of every payment by hand."""
    shop.there.faults["refund"] = Fault.LOST_BEFORE
    refund = await shop.pay()
    shop.now += HOUR
    assert await resolved(shop, refund, made=True) is None
    assert isinstance(await resolved(shop, refund, made=False), NotDone), "one answer counts"
    refund = await shop.pay(after=HOUR)
    assert refund.state is RefundState.FAILED
    assert "seen at the bank" in refund.reason
    order = await shop.order()
    assert why_not_retried(order, refund, RULES) is not None
    assert why_not_settled(order, refund, RULES) is None
    assert shop.there.calls.count("refund") == 1


async def seen(shop: Shop, refund: Refund) -> CallSeen:
    order = await shop.order()
    (now,) = [one for one in order.refunds if one.refund_id == refund.refund_id]
    return await read_call(shop.calls, now, order.attempts, shop.now)


async def test_what_is_to_be_done_about_a_lost_call_comes_from_the_note_not_from_the_last_look_up(shop: Shop) -> None:
    shop.there.faults["refund"] = Fault.LOST_BEFORE
    refund, asked_at = await shop.pay(), shop.now
    on_its_way = await seen(shop, refund)
    assert (on_its_way.standing, on_its_way.asked_at) == (CallStanding.ON_ITS_WAY, asked_at)
    shop.there.faults["find_order"] = Fault.LOST_BEFORE
    refund = await shop.pay(after=HOUR)
    assert "jitui platform resolve" not in refund.reason, "the last look-up failed for another reason"
    assert (await seen(shop, refund)).standing is CallStanding.LOST
    assert await shop.calls.lost(asked_at) == {refund.refund_id}
    assert await shop.calls.lost(asked_at - timedelta(microseconds=1)) == set()
    assert await resolved(shop, refund, made=False) is None
    said = await seen(shop, refund)
    assert said.standing is None
    assert said.answers == (GatewayAnswer(False, "seen at the bank", "wei", shop.now),)
    assert await shop.calls.lost(shop.now) == set()


async def test_that_the_gateway_made_it_is_shown_until_the_worker_takes_it_up_and_after(shop: Shop) -> None:
    shop.there.faults["refund"] = Fault.LOST_BEFORE
    refund = await shop.pay()
    shop.now += HOUR
    assert await resolved(shop, refund, made=True) is None
    said = await seen(shop, refund)
    assert (said.standing, [one.made for one in said.answers]) == (CallStanding.MADE, [True])
    assert await shop.calls.lost(shop.now) == set()
    refund = await shop.pay(after=HOUR)
    assert refund.state is RefundState.FAILED
    later = await seen(shop, refund)
    assert (later.standing, len(later.answers)) == (None, 1)


async def resolved(shop: Shop, refund: Refund, *, made: bool) -> NotDone | None:
    ref = RefundRef(lane_of_id(refund.refund_id), refund.refund_id)
    return await resolve_lost_call(
        shop.market.store, shop.calls, ref, made=made, note="seen at the bank", by="wei", now=shop.now
    )


async def test_pending_waits_and_is_settled_only_where_the_shop_wants_it(shop: Shop) -> None:
    shop.there.new_refunds = RefundResultKind.PENDING
    assert (await shop.pay()).state is RefundState.PENDING
    assert "settle" not in shop.there.calls
    shop.settles = True
    assert (await shop.pay(after=HOUR)).state is RefundState.SUCCEEDED
    assert len(shop.there.refunds) == 1


# Shipped, or refunded by somebody else -------------------------------------------------------------------------------


async def test_shipped_before_nothing_is_refunded(shop: Shop) -> None:
    shop.there.ship(1)
    refund = await shop.pay()
    assert (refund.state, refund.reason) == (RefundState.FAILED, SHIPPED)
    assert shop.there.calls == ["find_order"]


async def test_shipped_while_it_is_cancelled_nothing_is_refunded(shop: Shop) -> None:
    """A platform that holds nothing ships what was cancelled: the order is read once more before the money goes."""

    async def ship() -> None:
        shop.there.ship()

    shop.there.before["cancel"] = ship
    refund = await shop.pay()
    assert (refund.state, refund.reason) == (RefundState.FAILED, SHIPPED)
    assert shop.there.refunds == []
    assert await shop.calls.call((await shop.order()).attempts[0].attempt_id) is None, "nothing was asked for"


async def test_the_other_unit_may_have_left(market: Market) -> None:
    shop = Shop(market)
    await shop.take()
    await shop.ask(("l1", 1))
    shop.there.ship(1)
    assert (await shop.pay()).state is RefundState.SUCCEEDED


async def test_refunded_by_hand_meanwhile_nothing_goes_on_top(shop: Shop) -> None:
    shop.there.refund_by_hand(1)
    refund = await shop.pay()
    assert (refund.state, refund.reason) == (RefundState.FAILED, REFUNDED_THERE)


# Two workers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["find_order", "cancel", "refund"])
async def test_two_workers_with_one_attempt(shop: Shop, call: str) -> None:
    """The second comes while the first is at this call, which lasts longer than the lock: it has gone on regardless."""
    wanted = await shop.instruction()
    second: list[RefundResultKind] = []

    async def come() -> None:
        shop.there.before.clear()
        second.append((await shop.provider.send(wanted)).kind)
        shop.now += HOUR  # the first one's lock is over
        second.append((await shop.provider.send(wanted)).kind)

    shop.there.before[call] = come
    await shop.provider.send(wanted)
    assert second[0] is RefundResultKind.UNKNOWN
    assert shop.there.calls.count("refund") == 1
    assert len(shop.there.refunds) == 1
    assert shop.there.orders["S-1"].lines[0].cancelled >= 2


async def test_a_lock_is_somebody_elses_until_its_end(shop: Shop) -> None:
    wanted, dead = await shop.instruction(), uuid4()
    until = shop.now + timedelta(seconds=30)
    assert await shop.calls.lock("memory", "S-1", dead, shop.now, until)
    assert (await shop.provider.send(wanted)).reason == BUSY
    shop.now = until - timedelta(microseconds=1)
    assert (await shop.provider.send(wanted)).reason == BUSY
    await shop.calls.unlock("memory", "S-1", uuid4())  # nobody gives back what another one has
    assert (await shop.provider.send(wanted)).reason == BUSY
    assert shop.there.calls == []
    shop.now = until
    assert (await shop.provider.send(wanted)).kind is RefundResultKind.SUCCEEDED


async def test_the_lock_is_of_one_order_at_one_platform(shop: Shop) -> None:
    until = shop.now + HOUR
    assert await shop.calls.lock("memory", "S-2", uuid4(), shop.now, until)
    assert await shop.calls.lock("another", "S-1", uuid4(), shop.now, until)
    assert (await shop.pay()).state is RefundState.SUCCEEDED


async def test_the_lock_is_given_back_whatever_happens(shop: Shop) -> None:
    wanted = await shop.instruction()

    async def break_down() -> None:
        raise RuntimeError("a fault of ours")

    shop.there.before["find_order"] = break_down
    with pytest.raises(RuntimeError):
        await shop.provider.send(wanted)
    shop.there.before.clear()
    assert (await shop.provider.send(wanted)).kind is RefundResultKind.SUCCEEDED


async def test_a_worker_that_was_held_up_does_not_ask(shop: Shop) -> None:
    """Its lock may be over before the refund's answer is there, and somebody else's turn has come."""
    wanted = await shop.instruction()

    async def hold_up() -> None:
        shop.now += timedelta(seconds=5 * TIMEOUT_SECONDS)

    shop.there.before["cancel"] = hold_up
    assert (await shop.provider.send(wanted)).reason == BUSY
    assert "refund" not in shop.there.calls


async def test_two_refunds_of_one_order_cancel_its_units_once(market: Market) -> None:
    """An order that was paid by two payments: two workers take a refund each."""
    shop = Shop(market)
    payments = (PlatformPayment("p1", 1500, ORDER.placed_at), PlatformPayment("p2", 1000, ORDER.placed_at))
    shop.there.orders["S-1"] = replace(ORDER, payments=payments)
    await shop.take()
    await shop.ask()
    claimed = await shop.claim()
    wanted = [refund_instruction(each.refund, each.attempt) for each in claimed]
    assert len(wanted) == 2
    done = await asyncio.gather(*(shop.provider.send(one) for one in wanted))
    assert sorted(one.kind for one in done) == [RefundResultKind.SUCCEEDED, RefundResultKind.UNKNOWN]
    later = await asyncio.gather(
        *(shop.provider.send(one) for one, told in zip(wanted, done, strict=True) if told.reason == BUSY)
    )
    assert [one.kind for one in later] == [RefundResultKind.SUCCEEDED]
    assert shop.there.orders["S-1"].lines[0].cancelled == 2
    assert sorted(one.amount_minor for one in shop.there.refunds) == [1000, 1500]


async def test_a_shipment_that_was_under_way_while_units_were_cancelled_is_seen(shop: Shop) -> None:
    """The platform locks nothing: what began before the cancelling may end after it."""
    shop.pause_seconds, shipping = 0.3, list[asyncio.Task[None]]()

    async def ship() -> None:
        await asyncio.sleep(0.05)
        shop.there.ship()

    async def begin() -> None:
        shipping.append(asyncio.create_task(ship()))

    shop.there.before["cancel"] = begin
    refund = await shop.pay()
    assert refund.state is RefundState.FAILED
    assert shop.there.refunds == []
    assert shipping[0].done()
