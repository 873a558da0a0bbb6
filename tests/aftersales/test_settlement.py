"""A failed refund that an operator paid by hand: settled once, never sent again, and a second payment is noticed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.settle_refund import (
    ManualPayout,
    RefundSeen,
    confirm_settlement,
    reject_settlement,
    retry,
    settle,
)
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.refund import AttemptState, RefundState
from jitui.aftersales.model.task import TaskFilter, TaskKind
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, RefundRef
from jitui.aftersales.provider import RefundResult
from tests.aftersales.market import NOW, RULES, Market
from tests.aftersales.test_pay import (
    DECLINED,
    NEWS,
    OPERATOR,
    PENDING,
    RATE_LIMITED,
    SUCCEEDED,
    UNKNOWN,
    Paying,
    claim_all,
    start_paying,
)

PAID_BY_HAND = ManualPayout("BANK-7", "card closed, paid to the account on file", 10000, "CNY")
LATER = NOW + timedelta(minutes=5)


def ref_of(paying: Paying) -> RefundRef:
    return RefundRef(paying.claimed.lane, paying.claimed.refund.refund_id)


async def settled(market: Market, payout: ManualPayout = PAID_BY_HAND) -> Paying:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    done = await settle(market.store, ref_of(paying), payout, RULES, by=OPERATOR, now=LATER)
    assert isinstance(done, Executed), done
    return paying


async def held(paying: Paying) -> dict[str, int]:
    return {
        account: minor for (account, _), minor in balances(await paying.market.queries.ledger(paying.order)).items()
    }


async def tasks_of(market: Market) -> list[TaskKind]:
    """But for the failure itself, whose task is another test's."""
    found = await PostgresTasks(market.pool).list(TaskFilter())
    return [task.kind for task in found if task.kind is not TaskKind.REFUND_FAILED]


async def test_a_failed_refund_is_settled_with_evidence(market: Market) -> None:
    paying = await settled(market)
    snapshot = await paying.snapshot()
    (refund,), ticket = snapshot.refunds, snapshot.ticket(paying.ticket_id)
    assert (refund.state, refund.due_at, refund.closed_at) == (RefundState.SUCCEEDED, None, LATER)
    assert refund.settlement is not None
    assert (refund.settlement.reference, refund.settlement.by, refund.settlement.at) == ("BANK-7", "li.na", LATER)
    assert ticket.state is TicketState.REFUNDED
    event = snapshot.timeline_of(paying.ticket_id)[-1]
    assert (event.actor_id, event.why, event.detail["reference"]) == ("li.na", "settled_by_hand", "BANK-7")
    assert "note" not in event.detail, "the note is the platform's own"
    assert (snapshot.tenders[0].pending_minor, snapshot.tenders[0].refunded_minor) == (0, 10000)
    assert await held(paying) == {
        "provider_clearing:simulator": 10000,
        "escrow": 0,
        "buyer_payable": 0,
        "manual_payout": -10000,
    }
    assert await claim_all(market, after=timedelta(days=1)) == [], "nothing is sent any more"


@pytest.mark.parametrize("result", [None, PENDING, UNKNOWN, SUCCEEDED])
async def test_only_a_failed_refund_is_settled(market: Market, result: RefundResult | None) -> None:
    paying = await start_paying(market)
    if result is not None:
        await paying.hears(result)
    before = await paying.snapshot()
    refused = await settle(market.store, ref_of(paying), PAID_BY_HAND, RULES, by=OPERATOR, now=LATER)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.REFUND_NOT_FAILED
    assert await paying.snapshot() == before


@pytest.mark.parametrize(("amount", "currency"), [(9999, "CNY"), (10001, "CNY"), (10000, "USD")])
async def test_it_is_settled_whole_or_not_at_all(market: Market, amount: int, currency: str) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    payout = ManualPayout("BANK-7", "by hand", amount, currency)
    refused = await settle(market.store, ref_of(paying), payout, RULES, by=OPERATOR, now=LATER)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.SETTLEMENT_DIFFERS


