"""A refund that was decided here is carried out on WooCommerce, once; the shop's own books are what counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from jitui.adapters.platforms.woocommerce.client import WooCommerceClient
from jitui.adapters.platforms.woocommerce.opening import open_woocommerce
from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.platform import PlatformOrder
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
from tests.platforms.wire_server import AFTER, BEFORE, Fault, WireServer
from tests.platforms.woocommerce.conftest import access_to
from tests.platforms.woocommerce.server import serving
from tests.platforms.woocommerce.shop import KEY, SECRET, Declined, Shop


async def test_a_whole_order_is_cancelled_and_paid_back(market: ShopMarket, shop: Shop, server: WireServer) -> None:
    number = shop.place([("cup", 2, "39.90"), ("pot", 1, "60")], shipping="5", tax="0.1")
    assert not (await market.sync()).refused
    ticket = await market.asked(number)
    assert ticket.amount_minor == 8778 + 6600 + 500
    assert await market.pay() == 1

    assert shop.refunded(number) == ["158.78"]
    assert shop.order(number)["status"] == "refunded"
    assert server.calls.index("cancel") < server.calls.index("refund"), "what may not be shipped comes first"
    here = await market.order(number)
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUNDED
    (kept,) = shop.refunds[shop.order(number)["id"]]
    assert str(here.attempts[0].attempt_id) in kept["reason"]
    assert here.attempts[0].provider_refund_id == str(kept["id"])
    assert shop.gateways["card"].paid == [Decimal("158.78")]
    assert not (await market.sync()).refused
    assert await market.order(number) == here, "a second reading changes nothing"


async def test_a_part_is_named_in_a_note_and_the_rest_is_shipped(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 2, "39.90"), ("pot", 1, "60")])
    await market.sync()
    lines = {line.title: line.line_id for line in (await market.order(number)).lines}
    await market.asked(number, (lines["cup"], 1))
    await market.pay()
    order = shop.order(number)
    assert (order["status"], shop.refunded(number)) == ("processing", ["39.90"])
    (note,) = shop.notes[order["id"]]
    assert "1 × cup" in note and "pot" not in note

    await market.asked(number, (lines["cup"], 1), after=timedelta(minutes=2))
    await market.pay(after=timedelta(minutes=3))
    assert shop.refunded(number) == ["39.90", "39.90"]
    found = await market.orders.find_order(number)
    assert isinstance(found, PlatformOrder)
    assert {line.title: line.cancelled for line in found.lines} == {"cup": 2, "pot": 0}
    shop.set_status(number, "completed")
    assert not (await market.sync()).refused
    here = await market.order(number)
    assert {line.title: line.left_quantity for line in here.lines} == {"cup": 0, "pot": 1}
    assert await incidents_of(market, number) == 0, "what was shipped is what was not refunded"


@pytest.mark.parametrize(
    ("currency", "decimals", "price", "refunded"), [("JPY", 0, "1200", "1200"), ("BHD", 3, "1.250", "1.250")]
)
async def test_other_currencies(
    database_url: str, shop: Shop, server: WireServer, currency: str, decimals: int, price: str, refunded: str
) -> None:
    shop.decimals = decimals
    number = shop.place([("cup", 1, price)], currency=currency)
    async with open_shop_market(open_woocommerce, database_url, access_to(server), currency=currency) as market:
        await market.sync()
        await market.asked(number)
        await market.pay()
    assert shop.refunded(number) == [refunded]


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


# Shipped there ------------------------------------------------------------------------------------------------------


async def test_what_was_shipped_there_is_not_approved(market: ShopMarket, shop: Shop) -> None:
    sent, done = shop.place([("cup", 1, "39.90")]), shop.place([("cup", 1, "39.90")])
    shop.fulfil(sent)
    shop.set_status(done, "completed")
    await market.sync()
    for number in (sent, done):
        refused = await market.ask(number)
        assert isinstance(refused, Refusal)
        assert refused.code is RefusalCode.ORDER_ALREADY_SHIPPED
    assert await market.pay() == 0


@pytest.mark.parametrize("how", ["fulfilled", "draft", "completed", "plugin"])
async def test_what_ships_there_before_the_refund_goes_out_is_not_refunded(
    market: ShopMarket, shop: Shop, server: WireServer, how: str
) -> None:
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    ticket = await market.asked(number)
    match how:
        case "completed":
            shop.set_status(number, "completed")
        case "plugin":
            shop.set_status(number, "handed-to-carrier")
        case _:
            shop.fulfil(number, draft=how == "draft")
    await market.pay()
    assert shop.refunded(number) == []
    assert "cancel" not in server.calls and "refund" not in server.calls
    here = await market.order(number)
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUND_FAILED
    assert "shipped" in here.refunds[0].reason


async def test_where_shipments_are_not_told_no_refund_goes_out_by_itself(market: ShopMarket, shop: Shop) -> None:
    shop.tells_shipments = False
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    ticket = await market.asked(number)
    assert ticket.state is TicketState.AWAITING_MERCHANT
    assert [sent.degree for sent in (await market.order(number)).shipments] == [ShipmentStatus.PICKED_UP]


async def test_a_shipment_between_the_cancelling_and_the_refund(
    market: ShopMarket, shop: Shop, server: WireServer
) -> None:
    """WooCommerce lets a cancelled order be fulfilled: it is read again, and nothing is refunded."""
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)

    async def ship() -> None:
        shop.fulfil(number)

    server.before["cancel"] = ship
    await market.pay()
    assert shop.refunded(number) == []
    assert (await market.order(number)).refunds[0].state is RefundState.FAILED


async def test_a_shipment_while_the_gateway_is_asked_opens_an_incident(market: ShopMarket, shop: Shop) -> None:
    """The one moment that nobody guards there: both went through, and a person hears of it."""
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)

    async def ship(amount: Decimal) -> None:
        shop.fulfil(number)

    shop.gateways["card"].pays = ship
    await market.pay()
    await market.sync()
    assert shop.refunded(number) == ["39.90"]
    assert await incidents_of(market, number) == 1


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


async def test_an_order_that_was_cancelled_there_and_not_paid_back_can_be(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 1, "39.90")])
    shop.set_status(number, "cancelled")
    await market.sync()
    await market.asked(number)
    await market.pay()
    assert shop.refunded(number) == ["39.90"]


# A refusal ----------------------------------------------------------------------------------------------------------


async def test_a_payment_by_transfer_fails_with_what_to_do(market: ShopMarket, shop: Shop) -> None:
    number = shop.place([("cup", 1, "39.90")], method="bacs")
    await market.sync()
    ticket = await market.asked(number)
    await market.pay()
    here = await market.order(number)
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUND_FAILED
    assert "by hand" in here.refunds[0].reason
    assert shop.refunded(number) == []


async def test_a_gateway_that_fails_leaves_the_refund_unknown(
    market: ShopMarket, shop: Shop, server: WireServer
) -> None:
    """WooCommerce has deleted the row: whether the gateway paid, nobody there can say."""
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)

    async def time_out(amount: Decimal) -> None:
        raise Declined("cURL error 28: Operation timed out")

    shop.gateways["card"].pays = time_out
    for hours in range(4):
        await market.pay(after=hours * LATER)
    here = await market.order(number)
    assert here.refunds[0].state is RefundState.UNKNOWN
    assert "gateway" in here.refunds[0].reason
    assert server.calls.count("refund") == 1


async def test_a_refund_whose_gateway_has_not_answered_is_neither_paid_nor_unpaid(
    market: ShopMarket, shop: Shop, server: WireServer
) -> None:
    """PHP was killed between the row and the gateway's answer: the row stays, and says so."""
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)
    (claimed,) = await market.claim()
    reference = f"Jitui {claimed.attempt.attempt_id}"
    kept = shop.keep_refund(shop.order(number), Decimal("39.90"), reference)
    told = await market.provider.send(instruction_of(claimed))
    assert told.kind is RefundResultKind.UNKNOWN
    assert "refund" not in server.calls
    kept["refunded_payment"] = True
    assert (await market.provider.look_up(instruction_of(claimed))).kind is RefundResultKind.SUCCEEDED


