"""A refund of goods with a printed label waits for the warehouse: `held` in time approves it, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from jitui.aftersales.changes import RecordBuyerEvent, RecordLaterDecision
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve, expire, withdraw
from jitui.aftersales.commands.stop_ship import StopShipAnswer, StopShipOutcome, acknowledge_stop_ship
from jitui.aftersales.deciding import Canary
from jitui.aftersales.governance.registry import Pause, Scope
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus, Tender
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import HistoryRecord, OrderRef, TicketRef
from jitui.policy import Policy, decide, decision_to_json
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market, memory_market, on_both_stores
from tests.aftersales.test_free_orders import free_order

ASKS = Policy.from_text(DEFAULT_POLICY.text + "\nstop_ship: {approve_when_held_within_minutes: 30}\n")
WAREHOUSE = Actor(ActorKind.PLATFORM, "warehouse 7")
MERCHANT = Actor(ActorKind.MERCHANT, "shop-1")
HELD = StopShipAnswer(StopShipOutcome.HELD, person="wang.fang")
GONE = StopShipAnswer(StopShipOutcome.ALREADY_GONE, "SF1", "sf")
LATEST = NOW + timedelta(minutes=30) - timedelta(microseconds=1)
"""The last moment at which an answer approves."""


async def waiting(market: Market, *, buyer: str = "b-1", order: str = "o-1") -> tuple[OrderRef, Ticket]:
    """A request on an order of two lines whose first has a printed label; the warehouse is asked."""
    ref = await market.paid_order(await market.premium_buyer(buyer), order, amounts=(5000, 6000), quantities=(2, 1))
    number = f"SF{order.removeprefix('o-')}"
    await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED, lines=[("l1", 2)], tracking_no=number)
    ticket = await market.asked(buyer, order, lines=[("l1", 2)])
    assert (ticket.state, ticket.approved_by) == (TicketState.AWAITING_MERCHANT, None)
    return ref, ticket


async def said(
    market: Market, ticket: Ticket, answer: StopShipAnswer, now: datetime = LATEST
) -> Executed | Refusal | StoredResponse:
    """Somebody answers, while the usage of the caps is as fresh as it should be."""
    if market.pool is not None:  # in memory it is counted as it is asked for
        await market.feed.roll_up(now)
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    return await acknowledge_stop_ship(market.store, market.settings, ref, answer, by=WAREHOUSE, now=now)


async def snapshot_of(market: Market, ref: OrderRef) -> OrderSnapshot:
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    return snapshot


async def whys(market: Market, ref: OrderRef, ticket: Ticket) -> list[str]:
    return [event.why for event in (await snapshot_of(market, ref)).timeline_of(ticket.ticket_id)]


async def is_waiting(market: Market, ref: OrderRef, ticket: Ticket) -> bool:
    """Whether the ticket is in review as it was, with nothing refunded."""
    snapshot = await snapshot_of(market, ref)
    now_so = snapshot.ticket(ticket.ticket_id)
    return now_so == ticket and not snapshot.refunds


@on_both_stores
async def test_the_warehouse_is_asked_first(market: Market) -> None:
    market = market.deciding_by(ASKS)
    ref, ticket = await waiting(market)
    assert ticket.expires_at == NOW + timedelta(hours=48), "the merchant's own time"
    snapshot = await snapshot_of(market, ref)
    assert not snapshot.refunds and snapshot.tenders[0].pending_minor == 0
    requested, asked = snapshot.timeline_of(ticket.ticket_id)
    assert (requested.why, asked.why, asked.actor_kind) == ("requested", "stop_ship_asked", ActorKind.SYSTEM)
    until = (NOW + timedelta(minutes=30)).isoformat()
    assert asked.detail == {"answer_by": until, "minutes": 30}
    event = (await market.feed.events(0, 50))[-1]
    assert (event.kind, event.ticket_id) == ("stop_ship.requested", ticket.ticket_id)
    assert event.body == {
        "lines": [{"line_id": "l1", "sku": "sku-1", "item_id": "item-1", "quantity": 2}],
        "labels_printed": [{"carrier": "sf", "tracking_no": "SF1"}],
        "answer_by": until,
        "amount_minor": ticket.amount_minor,
        "currency": "CNY",
    }


@on_both_stores
async def test_held_in_time_approves_as_instant_and_once(market: Market) -> None:
    market = market.deciding_by(ASKS)
    ref, ticket = await waiting(market)
    for _ in range(2):
        assert isinstance(await said(market, ticket, HELD), Executed)
    snapshot = await snapshot_of(market, ref)
    approved = snapshot.ticket(ticket.ticket_id)
    assert (approved.state, approved.approved_by) == (TicketState.REFUNDING, ApprovedBy.INSTANT_REFUND)
    assert (approved.approved_at, approved.expires_at, approved.remind_at) == (LATEST, None, None)
    assert approved.notice == dict(ASKS.notice)
    (refund,) = snapshot.refunds
    assert refund.amount_minor == ticket.amount_minor == snapshot.tenders[0].pending_minor
    held, done = snapshot.timeline_of(ticket.ticket_id)[2:]
    assert (held.why, held.detail) == ("stop_ship_held", {"outcome": "held", "approved": True, "person": "wang.fang"})
    assert (done.why, done.seq) == ("approved_instant_refund", 4)
    told = [event.kind for event in await market.feed.events(0, 50)]
    assert told[-4:] == ["stop_ship.requested", "stop_ship.acknowledged", "ticket.approved", "stop_ship"]


@on_both_stores
async def test_at_the_end_of_the_time_held_is_recorded_and_approves_nothing(market: Market) -> None:
    market = market.deciding_by(ASKS)
    ref, ticket = await waiting(market)
    late = LATEST + timedelta(microseconds=1)
    for at in (late, late + timedelta(hours=1)):
        assert isinstance(await said(market, ticket, HELD, at), Executed)
    assert await is_waiting(market, ref, ticket)
    (event,) = [one for one in (await snapshot_of(market, ref)).timeline if one.why == "stop_ship_held"]
    assert event.detail == {"outcome": "held", "approved": False, "too_late": True, "person": "wang.fang"}
    assert ticket.expires_at is not None
    early = await expire(market.store, TicketRef(ticket.lane, ticket.ticket_id), now=late)
    assert isinstance(early, Refusal) and early.code is RefusalCode.TICKET_NOT_EXPIRED
    done = await expire(market.store, TicketRef(ticket.lane, ticket.ticket_id), now=ticket.expires_at)
    assert isinstance(done, Executed) and done.ticket.approved_by is ApprovedBy.MERCHANT_TIMEOUT


@on_both_stores
async def test_gone_is_a_shipment_and_the_ticket_goes_the_ordinary_way(market: Market) -> None:
    market = market.deciding_by(ASKS)
    ref, ticket = await waiting(market)
    for _ in range(2):
        assert isinstance(await said(market, ticket, GONE), Executed)
    assert await is_waiting(market, ref, ticket)
    snapshot = await snapshot_of(market, ref)
    assert snapshot.line("l1").scanned_quantity == 2 and snapshot.shipments[0].degree is ShipmentStatus.SHIPPED
    assert await market.queries.incidents(IncidentFilter(shop_id="shop-1")) == [], "nothing was refunded"
    held = await said(market, ticket, HELD)
    assert isinstance(held, Refusal) and held.code is RefusalCode.STOP_SHIP_ANSWERED and "incident" not in held.message
    assert ticket.expires_at is not None
    done = await expire(market.store, TicketRef(ticket.lane, ticket.ticket_id), now=ticket.expires_at)
    assert isinstance(done, Executed) and done.ticket.state is TicketState.CLOSED


@on_both_stores
async def test_held_and_refunded_and_then_found_gone_is_an_incident(market: Market) -> None:
    market = market.deciding_by(ASKS)
    _, ticket = await waiting(market)
    await said(market, ticket, HELD)
    assert isinstance(await said(market, ticket, GONE), Executed)
    (incident,) = await market.queries.incidents(IncidentFilter(shop_id="shop-1"))
    assert incident.ticket_id == ticket.ticket_id


@on_both_stores
async def test_a_scan_contradicts_the_warehouse(market: Market) -> None:
    """Also under a policy that approves what is picked up."""
    text = ASKS.text.replace("'label_printed']", "'label_printed', 'picked_up']")
    assert text != ASKS.text
    market = market.deciding_by(Policy.from_text(text))
    ref, ticket = await waiting(market)
    await market.ship(
        ref, status=ShipmentStatus.PICKED_UP, source=ShipmentSource.CARRIER, tracking_no="SF1", lines=[("l1", 2)]
    )
    assert isinstance(await said(market, ticket, HELD), Executed)
    assert await is_waiting(market, ref, ticket)
    assert (await whys(market, ref, ticket))[-1] == "stop_ship_held"


@on_both_stores
async def test_a_pause_meanwhile_sends_it_to_the_merchant(market: Market) -> None:
    market = market.deciding_by(ASKS)
    ref, ticket = await waiting(market)
    await market.registry.set_pause(Pause(Scope.PLATFORM, "", "a test", "li.na", NOW))
    await said(market, ticket, HELD)
    assert await is_waiting(market, ref, ticket)
    await market.registry.lift_pause(Scope.PLATFORM, "", by="li.na", now=NOW)
    assert isinstance(await said(market, ticket, HELD), Executed)
    assert await is_waiting(market, ref, ticket), "it was answered once"


@on_both_stores
async def test_a_cap_that_others_have_used_up_meanwhile_holds(market: Market) -> None:
    """Requests that wait use nothing of a cap; each approval looks at it anew."""
    text = ASKS.text.replace("count: 3", "count: 1")
    assert text != ASKS.text
    market = market.deciding_by(Policy.from_text(text))
    first, second = await waiting(market), await waiting(market, order="o-2")
    await said(market, first[1], HELD)
    await said(market, second[1], HELD)
    assert (await snapshot_of(market, first[0])).ticket(first[1].ticket_id).state is TicketState.REFUNDING
    assert await is_waiting(market, *second)


@on_both_stores
async def test_the_policy_in_force_decides(market: Market) -> None:
    """A text without the section approves what has a label; one that asks for more does not."""
    asking = market.deciding_by(ASKS)
    (ref, ticket), other = await waiting(asking), await waiting(asking, order="o-2")
    stricter = market.deciding_by(
        Policy.from_text(ASKS.text.replace("order.paid_minor < limit_minor", "order.paid_minor < limit_minor - 25000"))
    )
    assert stricter.policy.sha256 != ASKS.sha256
    await said(stricter, ticket, HELD)
    assert await is_waiting(market, ref, ticket)
    await said(market, other[1], HELD)
    assert (await snapshot_of(market, other[0])).ticket(other[1].ticket_id).approved_by is ApprovedBy.INSTANT_REFUND


FEATURES = """features:
  buyer.asked_30d: {count: refund_requested, over: 30d}
  buyer.asked_minor_30d: {sum: refund_requested, over: 30d}
  buyer.last_asked_days: {last_age_days: refund_requested, over: 30d}"""


NO_REQUEST = "buyer.asked_30d == 0"
NOTHING_ASKED = f"{NO_REQUEST} && buyer.asked_minor_30d == 0 && !known(buyer.last_asked_days)"


def first_request_only(when: str = NOTHING_ASKED) -> Policy:
    """Nothing was asked for before: no request, no money, no day of a last one."""
    rule = f"conditions:\n  - {{id: first_request, when: '{when}', public: false, text: {{zh: 首次, en: First}}}}"
    return Policy.from_text(ASKS.text.replace("features:", FEATURES, 1).replace("conditions:", rule, 1))


async def knowing_requests(market: Market) -> Market:
    await market.registry.record_history([HistoryRecord("refund_requested", NOW - timedelta(days=3650))])
    return market.deciding_by(first_request_only())


@on_both_stores
async def test_the_request_itself_does_not_count_against_it(market: Market) -> None:
    """What held at the request holds at the answer."""
    market = await knowing_requests(market)
    ref, ticket = await waiting(market)
    await said(market, ticket, HELD)
    assert (await snapshot_of(market, ref)).ticket(ticket.ticket_id).approved_by is ApprovedBy.INSTANT_REFUND


async def test_another_request_meanwhile_counts() -> None:
    market = await knowing_requests(await memory_market())
    ref, ticket = await waiting(market)
    await market.paid_order("b-1", "o-2")
    await market.asked("b-1", "o-2")
    await said(market, ticket, HELD)
    assert await is_waiting(market, ref, ticket)


async def test_the_canarys_policy_decides_for_its_buyers() -> None:
    """With features of its own, of which the live policy has none."""
    market = (await knowing_requests(await memory_market())).deciding_by(DEFAULT_POLICY)
    market = market.with_beside(canary=Canary(first_request_only(), 100, "a seed"))
    ref, ticket = await waiting(market)
    assert (await whys(market, ref, ticket))[-1] == "stop_ship_asked"
    await said(market, ticket, HELD)
    assert (await snapshot_of(market, ref)).ticket(ticket.ticket_id).approved_by is ApprovedBy.INSTANT_REFUND


async def test_what_stops_every_approval_stops_this_one() -> None:
    """The guards of a request, under a policy that does not look at the pause itself."""
    market = (await memory_market()).deciding_by(Policy.from_text(ASKS.text.replace("!service.paused", "true")))
    ref, ticket = await waiting(market)
    await market.registry.set_pause(Pause(Scope.PLATFORM, "", "a test", "li.na", NOW))
    await said(market, ticket, HELD)
    assert await is_waiting(market, ref, ticket)


async def test_the_second_decision_is_stored_with_its_facts() -> None:
    market = (await memory_market()).deciding_by(ASKS)
    _, ticket = await waiting(market)
    done = await said(market, ticket, HELD)
    assert isinstance(done, Executed)
    (again,) = [change.decision for change in done.changes if isinstance(change, RecordLaterDecision)]
    assert (again.ticket_id, again.policy_sha256, again.decided_at) == (ticket.ticket_id, ASKS.sha256, LATEST)
    assert again.facts["order.shipment"] == "label_printed"
    assert again.facts["request.amount_minor"] == ticket.amount_minor
    assert decision_to_json(decide(ASKS, again.facts)) == again.decision  # type: ignore[arg-type]


async def test_a_restriction_rule_that_is_true_by_now_restricts() -> None:
    market = (await memory_market()).deciding_by(ASKS)
    ref, ticket = await waiting(market)
    await market.registry.record_buyer_events(
        [RecordBuyerEvent("b-1", f"r-{n}", "refund_before_shipment", NOW - timedelta(days=n), NOW) for n in range(60)]
    )
    await said(market, ticket, HELD)
    assert await is_waiting(market, ref, ticket)
    (restriction,) = await market.registry.restrictions_of("b-1")
    assert restriction.starts_at == LATEST


async def test_more_money_while_it_waits_goes_with_it() -> None:
    market = (await memory_market()).deciding_by(ASKS)
    ref = await market.paid_order(
        await market.premium_buyer("b-1"), "o-1", amounts=(5000,), freight_minor=1000, tenders=(5000,)
    )
    await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED)
    ticket = await market.asked("b-1", "o-1")
    tender = Tender("t2", "simulator", "pay-2", "CNY", 1000, NOW)
    await capture_payment(market.store, ref, tender, market.decision_settings, now=NOW)
    raised = (await snapshot_of(market, ref)).ticket(ticket.ticket_id)
    assert raised.amount_minor > ticket.amount_minor
    await said(market, ticket, HELD)
    refunds = (await snapshot_of(market, ref)).refunds
    assert sum(refund.amount_minor for refund in refunds) == raised.amount_minor == 6000


async def test_an_order_that_cost_nothing_is_in_nobodys_history() -> None:
    """So nothing is taken out of what is counted, and the other request counts."""
    market = (await knowing_requests(await memory_market())).deciding_by(first_request_only(NO_REQUEST))
    buyer = await market.premium_buyer("b-1")
    ref = await free_order(market, buyer, "o-1")
    await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED)
    ticket = await market.asked(buyer, "o-1")
    assert (await whys(market, ref, ticket))[-1] == "stop_ship_asked"
    await market.paid_order(buyer, "o-2")
    await market.asked(buyer, "o-2")
    await said(market, ticket, HELD)
    assert await is_waiting(market, ref, ticket)


@on_both_stores
async def test_only_a_printed_label_asks(market: Market) -> None:
    market = market.deciding_by(ASKS)
    await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    assert (await market.asked("b-1", "o-1")).approved_by is ApprovedBy.INSTANT_REFUND
    ref = await market.paid_order("b-2", "o-2")
    await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED)
    ticket = await market.asked("b-2", "o-2")
    assert await whys(market, ref, ticket) == ["requested"], "another condition is not true, so nobody is asked"
    refused = await said(market, ticket, HELD)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NO_STOP_SHIP


@on_both_stores
async def test_a_paused_service_asks_nobody(market: Market) -> None:
    market = market.deciding_by(Policy.from_text(ASKS.text.replace("!service.paused", "true")))
    await market.registry.set_pause(Pause(Scope.PLATFORM, "", "a test", "li.na", NOW))
    ref, ticket = await waiting(market)
    assert await whys(market, ref, ticket) == ["requested"]


@on_both_stores
async def test_the_merchant_and_the_buyer_may_end_it_first(market: Market) -> None:
    market = market.deciding_by(ASKS)
    ref, ticket = await waiting(market)
    acting = Acting(MERCHANT, NOW, version=ticket.version)
    assert isinstance(await approve(market.store, TicketRef(ticket.lane, ticket.ticket_id), acting), Executed)
    assert isinstance(await said(market, ticket, HELD), Executed), "it is the answer to the stop-ship of the approval"
    assert len((await snapshot_of(market, ref)).refunds) == 1
    ref, ticket = await waiting(market, order="o-2")
    acting = Acting(Actor(ActorKind.BUYER, "b-1"), NOW, version=ticket.version)
    assert isinstance(await withdraw(market.store, TicketRef(ticket.lane, ticket.ticket_id), acting), Executed)
    refused = await said(market, ticket, HELD)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NO_STOP_SHIP


@pytest.mark.parametrize("other", ["held", "gone", "scan", "merchant"])
async def test_at_the_same_moment_the_first_one_wins(market: Market, other: str) -> None:
    """Two answers, or one beside a scan or the merchant: one approval at most, and none of goods that have left."""
    market = market.deciding_by(ASKS)
    asked = [await waiting(market, buyer=f"b-{number}", order=f"o-{number}") for number in range(4)]
    for number, (ref, ticket) in enumerate(asked):
        assert (await whys(market, ref, ticket))[-1] == "stop_ship_asked"
        pair = [said(market, ticket, HELD), _beside(market, other, ref, ticket)]
        await asyncio.gather(*(pair if number % 2 else reversed(pair)))
        snapshot = await snapshot_of(market, ref)
        incidents = await market.queries.incidents(IncidentFilter(limit=99))
        opened = [one for one in incidents if one.ticket_id == ticket.ticket_id]
        approved = snapshot.ticket(ticket.ticket_id).state is TicketState.REFUNDING
        assert len(snapshot.refunds) == approved
        if other in ("held", "merchant"):
            assert approved and not opened
        else:
            assert approved == bool(opened), "what left after the approval is an incident; before it nothing is paid"


def _beside(market: Market, what: str, ref: OrderRef, ticket: Ticket) -> Coroutine[Any, Any, object]:
    match what:
        case "held":
            return said(market, ticket, HELD)
        case "gone":
            return said(market, ticket, replace(GONE, tracking_no=f"SF{ref.order_id.removeprefix('o-')}"))
        case "scan":
            return market.ship(ref, source=ShipmentSource.CARRIER, lines=[("l1", 2)])
        case _:
            acting = Acting(MERCHANT, NOW, version=ticket.version)
            return approve(market.store, TicketRef(ticket.lane, ticket.ticket_id), acting)


@on_both_stores
async def test_without_the_section_a_label_is_refunded_at_once(market: Market) -> None:
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED)
    assert (await market.asked("b-1", "o-1")).approved_by is ApprovedBy.INSTANT_REFUND


async def test_usage_that_nobody_has_counted_for_long_is_unknown(market: Market) -> None:
    market = market.deciding_by(ASKS)
    ref, ticket = await waiting(market)
    name = TicketRef(ticket.lane, ticket.ticket_id)
    await acknowledge_stop_ship(market.store, market.settings, name, HELD, by=WAREHOUSE, now=LATEST)
    assert await is_waiting(market, ref, ticket)
