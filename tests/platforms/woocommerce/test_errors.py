"""Each documented error of WooCommerce is read as its row says; and what check() says to a merchant."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.woocommerce.opening import open_woocommerce
from jitui.adapters.platforms.woocommerce.orders import WooCommerceOrders
from jitui.adapters.platforms.woocommerce.writer import WooCommerceWriter
from jitui.aftersales.platform import CallFailed, CallRefused, PlatformOrder, reference_of
from jitui.aftersales.provider import CallTrouble
from jitui.errors import Unavailable
from tests.platforms.market import wanted_refund
from tests.platforms.told_errors import ToldError, error_table
from tests.platforms.wire_server import WireServer
from tests.platforms.woocommerce.conftest import access_to
from tests.platforms.woocommerce.errors import ERRORS
from tests.platforms.woocommerce.shop import KEY, SECRET, ApiKey, Shop

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "woocommerce.md"


async def placed(shop: Shop, orders: WooCommerceOrders, method: str = "card") -> PlatformOrder:
    found = await orders.find_order(shop.place([("cup", 2, "39.90")], method=method))
    assert isinstance(found, PlatformOrder)
    return found


def test_the_page_has_the_table() -> None:
    assert error_table(ERRORS) in PAGE.read_text(), f"{PAGE.name} must have this table:\n{error_table(ERRORS)}"


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row.status} {row.code or row.means[:20]}")
async def test_an_error_of_a_refund(
    row: ToldError, shop: Shop, server: WireServer, orders: WooCommerceOrders, writer: WooCommerceWriter
) -> None:
    order = await placed(shop, orders)
    kind = "text/html" if row.html else "application/json"
    headers = {"location": "https://www.example.com/"} if row.status == 301 else None
    server.answers["refund"] = web.Response(status=row.status, text=row.body, content_type=kind, headers=headers)
    answer = await writer.refund(order, wanted_refund(order))
    assert row.is_read_as(answer), answer
    assert server.calls.count("refund") == 1, "no call repeats itself, and no redirect is followed"


async def test_a_gateway_that_cannot_refund_is_not_asked(
    shop: Shop, server: WireServer, orders: WooCommerceOrders, writer: WooCommerceWriter
) -> None:
    """Whatever the shop's language is; WooCommerce would answer with the code of every failure."""
    shop.language = {"The payment gateway for this order does not support automatic refunds.": "Geht nicht."}
    order = await placed(shop, orders, method="bacs")
    answer = await writer.refund(order, wanted_refund(order))
    assert isinstance(answer, CallRefused) and "bacs" in answer.reason
    assert "refund" not in server.calls
    gone = await placed(shop, orders, method="gone")
    told = await writer.refund(gone, wanted_refund(gone))
    assert isinstance(told, CallRefused), "a gateway that is not there: WooCommerce says so itself"
    assert server.calls.count("refund") == 1


async def test_what_keeps_the_question_before_a_refund_from_being_answered_asks_for_none(
    shop: Shop, server: WireServer, orders: WooCommerceOrders, writer: WooCommerceWriter
) -> None:
    order = await placed(shop, orders)
    for label in (f"GET orders/{order.platform_id}", "GET payment_gateways/card"):
        server.answers[label] = web.Response(status=502, text="<html>")
        answer = await writer.refund(order, wanted_refund(order))
        assert isinstance(answer, CallFailed) and not answer.reached
    assert "refund" not in server.calls


async def test_an_order_that_was_deleted_meanwhile(
    shop: Shop, orders: WooCommerceOrders, writer: WooCommerceWriter
) -> None:
    order = await placed(shop, orders)
    del shop.orders[int(order.platform_id)]
    answer = await writer.refund(order, wanted_refund(order))
    assert isinstance(answer, CallFailed) and not answer.reached
    refused = await writer.cancel(order, {order.lines[0].line_id: 2}, freight=False, reference="Jitui")
    assert isinstance(refused, CallRefused)


async def test_words_of_a_plugin_are_no_refusal(
    shop: Shop, server: WireServer, orders: WooCommerceOrders, writer: WooCommerceWriter
) -> None:
    """What is known to come before the gateway is known by code and words together."""
    order = await placed(shop, orders)
    body = {"code": "a_plugin_failed", "message": "Invalid refund amount.", "data": {"status": 500}}
    server.answers["refund"] = web.json_response(body, status=500)
    answer = await writer.refund(order, wanted_refund(order))
    assert isinstance(answer, CallFailed) and answer.reached


