"""A refund that the platform's account pays for a shop: paid once, charged once, recovered, taken back, paid again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.incidents import RecoveryTried, apply_deadline, record_recovery
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.pay import refund_instruction
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.commands.review import approve
from jitui.aftersales.governance.statement_of_reasons import statement_of_charge
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.incident import Incident, IncidentKind, IncidentOutcome, IncidentState
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus, Tender
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import Actor, ActorKind, Basis, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, IncidentRef, TicketRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.aftersales.shipping_risks import RiskFilter, RiskKind
from jitui.ids import lane_of_id
from jitui.policy import Policy
from tests.aftersales.incidents import BY_PLATFORM, DESK, RULES, accounts, contest, decide, done
from tests.aftersales.market import DEFAULT_POLICY, NOW, TIME_ZONE, Market, on_both_stores
from tests.aftersales.test_later_money import capture
from tests.aftersales.test_pay import Paying, claim_all, start_paying
from tests.aftersales.test_shipping_risks import risks_of

ADVANCES = Policy.from_text(DEFAULT_POLICY.text + "\nadvance: {at_most_minor: 10000}\n")
PAID = RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id="r-1")
PAID_BY_PLATFORM = replace(PAID, advanced=True)
NOT_TOLD = replace(PAID, advanced=None)
TAKEN_BACK = RefundResult(RefundResultKind.DECLINED, reason="account closed")
SOON = NOW + timedelta(minutes=1)


async def the_incidents(market: Market) -> list[Incident]:
    return list(await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=100)))


def ref_of(incident: Incident) -> IncidentRef:
    return IncidentRef(lane_of_id(incident.incident_id), incident.incident_id)


async def advanced(market: Market) -> tuple[Paying, IncidentRef]:
    """A refund of 100.00 that the platform's account paid, not charged yet."""
    paying = await start_paying(market.deciding_by(ADVANCES))
    await paying.hears(PAID_BY_PLATFORM)
    (incident,) = await the_incidents(market)
    return paying, ref_of(incident)


async def charge(market: Market, now: datetime = SOON) -> None:
    """What the worker does about every incident that is due."""
    for due in await market.store.due_incidents(now, 10):
        assert isinstance(await apply_deadline(market.store, due, RULES, now=now), Executed)


@on_both_stores
async def test_it_is_paid_once_and_charged_to_the_shop_once(market: Market) -> None:
    paying, _ = await advanced(market)
    await paying.hears(PAID_BY_PLATFORM, looked_up=True)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDED
    (opened,) = await the_incidents(market)
    assert (opened.kind, opened.state, opened.amount_minor) == (
        IncidentKind.PLATFORM_ADVANCE,
        IncidentState.OPEN,
        10000,
    )
    assert opened.refund_id == paying.claimed.refund.refund_id
    assert await accounts(market, paying.order) == {}, "charged by the worker"
    await charge(market)
    await charge(market)
    (charged,) = await the_incidents(market)
    assert (charged.outcome, charged.outcome_no, charged.receivable_minor) == (
        IncidentOutcome.BORNE_BY_SHOP,
        1,
        10000,
    )
    assert (charged.state, charged.recover_until) == (IncidentState.RECOVERING, SOON + timedelta(days=90))
    assert await accounts(market, paying.order) == {"shop_receivable": 10000, "platform_advance": -10000}
    held = balances(await market.queries.ledger(paying.order))
    assert held["provider_clearing:simulator", "CNY"] == 0 and held["buyer_payable", "CNY"] == 0
    kinds = [str(event.kind) for event in await market.feed.events(0, 100)]
    assert kinds.count("advance.paid") == 1 and "incident.opened" not in kinds
    assert kinds[-1] == "incident.decided"


@on_both_stores
async def test_two_who_hear_of_it_at_once_open_one_advance(market: Market) -> None:
    paying = await start_paying(market.deciding_by(ADVANCES))
    await asyncio.gather(*(paying.hears(PAID_BY_PLATFORM, looked_up=n % 2 == 0) for n in range(4)))
    assert len(await the_incidents(market)) == 1
    if market.pool is None:
        return
    (incident,) = await the_incidents(market)
    async with market.pool.connection() as connection:
        with pytest.raises(Exception, match="one_advance_per_refund"):
            await connection.execute(
                "INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor,"
                " currency, evidence, opened_at, refund_id) SELECT lane, gen_random_uuid(), order_id, ticket_id,"
                " shop_id, kind, 'open', 1, currency, evidence, opened_at, refund_id FROM incident"
                " WHERE incident_id = %s",
                (incident.incident_id,),
            )


