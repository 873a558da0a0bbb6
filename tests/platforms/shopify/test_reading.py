"""Orders of Shopify as orders of ours: amounts, buyers, states, and the list of changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from jitui.adapters.platforms.shopify.orders import ShopifyOrders
from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.platform import PlatformOrder, UnreadableOrder, reference_of
from jitui.aftersales.provider import RefundResultKind
from jitui.errors import Unavailable
from tests.platforms.shopify.server import PAGE_OF_CHANGES
from tests.platforms.shopify.shop import Shop, bag
from tests.platforms.wire_server import Fault, WireServer

OVERLAP = timedelta(minutes=10)


async def read(orders: ShopifyOrders, number: str) -> PlatformOrder:
    found = await orders.find_order(number)
    assert isinstance(found, PlatformOrder), found
    return found


async def unreadable(orders: ShopifyOrders, number: str) -> str:
    found = await orders.find_order(number)
    assert isinstance(found, UnreadableOrder), found
    assert found.order_id == number
    return found.reason


# Amounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "price", "shipping", "paid", "freight"),
    [("CNY", "39.90", "5", 7980, 500), ("JPY", "1200", "300", 2400, 300), ("BHD", "1.250", "0.500", 2500, 500)],
)
async def test_amounts_are_those_that_the_buyer_paid(
    shop: Shop, orders: ShopifyOrders, currency: str, price: str, shipping: str, paid: int, freight: int
) -> None:
    """And not the shop's own, which are in another currency."""
    order = await read(orders, shop.place([("cup", 2, price)], currency=currency, shipping=shipping))
    assert [line.paid_minor for line in order.lines] == [paid]
    assert (order.freight_minor, order.currency) == (freight, currency)
    assert [one.amount_minor for one in order.payments] == [paid + freight]


async def test_taxes_and_discounts_are_in_what_was_paid(shop: Shop, orders: ShopifyOrders) -> None:
    number = shop.place([("cup", 3, "10.00"), ("pot", 1, "7.50")], tax="0.10", shipping="4", discount="3.00")
    order = await read(orders, number)
    assert [line.paid_minor for line in order.lines] == [3000 - 300 + 300, 825]
    assert order.freight_minor == 400
    shop.order(number)["taxesIncluded"] = True
    assert (await read(orders, number)).lines[0].paid_minor == 2700, "the price has the tax"


async def test_amounts_that_do_not_fit(shop: Shop, orders: ShopifyOrders) -> None:
    fine = shop.place([("cup", 1, "39.905")])
    assert "no amount of CNY" in await unreadable(orders, fine)
    mixed = shop.place([("cup", 1, "1.00")])
    shop.order(mixed)["totalPriceSet"] = bag(Decimal("1.00"), "USD")
    assert "USD" in await unreadable(orders, mixed)
    assert "minor units" in await unreadable(orders, shop.place([("cup", 1, "1.00")], currency="XAU"))
    less = shop.place([("cup", 1, "30.00"), ("pot", 1, "10.00")])
    shop.order(less)["totalPriceSet"] = bag(Decimal("20.00"), "CNY")
    order = await read(orders, less)
    assert ([line.paid_minor for line in order.lines], order.freight_minor) == ([1500, 500], 0)


async def test_what_is_only_authorised_is_not_paid(shop: Shop, orders: ShopifyOrders) -> None:
    assert (await read(orders, shop.place([("cup", 1, "1.00")], captured=False))).payments == ()
    failed = shop.place([("cup", 1, "1.00")])
    shop.order(failed)["sales"][0]["status"] = "FAILURE"
    assert (await read(orders, failed)).payments == ()


async def test_an_order_with_more_than_is_read(shop: Shop, orders: ShopifyOrders) -> None:
    assert "more lines" in await unreadable(orders, shop.place([(f"cup-{n}", 1, "1.00") for n in range(51)]))
    number = shop.place([("cup", 40, "1.00")])
    order = shop.order(number)
    for _ in range(30):
        shop.keep_refund(order, Decimal("0.01"), "", order["sales"][0], "SUCCESS")
    assert "more refunds" in await unreadable(orders, number)


# Buyers and orders ------------------------------------------------------------------------------------------------


async def test_buyers_and_guests(shop: Shop, orders: ShopifyOrders) -> None:
    async def buyer(customer: str | None, email: str | None) -> str:
        number = shop.place([("cup", 1, "1.00")], customer=customer, email=email)
        assert await orders.contact_address(number) == email
        return (await read(orders, number)).buyer_id

    assert await buyer("7", "ann@example.com") == "shopify-7"
    guest = await buyer(None, "ann@example.com")
    assert guest.startswith("shopify-guest-") and "ann" not in guest
    assert await buyer(None, "bob@example.com") != guest
    assert (await buyer(None, None)).startswith("shopify-order-")


