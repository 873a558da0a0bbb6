"""An attempt whose result was lost is not sent again when its idempotency key may have expired (T27)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from jitui.adapters.payments.simulator import SimulatorProvider
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.commands.refund_updates import KEY_EXPIRED
from jitui.aftersales.commands.settle_refund import retry
from jitui.aftersales.model.refund import AttemptState, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind, TicketState
from jitui.aftersales.ports import ClaimedRefund, OrderRef, RefundRef
from tests.aftersales.market import NOW, RULES, Market, open_market
from tests.provider_simulator.server import API_KEY, WEBHOOK_SECRET, SimulatorProcess
from tests.worker.paying import approve, books, tell

DAY = timedelta(days=1)
OPERATOR = Actor(ActorKind.OPERATOR, "li.na")


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url, now=NOW) as opened:
        yield opened


@pytest.fixture
async def lost(market: Market, simulator: SimulatorProcess) -> OrderRef:
    """A refund that was claimed, and whose worker died before or after its call."""
    (ref,) = await approve(market, ["1"], now=NOW)
    await tell(simulator, [ref])
    await claim(market, NOW)
    return ref


async def claim(market: Market, now: datetime) -> ClaimedRefund:
    (claimed,) = await market.store.claim_refunds(now=now, lease_until=now + timedelta(seconds=60), limit=10)
    return claimed


async def pay_at(market: Market, simulator: SimulatorProcess, now: datetime, key_life: timedelta | None) -> None:
    async with SimulatorProvider(
        base_url=simulator.url, api_key=API_KEY, webhook_secret=WEBHOOK_SECRET, key_life=key_life
    ) as provider:
        done = await pay_claimed(market.store, {provider.name: provider}, await claim(market, now), clock=lambda: now)
    assert isinstance(done, Executed)


async def file_of(market: Market, ref: OrderRef) -> OrderSnapshot:
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    return snapshot


async def refunds_made(simulator: SimulatorProcess) -> int:
    by_status = (await books(simulator))["refunds_by_status"]
    assert isinstance(by_status, dict)
    return sum(by_status.values())


async def test_past_its_keys_life_a_lost_attempt_goes_to_the_operator_whose_retry_has_a_new_key(
    market: Market, simulator: SimulatorProcess, lost: OrderRef
) -> None:
    await pay_at(market, simulator, NOW + DAY, DAY)
    snapshot = await file_of(market, lost)
    assert await refunds_made(simulator) == 0
    assert [(refund.state, refund.reason) for refund in snapshot.refunds] == [(RefundState.FAILED, KEY_EXPIRED)]
    assert snapshot.tickets[0].state is TicketState.REFUND_FAILED
    assert snapshot.tenders[0].pending_minor == 10_000, "the money is still owed"

    ref = RefundRef(lost.lane, snapshot.refunds[0].refund_id)
    assert isinstance(await retry(market.store, ref, RULES, by=OPERATOR, now=NOW + DAY), Executed)
    await pay_at(market, simulator, NOW + DAY, DAY)
    snapshot = await file_of(market, lost)
    assert [attempt.state for attempt in snapshot.attempts] == [AttemptState.DECLINED, AttemptState.SUCCEEDED]
    assert await refunds_made(simulator) == 1


@pytest.mark.parametrize(
    ("age", "key_life"), [(DAY - timedelta(seconds=1), DAY), (30 * DAY, None)], ids=["young enough", "lives for ever"]
)
async def test_while_its_key_lives_a_lost_attempt_is_sent_again(
    market: Market, simulator: SimulatorProcess, lost: OrderRef, age: timedelta, key_life: timedelta | None
) -> None:
    await pay_at(market, simulator, NOW + age, key_life)
    assert [refund.state for refund in (await file_of(market, lost)).refunds] == [RefundState.SUCCEEDED]
    assert await refunds_made(simulator) == 1


async def test_what_was_paid_is_found_however_old_its_key_is(
    market: Market, simulator: SimulatorProcess, lost: OrderRef
) -> None:
    await pay_at(market, simulator, NOW + timedelta(minutes=2), DAY)
    async with market.pool.connection() as connection:  # the answer to that call was lost with its worker
        await connection.execute("UPDATE refund SET state = 'unknown', due_at = %s", (NOW,))
        await connection.execute("UPDATE refund_attempt SET state = 'unknown'")
        await connection.execute("UPDATE tender SET pending_minor = 10000, refunded_minor = 0")
        await connection.execute("DELETE FROM ledger WHERE posting LIKE 'paid:%%'")
    await pay_at(market, simulator, NOW + 2 * DAY, DAY)
    assert [refund.state for refund in (await file_of(market, lost)).refunds] == [RefundState.SUCCEEDED]
    assert await refunds_made(simulator) == 1


async def test_nothing_is_sent_by_a_worker_whose_lease_ran_out(
    market: Market, simulator: SimulatorProcess, lost: OrderRef
) -> None:
    """Held up between claim and call: another worker may be at it by now, so this one leaves it alone."""
    claimed = await claim(market, NOW + DAY)
    late = NOW + DAY + timedelta(seconds=61)
    async with SimulatorProvider(base_url=simulator.url, api_key=API_KEY, webhook_secret=WEBHOOK_SECRET) as provider:
        await pay_claimed(market.store, {provider.name: provider}, claimed, clock=lambda: late)
    assert await refunds_made(simulator) == 0
    (refund,) = (await file_of(market, lost)).refunds
    assert refund.state is RefundState.UNKNOWN and refund.due_at is not None, "it is looked up later"