@on_both_stores
async def test_recovery_and_its_end_are_those_of_every_incident(market: Market) -> None:
    paying, ref = await advanced(market)
    await charge(market)
    tried = RecoveryTried(4000, "settlement 7")
    assert isinstance(
        await record_recovery(market.store, ref, tried, RULES, by=DESK, now=SOON + timedelta(days=1)), Executed
    )
    for day in (12, 15, 87, 90):  # told, the time to contest ends, told, the recovery ends
        await charge(market, SOON + timedelta(days=day))
    assert await accounts(market, paying.order) == {"shop_settlement": 4000, "loss": 6000, "platform_advance": -10000}


@on_both_stores
async def test_what_the_provider_takes_back_the_shop_does_not_owe(market: Market) -> None:
    paying, ref = await advanced(market)
    await charge(market)
    paid = RecoveryTried(4000, "settlement 7")
    assert isinstance(await record_recovery(market.store, ref, paid, RULES, by=DESK, now=SOON), Executed)
    await paying.hears(TAKEN_BACK, looked_up=True, now=SOON)
    await paying.hears(TAKEN_BACK, looked_up=True, now=SOON)
    (incident,) = await the_incidents(market)
    assert (incident.outcome, incident.shop_minor, incident.owed_back_minor) == (IncidentOutcome.RETURNED, 0, 4000)
    assert incident.state is IncidentState.SETTLED
    assert await accounts(market, paying.order) == {"shop_settlement": 4000, "shop_payable": -4000}
    snapshot = await paying.snapshot()
    assert snapshot.refunds[0].state is RefundState.QUEUED, "the buyer is still owed the money"


@on_both_stores
async def test_paid_again_from_the_platforms_account_it_is_charged_again(market: Market) -> None:
    paying, _ = await advanced(market)
    await charge(market)
    await paying.hears(TAKEN_BACK, looked_up=True, now=SOON)
    (again,) = await claim_all(market, after=timedelta(minutes=2))
    assert again.attempt.attempt_id != paying.claimed.attempt.attempt_id
    ref = AttemptRef(again.lane, again.attempt.attempt_id)
    await confirm(market.store, ref, RefundUpdate(PAID_BY_PLATFORM), now=SOON + timedelta(minutes=2))
    await charge(market, SOON + timedelta(minutes=3))
    (incident,) = await the_incidents(market)
    assert (incident.outcome, incident.outcome_no, incident.shop_minor) == (IncidentOutcome.BORNE_BY_SHOP, 3, 10000)
    assert await accounts(market, paying.order) == {"shop_receivable": 10000, "platform_advance": -10000}


@on_both_stores
async def test_what_came_back_once_comes_back_once(market: Market) -> None:
    """The next attempt is paid from the shop's own balance, and fails too: that is no matter of the advance."""
    paying, ref = await advanced(market)
    await charge(market)
    await paying.hears(TAKEN_BACK, looked_up=True, now=SOON)
    (again,) = await claim_all(market, after=timedelta(minutes=2))
    later = SOON + timedelta(minutes=2)
    for told in (RefundUpdate(PAID), RefundUpdate(TAKEN_BACK, looked_up=True)):
        await confirm(market.store, AttemptRef(again.lane, again.attempt.attempt_id), told, now=later)
    (incident,) = await the_incidents(market)
    assert (incident.outcome, incident.outcome_no) == (IncidentOutcome.RETURNED, 2)
    refused = await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP, now=later)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.LOSS_TERMS_DIFFER
    assert await accounts(market, paying.order) == {}


@on_both_stores
async def test_taken_back_before_it_was_charged_nothing_is_charged(market: Market) -> None:
    paying, _ = await advanced(market)
    await paying.hears(TAKEN_BACK, looked_up=True)
    await charge(market)
    (incident,) = await the_incidents(market)
    assert (incident.outcome, incident.due_at) == (IncidentOutcome.RETURNED, None)
    assert await accounts(market, paying.order) == {}


