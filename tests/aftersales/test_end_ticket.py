"""A ticket ends with its request at a platform; an approval is taken back only where its money cannot move any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.commands.end_ticket import TAKEN_BACK, Ending, end_ticket
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.commands.settle_refund import ManualPaymentRules, confirm_settlement, retry, settle
from jitui.aftersales.ledger import Cause, balances, cause_of
from jitui.aftersales.model.order import Funder, Funding
from jitui.aftersales.model.platform_request import PlatformRequestRef, request_of
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.task import TaskState
from jitui.aftersales.model.ticket import Actor, ActorKind, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import TicketRef
from tests.aftersales.market import NOW, RULES, Market, on_both_stores, ticket_of
from tests.aftersales.test_failed_refunds import states
from tests.aftersales.test_pay import (
    DECLINED,
    OPERATOR,
    PENDING,
    STUCK,
    SUCCEEDED,
    UNKNOWN,
    Paying,
    claim_all,
    start_paying,
)
from tests.aftersales.test_settlement import PAID_BY_HAND, ref_of

LATER = NOW + timedelta(minutes=5)
PLATFORM = Actor(ActorKind.PLATFORM, "kuaishou")
WITHDRAWN = Ending(TicketState.WITHDRAWN, "withdrawn_at_platform", {"platform_request": "7"})


async def end(
    market: Market, ticket: Ticket, ending: Ending = WITHDRAWN, *, version: int | None = None
) -> Executed | Refusal | StoredResponse:
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    return await end_ticket(market.store, ref, ending, Acting(PLATFORM, LATER, version))


async def ended(paying: Paying, ending: Ending = WITHDRAWN) -> Executed | Refusal | StoredResponse:
    return await end(paying.market, (await paying.snapshot()).ticket(paying.ticket_id), ending)


async def failed(market: Market) -> Paying:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    return paying


@on_both_stores
async def test_an_approval_that_was_never_carried_out_is_taken_back(market: Market) -> None:
    paying = await failed(market)
    before = await paying.snapshot()
    assert isinstance(await ended(paying), Executed)
    after = await paying.snapshot()
    ticket = after.ticket(paying.ticket_id)
    assert (ticket.state, ticket.approved_by, ticket.approved_at, ticket.notice) == (
        TicketState.WITHDRAWN,
        None,
        None,
        None,
    )
    assert ticket.version == before.ticket(paying.ticket_id).version + 1
    assert (after.tenders[0].pending_minor, after.tenders[0].remaining_minor) == (0, 10_000)
    assert (after.lines[0].claimed_quantity, after.lines[0].claimed_minor) == (0, 0)
    (refund,) = after.refunds
    assert (refund.state, refund.due_at, refund.closed_at, refund.reason) == (
        RefundState.FAILED,
        None,
        LATER,
        TAKEN_BACK,
    )
    assert after.timeline_of(paying.ticket_id)[-1].detail == {"platform_request": "7"}
    assert await states(market) == [TaskState.RESOLVED]
    entries = await _ledger(market, paying)
    assert [cause_of(entry) for entry in entries][-1] is Cause.TAKEN_BACK
    assert balances(entries)["buyer_payable", "CNY"] == 0
    assert balances(entries)["escrow", "CNY"] == -10_000


@on_both_stores
async def test_the_units_may_be_asked_for_again(market: Market) -> None:
    paying = await failed(market)
    await ended(paying)
    again = await market.asked("b-1", "o-1", now=LATER)
    assert again.amount_minor == 10_000


@pytest.mark.parametrize(
    "news", [None, PENDING, UNKNOWN, STUCK, SUCCEEDED], ids=["sent", "pending", "unknown", "stuck", "paid"]
)
@on_both_stores
async def test_money_that_may_move_keeps_its_approval(market: Market, news: object) -> None:
    paying = await start_paying(market)
    if news is not None:
        await paying.hears(news)  # type: ignore[arg-type]  # one of the results above
    before = await paying.snapshot()
    refused = await ended(paying)
    assert isinstance(refused, Refusal)
    wanted = RefusalCode.TICKET_ALREADY_CLOSED if news is SUCCEEDED else RefusalCode.TICKET_ALREADY_APPROVED
    assert refused.code is wanted
    assert await paying.snapshot() == before


@on_both_stores
async def test_a_refund_that_waits_to_be_sent_keeps_its_approval(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    ticket = await market.asked(buyer, "o-1")
    refused = await end(market, ticket)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.TICKET_ALREADY_APPROVED


@on_both_stores
async def test_one_of_two_payments_that_went_back_keeps_the_approval(market: Market) -> None:
    paying = await start_paying(market, tenders=(6_000, 4_000))
    await paying.hears(DECLINED)
    refused = await ended(paying)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.TICKET_ALREADY_APPROVED


@on_both_stores
async def test_a_payment_by_hand_that_waits_keeps_the_approval(market: Market) -> None:
    paying = await failed(market)
    rules = ManualPaymentRules(RULES.providers, {"CNY": 0})
    await settle(market.store, ref_of(paying), PAID_BY_HAND, rules, by=OPERATOR, now=LATER)
    refused = await ended(paying)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SETTLEMENT_PROPOSED


@on_both_stores
async def test_shares_that_went_back_to_funders_keep_the_approval(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    shares = (Funding(Funder.PLATFORM_SUBSIDY, 2_900),)
    order = await market.paid_order(buyer, "o-1", amounts=(12_900,), tenders=(12_900,), funding=shares)
    ticket = await market.asked(buyer, "o-1")
    (claimed,) = await claim_all(market)
    paying = Paying(market, order, ticket.ticket_id, claimed)
    await paying.hears(DECLINED)
    assert isinstance(await ended(paying), Refusal)


@on_both_stores
async def test_what_was_taken_back_is_neither_sent_nor_settled_nor_moved_by_news(market: Market) -> None:
    paying = await failed(market)
    await ended(paying)
    before = await paying.snapshot()
    for done in (
        await retry(market.store, ref_of(paying), RULES, by=OPERATOR, now=LATER),
        await settle(market.store, ref_of(paying), PAID_BY_HAND, RULES, by=OPERATOR, now=LATER),
        await confirm_settlement(market.store, ref_of(paying), "BANK-7", RULES, by=OPERATOR, now=LATER),
    ):
        assert isinstance(done, Refusal)
        assert done.code is RefusalCode.TICKET_ALREADY_CLOSED
    for news in (SUCCEEDED, PENDING, DECLINED):
        await paying.hears(news, looked_up=True, now=LATER)
    assert await paying.snapshot() == before
    assert await claim_all(market, timedelta(days=2)) == []


@on_both_stores
async def test_a_ticket_in_review_ends_and_only_as_it_was_read(market: Market) -> None:
    await market.paid_order("plain", "o-2")
    ticket = await market.asked("plain", "o-2")
    stale = await end(market, ticket, version=ticket.version + 1)
    assert isinstance(stale, Refusal)
    assert stale.code is RefusalCode.TICKET_STALE
    done = await end(market, ticket, Ending(TicketState.REJECTED, "refused_at_platform", {}), version=ticket.version)
    assert ticket_of(done).state is TicketState.REJECTED
    again = await end(market, ticket)
    assert isinstance(again, Refusal)
    assert again.code is RefusalCode.TICKET_ALREADY_CLOSED


@pytest.mark.parametrize(("paid", "counted"), [(4_000, 4_000), (10_000, 10_000), (10_001, 10_000)])
@on_both_stores
async def test_what_the_platform_paid_is_counted_with_the_end(market: Market, paid: int, counted: int) -> None:
    paying = await failed(market)
    assert isinstance(await ended(paying, Ending(TicketState.CLOSED, "refunded_at_platform", {}, paid)), Executed)
    after = await paying.snapshot()
    assert (after.tenders[0].refunded_minor, after.tenders[0].pending_minor) == (counted, 0)
    entries = await _ledger(market, paying)
    assert balances(entries)["escrow", "CNY"] == counted - 10_000
    assert balances(entries)["buyer_payable", "CNY"] == 0


# A request that a platform owns -------------------------------------------------------------------------------------

THERE = PlatformRequestRef("kuaishou", "7", "1790899200000", 12_900)


@pytest.mark.parametrize(("amount", "instant"), [(12_899, False), (12_900, True), (12_901, False)])
@on_both_stores
async def test_a_request_of_a_platform_is_decided_for_its_own_amount(
    market: Market, amount: int, instant: bool
) -> None:
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1")
    there = PlatformRequestRef("kuaishou", "7", "v1", amount)
    asked = RefundRequest(buyer, "o-1", there=there)
    ticket = ticket_of(await request_refund(market.store, market.decision_settings, asked, now=NOW))
    assert (ticket.state is TicketState.REFUNDING) is instant
    assert ticket.review_reason == (None if instant else "platform_amount_differs")
    assert (ticket.expires_at, ticket.remind_at) == (None, None)
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    assert request_of(snapshot, ticket.ticket_id) == there


@on_both_stores
async def test_a_request_of_ours_has_a_deadline_and_stands_for_nothing_else(market: Market) -> None:
    order = await market.paid_order("plain", "o-2")
    ticket = await market.asked("plain", "o-2")
    assert ticket.expires_at is not None
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    assert request_of(snapshot, ticket.ticket_id) is None


async def _ledger(market: Market, paying: Paying) -> Sequence[LedgerEntry]:
    return await market.queries.ledger(paying.order)
