"""How often a refund is attempted, how long the pauses are, and when an operator must look."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jitui.aftersales.changes import MoveRefund
from jitui.aftersales.commands.execute import Executed, Plan, execute
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.settle_refund import retry
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, DecisionInputs, RefundRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from tests.aftersales.market import NOW, RULES, Market, on_both_stores
from tests.aftersales.test_pay import DECLINED, OPERATOR, PENDING, SUCCEEDED, UNKNOWN, claim_all, start_paying


@on_both_stores
async def test_every_claim_of_an_attempt_is_another_try_and_a_new_attempt_begins_at_one(market: Market) -> None:
    paying = await start_paying(market)
    tries = [paying.claimed.refund.tries]
    for hours in range(1, 4):
        await paying.hears(UNKNOWN)
        (again,) = await claim_all(market, after=timedelta(hours=hours))
        tries.append(again.refund.tries)
    assert tries == [1, 2, 3, 4]
    await paying.hears(DECLINED)
    ref = RefundRef(paying.claimed.lane, paying.claimed.refund.refund_id)
    await retry(market.store, ref, RULES, by=OPERATOR, now=NOW)
    (anew,) = await claim_all(market)
    assert (anew.attempt.attempt_no, anew.refund.tries) == (2, 1)


@on_both_stores
async def test_the_wait_after_a_lost_answer_doubles_up_to_ten_minutes(market: Market) -> None:
    """Half of it is certain and half is jitter, so that refunds that were lost together do not come back together."""
    paying = await start_paying(market)
    for tries in range(1, 16):
        await paying.hears(UNKNOWN)
        due_at = (await paying.snapshot()).refunds[0].due_at
        assert due_at is not None
        wait_seconds = (due_at - NOW - timedelta(seconds=1)).total_seconds()
        longest = min(600.0, 2.0**tries)
        assert longest / 2 <= wait_seconds <= longest, f"after try {tries}"
        await claim_all(market, after=timedelta(days=tries))


@on_both_stores
async def test_an_accepted_refund_is_looked_up_after_five_seconds_and_then_ever_more_rarely(market: Market) -> None:
    paying = await start_paying(market)
    waits: list[float] = []
    for tries in range(1, 13):
        await paying.hears(PENDING)
        due_at = (await paying.snapshot()).refunds[0].due_at
        assert due_at is not None
        waits.append((due_at - NOW - timedelta(seconds=1)).total_seconds())
        await claim_all(market, after=timedelta(days=tries))
    assert waits[0] == 5.0 and min(waits) == 5.0
    assert 300 <= waits[-1] <= 600


@on_both_stores
async def test_a_refund_that_fails_after_success_is_attempted_anew_three_times_and_then_an_operator_must_look(
    market: Market,
) -> None:
    paying = await start_paying(market)
    claimed = paying.claimed
    for attempt_no in (2, 3, 4):
        await _succeeds_and_fails(market, claimed)
        (claimed,) = await claim_all(market, after=timedelta(seconds=2))
        assert claimed.attempt.attempt_no == attempt_no
    await _succeeds_and_fails(market, claimed)
    assert await claim_all(market, after=timedelta(days=1)) == []
    snapshot = await paying.snapshot()
    assert snapshot.refunds[0].state is RefundState.FAILED
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUND_FAILED
    assert (snapshot.tenders[0].pending_minor, snapshot.tenders[0].refunded_minor) == (10000, 0), "it is still owed"
    ref = RefundRef(claimed.lane, claimed.refund.refund_id)
    assert isinstance(await retry(market.store, ref, RULES, by=OPERATOR, now=NOW), Executed), (
        "and an operator may send it again"
    )


@on_both_stores
async def test_the_providers_number_stays_known_when_later_news_does_not_repeat_it(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(RefundResult(RefundResultKind.PENDING, provider_refund_id="r-9"))
    await paying.hears(RefundResult(RefundResultKind.SUCCEEDED))
    assert [attempt.provider_refund_id for attempt in (await paying.snapshot()).attempts] == ["r-9"]
    other = await start_paying(market, "2")
    await other.hears(RefundResult(RefundResultKind.PENDING, provider_refund_id="r-1"))
    await other.hears(RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id="r-2"))
    assert [attempt.provider_refund_id for attempt in (await other.snapshot()).attempts] == ["r-2"]


@on_both_stores
@pytest.mark.parametrize("repeats", [1, 2])
async def test_a_decline_of_an_earlier_attempt_does_not_fail_a_refund_whose_newest_may_still_pay(
    market: Market, repeats: int
) -> None:
    """The books say again what became of the first attempt, while the answer for the second one is lost."""
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    ref = RefundRef(paying.claimed.lane, paying.claimed.refund.refund_id)
    await retry(market.store, ref, RULES, by=OPERATOR, now=NOW)
    (second,) = await claim_all(market, after=timedelta(seconds=2))
    newest = AttemptRef(second.lane, second.attempt.attempt_id)
    await confirm(market.store, newest, RefundUpdate(UNKNOWN), now=NOW + timedelta(seconds=3))
    for _ in range(repeats):
        await paying.hears(DECLINED, looked_up=True)
    refund = (await paying.snapshot()).refunds[0]
    assert refund.state is RefundState.UNKNOWN and refund.due_at is not None, "it is looked up again"
    refused = await retry(market.store, ref, RULES, by=OPERATOR, now=NOW + timedelta(seconds=4))
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.REFUND_NOT_FAILED
    await confirm(market.store, newest, RefundUpdate(SUCCEEDED), now=NOW + timedelta(seconds=5))
    snapshot = await paying.snapshot()
    assert snapshot.refunds[0].state is RefundState.SUCCEEDED
    assert (snapshot.tenders[0].pending_minor, snapshot.tenders[0].refunded_minor) == (0, 10000)


@on_both_stores
async def test_a_failed_refund_is_not_retried_beside_an_attempt_that_is_not_declined(market: Market) -> None:
    """However the refund came to stand as failed: a second live attempt could pay twice (I2)."""
    paying = await start_paying(market)
    await paying.hears(UNKNOWN)
    refund = (await paying.snapshot()).refunds[0]

    def fail(_: OrderSnapshot, __: DecisionInputs) -> Plan:
        failed = MoveRefund(refund.refund_id, RefundState.FAILED, None, "set by hand", None, refund.tries)
        return Plan((failed,), refund.ticket_id)

    ref = RefundRef(paying.claimed.lane, refund.refund_id)
    await execute(market.store, ref, fail)
    refused = await retry(market.store, ref, RULES, by=OPERATOR, now=NOW + timedelta(seconds=4))
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.REFUND_NOT_FAILED
    assert await claim_all(market, after=timedelta(days=1)) == []


async def _succeeds_and_fails(market: Market, claimed: ClaimedRefund) -> None:
    ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    for result, looked_up in ((SUCCEEDED, False), (DECLINED, True)):
        done = await confirm(market.store, ref, RefundUpdate(result, looked_up), now=NOW + timedelta(seconds=1))
        assert isinstance(done, Executed)