async def test_orders_are_found_by_what_buyers_know(shop: Shop, orders: ShopifyOrders) -> None:
    number = shop.place([("cup", 1, "1.00")])
    longer = shop.place([("cup", 1, "2.00")])
    shop.order(longer)["name"] = f"#{number}-EU"
    for known in (number, f"#{number}", shop.order(number)["id"]):
        order = await read(orders, known)
        assert (order.order_id, order.payments[0].amount_minor) == (number, 100)
    assert (await read(orders, f"{number}-EU")).payments[0].amount_minor == 200
    for none in ("999999", '"', "\\", "gid://shopify/Order/999999"):
        assert await orders.find_order(none) is None
        assert await orders.contact_address(none) is None
    found = await orders.read_orders([number, "999999", f"{number}-EU"])
    assert [one.order_id for one in found] == [number, f"{number}-EU"]


async def test_a_cancelled_order_has_nothing_to_ship(shop: Shop, orders: ShopifyOrders) -> None:
    number = shop.place([("cup", 2, "1.00")])
    shop.order(number)["cancelledAt"] = shop.now().isoformat()
    order = await read(orders, number)
    assert [line.cancelled for line in order.lines] == [2]
    assert order.payments[0].refunds == ()


# Shipments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("display", "status"),
    [
        ("FULFILLED", ShipmentStatus.SHIPPED),
        ("MARKED_AS_FULFILLED", ShipmentStatus.SHIPPED),
        ("IN_TRANSIT", ShipmentStatus.SHIPPED),
        ("NOT_DELIVERED", ShipmentStatus.SHIPPED),
        ("DELIVERED", ShipmentStatus.DELIVERED),
        ("LABEL_PURCHASED", ShipmentStatus.LABEL_PRINTED),
        ("LABEL_VOIDED", ShipmentStatus.PICKED_UP),
        ("READY_FOR_PICKUP", ShipmentStatus.PICKED_UP),
        ("SOMETHING_NEW", ShipmentStatus.PICKED_UP),
        (None, ShipmentStatus.PICKED_UP),
    ],
)
async def test_what_a_shipment_says(
    shop: Shop, orders: ShopifyOrders, display: str | None, status: ShipmentStatus
) -> None:
    number = shop.place([("cup", 2, "1.00"), ("pot", 1, "1.00")])
    assert shop.fulfil(number, [(0, 1)], display=display or "")
    order = await read(orders, number)
    (sent,) = order.shipments
    assert (sent.status, sent.tracking_no, sent.carrier) == (status, "1Z999", "UPS")
    assert order.shipped_units() == {order.lines[0].line_id: 1}
    assert order.delivered_at is None, "the rest is still there"


async def test_a_delivered_order(shop: Shop, orders: ShopifyOrders) -> None:
    number = shop.place([("cup", 1, "1.00"), ("pot", 1, "1.00")])
    shop.fulfil(number, [(0, 1)], display="DELIVERED")
    shop.fulfil(number, [(1, 1)], display="IN_TRANSIT")
    assert (await read(orders, number)).delivered_at is None
    shop.order(number)["sent"][1] |= {"displayStatus": "DELIVERED", "deliveredAt": shop.now().isoformat()}
    assert (await read(orders, number)).delivered_at is not None


async def test_shipments_that_failed_or_were_cancelled(shop: Shop, orders: ShopifyOrders) -> None:
    number, other = shop.place([("cup", 1, "1.00")]), shop.place([("cup", 1, "1.00")])
    shop.fulfil(number, status="CANCELLED")
    shop.order(number)["displayFulfillmentStatus"] = "UNFULFILLED"
    assert (await read(orders, number)).shipments == ()
    shop.fulfil(other, status="FAILURE")
    assert [one.status for one in (await read(orders, other)).shipments] == [ShipmentStatus.PICKED_UP]


@pytest.mark.parametrize("status", ["IN_PROGRESS", "INCOMPLETE", "SOMETHING_NEW"])
async def test_a_fulfilment_order_that_is_being_worked_on_counts_as_picked_up(
    shop: Shop, orders: ShopifyOrders, status: str
) -> None:
    number = shop.place([("cup", 2, "1.00")])
    assert (await read(orders, number)).shipments == ()
    shop.order(number)["waiting"][0]["status"] = status
    order = await read(orders, number)
    assert [(one.status, one.lines[0].quantity) for one in order.shipments] == [(ShipmentStatus.PICKED_UP, 2)]


@pytest.mark.parametrize("status", ["FULFILLED", "PARTIALLY_FULFILLED", "SOMETHING_NEW"])
async def test_what_an_order_says_was_sent_and_no_shipment_does(shop: Shop, orders: ShopifyOrders, status: str) -> None:
    number = shop.place([("cup", 2, "1.00")])
    shop.order(number)["displayFulfillmentStatus"] = status
    order = await read(orders, number)
    assert [(one.status, one.lines[0].quantity) for one in order.shipments] == [(ShipmentStatus.PICKED_UP, 2)]