@on_both_stores
async def test_a_payment_from_the_shops_own_account_is_no_advance(market: Market) -> None:
    paying = await start_paying(market.deciding_by(ADVANCES))
    await paying.hears(PAID)
    assert await the_incidents(market) == []
    assert (await paying.snapshot()).refunds[0].due_at is None, "nothing is left to ask"


@on_both_stores
async def test_whose_account_paid_is_asked_where_it_was_not_told(market: Market) -> None:
    """A statement says that it was paid, and no more: the buyer has the money, and the provider is asked."""
    paying = await start_paying(market.deciding_by(ADVANCES))
    await paying.hears(NOT_TOLD)
    snapshot = await paying.snapshot()
    assert snapshot.ticket(paying.ticket_id).state is TicketState.REFUNDED
    (asking,) = await claim_all(market, after=timedelta(seconds=2))
    assert asking.look_up_first and await the_incidents(market) == []
    await paying.hears(PAID_BY_PLATFORM, looked_up=True, now=SOON)
    assert len(await the_incidents(market)) == 1
    assert (await paying.snapshot()).refunds[0].due_at is None
    plain = await start_paying(market, "2")
    await plain.hears(NOT_TOLD)
    assert (await plain.snapshot()).refunds[0].due_at is None, "no advance was allowed: there is nothing to ask"


@pytest.mark.parametrize(("at_most_minor", "may_advance"), [(9999, False), (10000, True)])
@on_both_stores
async def test_the_policy_that_decided_says_how_much(market: Market, at_most_minor: int, may_advance: bool) -> None:
    policy = Policy.from_text(DEFAULT_POLICY.text + f"\nadvance: {{at_most_minor: {at_most_minor}}}\n")
    paying = await start_paying(market.deciding_by(policy))
    assert paying.claimed.refund.may_advance is may_advance
    assert refund_instruction(paying.claimed.refund, paying.claimed.attempt).may_advance is may_advance


@on_both_stores
async def test_without_the_section_and_in_another_currency_nothing_is_advanced(market: Market) -> None:
    plain = await start_paying(market)
    assert not plain.claimed.refund.may_advance
    in_euros = DEFAULT_POLICY.text.replace("currency: CNY", "currency: EUR")
    policy = Policy.from_text(in_euros + "\nadvance: {at_most_minor: 10000}\n")
    deciding = market.deciding_by(policy)
    buyer = await deciding.premium_buyer("b-9")
    await deciding.paid_order(buyer, "o-9", amounts=(10000,))
    ticket = await deciding.asked(buyer, "o-9")
    assert ticket.advance_up_to_minor is None


@on_both_stores
async def test_a_withdrawal_is_decided_by_no_policy_and_advanced_by_none(market: Market) -> None:
    deciding = market.deciding_by(ADVANCES)
    await deciding.paid_order("b-7", "o-7", amounts=(10000,))
    request = RefundRequest("b-7", "o-7", basis=Basis.WITHDRAWAL)
    done = await request_refund(deciding.store, deciding.decision_settings, request, now=NOW)
    assert isinstance(done, Executed)
    assert [refund.may_advance for refund in done.snapshot.refunds] == [False]


async def test_money_that_is_captured_later_counts_with_the_rest(market: Market) -> None:
    """A deposit within the limit may be advanced; the balance that takes the request over it may not."""
    deciding = market.deciding_by(ADVANCES)
    buyer = await deciding.premium_buyer("b-1")
    order = await deciding.paid_order(buyer, "o-1", amounts=(12000,), tenders=())
    deposit = Tender("t1", "simulator", "pay-1", "CNY", 6000, NOW)
    assert isinstance(await capture(deciding, order, deposit), Executed)
    await deciding.asked(buyer, "o-1")
    assert isinstance(await capture(deciding, order, replace(deposit, tender_id="t2", payment_id="pay-2")), Executed)
    snapshot = await deciding.store.read_order(order)
    assert snapshot is not None and [ticket.amount_minor for ticket in snapshot.tickets] == [12000]
    by_tender = {refund.tender_id: refund.may_advance for refund in snapshot.refunds}
    assert by_tender == {"t1": True, "t2": False}


