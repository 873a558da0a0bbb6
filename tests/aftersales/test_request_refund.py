"""Refund requests: what is approved at once, what goes to review, what is refused, and what each writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.request_refund import RefundRequest, check_eligibility, request_refund
from jitui.aftersales.commands.review import approve, withdraw
from jitui.aftersales.governance.registry import Coverage, Pause, Restriction, Scope
from jitui.aftersales.model.order import Buyer, Funder, Funding, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import AttemptRef, OrderRef, TicketRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.ids import lane_of, new_id
from jitui.money import split_by_weight
from jitui.policy import FactValue, Outcome, decide, decision_from_json
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market, on_both_stores

NOTICE = "该用户为平台优质用户且订单满足极速退款条件，平台已自动审核通过卖家发货前仅退款申请"
A_MINUTE = timedelta(seconds=61)


async def failing(market: Market, ticket: Ticket) -> dict[str, str]:
    """The conditions of a ticket's stored decision that did not hold, with their verdicts."""
    stored = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    assert stored is not None
    decision = decision_from_json(stored.decision)
    return {row.id: row.verdict.value for row in decision.conditions if row.verdict.value != "true"}


@on_both_stores
async def test_a_premium_buyers_unshipped_order_under_300_is_approved_at_once(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(12900,))
    ticket = await market.asked(buyer, "o-1")
    assert (ticket.state, ticket.approved_by) == (TicketState.REFUNDING, ApprovedBy.INSTANT_REFUND)
    assert ticket.amount_minor == 12900
    assert ticket.notice is not None and ticket.notice["zh"] == NOTICE, "R14: in these words"
    snapshot = await market.store.read_order(TicketRef(ticket.lane, ticket.ticket_id))
    assert snapshot is not None
    assert [(event.why, event.actor_kind) for event in snapshot.timeline] == [
        ("requested", ActorKind.BUYER),
        ("approved_instant_refund", ActorKind.SYSTEM),
    ]


@pytest.mark.parametrize(("paid_minor", "instant"), [(29999, True), (30000, False)])
@on_both_stores
async def test_300_yuan_itself_is_not_under_300(market: Market, paid_minor: int, instant: bool) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(paid_minor - 1000,), freight_minor=1000)
    ticket = await market.asked(buyer, "o-1")
    assert (ticket.approved_by is ApprovedBy.INSTANT_REFUND) is instant
    if not instant:
        assert ticket.state is TicketState.AWAITING_MERCHANT
        assert ticket.expires_at == NOW + timedelta(hours=48)
        assert await failing(market, ticket) == {"paid_under_300": "false"}