async def test_units_that_are_taken_out_twice_by_one_step_count_once(
    shop: Shop, orders: WooCommerceOrders, writer: WooCommerceWriter
) -> None:
    """A request that was taken for lost may come late; a further step of the same attempt is another one."""
    found = await orders.find_order(shop.place([("cup", 5, "10")]))
    assert isinstance(found, PlatformOrder)
    line, reference = found.lines[0].line_id, reference_of(uuid4())
    for _ in range(2):
        assert await writer.cancel(found, {line: 1}, freight=False, reference=reference) is None
    again = await orders.find_order(found.order_id)
    assert isinstance(again, PlatformOrder) and again.lines[0].cancelled == 1
    assert await writer.cancel(again, {line: 1}, freight=False, reference=reference) is None
    further = await orders.find_order(found.order_id)
    assert isinstance(further, PlatformOrder) and further.lines[0].cancelled == 2


# check() ------------------------------------------------------------------------------------------------------------


async def checked(access: PlatformAccess) -> str | None:
    async with AsyncExitStack() as stack:
        orders, _ = await open_woocommerce(access, stack)
        return await orders.check()


async def test_check_finds_nothing_wrong_and_changes_nothing(shop: Shop, server: WireServer) -> None:
    number = shop.place([("cup", 1, "39.90")])
    before = dict(shop.order(number))
    assert await checked(access_to(server)) is None
    assert shop.order(number) == before


@pytest.mark.parametrize("secret", ["ck_x:cs_y", f"{KEY}:cs_wrong", KEY, "", f"{SECRET}:{KEY}"])
async def test_a_wrong_key(server: WireServer, secret: str) -> None:
    said = await checked(access_to(server, secret))
    assert said is not None and "ck_…:cs_…" in said
    assert "cs_wrong" not in said and KEY not in said


async def test_a_key_without_rights(shop: Shop, server: WireServer) -> None:
    shop.keys = {KEY: ApiKey(SECRET, permissions="read")}
    assert "Read/Write" in str(await checked(access_to(server)))
    shop.keys = {KEY: ApiKey(SECRET, manager=False)}
    assert "Shop manager" in str(await checked(access_to(server)))


async def test_a_shop_that_tells_no_shipments(shop: Shop, server: WireServer) -> None:
    shop.tells_shipments = False
    assert "Order fulfillments" in str(await checked(access_to(server)))


async def test_an_address_of_something_else(server: WireServer) -> None:
    wrong = await checked(PlatformAccess(f"{server.url}/blog", f"{KEY}:{SECRET}", 2))
    assert "not the REST API v3" in str(wrong)
    nobody = await checked(PlatformAccess("http://127.0.0.1:9", f"{KEY}:{SECRET}", 2))
    assert "does not answer" in str(nobody)
    server.answers["GET orders"] = web.Response(status=302, headers={"location": "https://evil.example/"})
    assert "another address" in str(await checked(access_to(server)))
    assert await checked(PlatformAccess(f"{server.url}/wp-json/", f"{KEY}:{SECRET}", 2)) is None


@pytest.mark.parametrize("url", ["http://shop.example.com", "shop.example.com", "http://10.0.0.1", "ftp://127.0.0.1"])
async def test_the_key_goes_over_tls_alone(url: str) -> None:
    said = await checked(PlatformAccess(url, f"{KEY}:{SECRET}", 2))
    assert said is not None and ("https://" in said or "does not answer" in said)


async def test_the_secret_is_in_no_repr_and_no_log(
    server: WireServer, caplog: pytest.LogCaptureFixture, orders: WooCommerceOrders
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert await orders.check() is None
    for told in (caplog.text, repr(orders), repr(orders._client), str(vars(orders._client))):
        assert SECRET not in told and KEY not in told


async def test_an_answer_that_has_no_end_is_not_read(shop: Shop, server: WireServer, orders: WooCommerceOrders) -> None:
    number = shop.place([("cup", 1, "39.90")])
    server.answers[f"GET orders/{number}"] = web.Response(body=b" " * (16 * 1024 * 1024 + 1))
    answer = await orders.find_order(number)
    assert isinstance(answer, CallFailed) and answer.trouble is CallTrouble.UNREADABLE
    server.answers["GET orders"] = web.Response(text="[1]")
    with pytest.raises(Unavailable, match="REST API v3"):
        await anext(orders.changed_since(None, timedelta(0)))
