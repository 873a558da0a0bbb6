"""A refund that was decided here is carried out on Shopify, once; the shop's own books are what counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from jitui.adapters.platforms.shopify.opening import open_shopify
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.platform import PlatformOrder, reference_of
from jitui.aftersales.provider import RefundResultKind
from tests.platforms.market import (
    LATER,
    LEASE,
    ShopMarket,
    incidents_of,
    instruction_of,
    open_shop_market,
    send_and_die,
)
from tests.platforms.shopify.conftest import access_to
from tests.platforms.shopify.shop import SCOPES, Shop
from tests.platforms.wire_server import AFTER, BEFORE, Fault, WireServer


async def test_a_whole_order_is_held_and_paid_back(market: ShopMarket, shop: Shop, server: WireServer) -> None:
    number = shop.place([("cup", 2, "39.90"), ("pot", 1, "60.00")], shipping="5", tax="0.10", discount="3.00")
    assert not (await market.sync()).refused
    ticket = await market.asked(number)
    assert ticket.amount_minor == 7980 - 300 + 798 + 6600 + 500
    assert await market.pay() == 1

    assert shop.refunded(number) == ["155.78"]
    assert server.calls.index("hold") < server.calls.index("refund"), "what may not be shipped comes first"
    order = shop.order(number)
    assert [row["currentQuantity"] for row in order["rows"]] == [0, 0], "the refund takes the units out"
    assert shop.held(number) == [], "and with them the hold"
    here = await market.order(number)
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUNDED
    (made,) = order["paybacks"]
    attempt = here.attempts[0]
    assert str(attempt.attempt_id) in made["note"]
    assert list(shop.keys) == [str(attempt.attempt_id)], "the attempt is the key"
    assert attempt.provider_refund_id == made["rows"][0]["id"].rpartition("/")[2]
    assert not (await market.sync()).refused
    assert await market.order(number) == here, "a second reading changes nothing"


async def test_a_part_is_held_and_the_rest_is_shipped(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 2, "39.90"), ("pot", 1, "60.00")])
    await market.sync()
    lines = {line.title: line.line_id for line in (await market.order(number)).lines}
    await market.asked(number, (lines["cup"], 1))
    await market.pay()
    assert shop.refunded(number) == ["39.90"]
    assert [row["currentQuantity"] for row in shop.order(number)["rows"]] == [1, 1]
    assert shop.fulfil(number, [(0, 2)]) is False
    await market.asked(number, (lines["cup"], 1), after=timedelta(minutes=2))
    await market.pay(after=timedelta(minutes=3))
    assert shop.refunded(number) == ["39.90", "39.90"]
    assert shop.fulfil(number) is True
    assert not (await market.sync()).refused
    here = await market.order(number)
    assert {line.title: line.left_quantity for line in here.lines} == {"cup": 0, "pot": 1}
    assert await incidents_of(market, number) == 0


@pytest.mark.parametrize(("currency", "price", "paid"), [("JPY", "1200", "1200.0"), ("BHD", "1.250", "1.250")])
async def test_other_currencies(
    database_url: str, shop: Shop, server: WireServer, currency: str, price: str, paid: str
) -> None:
    number = shop.place([("cup", 1, price)], currency=currency)
    async with open_shop_market(open_shopify, database_url, access_to(server), currency=currency) as market:
        await market.sync()
        await market.asked(number)
        await market.pay()
    assert shop.refunded(number) == [paid]


@pytest.mark.parametrize("hours", [-26, 26])
async def test_a_shop_whose_clock_is_wrong(market: ShopMarket, shop: Shop, hours: int) -> None:
    shop.ahead = timedelta(hours=hours)
    first = shop.place([("cup", 1, "39.90")])
    assert not (await market.sync()).refused
    second = shop.place([("cup", 1, "39.90")])
    assert not (await market.sync()).refused
    for number in (first, second):
        await market.asked(number)
    await market.pay()
    assert shop.refunded(first) == shop.refunded(second) == ["39.90"]


@pytest.mark.parametrize(
    ("pays", "ends", "state"),
    [("PENDING", "SUCCESS", RefundState.SUCCEEDED), ("AWAITING_RESPONSE", "FAILURE", RefundState.FAILED)],
)
async def test_a_gateway_that_takes_its_time(
    market: ShopMarket, shop: Shop, pays: str, ends: str, state: RefundState
) -> None:
    shop.pays = pays
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)
    await market.pay()
    assert (await market.order(number)).refunds[0].state is RefundState.PENDING
    shop.order(number)["paybacks"][0]["rows"][0]["status"] = ends
    await market.pay(after=timedelta(days=1))
    assert (await market.order(number)).refunds[0].state is state
    assert len(shop.refunded(number)) == 1


# Shipped there ------------------------------------------------------------------------------------------------------


async def test_what_was_shipped_there_is_not_approved(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 1, "39.90")])
    shop.fulfil(number)
    await market.sync()
    refused = await market.ask(number)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ORDER_ALREADY_SHIPPED


@pytest.mark.parametrize("display", ["FULFILLED", "LABEL_PURCHASED", "SOMETHING_NEW", "IN_PROGRESS"])
async def test_what_ships_there_before_the_refund_goes_out_is_not_refunded(
    market: ShopMarket, shop: Shop, server: WireServer, display: str
) -> None:
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    ticket = await market.asked(number)
    if display == "IN_PROGRESS":
        shop.order(number)["waiting"][0]["status"] = display
    else:
        assert shop.fulfil(number, display=display)
    await market.pay()
    assert shop.refunded(number) == []
    assert not {"hold", "refund"} & set(server.calls)
    here = await market.order(number)
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUND_FAILED
    assert "shipped" in here.refunds[0].reason


async def test_a_shipment_between_the_hold_and_the_refund_is_refused(
    market: ShopMarket, shop: Shop, server: WireServer
) -> None:
    """The order on hold is not fulfilled there: the refund goes out."""
    number, shipped = shop.place([("cup", 1, "39.90")]), []
    await market.sync()
    await market.asked(number)

    async def ship() -> None:
        shipped.append(shop.fulfil(number))

    server.before["refund"] = ship
    await market.pay()
    assert (shipped, shop.refunded(number)) == ([False], ["39.90"])


async def test_a_hold_that_the_merchant_releases_to_ship(market: ShopMarket, shop: Shop, server: WireServer) -> None:
    """Whoever is first: Shopify refuses a refund of units that were sent, and nothing is paid."""
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)
    handles: list[str] = []

    async def release_and_ship() -> None:
        waiting = shop.order(number)["waiting"][0]
        handles.extend(hold["handle"] for hold in waiting["fulfillmentHolds"])
        waiting["status"] = "OPEN"
        assert shop.fulfil(number)

    server.before["refund"] = release_and_ship
    await market.pay()
    here = await market.order(number)
    assert handles == [f"jitui-{here.attempts[0].attempt_id}"]
    assert shop.refunded(number) == []
    assert here.refunds[0].state is RefundState.FAILED
    assert "unfulfilled" in here.refunds[0].reason


async def test_a_refund_that_fails_leaves_the_units_on_hold(market: ShopMarket, shop: Shop, server: WireServer) -> None:
    """The buyer was promised money: a person decides, and nobody ships meanwhile."""
    number = shop.place([("cup", 2, "39.90")], manual=True)
    await market.sync()
    line = (await market.order(number)).lines[0].line_id
    ticket = await market.asked(number, (line, 1))
    await market.pay()
    here = await market.order(number)
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUND_FAILED
    assert "by hand" in here.refunds[0].reason
    assert (shop.held(number), shop.refunded(number)) == ([1], [])
    assert shop.fulfil(number, [(0, 2)]) is False
    assert shop.fulfil(number, [(0, 1)]) is True


async def test_a_refund_takes_out_what_its_own_attempt_holds(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 3, "39.90")])
    await market.sync()
    found = await market.orders.find_order(number)
    assert isinstance(found, PlatformOrder)
    other = reference_of(uuid4())
    assert await market.writer.cancel(found, {found.lines[0].line_id: 1}, freight=False, reference=other) is None
    assert await market.writer.cancel(found, {found.lines[0].line_id: 9}, freight=False, reference=other) is not None
    await market.asked(number, (found.lines[0].line_id, 2))
    await market.pay()
    assert shop.refunded(number) == ["79.80"]
    assert (shop.order(number)["rows"][0]["currentQuantity"], shop.held(number)) == (2, [1])


@pytest.mark.parametrize("whole", [True, False])
async def test_an_order_that_somebody_else_holds(market: ShopMarket, shop: Shop, *, whole: bool) -> None:
    """A second hold may be added to the whole; a part of what is on hold cannot be split off, and waits."""
    number = shop.place([("cup", 2, "39.90")])
    await market.sync()
    line = (await market.order(number)).lines[0].line_id
    await market.asked(number, (line, 2 if whole else 1))
    waiting = shop.order(number)["waiting"][0]
    waiting["status"] = "ON_HOLD"
    waiting["fulfillmentHolds"] = [{"id": "1", "handle": "fraud", "heldByRequestingApp": False, "reason": "OTHER"}]
    await market.pay()
    if whole:
        assert shop.refunded(number) == ["79.80"]
        return
    here = await market.order(number)
    assert here.refunds[0].state is RefundState.UNKNOWN
    assert (shop.refunded(number), "held already" in here.refunds[0].reason) == ([], True)
    waiting["status"], waiting["fulfillmentHolds"] = "OPEN", []
    await market.pay(after=LATER)
    assert shop.refunded(number) == ["39.90"]


async def test_units_in_several_fulfilment_orders(market: ShopMarket, shop: Shop, server: WireServer) -> None:
    number = shop.place([("cup", 5, "10.00")])
    order = shop.order(number)
    (row,) = order["rows"]
    now = shop.now()
    order["waiting"] = [shop._waiting("OPEN", [(row, 2)], now), shop._waiting("SCHEDULED", [(row, 3)], now)]
    await market.sync()
    line = (await market.order(number)).lines[0].line_id
    await market.asked(number, (line, 4))
    await market.pay()
    assert server.calls.count("hold") == 2
    assert (shop.refunded(number), row["currentQuantity"]) == (["40.00"], 1)
    assert shop.held(number) == []


# By hand there ----------------------------------------------------------------------------------------------------


async def test_a_refund_by_hand_is_counted_once(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 2, "39.90")], shipping="5")
    await market.sync()
    shop.refund_by_hand(number, "39.90", [(0, 1)])
    for _ in range(2):
        assert not (await market.sync()).refused
        here = await market.order(number)
        assert (here.tenders[0].refunded_minor, here.tenders[0].remaining_minor) == (3990, 4490)
        assert (here.lines[0].claimed_quantity, here.lines[0].free_quantity) == (1, 1)
    ticket = await market.asked(number)
    assert ticket.amount_minor == 3990
    await market.pay()
    assert shop.refunded(number) == ["39.90", "39.90"]


async def test_a_refund_by_hand_after_the_approval_is_not_paid_on_top(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 2, "39.90")])
    await market.sync()
    line = (await market.order(number)).lines[0].line_id
    await market.asked(number, (line, 1))
    shop.refund_by_hand(number, "39.90", [(0, 1)])
    await market.pay()
    assert shop.refunded(number) == ["39.90"]
    here = await market.order(number)
    assert here.refunds[0].state is RefundState.FAILED
    assert "by hand" in here.refunds[0].reason


async def test_a_scope_that_was_taken_away(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)
    shop.scopes = tuple(scope for scope in SCOPES if scope != "write_orders")
    await market.pay()
    assert (await market.order(number)).refunds[0].state is RefundState.UNKNOWN
    shop.scopes = SCOPES
    for hours in (1, 2):
        await market.pay(after=hours * LATER)
    assert shop.refunded(number) == ["39.90"], "nothing had been asked for, so it is asked for again"


# Lost answers -------------------------------------------------------------------------------------------------------


LOST = [
    (label, fault) for label in ("hold", "refund") for fault in AFTER if fault is not Fault.NEVER or label == "refund"
]


@pytest.fixture
async def patient(request: pytest.FixtureRequest, database_url: str, server: WireServer) -> AsyncIterator[ShopMarket]:
    """A market that waits for as long as a test may take, or for a short time where nobody answers."""
    timeout = 2.0 if request.node.callspec.params["fault"] is Fault.NEVER else 10.0
    async with open_shop_market(open_shopify, database_url, access_to(server, timeout=timeout)) as opened:
        yield opened


@pytest.mark.parametrize(("label", "fault"), LOST)
async def test_an_answer_that_is_lost_after_shopify_acted(
    patient: ShopMarket, shop: Shop, server: WireServer, label: str, fault: Fault
) -> None:
    number = shop.place([("cup", 2, "39.90")])
    await patient.sync()
    line = (await patient.order(number)).lines[0].line_id
    await patient.asked(number, (line, 1))
    server.faults[label] = fault
    for hours in range(3):
        await patient.pay(after=hours * LATER)
    assert server.calls.count("refund") == 1, "one attempt asks once"
    assert shop.refunded(number) == ["39.90"]
    assert shop.order(number)["rows"][0]["currentQuantity"] == 1
    here = await patient.order(number)
    assert here.refunds[0].state is RefundState.SUCCEEDED
    assert here.attempts[0].attempt_no == 1


@pytest.mark.parametrize("fault", BEFORE)
async def test_what_never_reached_shopify(patient: ShopMarket, shop: Shop, server: WireServer, fault: Fault) -> None:
    """Before the refund it is sent again; a refund that was asked for and is not there waits for a person."""
    number, other = shop.place([("cup", 1, "39.90")]), shop.place([("pot", 1, "60.00")], customer="8")
    await patient.sync()
    await patient.asked(number)
    server.faults["hold"] = fault
    for hours in range(3):
        await patient.pay(after=hours * LATER)
    assert shop.refunded(number) == ["39.90"]

    await patient.asked(other)
    server.calls.clear()
    server.faults["refund"] = fault
    for hours in range(4):
        await patient.pay(after=hours * LATER)
    assert (shop.refunded(other), server.calls.count("refund")) == ([], 1)
    here = await patient.order(other)
    assert here.refunds[0].state is RefundState.UNKNOWN
    assert shop.held(other) == [1], "and nobody ships it meanwhile"


async def test_a_worker_that_dies_before_its_refund(market: ShopMarket, shop: Shop, server: WireServer) -> None:
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)
    await send_and_die(market, server, "refund")
    assert await market.pay() == 0, "the lease stands"
    for hours in range(1, 3):
        await market.pay(after=LEASE + hours * LATER)
    assert server.calls.count("refund") == 1
    assert (await market.order(number)).refunds[0].state is RefundState.UNKNOWN


async def test_two_workers_that_hold_one_attempt_pay_once(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 3, "39.90")])
    await market.sync()
    line = (await market.order(number)).lines[0].line_id
    await market.asked(number, (line, 1))
    (claimed,) = await market.claim()
    one = instruction_of(claimed)
    told = await asyncio.gather(market.provider.send(one), market.provider.send(one))
    assert shop.refunded(number) == ["39.90"]
    assert [result.kind for result in told].count(RefundResultKind.SUCCEEDED) == 1
    assert (await market.provider.send(one)).kind is RefundResultKind.SUCCEEDED, "found, not made again"
    assert shop.refunded(number) == ["39.90"]


async def test_a_refund_of_ours_without_a_transaction_waits(market: ShopMarket, shop: Shop, server: WireServer) -> None:
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)
    (claimed,) = await market.claim()
    order = shop.order(number)
    note = f"Jitui {claimed.attempt.attempt_id}"
    shop.keep_refund(order, Decimal("39.90"), note, order["sales"][0], "SUCCESS")["rows"] = []
    assert (await market.provider.send(instruction_of(claimed))).kind is RefundResultKind.UNKNOWN
    assert "refund" not in server.calls
