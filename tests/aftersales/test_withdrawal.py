"""A withdrawal by right: what the platform's policy cannot refuse, what a shop cannot refuse, and its receipt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import psycopg
import pytest

from jitui.adapters.postgres.history import export_history
from jitui.aftersales.changes import RecordDecision
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.request_refund import RefundRequest, check_eligibility, request_refund
from jitui.aftersales.commands.review import expire, reject, withdraw
from jitui.aftersales.commands.ship import ShipmentUpdate
from jitui.aftersales.commands.withdrawal import withdrawal_policy
from jitui.aftersales.governance.registry import Coverage, Pause, Restriction, Scope
from jitui.aftersales.model.order import Buyer, ShipmentSource, ShipmentStatus, Tender
from jitui.aftersales.model.receipt import Receipt
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Arm, Basis, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderRef, TicketRef
from jitui.backtest.engine import EngineName, open_engine
from jitui.backtest.facts import Choice
from jitui.backtest.replay import ReplayChoice, replay
from jitui.backtest.source import prepare
from jitui.ids import lane_of, new_id
from jitui.policy import FactValue, Outcome, decide, decision_from_json
from tests.aftersales.market import DEFAULT_POLICY, NOW, TIME_ZONE, Market, on_both_stores, open_market, rejection
from tests.backtest.test_own_history import verified

SHOP = Actor(ActorKind.MERCHANT, "shop-1")
LATER = NOW + timedelta(minutes=2)


async def withdrawn(market: Market, buyer: str, order: str) -> Executed:
    request = RefundRequest(buyer, order, basis=Basis.WITHDRAWAL)
    done = await request_refund(market.store, market.decision_settings, request, now=NOW)
    assert isinstance(done, Executed), done
    return done


def receipt_in(done: Executed) -> Receipt:
    found = next(one.receipt for one in done.changes if isinstance(one, RecordDecision))
    assert found is not None
    return found


@on_both_stores
async def test_nothing_about_the_buyer_or_the_platforms_choice_refuses_a_withdrawal(market: Market) -> None:
    """Not premium, restricted, denied, over 300.00, shop not covered: the goods have not left, so the money goes."""
    await market.registry.put_buyer(Buyer(lane_of("b-1"), "b-1", NOW - timedelta(days=1)), NOW)
    await market.paid_order("b-1", "o-1", amounts=(99900,))
    restriction = Restriction(new_id(lane_of("b-1")), "b-1", "abuse", NOW - timedelta(days=1), None, "li.na")
    await market.registry.restrict(restriction)
    await market.registry.set_coverage(Coverage(Scope.SHOP, "shop-1", False, "", "li.na", NOW))
    done = await withdrawn(market, "b-1", "o-1")
    ticket = done.ticket
    assert (ticket.state, ticket.approved_by) == (TicketState.REFUNDING, ApprovedBy.WITHDRAWAL)
    assert (ticket.basis, ticket.arm) == (Basis.WITHDRAWAL, Arm.NONE)
    assert ticket.notice == dict(withdrawal_policy().notice)


@on_both_stores
async def test_a_withdrawal_uses_up_nothing_of_the_buyers_quota(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    for number in range(4):
        await market.paid_order(buyer, f"o-{number}", amounts=(25000,))
        await withdrawn(market, buyer, f"o-{number}")
    await market.paid_order(buyer, "o-9", amounts=(12900,))
    assert (await market.asked(buyer, "o-9")).approved_by is ApprovedBy.INSTANT_REFUND


@on_both_stores
async def test_the_decision_is_that_of_the_statutory_text_on_facts_without_the_buyer(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    ticket = (await withdrawn(market, buyer, "o-1")).ticket
    stored = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    assert stored is not None
    facts = cast(Mapping[str, FactValue], stored.facts)
    assert stored.policy_sha256 == withdrawal_policy().sha256
    assert decide(withdrawal_policy(), facts) == decision_from_json(stored.decision)
    assert [name for name in facts if name.startswith(("buyer.", "shop.", "caps."))] == []


@on_both_stores
async def test_a_pause_and_a_deadline_hold_the_money_and_the_law_bounds_the_review(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    await market.registry.set_pause(Pause(Scope.PLATFORM, "", "fraud", "li.na", NOW))
    slow = replace(DEFAULT_POLICY.review, deadline_seconds=30 * 86_400, on_timeout="reject")
    ticket = (await withdrawn(market.deciding_by(replace(DEFAULT_POLICY, review=slow)), buyer, "o-1")).ticket
    assert (ticket.state, ticket.review_reason) == (TicketState.AWAITING_MERCHANT, "service_paused")
    assert ticket.expires_at == NOW + timedelta(days=14)
    assert ticket.on_timeout == "approve"
    late = NOW + timedelta(days=14)
    over = await expire(market.store, TicketRef(ticket.lane, ticket.ticket_id), now=late)
    assert isinstance(over, Executed) and over.ticket.approved_by is ApprovedBy.MERCHANT_TIMEOUT


async def _in_review(market: Market, *, customised: bool | None) -> Ticket:
    """A withdrawal that the goods, or a carrier's pick-up, sent to review."""
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", customised=customised)
    if customised is False:
        await market.registry.set_pause(Pause(Scope.PLATFORM, "", "fraud", "li.na", NOW))
    ticket = (await withdrawn(market, buyer, "o-1")).ticket
    assert ticket.state is TicketState.AWAITING_MERCHANT
    return ticket