@on_both_stores
async def test_the_limit_is_the_whole_requests_not_a_payments(market: Market) -> None:
    deciding = market.deciding_by(ADVANCES)
    buyer = await deciding.premium_buyer("b-1")
    await deciding.paid_order(buyer, "o-1", amounts=(12000,), tenders=(6000, 6000))
    await deciding.asked(buyer, "o-1")
    assert [claimed.refund.may_advance for claimed in await claim_all(market)] == [False, False]


@on_both_stores
async def test_a_request_that_the_shop_approves_is_paid_by_the_same_rule(market: Market) -> None:
    market = market.deciding_by(ADVANCES)
    await market.paid_order("b-5", "o-5", amounts=(10000,))
    ticket = await market.asked("b-5", "o-5")
    assert ticket.state is TicketState.AWAITING_MERCHANT
    merchant = Actor(ActorKind.MERCHANT, "shop-1")
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    approved = await approve(market.store, ref, Acting(merchant, NOW, ticket.version))
    assert isinstance(approved, Executed)
    assert [refund.may_advance for refund in approved.snapshot.refunds] == [True]


@on_both_stores
async def test_it_stands_beside_the_incident_of_goods_that_left(market: Market) -> None:
    """A ticket may have both; neither takes the other's place."""
    market = market.deciding_by(ADVANCES)
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1", amounts=(10000,))
    await market.ship(order, status=ShipmentStatus.LABEL_PRINTED, tracking_no="SF-1")
    ticket = await market.asked(buyer, "o-1")
    (claimed,) = await claim_all(market)
    paying = Paying(market, order, ticket.ticket_id, claimed)
    await paying.hears(PAID_BY_PLATFORM)
    for status in (ShipmentStatus.PICKED_UP, ShipmentStatus.SHIPPED):
        await market.ship(order, status=status, source=ShipmentSource.CARRIER, tracking_no="SF-1", now=SOON)
    kinds = sorted(incident.kind.value for incident in await the_incidents(market))
    assert kinds == ["goods_left_after_refund", "platform_advance"]


@on_both_stores
async def test_the_shop_reads_why_and_may_contest_it(market: Market) -> None:
    _, ref = await advanced(market)
    await charge(market)
    (incident,) = await the_incidents(market)
    statement = statement_of_charge(incident, time_zone=ZoneInfo(TIME_ZONE), answer_days=15)
    assert statement is not None
    assert "平台账户垫付" in statement["zh"] and "100.00 CNY was charged to your shop" in statement["en"]
    assert "carrier" not in statement["en"]
    assert done(await contest(market, ref, now=SOON)).state is IncidentState.CONTESTED


@on_both_stores
async def test_only_the_shop_or_the_platform_bears_it(market: Market) -> None:
    """Whatever the policy says of goods that left, and goods are no part of it."""
    paying, ref = await advanced(market)
    await charge(market)
    for outcome in (IncidentOutcome.RETURNED, IncidentOutcome.REPAID, IncidentOutcome.BORNE_BY_BOTH):
        refused = await decide(market, ref, outcome, BY_PLATFORM, now=SOON)
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.LOSS_TERMS_DIFFER
    assert done(await decide(market, ref, IncidentOutcome.BORNE_BY_PLATFORM, BY_PLATFORM, now=SOON)).shop_minor == 0
    assert await accounts(market, paying.order) == {"loss": 10000, "platform_advance": -10000}
    assert done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP, BY_PLATFORM, now=SOON)).shop_minor == 10000


async def test_it_is_nobodys_fault_and_counts_in_nothing_that_watches(market: Market) -> None:
    """The warehouse still owes its answer, and no incident of goods is open."""
    market = market.deciding_by(ADVANCES)
    buyer = await market.premium_buyer("b-1")
    order = await market.paid_order(buyer, "o-1", amounts=(10000,))
    await market.ship(order, status=ShipmentStatus.LABEL_PRINTED, tracking_no="SF-1")
    ticket = await market.asked(buyer, "o-1")
    (claimed,) = await claim_all(market)
    await Paying(market, order, ticket.ticket_id, claimed).hears(PAID_BY_PLATFORM)
    late = NOW + timedelta(hours=1)
    await market.feed.roll_up(late)
    unanswered = [risk.risk for risk in await risks_of(market).risks(RiskFilter(), late)]
    assert unanswered == [RiskKind.STOP_SHIP_UNANSWERED]
    assert (await market.queries.operations(late)).open_incidents == 0
    assert len(await the_incidents(market)) == 1