async def test_a_hold_of_somebody_else_takes_nothing_out(shop: Shop, orders: ShopifyOrders) -> None:
    number = shop.place([("cup", 2, "1.00")])
    waiting = shop.order(number)["waiting"][0]
    waiting["status"] = "ON_HOLD"
    for ours, handle, cancelled in ((False, "jitui-x", 0), (True, "fraud", 0), (True, None, 0), (True, "jitui-x", 2)):
        hold = {"id": "1", "handle": handle, "heldByRequestingApp": ours, "reason": "OTHER"}
        waiting["fulfillmentHolds"] = [hold]
        order = await read(orders, number)
        assert (order.lines[0].cancelled, order.shipments) == (cancelled, ())


# Refunds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("SUCCESS", RefundResultKind.SUCCEEDED),
        ("PENDING", RefundResultKind.PENDING),
        ("AWAITING_RESPONSE", RefundResultKind.PENDING),
        ("FAILURE", RefundResultKind.DECLINED),
        ("ERROR", RefundResultKind.DECLINED),
        ("UNKNOWN", RefundResultKind.UNKNOWN),
        ("SOMETHING_NEW", RefundResultKind.UNKNOWN),
    ],
)
async def test_a_refund_is_as_good_as_its_transaction(
    shop: Shop, orders: ShopifyOrders, status: str, state: RefundResultKind
) -> None:
    number, attempt = shop.place([("cup", 2, "10.00")]), uuid4()
    order = shop.order(number)
    shop.keep_refund(order, Decimal("10.00"), reference_of(attempt), order["sales"][0], status)
    payment = (await read(orders, number)).payments[0]
    found = payment.refund_of(attempt)
    assert found is not None and (found.state, found.amount_minor) == (state, 1000)
    assert payment.elsewhere_minor == 0


async def test_a_refund_of_ours_without_a_transaction_is_neither_paid_nor_unpaid(
    shop: Shop, orders: ShopifyOrders
) -> None:
    number, attempt = shop.place([("cup", 2, "10.00")]), uuid4()
    order = shop.order(number)
    shop.keep_refund(order, Decimal("10.00"), reference_of(attempt), order["sales"][0], "SUCCESS")["rows"] = []
    found = (await read(orders, number)).payments[0].refund_of(attempt)
    assert found is not None and found.state is RefundResultKind.UNKNOWN


async def test_refunds_by_hand(shop: Shop, orders: ShopifyOrders) -> None:
    number = shop.place([("cup", 3, "10.00")])
    shop.refund_by_hand(number, "10.00", [(0, 1)])
    shop.refund_by_hand(number, "2.00")
    shop.order(number)["paybacks"][1]["rows"][0]["parentTransaction"] = None
    order = await read(orders, number)
    assert [line.cancelled for line in order.lines] == [1]
    assert order.payments[0].elsewhere_minor == 1200, "also one that names no payment, such as store credit"


async def test_two_payments_of_one_order(shop: Shop, orders: ShopifyOrders) -> None:
    number = shop.place([("cup", 2, "10.00")])
    order = shop.order(number)
    card = {**order["sales"][0], "id": shop.gid("OrderTransaction"), "amountSet": bag(Decimal("5.00"), "CNY")}
    order["sales"].append(card)
    shop.keep_refund(order, Decimal("5.00"), "", card, "SUCCESS")
    first, second = (await read(orders, number)).payments
    assert (first.elsewhere_minor, second.elsewhere_minor) == (0, 500)


# Changes ----------------------------------------------------------------------------------------------------------


async def changed(orders: ShopifyOrders, cursor: datetime | None) -> list[str]:
    return [one.order_id async for page in orders.changed_since(cursor, OVERLAP) for one in page]


async def test_changes_come_oldest_first_and_again_within_the_overlap(shop: Shop, orders: ShopifyOrders) -> None:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    numbers = [shop.place([("cup", 1, "1.00")], at=start + timedelta(minutes=5 * n)) for n in range(6)]
    shop.touch(shop.order(numbers[0]), start + timedelta(hours=1))
    assert await changed(orders, None) == [*numbers[1:], numbers[0]]
    assert await changed(orders, start + timedelta(minutes=25)) == [*numbers[3:], numbers[0]]


async def test_what_changes_while_paging_is_not_lost(shop: Shop, orders: ShopifyOrders) -> None:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    count = 2 * PAGE_OF_CHANGES + 5
    numbers = [shop.place([("cup", 1, "1.00")], at=start + timedelta(seconds=n // 3)) for n in range(count)]
    found: list[str] = []
    async for page in orders.changed_since(None, OVERLAP):
        found += [one.order_id for one in page]
        if len(found) <= PAGE_OF_CHANGES:
            for number in found[:5]:
                shop.touch(shop.order(number), start + timedelta(hours=1))
    assert set(found) == set(numbers)


async def test_a_reading_that_fails_says_what_to_do(shop: Shop, server: WireServer, orders: ShopifyOrders) -> None:
    number = shop.place([("cup", 1, "1.00")])
    for label in ("changed", "order", "shipping"):
        server.faults[label] = Fault.ERROR_BEFORE
        with pytest.raises(Unavailable, match="does not answer"):
            await changed(orders, None)
    server.faults["find"] = Fault.CUT_BEFORE
    with pytest.raises(Unavailable, match="does not answer"):
        await orders.read_orders([number])
    assert await orders.read_orders([]) == []