# Lost answers -------------------------------------------------------------------------------------------------------


LOST = [
    (label, fault)
    for label in ("note", "mark", "refund")
    for fault in AFTER
    if fault is not Fault.NEVER or label == "refund"
]


@pytest.fixture
async def patient(request: pytest.FixtureRequest, database_url: str, server: WireServer) -> AsyncIterator[ShopMarket]:
    """A market that waits for as long as a test may take, or for a short time where nobody answers."""
    timeout = 2.0 if request.node.callspec.params["fault"] is Fault.NEVER else 10.0
    async with open_shop_market(open_woocommerce, database_url, access_to(server, timeout=timeout)) as opened:
        yield opened


@pytest.mark.parametrize(("label", "fault"), LOST)
async def test_an_answer_that_is_lost_after_woocommerce_acted(
    patient: ShopMarket, shop: Shop, server: WireServer, label: str, fault: Fault
) -> None:
    number = shop.place([("cup", 2, "39.90")])
    await patient.sync()
    line = (await patient.order(number)).lines[0].line_id
    await patient.asked(number, (line, 1))
    server.faults[label] = fault
    for hours in range(3):
        await patient.pay(after=hours * LATER)
    assert server.calls.count("refund") <= 1, "one attempt asks once"
    assert shop.refunded(number) == ["39.90"]
    assert shop.gateways["card"].paid == [Decimal("39.90")]
    here = await patient.order(number)
    assert here.refunds[0].state is RefundState.SUCCEEDED
    assert here.attempts[0].attempt_no == 1
    found = await patient.orders.find_order(number)
    assert isinstance(found, PlatformOrder)
    assert [one.cancelled for one in found.lines] == [1], "taken out once"


