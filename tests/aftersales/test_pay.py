"""Refunds are paid exactly once: claims, leases, and reports in every order in which they can arrive (I1, I2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.refund_updates import KEY_EXPIRED, RefundUpdate, confirm
from jitui.aftersales.commands.settle_refund import retry
from jitui.aftersales.model.refund import AttemptState, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, OrderRef, RefundRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.ids import lane_of
from tests.aftersales.market import NOW, RULES, Market, on_both_stores

OPERATOR = Actor(ActorKind.OPERATOR, "li.na")
SUCCEEDED = RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id="r-1")
PENDING = RefundResult(RefundResultKind.PENDING)
UNKNOWN = RefundResult(RefundResultKind.UNKNOWN, reason="time-out")
DECLINED = RefundResult(RefundResultKind.DECLINED, reason="account closed")
STUCK = RefundResult(RefundResultKind.PENDING, reason="card closed", stuck=True)
EXPIRED = RefundResult(RefundResultKind.DECLINED, reason=KEY_EXPIRED)
RATE_LIMITED = RefundResult(RefundResultKind.DECLINED, reason="rate limit", final=False, retry_after_seconds=3)


@dataclass(frozen=True)
class Paying:
    """One approved ticket whose refund was claimed."""

    market: Market
    order: OrderRef
    ticket_id: UUID
    claimed: ClaimedRefund

    async def hears(
        self, result: RefundResult, *, looked_up: bool = False, now: datetime = NOW + timedelta(seconds=1)
    ) -> Executed | Refusal | object:
        ref = AttemptRef(self.claimed.lane, self.claimed.attempt.attempt_id)
        return await confirm(self.market.store, ref, RefundUpdate(result, looked_up), now=now)

    async def snapshot(self) -> OrderSnapshot:
        found = await self.market.store.read_order(self.order)
        assert found is not None
        return found


async def start_paying(
    market: Market, name: str = "1", tenders: Sequence[int] | None = None, *, now: datetime = NOW
) -> Paying:
    buyer = await market.premium_buyer(f"b-{name}", now)
    order = await market.paid_order(buyer, f"o-{name}", amounts=(10000,), tenders=tenders, now=now)
    ticket = await market.asked(buyer, f"o-{name}", now=now)
    (claimed,) = [claim for claim in await claim_all(market, now=now) if claim.refund.ticket_id == ticket.ticket_id][:1]
    return Paying(market, order, ticket.ticket_id, claimed)


async def claim_all(market: Market, after: timedelta = timedelta(), *, now: datetime = NOW) -> list[ClaimedRefund]:
    now += after
    return await market.store.claim_refunds(now=now, lease_until=now + timedelta(seconds=60), limit=100)


@on_both_stores
async def test_a_claim_commits_sending_and_an_attempt_before_any_call(market: Market) -> None:
    paying = await start_paying(market)
    snapshot = await paying.snapshot()
    assert [refund.state for refund in snapshot.refunds] == [RefundState.SENDING]
    assert [attempt.attempt_id for attempt in snapshot.attempts] == [paying.claimed.attempt.attempt_id]
    assert not paying.claimed.look_up_first
    assert await claim_all(market) == [], "a leased refund is nobody else's"


@on_both_stores
async def test_t15_a_lease_that_ran_out_is_looked_up_and_sent_with_the_same_key(market: Market) -> None:
    paying = await start_paying(market)
    (again,) = await claim_all(market, after=timedelta(seconds=61))
    assert again.attempt.attempt_id == paying.claimed.attempt.attempt_id
    assert again.look_up_first and again.may_send


async def test_success_moves_tender_ledger_ticket_history_and_feed_together(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(SUCCEEDED)
    snapshot = await paying.snapshot()
    (tender,) = snapshot.tenders
    assert (tender.pending_minor, tender.refunded_minor) == (0, 10000)
    ticket = snapshot.ticket(paying.ticket_id)
    assert (ticket.state, ticket.closed_at) == (TicketState.REFUNDED, NOW + timedelta(seconds=1))
    assert [line.open for line in snapshot.ticket_lines] == [False]
    kinds = [event.kind for event in await market.feed.events(0, 100)]
    assert kinds == ["order.paid", "ticket.requested", "ticket.approved", "stop_ship", "ticket.refunded"]
    assert await _ledger_balances(market) == {
        "provider_clearing:simulator": 0,
        "escrow": 0,
        "buyer_payable": 0,
    }


@pytest.mark.parametrize("looked_up", [False, True])
@pytest.mark.parametrize("repeat", [SUCCEEDED, PENDING, STUCK, UNKNOWN, RATE_LIMITED])
@on_both_stores
async def test_t10_late_or_repeated_news_after_success_changes_nothing(
    market: Market, repeat: RefundResult, looked_up: bool
) -> None:
    paying = await start_paying(market)
    await paying.hears(SUCCEEDED)
    before = await paying.snapshot()
    await paying.hears(repeat, looked_up=looked_up)
    assert await paying.snapshot() == before


@on_both_stores
async def test_unknown_is_never_failed(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(UNKNOWN)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDING
    assert snapshot.refunds[0].state is RefundState.UNKNOWN
    (again,) = await claim_all(market, after=timedelta(seconds=30))
    assert again.look_up_first and again.attempt.attempt_id == paying.claimed.attempt.attempt_id


@on_both_stores
async def test_an_accepted_refund_is_polled_and_never_sent_again(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(PENDING)
    (poll,) = await claim_all(market, after=timedelta(seconds=30))
    assert poll.look_up_first and not poll.may_send


@on_both_stores
async def test_a_rate_limited_refund_waits_as_long_as_the_provider_says(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(RATE_LIMITED)
    assert await claim_all(market, after=timedelta(seconds=3)) == []
    assert len(await claim_all(market, after=timedelta(seconds=5))) == 1


@on_both_stores
async def test_declined_for_good_waits_for_an_operator_and_keeps_its_hold(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUND_FAILED
    assert snapshot.tenders[0].pending_minor == 10000, "the money is still owed"
    assert await claim_all(market, after=timedelta(days=1)) == []

    ref = RefundRef(paying.claimed.lane, paying.claimed.refund.refund_id)
    assert isinstance(await retry(market.store, ref, RULES, by=OPERATOR, now=NOW), Executed)
    (again,) = await claim_all(market)
    assert again.attempt.attempt_id != paying.claimed.attempt.attempt_id, "proof of failure: a new key"
    assert again.attempt.attempt_no == 2
    refused = await retry(market.store, ref, RULES, by=OPERATOR, now=NOW)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.REFUND_NOT_FAILED


async def test_t12_succeeded_then_failed_is_looked_up_then_owed_again_and_reaches_the_provider(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(SUCCEEDED)
    assert await _day_total(market, "b-1", "refund_before_shipment") == 1
    await paying.hears(DECLINED)
    assert (await paying.snapshot()).ticket(paying.ticket_id).state is TicketState.REFUNDED, (
        "a notification alone moves no money"
    )
    (doubt,) = await claim_all(market, after=timedelta(seconds=2))
    assert doubt.look_up_first and not doubt.may_send

    await paying.hears(DECLINED, looked_up=True)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDING
    assert (snapshot.tenders[0].pending_minor, snapshot.tenders[0].refunded_minor) == (10000, 0)
    assert await _day_total(market, "b-1", "refund_before_shipment") == 0, "it was retracted"
    (again,) = await claim_all(market, after=timedelta(seconds=2))
    assert again.attempt.attempt_no == 2 and not again.look_up_first
    ref = AttemptRef(again.lane, again.attempt.attempt_id)
    await confirm(market.store, ref, RefundUpdate(SUCCEEDED), now=NOW)
    assert (await paying.snapshot()).ticket(paying.ticket_id).state is TicketState.REFUNDED
    assert (await _ledger_balances(market))["buyer_payable"] == 0
    assert await _day_total(market, "b-1", "refund_before_shipment") == 1, "the second one counts"


@on_both_stores
async def test_a_stuck_refund_is_on_the_operators_list_and_no_second_attempt_is_made(market: Market) -> None:
    """The provider holds the money until a person acts there, so a new attempt could pay twice."""
    paying = await start_paying(market)
    await paying.hears(PENDING)
    await paying.hears(STUCK, looked_up=True)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUND_FAILED
    assert (snapshot.refunds[0].state, snapshot.refunds[0].reason) == (RefundState.FAILED, "card closed")
    assert snapshot.attempts[0].state is AttemptState.PENDING, "it may still be paid"
    assert await claim_all(market, after=timedelta(days=1)) == [], "nobody asks again by himself"
    ref = RefundRef(paying.claimed.lane, paying.claimed.refund.refund_id)
    refused = await retry(market.store, ref, RULES, by=OPERATOR, now=NOW)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.REFUND_NOT_FAILED
    assert "pay twice" in refused.message
    for unclear in (UNKNOWN, RATE_LIMITED, STUCK):
        await paying.hears(unclear)
    assert (await paying.snapshot()).ticket(paying.ticket_id).state is TicketState.REFUND_FAILED


@pytest.mark.parametrize("looked_up", [False, True])
async def test_a_stuck_refund_that_a_person_freed_is_paid_after_all(market: Market, looked_up: bool) -> None:
    paying = await start_paying(market)
    await paying.hears(STUCK)
    await paying.hears(PENDING)
    assert (await paying.snapshot()).ticket(paying.ticket_id).state is TicketState.REFUNDING
    (poll,) = await claim_all(market, after=timedelta(seconds=30))
    assert poll.look_up_first and not poll.may_send
    await paying.hears(STUCK)
    await paying.hears(SUCCEEDED, looked_up=looked_up)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDED
    assert (snapshot.tenders[0].pending_minor, snapshot.tenders[0].refunded_minor) == (0, 10000)
    assert (await _ledger_balances(market))["buyer_payable"] == 0


@on_both_stores
async def test_a_stuck_refund_that_is_closed_may_be_retried(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(STUCK)
    await paying.hears(DECLINED)
    ref = RefundRef(paying.claimed.lane, paying.claimed.refund.refund_id)
    assert isinstance(await retry(market.store, ref, RULES, by=OPERATOR, now=NOW), Executed)
    (again,) = await claim_all(market)
    assert again.attempt.attempt_no == 2


@pytest.mark.parametrize("heard", [PENDING, STUCK])
@on_both_stores
async def test_a_refund_that_turns_up_after_its_key_expired_is_not_sent_anew_beside_it(
    market: Market, heard: RefundResult
) -> None:
    """Our books closed the attempt, the provider never did: what it says of it now is looked up before a retry."""
    paying = await start_paying(market)
    await paying.hears(EXPIRED, looked_up=True)
    assert (await paying.snapshot()).ticket(paying.ticket_id).state is TicketState.REFUND_FAILED
    ref = RefundRef(paying.claimed.lane, paying.claimed.refund.refund_id)
    assert isinstance(await retry(market.store, ref, RULES, by=OPERATOR, now=NOW), Executed)
    await paying.hears(heard)
    (doubt,) = await claim_all(market, after=timedelta(seconds=2))
    assert doubt.look_up_first and doubt.attempt.attempt_id == paying.claimed.attempt.attempt_id
    await paying.hears(heard, looked_up=True)
    snapshot = await paying.snapshot()
    assert [attempt.state for attempt in snapshot.attempts] == [AttemptState.PENDING]
    failed = TicketState.REFUND_FAILED if heard.stuck else TicketState.REFUNDING
    assert snapshot.ticket(paying.ticket_id).state is failed
    assert isinstance(await retry(market.store, ref, RULES, by=OPERATOR, now=NOW), Refusal)


@on_both_stores
async def test_a_conflict_that_the_books_call_stuck_is_on_the_operators_list(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    await paying.hears(SUCCEEDED)
    await paying.hears(STUCK, looked_up=True)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUND_FAILED
    assert snapshot.attempts[0].state is AttemptState.PENDING, "it may still be paid"


@on_both_stores
async def test_late_news_that_a_declined_refund_was_pending_changes_nothing(market: Market) -> None:
    """A failed refund stays failed, and a notification alone settles no doubt."""
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    for conflict in ((), (SUCCEEDED,)):
        for heard in conflict:
            await paying.hears(heard)
        before = await paying.snapshot()
        await paying.hears(PENDING)
        await paying.hears(STUCK)
        assert await paying.snapshot() == before


@on_both_stores
async def test_books_that_call_a_failed_refund_pending_reopen_it_only_where_it_was_in_doubt(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    before = await paying.snapshot()
    await paying.hears(PENDING, looked_up=True)
    assert await paying.snapshot() == before
    await paying.hears(SUCCEEDED)
    await paying.hears(PENDING, looked_up=True)
    snapshot = await paying.snapshot()
    assert (snapshot.refunds[0].state, snapshot.attempts[0].state) == (RefundState.PENDING, AttemptState.PENDING)


async def test_t12_a_refund_that_is_undone_while_another_ticket_stands_on_the_line_is_owed_again(
    market: Market,
) -> None:
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1", amounts=(10000,), quantities=(2,))
    first = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    (claimed,) = await claim_all(market)
    ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    await confirm(market.store, ref, RefundUpdate(SUCCEEDED), now=NOW)
    second = await market.asked(buyer, "o-1", lines=[("l1", 1)], now=NOW + timedelta(minutes=2))

    await confirm(market.store, ref, RefundUpdate(DECLINED, looked_up=True), now=NOW + timedelta(minutes=3))
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    assert snapshot.ticket(first.ticket_id).state is TicketState.REFUNDING
    assert [line.claimed_quantity for line in snapshot.lines] == [2]
    (again,) = await claim_all(market, after=timedelta(minutes=4))
    ref = AttemptRef(again.lane, again.attempt.attempt_id)
    await confirm(market.store, ref, RefundUpdate(SUCCEEDED), now=NOW + timedelta(minutes=4))
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    states = {ticket.ticket_id: ticket.state for ticket in snapshot.tickets}
    assert states == {first.ticket_id: TicketState.REFUNDED, second.ticket_id: TicketState.AWAITING_MERCHANT}
    assert [line.open for line in snapshot.ticket_lines if line.ticket_id == first.ticket_id] == [False]


@on_both_stores
async def test_t12_success_heard_again_after_the_failure_does_not_call_off_the_look_up(market: Market) -> None:
    """Webhooks out of order: failed, then the older succeeded. Whoever believes the last one never pays again."""
    paying = await start_paying(market)
    await paying.hears(SUCCEEDED)
    await paying.hears(DECLINED)
    await paying.hears(SUCCEEDED)
    (doubt,) = await claim_all(market, after=timedelta(seconds=2))
    assert doubt.look_up_first and not doubt.may_send
    await paying.hears(DECLINED, looked_up=True)
    assert (await paying.snapshot()).refunds[0].state is RefundState.QUEUED


@on_both_stores
async def test_t12_a_look_up_from_before_the_doubt_does_not_settle_it(market: Market) -> None:
    """A worker asked the books, was held up, and meanwhile the refund failed and the provider said so."""
    paying = await start_paying(market)
    await paying.hears(UNKNOWN)
    (asking,) = await claim_all(market, after=timedelta(seconds=30))
    await paying.hears(SUCCEEDED)
    await paying.hears(DECLINED)
    old = RefundUpdate(SUCCEEDED, looked_up=True, lease=asking.refund.leased_until)
    ref = AttemptRef(asking.lane, asking.attempt.attempt_id)
    await confirm(market.store, ref, old, now=NOW + timedelta(seconds=40))
    (doubt,) = await claim_all(market, after=timedelta(seconds=41))
    assert doubt.look_up_first and not doubt.may_send


@on_both_stores
async def test_a_key_that_expired_while_the_success_was_confirmed_does_not_pay_again(market: Market) -> None:
    """The books had nothing when a worker asked, its request arrived after all, and the webhook was quicker than it."""
    paying = await start_paying(market)
    await paying.hears(UNKNOWN)
    (asking,) = await claim_all(market, after=timedelta(seconds=30))
    await paying.hears(SUCCEEDED)
    expired = RefundUpdate(DECLINED, looked_up=True, lease=asking.refund.leased_until)
    ref = AttemptRef(asking.lane, asking.attempt.attempt_id)
    await confirm(market.store, ref, expired, now=NOW + timedelta(seconds=40))
    (doubt,) = await claim_all(market, after=timedelta(seconds=41))
    assert doubt.look_up_first and not doubt.may_send, "the books are asked again before any money moves"


@on_both_stores
async def test_a_decline_heard_again_does_not_settle_a_doubt(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    await paying.hears(SUCCEEDED)
    ref = AttemptRef(paying.claimed.lane, paying.claimed.attempt.attempt_id)
    await confirm(market.store, ref, RefundUpdate(DECLINED, provider="simulator"), now=NOW + timedelta(seconds=2))
    assert (await paying.snapshot()).refunds[0].state is RefundState.UNKNOWN
    await paying.hears(SUCCEEDED, looked_up=True)
    assert (await paying.snapshot()).refunds[0].state is RefundState.SUCCEEDED


@on_both_stores
async def test_success_heard_after_a_decline_counts_once_the_books_say_so(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    await paying.hears(SUCCEEDED)
    assert (await paying.snapshot()).ticket(paying.ticket_id).state is TicketState.REFUNDING
    await paying.hears(SUCCEEDED, looked_up=True)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDED
    assert snapshot.tenders[0].refunded_minor == 10000


@on_both_stores
async def test_an_answer_about_another_amount_is_no_answer(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(RefundResult(RefundResultKind.SUCCEEDED, amount_minor=1))
    snapshot = await paying.snapshot()
    assert snapshot.refunds[0].state is RefundState.UNKNOWN
    assert "reports amount 1" in snapshot.refunds[0].reason


@on_both_stores
async def test_a_ticket_over_two_tenders_is_refunded_when_both_are(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1", amounts=(10000,), tenders=(7000, 3000))
    ticket = await market.asked(buyer, "o-1")
    claims = await claim_all(market)
    assert sorted(claim.refund.amount_minor for claim in claims) == [3000, 7000]
    for claim, expected in zip(claims, (TicketState.REFUNDING, TicketState.REFUNDED), strict=True):
        await confirm(market.store, AttemptRef(claim.lane, claim.attempt.attempt_id), RefundUpdate(SUCCEEDED), now=NOW)
        snapshot = await market.store.read_order(order)
        assert snapshot is not None and snapshot.ticket(ticket.ticket_id).state is expected


@on_both_stores
async def test_news_of_an_unknown_attempt_is_not_found(market: Market) -> None:
    refused = await confirm(market.store, AttemptRef(lane_of("b-1"), uuid4()), RefundUpdate(SUCCEEDED), now=NOW)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NOT_FOUND


NEWS = st.tuples(
    st.sampled_from(
        [
            SUCCEEDED,
            PENDING,
            STUCK,
            UNKNOWN,
            DECLINED,
            EXPIRED,
            RATE_LIMITED,
            RefundResult(RefundResultKind.SUCCEEDED, amount_minor=9),
        ]
    ),
    st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(news=st.lists(NEWS, max_size=6))
async def test_no_order_of_news_breaks_a_hold_or_the_ledger(
    market: Market, news: list[tuple[RefundResult, bool]]
) -> None:
    paying = await start_paying(market, name=uuid4().hex)
    for result, looked_up in news:
        await paying.hears(result, looked_up=looked_up)
    snapshot = await paying.snapshot()
    (tender,), (refund,) = snapshot.tenders, snapshot.refunds
    assert tender.pending_minor + tender.refunded_minor == 10000
    assert (tender.refunded_minor == 10000) == (refund.state is RefundState.SUCCEEDED)
    assert (snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDED) == (tender.refunded_minor == 10000)
    balances = await _ledger_balances(market, paying.order.order_id)
    assert balances["buyer_payable"] == (0 if tender.refunded_minor else -10000)
    waiting = refund.state in (RefundState.QUEUED, RefundState.SENDING, RefundState.PENDING, RefundState.UNKNOWN)
    assert refund.due_at is not None or not waiting, "a refund that waits is looked at again"


Step = Literal["retry", "claim"] | tuple[bool, tuple[RefundResult, bool]]

STEPS: st.SearchStrategy[Step] = st.one_of(st.just("retry"), st.just("claim"), st.tuples(st.booleans(), NEWS))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=10))
@on_both_stores
async def test_no_order_of_news_retries_and_claims_opens_two_attempts(market: Market, steps: list[Step]) -> None:
    """I1 and I2: news is of the first attempt or the newest; a new one stands only beside declined ones."""
    paying = await start_paying(market, name=uuid4().hex)
    refund = RefundRef(paying.claimed.lane, paying.claimed.refund.refund_id)
    later = NOW
    for step in steps:
        later += timedelta(hours=1)
        snapshot = await paying.snapshot()
        if step == "claim":
            await claim_all(market, after=later - NOW)
        elif step == "retry":
            await retry(market.store, refund, RULES, by=OPERATOR, now=later)
        else:
            first, (result, looked_up) = step
            attempt = min(snapshot.attempts, key=lambda a: a.attempt_no if first else -a.attempt_no)
            ref = AttemptRef(paying.claimed.lane, attempt.attempt_id)
            await confirm(market.store, ref, RefundUpdate(result, looked_up), now=later)
        snapshot = await paying.snapshot()
        states = [attempt.state for attempt in sorted(snapshot.attempts, key=lambda a: a.attempt_no)]
        assert set(states[:-1]) <= {AttemptState.DECLINED}
        (tender,) = snapshot.tenders
        assert tender.pending_minor + tender.refunded_minor == 10000
        assert (tender.refunded_minor == 10000) == (states[-1] is AttemptState.SUCCEEDED)


async def _ledger_balances(market: Market, order_id: str | None = None) -> dict[str, int]:
    async with market.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT account, sum(amount)::bigint FROM (SELECT order_id, debit AS account, amount_minor AS amount "
            "FROM ledger UNION ALL SELECT order_id, credit, -amount_minor FROM ledger) l "
            "WHERE %(order_id)s::text IS NULL OR order_id = %(order_id)s GROUP BY account",
            {"order_id": order_id},
        )
        return {str(account): int(str(total)) for account, total in await cursor.fetchall()}


async def _day_total(market: Market, buyer_id: str, kind: str) -> int:
    async with market.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT coalesce(sum(events), 0) FROM buyer_day WHERE lane = %s AND buyer_id = %s AND kind = %s",
            (lane_of(buyer_id), buyer_id, kind),
        )
        row = await cursor.fetchone()
    return int(str(row[0])) if row else 0