async def test_settling_and_retrying_exclude_each_other(market: Market) -> None:
    paying = await settled(market)
    for again in (
        await retry(market.store, ref_of(paying), RULES, by=OPERATOR, now=LATER),
        await settle(market.store, ref_of(paying), PAID_BY_HAND, RULES, by=OPERATOR, now=LATER),
    ):
        assert isinstance(again, Refusal) and again.code is RefusalCode.REFUND_NOT_FAILED
    other = await start_paying(market, "2")
    await other.hears(DECLINED)
    assert isinstance(await retry(market.store, ref_of(other), RULES, by=OPERATOR, now=LATER), Executed)
    refused = await settle(market.store, ref_of(other), PAID_BY_HAND, RULES, by=OPERATOR, now=LATER)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.REFUND_NOT_FAILED


async def test_what_was_decided_on_another_state_than_was_seen_is_refused(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    first = RefundSeen(RefundState.FAILED, 1)
    ref, store = ref_of(paying), market.store
    for seen in (
        RefundSeen(RefundState.UNKNOWN, 1),
        RefundSeen(RefundState.FAILED, 0),
        RefundSeen(RefundState.FAILED, 1, "BANK-7"),
    ):
        for stale in (
            await retry(store, ref, RULES, by=OPERATOR, now=LATER, seen=seen),
            await settle(store, ref, PAID_BY_HAND, RULES, by=OPERATOR, now=LATER, seen=seen),
            await confirm_settlement(store, ref, "BANK-7", RULES, by=OPERATOR, now=LATER, seen=seen),
            await reject_settlement(store, ref, "no", by=OPERATOR, now=LATER, seen=seen),
        ):
            assert isinstance(stale, Refusal) and stale.code is RefusalCode.REFUND_STALE
    assert isinstance(await retry(store, ref, RULES, by=OPERATOR, now=LATER, seen=first), Executed)
    again = await retry(store, ref, RULES, by=OPERATOR, now=LATER, seen=first)
    assert isinstance(again, Refusal) and again.code is RefusalCode.REFUND_STALE


@pytest.mark.parametrize("state", ["queued", "failed", "unknown"])
async def test_the_database_keeps_a_settled_refund_out_of_the_queue(market: Market, state: str) -> None:
    await settled(market)
    with pytest.raises(psycopg.errors.CheckViolation, match="settled_is_not_sent"):
        async with market.pool.connection() as connection:
            await connection.execute("UPDATE refund SET state = %s", (state,))


async def test_one_of_two_tenders_settled_is_in_the_timeline_and_the_ticket_waits(market: Market) -> None:
    paying = await start_paying(market, tenders=(7000, 3000))
    for claim in [paying.claimed, *await claim_all(market, after=timedelta(seconds=90))]:
        ref = AttemptRef(claim.lane, claim.attempt.attempt_id)
        await confirm(market.store, ref, RefundUpdate(DECLINED), now=NOW)
    amounts = {refund.refund_id: refund.amount_minor for refund in (await paying.snapshot()).refunds}
    states = []
    for refund_id, amount in amounts.items():
        payout = ManualPayout("BANK-7", "by hand", amount, "CNY")
        await settle(market.store, RefundRef(paying.claimed.lane, refund_id), payout, RULES, by=OPERATOR, now=LATER)
        states.append((await paying.snapshot()).ticket(paying.ticket_id).state)
    assert states == [TicketState.REFUND_FAILED, TicketState.REFUNDED]
    whys = [event.why for event in (await paying.snapshot()).timeline_of(paying.ticket_id)]
    assert whys.count("settled_by_hand") == 2


async def test_a_payment_after_the_settlement_is_a_second_one(market: Market) -> None:
    """A notification alone is looked up; what the books say is posted and becomes a task; the refund stays settled."""
    paying = await settled(market)
    await paying.hears(SUCCEEDED)
    assert await tasks_of(market) == [], "it had declined: its books are asked first"
    (doubt,) = await claim_all(market, after=timedelta(seconds=2))
    assert doubt.look_up_first and not doubt.may_send
    for _ in range(2):
        await paying.hears(SUCCEEDED, looked_up=True)
    assert await tasks_of(market) == [TaskKind.PAID_TWICE]
    snapshot = await paying.snapshot()
    assert snapshot.refunds[0].settlement is not None and snapshot.refunds[0].due_at is None
    assert snapshot.attempts[0].state is AttemptState.SUCCEEDED
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDED
    assert (await held(paying))["buyer_receivable"] == 10000
    assert (await held(paying))["provider_clearing:simulator"] == 0

    await paying.hears(DECLINED)
    (doubt,) = await claim_all(market, after=timedelta(seconds=90))
    assert doubt.look_up_first and not doubt.may_send
    await paying.hears(DECLINED, looked_up=True)
    assert (await held(paying))["buyer_receivable"] == 0, "the second payment came back"
    assert (await paying.snapshot()).ticket(paying.ticket_id).state is TicketState.REFUNDED


@pytest.mark.parametrize("result", [PENDING, UNKNOWN, DECLINED])
async def test_other_news_after_the_settlement_changes_nothing(market: Market, result: RefundResult) -> None:
    paying = await settled(market)
    before = await paying.snapshot()
    for looked_up in (False, True):
        await paying.hears(result, looked_up=looked_up)
    assert await paying.snapshot() == before


async def test_an_answer_that_is_not_final_makes_no_look_up_of_a_second_payment(market: Market) -> None:
    paying = await settled(market)
    await paying.hears(SUCCEEDED, looked_up=True)
    before = await paying.snapshot()
    await paying.hears(RATE_LIMITED)
    assert await paying.snapshot() == before


async def test_a_decline_of_an_earlier_attempt_after_the_settlement_makes_no_look_up(market: Market) -> None:
    """A look-up asks about the newest attempt; what became of an earlier one the statement says."""
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    await retry(market.store, ref_of(paying), RULES, by=OPERATOR, now=NOW)
    (second,) = await claim_all(market)
    await confirm(market.store, AttemptRef(second.lane, second.attempt.attempt_id), RefundUpdate(DECLINED), now=NOW)
    assert isinstance(await settle(market.store, ref_of(paying), PAID_BY_HAND, RULES, by=OPERATOR, now=LATER), Executed)
    await paying.hears(SUCCEEDED, looked_up=True)
    before = await paying.snapshot()
    assert [attempt.state for attempt in before.attempts] == [AttemptState.SUCCEEDED, AttemptState.DECLINED]
    await paying.hears(DECLINED)
    assert await paying.snapshot() == before


async def test_a_look_up_without_an_answer_is_made_again(market: Market) -> None:
    paying = await settled(market)
    await paying.hears(SUCCEEDED)
    await claim_all(market, after=timedelta(seconds=2))
    await paying.hears(UNKNOWN, looked_up=True)
    assert len(await claim_all(market, after=timedelta(seconds=30))) == 1


@pytest.mark.parametrize("result", [PENDING, UNKNOWN, DECLINED])
async def test_a_notification_alone_calls_no_look_up_off(market: Market, result: RefundResult) -> None:
    paying = await settled(market)
    await paying.hears(SUCCEEDED)
    await paying.hears(result)
    assert len(await claim_all(market, after=timedelta(seconds=2))) == 1


async def test_a_look_up_that_is_older_than_the_doubt_does_not_settle_it(market: Market) -> None:
    """The provider said "succeeded" while its books were asked: that look-up proves no more than the message."""
    paying = await settled(market)
    await paying.hears(SUCCEEDED)
    (asking,) = await claim_all(market, after=timedelta(seconds=2))
    await paying.hears(SUCCEEDED)
    old = RefundUpdate(DECLINED, looked_up=True, lease=asking.refund.leased_until)
    await confirm(market.store, AttemptRef(asking.lane, asking.attempt.attempt_id), old, now=LATER)
    assert len(await claim_all(market, after=timedelta(seconds=3))) == 1


async def test_an_open_attempt_that_pays_after_the_settlement_is_a_second_payment(market: Market) -> None:
    """A refund that is stuck at its provider is failed while its attempt stays open; the money may still arrive."""
    paying = await start_paying(market)
    await paying.hears(PENDING)
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE refund SET state = 'failed', due_at = NULL")
        await connection.execute("UPDATE ticket SET state = 'refund_failed'")
    assert isinstance(await settle(market.store, ref_of(paying), PAID_BY_HAND, RULES, by=OPERATOR, now=LATER), Executed)
    await paying.hears(SUCCEEDED)
    assert await tasks_of(market) == [TaskKind.PAID_TWICE]
    assert (await held(paying))["buyer_receivable"] == 10000


async def test_an_earlier_attempt_that_was_paid_after_all_is_a_second_payment(market: Market) -> None:
    """Retried after a decline, and then the provider says that it had paid the first attempt."""
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    await retry(market.store, ref_of(paying), RULES, by=OPERATOR, now=NOW)
    (second,) = await claim_all(market)
    await confirm(market.store, AttemptRef(second.lane, second.attempt.attempt_id), RefundUpdate(SUCCEEDED), now=NOW)
    await paying.hears(SUCCEEDED)
    assert await tasks_of(market) == [TaskKind.PAID_TWICE]
    assert "buyer_receivable" not in await held(paying), "its word alone makes no posting"
    for _ in range(2):
        await paying.hears(SUCCEEDED, looked_up=True)
    assert await tasks_of(market) == [TaskKind.PAID_TWICE]
    assert (await held(paying))["buyer_receivable"] == 10000
    assert (await paying.snapshot()).ticket(paying.ticket_id).state is TicketState.REFUNDED


async def test_of_settling_and_retrying_at_once_one_wins(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    ref, store = ref_of(paying), market.store
    done = await asyncio.gather(
        settle(store, ref, PAID_BY_HAND, RULES, by=OPERATOR, now=LATER),
        retry(store, ref, RULES, by=OPERATOR, now=LATER),
        settle(store, ref, PAID_BY_HAND, RULES, by=OPERATOR, now=LATER),
        retry(store, ref, RULES, by=OPERATOR, now=LATER),
    )
    assert [isinstance(one, Executed) for one in done].count(True) == 1
    assert sum((await held(paying)).values()) == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(news=st.lists(NEWS, max_size=6), stuck=st.booleans())
async def test_no_news_moves_a_settled_refund_and_a_second_payment_is_never_lost(
    market: Market, news: list[tuple[RefundResult, bool]], stuck: bool
) -> None:
    paying = await start_paying(market, uuid4().hex)
    await paying.hears(PENDING if stuck else DECLINED)
    async with market.pool.connection() as connection:
        where = "WHERE refund_id = %s"
        refund_id = paying.claimed.refund.refund_id
        await connection.execute(f"UPDATE refund SET state = 'failed', due_at = NULL {where}", (refund_id,))
    assert isinstance(await settle(market.store, ref_of(paying), PAID_BY_HAND, RULES, by=OPERATOR, now=LATER), Executed)
    paid, ever = False, False
    for result, looked_up in news:
        await paying.hears(result, looked_up=looked_up)
        snapshot = await paying.snapshot()
        paid = snapshot.attempts[0].state is AttemptState.SUCCEEDED
        ever |= paid
        (refund,) = snapshot.refunds
        assert (refund.state, refund.settlement is None) == (RefundState.SUCCEEDED, False)
        assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDED
        assert snapshot.tenders[0].refunded_minor == 10000
        assert (await held(paying)).get("buyer_receivable", 0) == (10000 if paid else 0)
    tasks = await PostgresTasks(market.pool).list(TaskFilter(limit=1000))
    known = [task for task in tasks if task.evidence["attempt_id"] == str(paying.claimed.attempt.attempt_id)]
    known = [task for task in known if task.kind is not TaskKind.REFUND_FAILED]
    about_another_amount = [result for result, _ in news if result.amount_minor is not None]
    expected = {TaskKind.PAID_TWICE} if ever else set()
    expected |= {TaskKind.ANSWER_DIFFERS} if about_another_amount else set()
    assert {task.kind for task in known} == expected and len(known) == len(expected)
