"""What is Saleor's alone: its errors, its orders as ours, its refusals, and signatures of its webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import serialize_compact

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.saleor.client import SaleorClient
from jitui.adapters.platforms.saleor.mapping import NOT_ASKED
from jitui.adapters.platforms.saleor.opening import open_saleor
from jitui.adapters.platforms.saleor.orders import SaleorOrders
from jitui.adapters.platforms.saleor.webhooks import is_from_saleor
from jitui.adapters.platforms.saleor.writer import SaleorWriter
from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.platform import (
    CallFailed,
    CallRefused,
    OrderHint,
    PlatformOrder,
    PlatformRefund,
    UnreadableOrder,
    WantedRefund,
    reference_of,
)
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused, RefundResultKind
from jitui.errors import Unavailable
from tests.platforms.saleor.errors import DOCUMENTED, REFUSALS, Documented
from tests.platforms.saleor.server import TOKEN, SaleorServer

Shop = tuple[SaleorOrders, SaleorWriter]


@pytest.fixture
async def shop(there: SaleorServer) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await open_saleor(PlatformAccess(there.url, f"{TOKEN}\n", 5), stack)


async def read(shop: Shop, number: str) -> PlatformOrder:
    found = await shop[0].find_order(number)
    assert isinstance(found, PlatformOrder), found
    return found


def wanted(order: PlatformOrder, amount_minor: int) -> WantedRefund:
    attempt = uuid4()
    return WantedRefund(order.payments[0].payment_id, amount_minor, order.currency, attempt, reference_of(attempt))


# Errors ---------------------------------------------------------------------------------------------------------------


def test_there_are_enough_with_a_source() -> None:
    assert len([one for one in DOCUMENTED if one.source != "ours"]) + len(REFUSALS) >= 8


@pytest.mark.parametrize("told", DOCUMENTED, ids=lambda told: told.name)
async def test_an_error_is_understood_and_said(there: SaleorServer, shop: Shop, told: Documented) -> None:
    number = there.place()
    told.happens(there)
    answer = await shop[0].find_order(number)
    assert isinstance(answer, CallFailed)
    assert (answer.trouble, answer.reached) == (told.trouble, told.reached)
    assert told.says in answer.reason
    told.happens(there)
    with pytest.raises(Unavailable, match="Saleor"):
        await shop[0].read_orders([number])


@pytest.mark.parametrize(
    ("version", "held", "says"),
    [
        ("3.22.0", {"MANAGE_ORDERS", "HANDLE_PAYMENTS"}, None),
        ("4.0.0-a.1", {"MANAGE_ORDERS", "HANDLE_PAYMENTS"}, None),
        ("3.21.9", {"MANAGE_ORDERS", "HANDLE_PAYMENTS"}, "3.22"),
        ("3.22.0", {"MANAGE_ORDERS"}, "HANDLE_PAYMENTS"),
        ("3.22.0", {"HANDLE_PAYMENTS"}, "MANAGE_ORDERS"),
    ],
)
async def test_the_check_says_what_to_do(
    there: SaleorServer, shop: Shop, version: str, held: set[str], says: str | None
) -> None:
    there.version, there.tokens = version, {TOKEN: held}
    problem = await shop[0].check()
    assert problem is None if says is None else problem is not None and says in problem


async def test_a_wrong_address_and_a_wrong_token_are_told_apart(there: SaleorServer) -> None:
    for url, secret, says in ((there.url, "another", "token"), ("http://127.0.0.1:9", TOKEN, "does not answer")):
        async with AsyncExitStack() as stack:
            orders, _ = await open_saleor(PlatformAccess(url, secret, 5), stack)
            problem = await orders.check()
            assert problem is not None
            assert says in problem
            assert secret == "another" or secret not in problem


@pytest.mark.parametrize(("code", "source"), REFUSALS, ids=lambda told: told)
async def test_a_refusal_is_data(there: SaleorServer, shop: Shop, code: str, source: str) -> None:
    number = there.place()
    order = await read(shop, number)
    _, writer = shop
    match code:
        case "CANNOT_CANCEL_ORDER":
            there.ship(number)
            refused = await writer.cancel(order, {order.lines[0].line_id: 1}, freight=True, reference="r")
            assert isinstance(refused, CallRefused), source
        case "AMOUNT_GREATER_THAN_AVAILABLE":
            assert isinstance(await writer.refund(order, wanted(order, 4_491)), CallRefused), source
        case "NOT_FOUND":
            other = replace(wanted(order, 100), payment_id="tx-0")
            assert isinstance(await writer.refund(order, other), CallRefused), source
        case "MISSING_TRANSACTION_ACTION_REQUEST_WEBHOOK":
            there.has_payment_app = False
            done = await writer.refund(order, wanted(order, 100))
            assert isinstance(done, CallFailed), source
            assert done.reached, "the grant is there"
        case _:
            made = await writer.refund(order, wanted(order, 100))
            assert isinstance(made, PlatformRefund)
            if code == "REFUND_ALREADY_PROCESSED":
                there.app_reports(number)
            again = await writer.settle(order, replace(made, said=NOT_ASKED))
            assert isinstance(again, PlatformRefund), source
            assert again.state is RefundResultKind.PENDING


# Orders ---------------------------------------------------------------------------------------------------------------


async def test_an_order_is_read_exactly(there: SaleorServer, shop: Shop) -> None:
    number = there.place(("0.30", 3), ("19.99", 1), freight="0.01")
    found = await read(shop, number)
    assert [(line.quantity, line.paid_minor, line.category_id) for line in found.lines] == [
        (3, 30, "saleor-Q2F0ZWdvcnk6MQ"),
        (1, 1_999, "saleor-Q2F0ZWdvcnk6MQ"),
    ]
    assert (found.order_id, found.buyer_id, found.freight_minor) == (number, "saleor-VXNlcjox", 1)
    assert [(paid.payment_id, paid.amount_minor) for paid in found.payments] == [(f"tx-{number}", 2_030)]
    assert await shop[0].contact_address(number) == "ann@example.com"
    assert await shop[0].contact_address("77") is None
    assert await shop[0].find_order("no number") is None


@pytest.mark.parametrize(
    ("price", "currency", "minor"),
    [("500", "JPY", 500), ("1.234", "BHD", 1_234), ("1.5", "JPY", None), ("1.005", "CNY", None), ("1", "XXX", None)],
)
async def test_amounts_are_exact_or_none(
    there: SaleorServer, shop: Shop, price: str, currency: str, minor: int | None
) -> None:
    found = await shop[0].find_order(there.place((price, 1), freight="0", currency=currency))
    if minor is None:
        assert isinstance(found, UnreadableOrder)
    else:
        assert isinstance(found, PlatformOrder)
        assert found.lines[0].paid_minor == minor


async def test_an_amount_in_another_currency_is_none(there: SaleorServer, shop: Shop) -> None:
    number = there.place()
    there.orders[number]["lines"][0]["totalPrice"]["gross"]["currency"] = "EUR"
    assert isinstance(await shop[0].find_order(number), UnreadableOrder)


async def test_a_grant_that_nobody_requested_hides_no_refund_by_hand(there: SaleorServer, shop: Shop) -> None:
    number = there.place()
    order = await read(shop, number)
    there.has_payment_app = False
    await shop[1].refund(order, wanted(order, 3_990))
    there.refund_by_hand(number, "10.00")
    (paid,) = (await read(shop, number)).payments
    assert (paid.amount_minor, paid.elsewhere_minor) == (4_490, 1_000)


@pytest.mark.parametrize(
    ("status", "degree"),
    [
        ("WAITING_FOR_APPROVAL", ShipmentStatus.LABEL_PRINTED),
        ("FULFILLED", ShipmentStatus.SHIPPED),
        ("RETURNED", ShipmentStatus.DELIVERED),
        ("REFUNDED", ShipmentStatus.PICKED_UP),
        ("MADE_UP", ShipmentStatus.PICKED_UP),
        ("CANCELED", None),
    ],
)
async def test_a_fulfilment_is_a_shipment(
    there: SaleorServer, shop: Shop, status: str, degree: ShipmentStatus | None
) -> None:
    number = there.place()
    there.ship(number, status)
    assert [sent.status for sent in (await read(shop, number)).shipments] == ([] if degree is None else [degree])


async def test_a_cancelled_order_has_its_units_cancelled(there: SaleorServer, shop: Shop) -> None:
    number = there.place(("39.90", 3))
    there.orders[number] |= {"status": "CANCELED"}
    there.orders[number]["lines"][0]["quantityFulfilled"] = 1
    assert [line.cancelled for line in (await read(shop, number)).lines] == [2]


async def test_a_guest_is_a_buyer_and_nobody_is_none(there: SaleorServer, shop: Shop) -> None:
    guest = there.place(user=None)
    assert (await read(shop, guest)).buyer_id == "saleor-ann@example.com"
    there.orders[guest]["userEmail"] = None
    assert isinstance(await shop[0].find_order(guest), UnreadableOrder)


@pytest.mark.parametrize("status", ["DRAFT", "UNCONFIRMED", "EXPIRED"])
async def test_what_was_not_placed_is_not_there(there: SaleorServer, shop: Shop, status: str) -> None:
    number = there.place()
    there.orders[number]["status"] = status
    assert await shop[0].find_order(number) is None
    assert await shop[0].read_orders([number]) == []


async def test_changes_come_page_by_page_from_the_cursor_less_the_overlap(there: SaleorServer, shop: Shop) -> None:
    numbers = [there.place() for _ in range(5)]
    there.page = 2
    pages = [page async for page in shop[0].changed_since(None, timedelta())]
    assert [[found.order_id for found in page] for page in pages] == [numbers[:2], numbers[2:4], numbers[4:]]
    cursor = pages[1][1].changed_at
    again = [found.order_id async for page in shop[0].changed_since(cursor, timedelta()) for found in page]
    assert again == numbers[3:]
    earlier = [found.order_id async for page in shop[0].changed_since(cursor, timedelta(hours=1)) for found in page]
    assert earlier == numbers
    there.page = 50
    assert len(await shop[0].read_orders([*numbers, "99"])) == 5


# Webhooks -------------------------------------------------------------------------------------------------------------


def test_a_webhook_is_saleors_when_its_exact_bytes_are_signed() -> None:
    key, other = (RSAKey.generate_key(2048, {"kid": "1"}) for _ in range(2))
    known = KeySet([key]).as_dict(private=False)
    header = {"alg": "RS256", "kid": "1", "crit": ["b64"], "b64": False}
    body = b'{"order": {"number": "7.1"}}'
    token = serialize_compact(header, body, key, algorithms=["RS256"])
    assert is_from_saleor({"Saleor-Signature": token}, body, known)
    assert is_from_saleor({"saleor-signature": token}, body, known)
    for headers, sent, keys in (
        ({"Saleor-Signature": token}, body + b" ", known),
        ({"Saleor-Signature": serialize_compact(header, body, other, algorithms=["RS256"])}, body, known),
        ({"Saleor-Signature": ""}, body, known),
        ({}, body, known),
        ({"Saleor-Signature": "a..b"}, body, known),
        ({"Saleor-Signature": token}, body, {}),
        ({"Saleor-Signature": token}, body, {"keys": "none"}),
    ):
        assert not is_from_saleor(headers, sent, keys), headers


def test_a_signature_by_another_algorithm_is_none() -> None:
    """An attacker would sign by HMAC with the public key as its secret."""
    key = RSAKey.generate_key(2048, {"kid": "1"})
    known = KeySet([key]).as_dict(private=False)
    header = {"alg": "PS256", "kid": "1", "crit": ["b64"], "b64": False}
    token = serialize_compact(header, b"{}", key, algorithms=["PS256"])
    assert not is_from_saleor({"Saleor-Signature": token}, b"{}", known)


async def test_a_new_key_of_saleors_is_read_after_a_minute_at_most(there: SaleorServer) -> None:
    """And no more often, whatever is sent; while its keys cannot be read, nobody is believed."""
    first, second = (RSAKey.generate_key(2048, {"kid": "1"}) for _ in range(2))
    header = {"alg": "RS256", "kid": "1", "crit": ["b64"], "b64": False}
    body, minutes = b'{"order": {"number": "7"}}', [0.0]
    async with SaleorClient(base_url=there.url, token=TOKEN, timeout_seconds=5) as client:
        orders = SaleorOrders(client, lambda: minutes[0] * 60)

        async def told(key: RSAKey, sent: bytes = body) -> object:
            token = serialize_compact(header, sent, key, algorithms=["RS256"])
            return await orders.read_hint({"saleor-signature": token}, sent)

        there.keys = dict(KeySet([first]).as_dict(private=False))
        assert await told(first) == OrderHint("7")
        assert isinstance(await told(first, b"{}"), NotificationIgnored)
        there.keys = dict(KeySet([second]).as_dict(private=False))
        assert isinstance(await told(second), NotificationRefused)
        assert there.key_reads == 1
        minutes[0] = 1
        assert await told(second) == OrderHint("7")
        assert isinstance(await told(second, b'{"order": 7}'), NotificationRefused)
        assert there.key_reads == 2
    async with SaleorClient(base_url="http://127.0.0.1:9", token=TOKEN, timeout_seconds=5) as client:
        orders = SaleorOrders(client)
        assert isinstance(await told(second), NotificationRefused)
