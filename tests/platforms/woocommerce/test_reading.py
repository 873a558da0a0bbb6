"""Orders of WooCommerce as orders of ours: amounts, buyers, states, and the list of changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from aiohttp import web

from jitui.adapters.platforms.woocommerce.orders import PAGE, WooCommerceOrders
from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.platform import CallFailed, PlatformOrder, UnreadableOrder, reference_of
from jitui.aftersales.provider import RefundResultKind
from jitui.errors import Unavailable
from tests.platforms.wire_server import Fault, WireServer
from tests.platforms.woocommerce.shop import Shop

OVERLAP = timedelta(minutes=10)


async def read(orders: WooCommerceOrders, number: str) -> PlatformOrder:
    found = await orders.find_order(number)
    assert isinstance(found, PlatformOrder), found
    return found


async def unreadable(orders: WooCommerceOrders, number: str) -> str:
    found = await orders.find_order(number)
    assert isinstance(found, UnreadableOrder), found
    assert found.order_id == number
    return found.reason


# Amounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "decimals", "price", "shipping", "paid", "freight"),
    [("CNY", 2, "39.90", "5", 7980, 500), ("JPY", 0, "1200", "300", 2400, 300), ("BHD", 3, "1.250", "0.5", 2500, 500)],
)
async def test_amounts_are_exact(
    shop: Shop,
    orders: WooCommerceOrders,
    currency: str,
    decimals: int,
    price: str,
    shipping: str,
    paid: int,
    freight: int,
) -> None:
    shop.decimals = decimals
    order = await read(orders, shop.place([("cup", 2, price)], currency=currency, shipping=shipping))
    assert [line.paid_minor for line in order.lines] == [paid]
    assert (order.freight_minor, order.currency) == (freight, currency)
    assert [one.amount_minor for one in order.payments] == [paid + freight]


async def test_more_decimals_than_the_currency_has(shop: Shop, orders: WooCommerceOrders) -> None:
    shop.decimals = 3
    assert "no amount of CNY" in await unreadable(orders, shop.place([("cup", 1, "39.905")]))
    assert (await read(orders, shop.place([("cup", 1, "39.900")]))).lines[0].paid_minor == 3990
    shop.decimals = 2
    assert "no amount of JPY" in await unreadable(orders, shop.place([("cup", 1, "39.90")], currency="JPY"))
    assert "minor units" in await unreadable(orders, shop.place([("cup", 1, "1")], currency="XAU"))


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "1e99999999999", "12,90", "zwölf", None])
async def test_a_total_that_is_no_number_hides_no_other_order(
    shop: Shop, orders: WooCommerceOrders, text: str | None
) -> None:
    broken, good = shop.place([("cup", 1, "1")]), shop.place([("cup", 1, "1")])
    shop.amount = lambda value: text if value == Decimal("1") else "2.00"  # type: ignore[method-assign,return-value,assignment]
    shop.order(good)["total"] = Decimal("2")
    shop.order(good)["line_items"][0]["total"] = "2.00"
    found = {one.order_id: one for one in await anext(orders.changed_since(None, OVERLAP))}
    assert isinstance(found[good], PlatformOrder)
    told = found[broken]
    assert isinstance(told, UnreadableOrder) or told.payments == ()


async def test_taxes_and_discounts_are_in_what_was_paid(shop: Shop, orders: WooCommerceOrders) -> None:
    order = await read(orders, shop.place([("cup", 3, "10.00"), ("pot", 1, "7.50")], tax="0.13", shipping="4"))
    assert [line.paid_minor for line in order.lines] == [3390, 848]
    assert order.freight_minor == 400
    assert sum(line.paid_minor for line in order.lines) + order.freight_minor == order.payments[0].amount_minor


async def test_a_fee_below_zero_lowers_what_was_paid_for_all_lines(shop: Shop, orders: WooCommerceOrders) -> None:
    """A gift card comes first from the shipping, then from the lines."""
    order = await read(orders, shop.place([("cup", 1, "60"), ("pot", 1, "30")], shipping="10", fee="-40"))
    assert ([line.paid_minor for line in order.lines], order.freight_minor) == ([4000, 2000], 0)
    less = await read(orders, shop.place([("cup", 1, "60")], shipping="10", fee="-4"))
    assert ([line.paid_minor for line in less.lines], less.freight_minor) == ([6000], 600)


async def test_lines_that_round_to_more_than_the_total(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("a", 1, "3.34"), ("b", 1, "3.34"), ("c", 1, "3.33")])
    shop.order(number)["total"] = Decimal("10.00")
    order = await read(orders, number)
    assert (sum(line.paid_minor for line in order.lines), order.freight_minor) == (1000, 0)


async def test_lines_without_units_and_products_that_are_gone(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 1, "10"), ("pot", 2, "5")])
    rows = shop.order(number)["line_items"]
    rows[0] |= {"product_id": 0, "sku": None}
    order = await read(orders, number)
    assert (order.lines[0].sku, order.lines[0].item_id) == ("", str(rows[0]["id"]))
    rows[1]["quantity"] = 0
    assert [line.quantity for line in (await read(orders, number)).lines] == [1]
    rows[1]["quantity"] = 1.5
    assert "another form" in await unreadable(orders, number)
    shop.order(number)["line_items"] = []
    assert "no line" in await unreadable(orders, number)


# Buyers and orders ------------------------------------------------------------------------------------------------


async def test_buyers_and_guests(shop: Shop, orders: WooCommerceOrders) -> None:
    async def buyer(customer_id: int, email: str) -> str:
        number = shop.place([("cup", 1, "1")], customer_id=customer_id, email=email)
        assert await orders.contact_address(number) == (email or None)
        return (await read(orders, number)).buyer_id

    assert await buyer(7, "ann@example.com") == "woocommerce-7"
    guest = await buyer(0, "ann@example.com")
    assert guest.startswith("woocommerce-guest-") and "ann" not in guest
    assert await buyer(0, " ANN@example.com") == guest
    assert await buyer(0, "bob@example.com") != guest
    first, second = await buyer(0, ""), await buyer(0, "")
    assert first.startswith("woocommerce-order-") and first != second, "nobody is mixed up with another"
    assert await orders.contact_address("999999") is None


async def test_orders_that_are_none(shop: Shop, orders: WooCommerceOrders) -> None:
    assert await orders.find_order("4711") is None
    assert await orders.find_order("no-such") is None
    assert await orders.find_order("../settings") is None
    assert await orders.find_order(shop.place([("cup", 1, "1")], status="checkout-draft")) is None
    trashed = shop.place([("cup", 1, "1")])
    shop.set_status(trashed, "trash")
    assert "trash" in await unreadable(orders, trashed)
    assert [page async for page in orders.changed_since(None, OVERLAP)] == []


async def test_numbers_of_a_plugin(shop: Shop, orders: WooCommerceOrders) -> None:
    """Buyers know the number; a number may be the id of another order."""
    named = shop.place([("cup", 1, "1")], number="2026-0007")
    other = shop.place([("cup", 1, "2")])
    disguised = shop.place([("cup", 1, "3")], number=str(shop.order(other)["id"] + 1_000_000))
    shop.order(other)["number"] = "WEB-1"
    assert (await read(orders, named)).platform_id == str(shop.order(named)["id"])
    assert (await read(orders, disguised)).payments[0].amount_minor == 300
    assert await orders.find_order(str(shop.order("WEB-1")["id"])) is None
    found = await orders.read_orders([named, disguised, "WEB-1", "nobody", "123456789"])
    assert sorted(one.order_id for one in found) == sorted([named, disguised, "WEB-1"])


async def test_what_is_not_paid_has_no_payment(shop: Shop, orders: WooCommerceOrders) -> None:
    for status in ("pending", "on-hold", "failed"):
        order = await read(orders, shop.place([("cup", 1, "1")], status=status))
        assert (order.payments, order.shipments) == ((), ())


# Shipments --------------------------------------------------------------------------------------------------------


async def test_what_a_fulfilment_says(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 3, "1"), ("pot", 1, "1")])
    shop.fulfil(number, [(0, 2)], tracking="1Z999")
    shop.fulfil(number, [(0, 1)], draft=True)
    shop.fulfil(number, [(1, 1)], draft=True, status="handed-over")
    shop.fulfil(number, date_deleted="2026-01-01T00:00:00")
    order = await read(orders, number)
    cup, pot = (line.line_id for line in order.lines)
    first = order.shipments[0]
    assert (first.status, first.tracking_no, first.carrier) == (
        ShipmentStatus.SHIPPED,
        "1Z999",
        "ups",
    )
    states = [ShipmentStatus.SHIPPED, ShipmentStatus.LABEL_PRINTED, ShipmentStatus.PICKED_UP]
    assert [one.status for one in order.shipments] == states, "a state that a plugin made up counts as picked up"
    assert order.shipped_units() == {cup: 3, pot: 1}
    assert order.shipments[0].tracking_no != order.shipments[1].tracking_no


async def test_a_fulfilment_that_does_not_say_what(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 2, "1")])
    shop.fulfil(number, meta_data=[], date_updated=None)
    order = await read(orders, number)
    assert order.shipped_units() == {order.lines[0].line_id: 2}
    assert order.shipments[0].at == order.changed_at


async def test_a_completed_order_was_sent(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 3, "1")])
    shop.fulfil(number, [(0, 1)], draft=True)
    shop.set_status(number, "completed")
    order = await read(orders, number)
    assert [(one.status, one.lines[0].quantity) for one in order.shipments] == [
        (ShipmentStatus.SHIPPED, 1),
        (ShipmentStatus.SHIPPED, 2),
    ]
    assert order.delivered_at is None
    shop.set_status(number, "processing")
    assert (await read(orders, number)).shipments[1].status is ShipmentStatus.PICKED_UP, "nobody knows any more"


async def test_part_shipments_leave_the_status_as_it_is(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 2, "1")])
    assert (await read(orders, number)).shipments == ()
    shop.fulfil(number, [(0, 1)])
    assert shop.order(number)["status"] == "processing"
    assert list((await read(orders, number)).shipped_units().values()) == [1]


@pytest.mark.parametrize("status", ["processing", "on-hold", "shipped-by-plugin"])
async def test_where_shipments_are_not_told_everything_counts_as_picked_up(
    shop: Shop, orders: WooCommerceOrders, status: str
) -> None:
    shop.tells_shipments = False
    number = shop.place([("cup", 2, "1")])
    shop.order(number)["status"] = status
    order = await read(orders, number)
    assert [(one.status, one.lines[0].quantity) for one in order.shipments] == [(ShipmentStatus.PICKED_UP, 2)]


async def test_states_and_tracking_of_plugins_count_as_picked_up(shop: Shop, orders: WooCommerceOrders) -> None:
    number, tracked = shop.place([("cup", 1, "1")]), shop.place([("cup", 1, "1")])
    shop.order(number)["status"] = "packed"
    shop.order(tracked)["meta_data"] = [{"id": 1, "key": "_wc_shipment_tracking_items", "value": [{"n": "1Z"}]}]
    for one in (number, tracked):
        assert [sent.status for sent in (await read(orders, one)).shipments] == [ShipmentStatus.PICKED_UP]


async def test_a_cancelled_order_keeps_its_money_and_has_nothing_to_ship(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 2, "1")])
    shop.set_status(number, "cancelled")
    order = await read(orders, number)
    assert [line.cancelled for line in order.lines] == [2]
    assert (order.shipments, order.payments[0].refunds) == ((), ())
    sent = shop.place([("cup", 2, "1")], status="completed")
    shop.set_status(sent, "refunded")
    assert list((await read(orders, sent)).shipped_units().values()) == [2], "it had been sent before"
    row = shop.order(sent)["line_items"][0]["id"]
    shop.order(sent)["meta_data"] = [{"key": "_jitui_not_to_ship_x", "value": f'{{"{row}": 1}}'}]
    assert list((await read(orders, sent)).shipped_units().values()) == [1], "what we had taken out was not"
    for value in ("", "[]", {"x": "y"}, None):
        shop.order(sent)["meta_data"] = [{"key": "_jitui_not_to_ship_x", "value": value}]
        assert list((await read(orders, sent)).shipped_units().values()) == [2]


# Refunds ----------------------------------------------------------------------------------------------------------


async def test_refunds_by_hand_and_ours(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 3, "10"), ("pot", 1, "5")])
    attempt = uuid4()
    shop.refund_by_hand(number, "10.00", [(0, 1)])
    shop.refund_by_hand(number, "0", [(1, 1)])
    ours = shop.keep_refund(shop.order(number), Decimal("4.00"), reference_of(attempt))
    order = await read(orders, number)
    (paid,) = order.payments
    assert [line.cancelled for line in order.lines] == [1, 1]
    assert (paid.elsewhere_minor, len(paid.refunds)) == (1000, 2), "one of nothing but units is no refund of money"
    found = paid.refund_of(attempt)
    assert found is not None and found.amount_minor == 400
    assert found.state is RefundResultKind.UNKNOWN, "the gateway has not answered: neither paid nor unpaid"
    ours["refunded_payment"] = True
    found = (await read(orders, number)).payments[0].refund_of(attempt)
    assert found is not None and found.state is RefundResultKind.SUCCEEDED
    assert found.at.tzinfo is UTC


async def test_a_second_refund_with_one_reference_counts_as_made_elsewhere(
    shop: Shop, orders: WooCommerceOrders
) -> None:
    number, attempt = shop.place([("cup", 3, "10")]), uuid4()
    for paid in (False, True, True):
        kept = shop.keep_refund(shop.order(number), Decimal("4.00"), reference_of(attempt))
        kept["refunded_payment"] = paid
    payment = (await read(orders, number)).payments[0]
    found = payment.refund_of(attempt)
    assert found is not None and found.state is RefundResultKind.SUCCEEDED
    assert payment.elsewhere_minor == 800


async def test_refunds_that_come_while_they_are_read(shop: Shop, server: WireServer, orders: WooCommerceOrders) -> None:
    """One that the order names and the list lacks: what is known is not whole."""
    number = shop.place([("cup", 3, "10")])
    shop.refund_by_hand(number, "1")
    server.answers[f"GET orders/{number}/refunds"] = web.Response(text="[]")
    assert isinstance(await orders.find_order(number), CallFailed)
    for _ in range(99):
        shop.keep_refund(shop.order(number), Decimal("0.01"), "")
    assert "100 refunds" in await unreadable(orders, number)


async def test_no_more_units_are_taken_out_than_there_are(shop: Shop, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 2, "10")])
    for _ in range(2):
        shop.refund_by_hand(number, "1.00", [(0, 2)])
    assert [line.cancelled for line in (await read(orders, number)).lines] == [2]


# Changes ----------------------------------------------------------------------------------------------------------


async def changed(orders: WooCommerceOrders, cursor: datetime | None) -> list[str]:
    return [one.order_id async for page in orders.changed_since(cursor, OVERLAP) for one in page]


async def test_changes_come_oldest_first_and_again_within_the_overlap(shop: Shop, orders: WooCommerceOrders) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    numbers = [shop.place([("cup", 1, "1")], at=start + timedelta(minutes=5 * n)) for n in range(6)]
    shop.touch(numbers[0], start + timedelta(hours=1))
    assert await changed(orders, None) == [*numbers[1:], numbers[0]]
    found = await changed(orders, start + timedelta(minutes=25))
    assert found == [*numbers[4:], numbers[0]], "after the cursor less ten minutes, in UTC and not in the site's time"


async def test_what_changes_while_paging_is_not_lost(shop: Shop, server: WireServer, orders: WooCommerceOrders) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    numbers = [shop.place([("cup", 1, "1")], at=start + timedelta(seconds=n)) for n in range(3 * PAGE)]
    found: list[str] = []
    async for page in orders.changed_since(None, OVERLAP):
        found += [one.order_id for one in page]
        for number in found[:5]:  # they move to the end, and everything else one place up
            shop.touch(number, start + timedelta(hours=1, seconds=len(found)))
        if len(found) > 10 * PAGE:
            pytest.fail("no end")
    assert set(found) == set(numbers)


async def test_many_changes_in_one_second(shop: Shop, orders: WooCommerceOrders) -> None:
    """An import: all have one time, and no page's last time leads on."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    numbers = [shop.place([("cup", 1, "1")], at=at) for _ in range(2 * PAGE + 3)]
    later = shop.place([("cup", 1, "1")], at=at + timedelta(seconds=1))
    assert await changed(orders, None) == [*numbers, later]


async def test_a_reading_that_fails_says_what_to_do(shop: Shop, server: WireServer, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 1, "1")])
    for label in ("GET orders", f"GET orders/{number}/fulfillments"):
        server.faults[label] = Fault.ERROR_BEFORE
        with pytest.raises(Unavailable, match="does not answer"):
            await changed(orders, None)
    server.faults["GET orders"] = Fault.CUT_BEFORE
    with pytest.raises(Unavailable, match="does not answer"):
        await orders.read_orders(["no-number"])
    assert await orders.read_orders([]) == []