async def test_history_that_was_never_fed_is_unknown_and_goes_to_review(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    async with market.pool.connection() as connection:
        await connection.execute("DELETE FROM history_record WHERE kind = 'dispute_lost'")
    ticket = await market.asked(buyer, "o-1")
    assert await failing(market, ticket) == {"premium_buyer": "unknown"}
    stored = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    assert stored is not None
    assert list(decision_from_json(stored.decision).unknown) == ["buyer.disputes_lost_365d"]


async def test_an_account_younger_than_the_record_has_a_known_history(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    registered = NOW - timedelta(days=100)
    await market.registry.put_buyer(Buyer(lane_of(buyer), buyer, registered), NOW)
    await market.paid_order(buyer, "o-1")
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE history_record SET complete_from = %s", (registered - timedelta(days=1),))
    assert (await market.asked(buyer, "o-1")).approved_by is ApprovedBy.INSTANT_REFUND


@pytest.mark.parametrize(("fresh_until", "known"), [(NOW, True), (NOW - timedelta(microseconds=1), False)])
async def test_a_history_is_known_up_to_the_moment_that_it_is_fresh_until(
    market: Market, fresh_until: datetime, known: bool
) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE history_record SET fresh_until = %s WHERE kind = 'order_paid'", (fresh_until,))
    missed = {} if known else {"premium_buyer": "unknown"}
    assert await failing(market, await market.asked(buyer, "o-1")) == missed


async def test_cap_usage_that_nobody_rolled_up_for_a_minute_is_unknown(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    ticket = await market.asked(buyer, "o-1", now=NOW + A_MINUTE)
    assert await failing(market, ticket) == {"within_caps": "unknown"}


@on_both_stores
async def test_pause_restriction_and_coverage_each_send_the_request_to_review(market: Market) -> None:
    later = NOW
    pause = Pause(Scope.SHOP, "shop-1", "audit", "li.na", NOW)
    left_out = Coverage(Scope.ITEM, "item-1", False, "", "li.na", NOW)
    restriction = Restriction(new_id(lane_of("b-2")), "b-2", "abuse", NOW - A_MINUTE, None, "li.na")
    acts: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("not_paused", lambda: market.registry.set_pause(pause)),
        ("covered", lambda: market.registry.set_coverage(left_out)),
        ("not_restricted", lambda: market.registry.restrict(restriction)),
    ]
    for index, (condition, act) in enumerate(acts):
        buyer = await market.premium_buyer(f"b-{index}")
        await market.paid_order(buyer, f"o-{index}")
        await act()
        ticket = await market.asked(buyer, f"o-{index}", now=later)
        assert ticket.state is TicketState.AWAITING_MERCHANT
        assert condition in await failing(market, ticket)
        await market.registry.lift_pause(Scope.SHOP, "shop-1", by="t", now=NOW)
        await market.registry.set_coverage(Coverage(Scope.ITEM, "item-1", True, "", "li.na", NOW))


@on_both_stores
async def test_a_deadline_that_has_passed_approves_nothing_and_the_request_stands(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    decision_settings = replace(market.decision_settings, deadline_passed=lambda: True)
    asked = await request_refund(market.store, decision_settings, RefundRequest(buyer, "o-1"), now=NOW)
    assert isinstance(asked, Executed) and asked.ticket_id is not None
    ticket = asked.snapshot.ticket(asked.ticket_id)
    assert (ticket.state, ticket.review_reason) == (TicketState.AWAITING_MERCHANT, "deadline_passed")


@on_both_stores
async def test_i4_the_stored_facts_give_the_stored_decision(market: Market) -> None:
    for index, amount in enumerate((12900, 45000)):
        buyer = await market.premium_buyer(f"b-{index}")
        await market.paid_order(buyer, f"o-{index}", amounts=(amount,))
        ticket = await market.asked(buyer, f"o-{index}")
        stored = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
        assert stored is not None
        facts = cast(Mapping[str, FactValue], stored.facts)
        assert decide(DEFAULT_POLICY, facts) == decision_from_json(stored.decision)


@on_both_stores
async def test_a_dry_run_says_the_same_and_writes_nothing(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    dry = await check_eligibility(market.store, market.decision_settings, RefundRequest(buyer, "o-1"), now=NOW)
    assert not isinstance(dry, Refusal)
    assert (dry.decision.outcome, dry.amount_minor, dry.currency) == (Outcome.INSTANT, 12900, "CNY")
    assert (await market.asked(buyer, "o-1")).version == 2, "the dry run opened no ticket"


@on_both_stores
async def test_refusals_name_their_reason(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(5000, 6000), quantities=(2, 1))
    for lines, now, code, path in [
        ([("l9", 1)], NOW, RefusalCode.UNKNOWN_LINE, "lines[0].line_id"),
        ([("l1", 3)], NOW, RefusalCode.UNITS_NOT_AVAILABLE, "lines[0].quantity"),
        ([("l1", 0)], NOW, RefusalCode.UNITS_NOT_AVAILABLE, "lines[0].quantity"),
        ([("l1", 1), ("l1", 1)], NOW, RefusalCode.UNKNOWN_LINE, "lines[1].line_id"),
    ]:
        refused = await market.ask(buyer, "o-1", lines=lines, now=now)
        assert isinstance(refused, Refusal) and (refused.code, refused.path) == (code, path)
    await market.asked(buyer, "o-1", lines=[("l1", 1)])
    busy = await market.ask(buyer, "o-1", lines=[("l1", 1)])
    assert isinstance(busy, Refusal) and busy.code is RefusalCode.REFUND_IN_PROGRESS
    hasty = await market.ask(buyer, "o-1", lines=[("l2", 1)], now=NOW + timedelta(seconds=20))
    assert isinstance(hasty, Refusal)
    assert (hasty.code, hasty.retry_after_seconds) == (RefusalCode.TOO_MANY_REQUESTS, 40)


@on_both_stores
async def test_somebody_elses_order_is_not_found(market: Market) -> None:
    await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    refused = await market.ask("b-2", "o-1")
    missing = await market.ask("b-2", "o-none")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NOT_FOUND
    assert refused == missing, "never a hint"


@on_both_stores
async def test_a_line_can_be_asked_for_five_times_in_all(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(50000,))
    now = NOW
    for _ in range(5):
        ticket = await market.asked(buyer, "o-1", now=now)
        actor = Actor(ActorKind.BUYER, buyer)
        await withdraw(market.store, TicketRef(ticket.lane, ticket.ticket_id), Acting(actor, now))
        now += A_MINUTE
    refused = await market.ask(buyer, "o-1", now=now)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.LINE_REQUEST_LIMIT


@on_both_stores
async def test_picked_up_goes_to_review_and_fully_shipped_is_another_process(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1")
    await market.ship(ref, status=ShipmentStatus.PICKED_UP, source=ShipmentSource.CARRIER)
    ticket = await market.asked(buyer, "o-1")
    assert await failing(market, ticket) == {"unshipped": "false"}
    other = await market.paid_order(buyer, "o-2")
    await market.ship(other)
    refused = await market.ask(buyer, "o-2")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_ALREADY_SHIPPED


@on_both_stores
async def test_freight_goes_with_the_last_line_and_only_if_nothing_shipped(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(5000, 6000), freight_minor=800)
    first = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    last = await market.asked(buyer, "o-1", lines=[("l2", 1)], now=NOW + timedelta(seconds=60))
    assert (first.amount_minor, first.freight_minor) == (5000, 0)
    assert (last.amount_minor, last.freight_minor) == (6800, 800)
    ref = await market.paid_order(buyer, "o-2", amounts=(5000, 6000), freight_minor=800)
    await market.ship(ref, lines=[("l1", 1)])
    partly = await market.asked(buyer, "o-2")
    assert (partly.amount_minor, partly.freight_minor, partly.state) == (6000, 0, TicketState.AWAITING_MERCHANT)


@on_both_stores
async def test_t3_the_cap_is_what_was_captured_not_the_orders_amount(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(10000,), tenders=(3000,))
    assert (await market.asked(buyer, "o-1")).amount_minor == 3000


@on_both_stores
async def test_every_funder_gets_its_own_share_back(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    funding = (Funding(Funder.PLATFORM_SUBSIDY, 1001), Funding(Funder.MERCHANT_COUPON, 500))
    ref = await market.paid_order(buyer, "o-1", amounts=(5000, 5000), funding=funding)
    await market.asked(buyer, "o-1", lines=[("l1", 1)])
    await market.feed.roll_up(NOW + timedelta(seconds=60))
    await market.asked(buyer, "o-1", lines=[("l2", 1)], now=NOW + timedelta(seconds=60))
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    assert {fund.funder: fund.returned_minor for fund in snapshot.funding} == {
        Funder.PLATFORM_SUBSIDY: 1001,
        Funder.MERCHANT_COUPON: 500,
    }


@on_both_stores
async def test_the_same_key_gives_the_first_answer_and_another_body_is_refused(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    idempotency_key = IdempotencyKey("key", "POST /v1/after-sales", "abc", b"hash")

    def render(plan: Executed) -> StoredResponse:
        return StoredResponse(201, str(plan.ticket_id).encode(), NOW)

    reply = IdempotentReply(idempotency_key, render)
    request = RefundRequest(buyer, "o-1")
    first = await request_refund(market.store, market.decision_settings, request, now=NOW, reply=reply)
    again = await request_refund(market.store, market.decision_settings, request, now=NOW, reply=reply)
    assert isinstance(first, Executed)
    assert again == StoredResponse(201, str(first.ticket_id).encode(), NOW)
    other = IdempotentReply(replace(idempotency_key, body_hash=b"other"), render)
    reused = await request_refund(market.store, market.decision_settings, request, now=NOW, reply=other)
    assert isinstance(reused, Refusal) and reused.code is RefusalCode.IDEMPOTENCY_KEY_REUSED


@given(amount=st.integers(0, 10**12), weights=st.lists(st.integers(0, 10**12), min_size=1, max_size=6))
def test_a_split_sums_to_the_whole_and_takes_no_more_than_there_is(amount: int, weights: list[int]) -> None:
    amount = min(amount, sum(weights))
    parts = split_by_weight(amount, weights)
    assert sum(parts) == amount
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amounts=st.lists(st.integers(4, 9999), min_size=1, max_size=3),
    quantities=st.lists(st.integers(1, 4), min_size=3, max_size=3),
    freight=st.integers(0, 500),
    tenders=st.integers(1, 3),
    data=st.data(),
)
async def test_partial_refunds_in_any_sequence_sum_to_what_was_captured(
    market: Market, amounts: list[int], quantities: list[int], freight: int, tenders: int, data: st.DataObject
) -> None:
    """Every unit once, in up to three requests that are paid: the last one leaves nothing, of freight neither (I1)."""
    name = new_id(0).hex
    buyer = await market.premium_buyer(f"b-{name}")
    counts = quantities[: len(amounts)]
    captured = sum(amounts) + freight
    parts = [part for part in split_by_weight(captured, [3] * tenders) if part]
    await market.paid_order(buyer, name, amounts=amounts, quantities=counts, freight_minor=freight, tenders=parts)
    units = data.draw(st.permutations([f"l{n}" for n, count in enumerate(counts, start=1) for _ in range(count)]))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(units)), max_size=2, unique=True)))
    now, total = NOW, 0
    for start, end in pairwise([0, *(cut for cut in cuts if cut < len(units)), len(units)]):
        wanted = Counter(units[start:end])
        asked = await market.ask(buyer, name, lines=list(wanted.items()), now=now)
        assert isinstance(asked, Executed) and asked.ticket_id is not None
        ticket = asked.snapshot.ticket(asked.ticket_id)
        if ticket.state is TicketState.AWAITING_MERCHANT:
            ref = TicketRef(lane_of(buyer), ticket.ticket_id)
            asked = await approve(market.store, ref, Acting(Actor(ActorKind.MERCHANT, "shop-1"), now))
            assert isinstance(asked, Executed)
            ticket = asked.snapshot.ticket(ticket.ticket_id)
        assert ticket.state is TicketState.REFUNDING
        total += ticket.amount_minor
        now += A_MINUTE
        await market.feed.roll_up(now)
        for claimed in await market.store.claim_refunds(now=now, lease_until=now + A_MINUTE, limit=100):
            paid = RefundUpdate(RefundResult(RefundResultKind.SUCCEEDED))
            await confirm(market.store, AttemptRef(claimed.lane, claimed.attempt.attempt_id), paid, now=now)
    assert total == captured
    snapshot = await market.store.read_order(OrderRef(lane_of(buyer), name))
    assert snapshot is not None
    assert [(tender.refunded_minor, tender.pending_minor) for tender in snapshot.tenders] == [
        (part, 0) for part in parts
    ]


@on_both_stores
async def test_an_answer_is_forgotten_only_after_it_was_promised(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    idempotency_key = IdempotencyKey("key", "POST /v1/after-sales", "abc", b"hash")

    def render(plan: Executed) -> StoredResponse:
        return StoredResponse(201, b"first", NOW)

    reply = IdempotentReply(idempotency_key, render)
    request = RefundRequest(buyer, "o-1")
    await request_refund(market.store, market.decision_settings, request, now=NOW, reply=reply)
    assert await market.store.purge_responses(NOW) == 0
    again = await request_refund(market.store, market.decision_settings, request, now=NOW, reply=reply)
    assert isinstance(again, StoredResponse)
    assert await market.store.purge_responses(NOW + timedelta(seconds=1)) == 1