@pytest.mark.parametrize(("customised", "may"), [(False, False), (True, True), (None, True)])
@on_both_stores
async def test_a_shop_rejects_a_withdrawal_only_on_a_ground(market: Market, customised: bool | None, may: bool) -> None:
    ticket = await _in_review(market, customised=customised)
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    done = await reject(market.store, ref, rejection("We do not want to."), Acting(SHOP, LATER))
    if may:
        assert isinstance(done, Executed) and done.ticket.state is TicketState.REJECTED
    else:
        assert isinstance(done, Refusal) and done.code is RefusalCode.WITHDRAWAL_NEEDS_GROUND


@on_both_stores
async def test_goods_that_have_left_are_a_ground(market: Market) -> None:
    ticket = await _in_review(market, customised=False)
    shipped = ShipmentUpdate(ShipmentStatus.SHIPPED, "sf", "SF1", ShipmentSource.MERCHANT, LATER)
    done = await reject(
        market.store,
        TicketRef(ticket.lane, ticket.ticket_id),
        rejection("It left this morning.", shipped),
        Acting(SHOP, LATER),
    )
    assert isinstance(done, Executed) and done.ticket.state is TicketState.REJECTED


@on_both_stores
async def test_a_dry_run_of_a_withdrawal_says_the_same(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(99900,))
    request = RefundRequest(buyer, "o-1", basis=Basis.WITHDRAWAL)
    dry = await check_eligibility(market.store, market.decision_settings, request, now=NOW)
    assert not isinstance(dry, Refusal)
    assert (dry.decision.outcome, dry.decision.policy_id) == (Outcome.INSTANT, "statutory-withdrawal")


@on_both_stores
async def test_how_often_goods_were_asked_for_does_not_use_up_the_right(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(45000,))
    for number in range(5):
        now = NOW + timedelta(minutes=2 * number)
        ticket = await market.asked(buyer, "o-1", now=now)
        await withdraw(market.store, TicketRef(ticket.lane, ticket.ticket_id), Acting(SHOP, now))
    later = NOW + timedelta(minutes=20)
    sixth = await market.ask(buyer, "o-1", now=later)
    assert isinstance(sixth, Refusal) and sixth.code is RefusalCode.LINE_REQUEST_LIMIT
    request = RefundRequest(buyer, "o-1", basis=Basis.WITHDRAWAL)
    done = await request_refund(market.store, market.decision_settings, request, now=later)
    assert isinstance(done, Executed) and done.ticket.approved_by is ApprovedBy.WITHDRAWAL


