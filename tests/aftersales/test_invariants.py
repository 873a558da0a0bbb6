"""After any sequence of commands on an order its units, claims, holds, freight, funding and ledger are consistent."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from jitui.aftersales.commands.arbitration import ArbitrationDecision, decide_arbitration, escalate
from jitui.aftersales.commands.offer import accept_offer, offer
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.review import approve, expire, reject, withdraw
from jitui.aftersales.commands.settle_refund import ManualPayout, retry, settle
from jitui.aftersales.commands.ship import ShipmentUpdate
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.order import Funder, Funding, LineUnits, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.review import AtFault, RefundBorneBy
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, OPEN_STATES, Actor, ActorKind, ApprovedBy, TicketState
from jitui.aftersales.ports import AttemptRef, OrderRef, RefundRef, TicketRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from tests.aftersales.market import NOW, RULES, Market, on_both_stores, rejection

ANYBODY = Actor(ActorKind.OPERATOR, "somebody")
ANOTHER = Actor(ActorKind.OPERATOR, "somebody else")
LINES = ("l1", "l2")
UNITS = st.lists(st.tuples(st.sampled_from(LINES), st.integers(1, 2)), max_size=2, unique_by=lambda unit: unit[0])
WHICH = st.integers(0, 3)
WAYBILL = st.sampled_from(["A", "B"])
STEP = st.one_of(
    st.tuples(st.just("ask"), UNITS),
    st.tuples(st.just("ship"), UNITS, WAYBILL, st.sampled_from([ShipmentStatus.LABEL_PRINTED, ShipmentStatus.SHIPPED])),
    st.tuples(st.just("scan"), UNITS, WAYBILL, st.sampled_from([ShipmentStatus.PICKED_UP, ShipmentStatus.SHIPPED])),
    st.tuples(st.just("approve")),
    st.tuples(st.just("reject"), st.booleans()),
    st.tuples(st.just("withdraw")),
    st.tuples(st.just("offer"), UNITS),
    st.tuples(st.just("accept")),
    st.tuples(st.just("escalate"), WHICH),
    st.tuples(st.just("decide"), WHICH, st.sampled_from([None, RefundBorneBy.MERCHANT, RefundBorneBy.PLATFORM])),
    st.tuples(st.just("expire")),
    st.tuples(st.just("pay"), st.sampled_from(list(RefundResultKind)[:4]), st.booleans()),
    st.tuples(st.just("retry")),
    st.tuples(st.just("settle")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(STEP, min_size=1, max_size=9),
    amounts=st.tuples(st.integers(1, 14000), st.integers(1, 14000)),
    freight=st.sampled_from([0, 7, 800]),
    captured_share=st.sampled_from([100, 100, 60]),
    premium=st.booleans(),
)
@on_both_stores
async def test_nothing_that_is_done_to_an_order_breaks_it(
    market: Market,
    steps: list[tuple[object, ...]],
    amounts: tuple[int, int],
    freight: int,
    captured_share: int,
    premium: bool,
) -> None:
    name = uuid4().hex
    buyer = await market.premium_buyer(f"b-{name}") if premium else f"b-{name}"
    captured = max(2, (sum(amounts) + freight) * captured_share // 100)
    order = await market.paid_order(
        buyer,
        name,
        amounts=amounts,
        quantities=(2, 3),
        freight_minor=freight,
        tenders=(captured - captured // 3, captured // 3) if captured >= 3 else (captured,),
        funding=(Funding(Funder.PLATFORM_SUBSIDY, 999),),
    )
    now = NOW
    for step in steps:
        now += timedelta(seconds=61)
        await market.feed.roll_up(now)
        note(f"{step} -> {type(await _do(market, order, buyer, step, now)).__name__}")
        await check_order(market, order)


async def _do(market: Market, order: OrderRef, buyer: str, step: tuple[object, ...], now: datetime) -> object:
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    tickets = [TicketRef(ticket.lane, ticket.ticket_id) for ticket in snapshot.tickets]
    match step:
        case ("ask", list(units)):
            return await market.ask(buyer, order.order_id, lines=units, now=now)
        case ("ship", list(units), str(waybill), ShipmentStatus() as status):
            return await market.ship(order, status=status, tracking_no=waybill, lines=units, now=now)
        case ("scan", list(units), str(waybill), ShipmentStatus() as status):
            source = ShipmentSource.CARRIER
            return await market.ship(order, status=status, source=source, tracking_no=waybill, lines=units, now=now)
        case ("approve",) if tickets:
            return await approve(market.store, tickets[-1], Acting(ANYBODY, now))
        case ("reject", bool(ships)) if tickets:
            update = ShipmentUpdate(ShipmentStatus.SHIPPED, "sf", "R", ShipmentSource.MERCHANT, now) if ships else None
            return await reject(
                market.store,
                tickets[-1],
                rejection("no", update),
                Acting(ANYBODY, now),
            )
        case ("offer", list(units)) if tickets:
            lines = tuple(LineUnits(*unit) for unit in units)
            return await offer(market.store, tickets[-1], lines, "one is made", Acting(ANYBODY, now))
        case ("accept",) if tickets:
            return await accept_offer(market.store, tickets[-1], Acting(ANYBODY, now))
        case ("escalate", int(which)) if tickets:
            ref = tickets[which % len(tickets)]
            return await escalate(market.store, ref, "why", (), Acting(ANYBODY, now), answer_days=7)
        case ("decide", int(which), borne) if tickets:
            ref = tickets[which % len(tickets)]
            assert borne is None or isinstance(borne, RefundBorneBy)
            decision = ArbitrationDecision(AtFault.NOBODY, borne, "as found")
            return await decide_arbitration(market.store, ref, decision, Acting(ANOTHER, now))
        case ("withdraw",) if tickets:
            return await withdraw(market.store, tickets[-1], Acting(ANYBODY, now))
        case ("expire",) if tickets:
            return await expire(market.store, tickets[-1], now=now + timedelta(days=3))
        case ("pay", RefundResultKind() as kind, bool(looked_up)):
            await _pay(market, order, RefundResult(kind, reason="as drawn"), looked_up, now)
        case ("retry",) if snapshot.refunds:
            return await retry(
                market.store, RefundRef(order.lane, snapshot.refunds[-1].refund_id), RULES, by=ANYBODY, now=now
            )
        case ("settle",) if snapshot.refunds:
            refund = snapshot.refunds[-1]
            payout = ManualPayout("BANK-1", "by hand", refund.amount_minor, refund.currency)
            return await settle(
                market.store, RefundRef(order.lane, refund.refund_id), payout, RULES, by=ANYBODY, now=now
            )
    return None


async def _pay(market: Market, order: OrderRef, result: RefundResult, looked_up: bool, now: datetime) -> None:
    for claim in await market.store.claim_refunds(now=now, lease_until=now + timedelta(seconds=9), limit=99):
        if claim.refund.order_id == order.order_id:
            update = RefundUpdate(result, looked_up)
            await confirm(market.store, AttemptRef(claim.lane, claim.attempt.attempt_id), update, now=now)


async def check_order(market: Market, order: OrderRef) -> None:
    """Every sum of the order snapshot against every other way to count it."""
    snapshot = await market.store.read_order(order)
    assert snapshot is not None
    holding = [ticket for ticket in snapshot.tickets if ticket.state in OPEN_STATES | APPROVED_STATES]
    for line in snapshot.lines:
        rows = [row for ticket in holding for row in snapshot.lines_of(ticket.ticket_id) if row.line_id == line.line_id]
        assert line.claimed_quantity == sum(row.quantity for row in rows)
        assert line.claimed_minor == sum(row.amount_minor for row in rows)
        assert line.claimed_quantity + line.shipped_quantity <= line.quantity, "I3"
    assert snapshot.order.freight_claimed_minor == sum(ticket.freight_minor for ticket in holding)
    for row in snapshot.ticket_lines:
        refunded_before = any(event.to_state is TicketState.REFUNDED for event in snapshot.timeline_of(row.ticket_id))
        ticket = snapshot.ticket(row.ticket_id)
        closed_before = refunded_before or ticket.approved_by is ApprovedBy.ARBITRATION or row.quantity == 0
        assert row.open == (ticket.state in OPEN_STATES and not closed_before)
    _check_money(snapshot)
    await _check_ledger(market, snapshot)


def _check_money(snapshot: OrderSnapshot) -> None:
    granted = [ticket for ticket in snapshot.tickets if ticket.state in APPROVED_STATES]
    for ticket in granted:
        refunds = snapshot.refunds_of(ticket.ticket_id)
        assert sum(refund.amount_minor for refund in refunds) == ticket.amount_minor
        lines = sum(line.amount_minor for line in snapshot.lines_of(ticket.ticket_id))
        assert lines + ticket.freight_minor == ticket.amount_minor
        if ticket.approved_by is ApprovedBy.INSTANT_REFUND:
            assert ticket.notice is not None
    for tender in snapshot.tenders:
        theirs = [refund for refund in snapshot.refunds if refund.tender_id == tender.tender_id]
        paid = sum(refund.amount_minor for refund in theirs if refund.state is RefundState.SUCCEEDED)
        assert tender.refunded_minor == paid
        assert tender.pending_minor == sum(refund.amount_minor for refund in theirs) - paid
        assert tender.remaining_minor >= 0, "I1"
    returned = sum(amount for ticket in granted for amount in ticket.funding_returns.values())
    assert sum(fund.returned_minor for fund in snapshot.funding) == returned


async def _check_ledger(market: Market, snapshot: OrderSnapshot) -> None:
    entries = await market.queries.ledger(OrderRef(snapshot.order.lane, snapshot.order.order_id))
    balance = {account: minor for (account, _), minor in balances(entries).items()}
    assert all(entry.amount_minor > 0 and entry.debit != entry.credit for entry in entries)
    owed = sum(tender.pending_minor for tender in snapshot.tenders)
    out = sum(tender.refunded_minor for tender in snapshot.tenders)
    by_hand = sum(refund.amount_minor for refund in snapshot.refunds if refund.settlement is not None)
    captured = sum(tender.captured_minor for tender in snapshot.tenders)
    again = balance.get("buyer_receivable", 0)
    assert again >= 0
    assert balance.get("escrow", 0) <= 0, "more was granted than is kept"
    assert balance.get("buyer_payable", 0) == -owed
    assert balance.get("manual_payout", 0) == -by_hand
    assert balance["provider_clearing:simulator"] == captured - (out - by_hand) - again
    assert balance["subsidy:platform_subsidy"] == sum(f.amount_minor - f.returned_minor for f in snapshot.funding)
    assert sum(balance.values()) == 0, "I7"