@pytest.mark.parametrize("fault", BEFORE)
async def test_what_never_reached_woocommerce_before_the_refund_is_sent_again(
    patient: ShopMarket, shop: Shop, server: WireServer, fault: Fault
) -> None:
    number = shop.place([("cup", 1, "39.90")])
    await patient.sync()
    await patient.asked(number)
    server.faults["cancel"] = fault
    for hours in range(3):
        await patient.pay(after=hours * LATER)
    assert shop.refunded(number) == ["39.90"]


@pytest.mark.parametrize("fault", BEFORE)
async def test_a_refund_that_was_asked_for_and_is_not_there_waits_for_a_person(
    patient: ShopMarket, shop: Shop, server: WireServer, fault: Fault
) -> None:
    number = shop.place([("cup", 1, "39.90")])
    await patient.sync()
    await patient.asked(number)
    server.faults["refund"] = fault
    for hours in range(4):
        await patient.pay(after=hours * LATER)
    assert (shop.refunded(number), server.calls.count("refund")) == ([], 1)
    here = await patient.order(number)
    assert here.refunds[0].state is RefundState.UNKNOWN
    assert "look at the payment's gateway" in here.refunds[0].reason


async def test_a_worker_that_dies_before_its_refund(market: ShopMarket, shop: Shop, server: WireServer) -> None:
    """Its lease runs out; the note of ours stands, and nobody asks a second time."""
    number = shop.place([("cup", 1, "39.90")])
    await market.sync()
    await market.asked(number)
    await send_and_die(market, server, "refund")
    assert await market.pay() == 0, "the lease stands"
    for hours in range(1, 3):
        await market.pay(after=LEASE + hours * LATER)
    assert server.calls.count("refund") == 1
    assert (await market.order(number)).refunds[0].state is RefundState.UNKNOWN


# Both at once -------------------------------------------------------------------------------------------------------


async def test_two_workers_that_hold_one_attempt_pay_once(market: ShopMarket, shop: Shop) -> None:
    """One was stopped past its lease, and goes on beside the other."""
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


async def test_bare_woocommerce_refunds_too_much(shop: Shop) -> None:
    """Why there is a lock of ours: two refunds at once each find the money that only one may have."""
    number = shop.place([("cup", 1, "129")])
    async with (
        serving(shop) as server,
        WooCommerceClient(base_url=server.url, key=KEY, secret=SECRET, timeout_seconds=5) as client,
    ):
        ask = {"amount": "80.00", "api_refund": True}
        await asyncio.gather(*(client.send("POST", f"orders/{number}/refunds", ask) for _ in range(2)))
    assert shop.refunded(number) == ["80.00", "80.00"]