async def test_a_withdrawal_is_neither_an_instant_nor_a_reviewed_refund_of_the_services(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    await withdrawn(market, buyer, "o-1")
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE ticket SET state = 'refunded', closed_at = %s", (LATER,))
    await market.ticket_list.fill()
    found = await market.queries.benefit(shop_id=None, since=None)
    assert (found.requests, found.instant, found.refunded) == (1, 0, 1)
    assert (found.instant_median_seconds, found.reviewed_median_seconds) == (None, None)


@on_both_stores
async def test_a_policy_in_shadow_decides_nothing_of_it(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    done = await withdrawn(market.with_beside(shadow=DEFAULT_POLICY), buyer, "o-1")
    assert [one.shadow for one in done.changes if isinstance(one, RecordDecision)] == [None]


@on_both_stores
async def test_money_that_is_captured_later_goes_with_the_right(market: Market) -> None:
    """The units are refunded by right; what is paid on them afterwards is no favour either."""
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(12900,), tenders=(10000,))
    await withdrawn(market, buyer, "o-1")
    ref = OrderRef(lane_of(buyer), "o-1")
    more = Tender("t2", "simulator", "pay-2", "CNY", 2900, LATER)
    done = await capture_payment(market.store, ref, more, market.decision_settings, now=LATER)
    assert isinstance(done, Executed)
    (later,) = [one for one in done.snapshot.tickets if one.state is TicketState.AWAITING_MERCHANT]
    assert (later.basis, later.on_timeout, later.amount_minor) == (Basis.WITHDRAWAL, "approve", 2900)


# Receipts --------------------------------------------------------------------------------------------------------


@on_both_stores
async def test_the_receipt_says_what_was_asked_and_decided_and_when(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(12900, 5000), freight_minor=800)
    receipt = receipt_in(await withdrawn(market, buyer, "o-1"))
    assert receipt.sha256 == sha256(receipt.content.encode()).hexdigest()
    read = receipt.read
    assert (read.order_id, read.basis, read.amount_minor, read.freight_minor) == ("o-1", "withdrawal", 18700, 800)
    assert sum(line.amount_minor for line in read.lines) + read.freight_minor == read.amount_minor
    assert read.requested_at == NOW.astimezone(ZoneInfo(TIME_ZONE)).isoformat(timespec="seconds")
    assert read.time_zone == TIME_ZONE
    assert (read.decision.outcome, read.decision.policy_id) == ("instant", "statutory-withdrawal")
    assert [(one.id, one.verdict) for one in read.decision.reasons] == [
        ("right_of_withdrawal", "true"),
        ("unshipped", "true"),
    ]
    assert buyer not in receipt.content, "an erasure has nothing to take out of it"


@on_both_stores
async def test_a_receipt_keeps_to_itself_what_the_buyer_may_not_know(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    await market.registry.set_pause(Pause(Scope.PLATFORM, "", "fraud", "li.na", NOW))
    done = await request_refund(market.store, market.decision_settings, RefundRequest(buyer, "o-1"), now=NOW)
    assert isinstance(done, Executed)
    content = receipt_in(done).content
    assert "service_paused" not in content and "not_paused" not in content and "within_caps" not in content
    assert json.loads(content)["decision"]["reasons"][-1]["id"] == "other_factors"


@on_both_stores
async def test_a_guard_that_the_buyer_may_not_know_reads_as_other_factors(market: Market) -> None:
    """Every condition holds, and still it went to review: the receipt neither says why nor that all was well."""
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    late = replace(market.decision_settings, deadline_passed=lambda: True)
    done = await request_refund(market.store, late, RefundRequest(buyer, "o-1"), now=NOW)
    assert isinstance(done, Executed)
    decision = receipt_in(done).read.decision
    assert (decision.outcome, decision.review_reason, decision.reasons[-1].id) == ("review", None, "other_factors")


async def test_a_receipt_outlives_what_becomes_of_the_ticket_and_no_update_alters_it(
    market: Market, database_url: str
) -> None:
    ticket = await _in_review(market, customised=True)
    with psycopg.connect(database_url) as connection:
        before = connection.execute("SELECT receipt, receipt_sha256 FROM decision").fetchone()
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    await reject(market.store, ref, rejection("Engraved."), Acting(SHOP, LATER))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT receipt, receipt_sha256 FROM decision").fetchone() == before
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE decision SET receipt = replace(receipt, 'o-1', 'o-2')")


# In bulk ---------------------------------------------------------------------------------------------------------


async def test_a_back_test_verifies_withdrawals_and_leaves_them_out_of_the_policys(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url) as market:
        buyer = await market.premium_buyer("b-1")
        for number in range(3):
            await market.paid_order(buyer, f"o-{number}", amounts=(12900,))
        await withdrawn(market, buyer, "o-0")
        await market.asked(buyer, "o-1")
        await market.paid_order(buyer, "o-3", customised=True)
        await withdrawn(market, buyer, "o-3")
    own = export_history(database_url, tmp_path / "own", ZoneInfo(TIME_ZONE))
    found = verified(own, tmp_path / "work", policy=DEFAULT_POLICY)
    assert (found.decisions, found.other_policies, found.examples) == (3, 0, ())
    (work := tmp_path / "replay").mkdir()
    with open_engine(EngineName.DUCKDB, work) as engine:
        tables = {name: engine.read(path) for name, path in prepare(own, work).paths.items()}
        choice = ReplayChoice(Choice(ZoneInfo(TIME_ZONE)))
        done = replay(engine, tables, DEFAULT_POLICY, work / "out.parquet", choice)
        by_right = replay(engine, tables, withdrawal_policy(), work / "right.parquet", choice)
    assert done.requests == by_right.requests == 1
