"""Each documented error of Shopify is read as its row says; tokens, the bucket, and what check() says."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.shopify.opening import open_shopify
from jitui.adapters.platforms.shopify.orders import ShopifyOrders
from jitui.adapters.platforms.shopify.pace import Pace
from jitui.adapters.platforms.shopify.tokens import RENEWED_BEFORE_SECONDS, Granted, Tokens
from jitui.adapters.platforms.shopify.writer import ShopifyWriter
from jitui.aftersales.platform import (
    CallFailed,
    CallRefused,
    PlatformOrder,
    PlatformRefund,
    WantedRefund,
)
from jitui.aftersales.provider import CallTrouble
from tests.platforms.market import wanted_refund
from tests.platforms.shopify.conftest import access_to
from tests.platforms.shopify.errors import ERRORS
from tests.platforms.shopify.shop import SCOPES, TOKEN, Shop
from tests.platforms.told_errors import ToldError, error_table
from tests.platforms.wire_server import WireServer

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "shopify.md"
GRANT = "client-id:client-secret"


async def placed(shop: Shop, orders: ShopifyOrders, *, manual: bool = False) -> PlatformOrder:
    found = await orders.find_order(shop.place([("cup", 2, "39.90")], manual=manual))
    assert isinstance(found, PlatformOrder)
    return found


def test_the_page_has_the_table() -> None:
    assert error_table(ERRORS) in PAGE.read_text(), f"{PAGE.name} must have this table:\n{error_table(ERRORS)}"


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row.status} {row.code} {row.means[:25]}")
async def test_an_error_of_a_refund(
    row: ToldError, shop: Shop, server: WireServer, orders: ShopifyOrders, writer: ShopifyWriter
) -> None:
    order = await placed(shop, orders)
    kind = "text/html" if row.html else "application/json"
    headers = {"location": "https://other.example.com/"} if row.status == 301 else None
    server.answers["refund"] = web.Response(status=row.status, text=row.body, content_type=kind, headers=headers)
    answer = await writer.refund(order, wanted_refund(order))
    assert row.is_read_as(answer), answer
    assert server.calls.count("refund") == 1, "no call repeats itself, and no redirect is followed"


async def test_a_refund_that_is_there_counts_whatever_is_said_beside_it(
    shop: Shop, server: WireServer, orders: ShopifyOrders, writer: ShopifyWriter
) -> None:
    order = await placed(shop, orders)
    one = wanted_refund(order)
    made = await writer.refund(order, one)
    assert isinstance(made, PlatformRefund) and made.attempt_id == one.attempt_id
    assert await writer.refund(order, one) == made, "the key: the same refund again"
    assert len(shop.refunded(order.order_id)) == 1
    other = WantedRefund(one.payment_id, 100, one.currency, one.attempt_id, one.reference)
    answer = await writer.refund(order, other)
    assert isinstance(answer, CallFailed) and answer.reached


async def test_a_refusal_of_the_shop_itself(shop: Shop, orders: ShopifyOrders, writer: ShopifyWriter) -> None:
    order = await placed(shop, orders)
    assert isinstance(await writer.refund(order, wanted_refund(order, 7981)), CallRefused)
    unknown = WantedRefund("404", 1, "CNY", uuid4(), "Jitui")
    assert isinstance(await writer.refund(order, unknown), CallRefused)
    by_hand = await placed(shop, orders, manual=True)
    answer = await writer.refund(by_hand, wanted_refund(by_hand))
    assert isinstance(answer, CallRefused) and "by hand" in answer.reason
    shop.scopes = tuple(scope for scope in SCOPES if scope != "write_orders")
    denied = await writer.refund(order, wanted_refund(order))
    assert isinstance(denied, CallFailed) and denied.trouble is CallTrouble.UNAUTHORISED and not denied.reached


async def test_what_keeps_the_questions_before_a_change_from_being_answered_asks_for_none(
    shop: Shop, server: WireServer, orders: ShopifyOrders, writer: ShopifyWriter
) -> None:
    order = await placed(shop, orders)
    for label in ("order", "shipping"):
        server.answers[label] = web.Response(status=502, text="<html>")
        answer = await writer.refund(order, wanted_refund(order))
        assert isinstance(answer, CallFailed) and not answer.reached
    server.answers["shipping"] = web.Response(status=502, text="<html>")
    held = await writer.cancel(order, {order.lines[0].line_id: 1}, freight=False, reference="Jitui")
    assert isinstance(held, CallFailed) and not held.reached
    assert not {"refund", "hold"} & set(server.calls)
    del shop.orders[order.platform_id]
    assert isinstance(await writer.refund(order, wanted_refund(order)), CallRefused)


# check() ------------------------------------------------------------------------------------------------------------


async def checked(access: PlatformAccess) -> str | None:
    async with AsyncExitStack() as stack:
        orders, _ = await open_shopify(access, stack)
        return await orders.check()


async def test_check(shop: Shop, server: WireServer) -> None:
    assert await checked(access_to(server)) is None
    assert await checked(PlatformAccess(f"{server.url}/admin/", TOKEN, 2)) is None
    shop.scopes = ("read_orders", "write_merchant_managed_fulfillment_orders")
    said = str(await checked(access_to(server)))
    assert "write_orders" in said and "read_customers" in said
    assert "read_orders" not in said and "read_merchant_managed_fulfillment_orders" not in said
    shop.version = "2026-07"
    assert "2026-07" in str(await checked(access_to(server))), "Shopify answers with its oldest one that is supported"


@pytest.mark.parametrize("secret", ["shpat_wrong", "", "client-id:wrong", ":"])
async def test_a_wrong_secret(server: WireServer, secret: str) -> None:
    said = await checked(access_to(server, secret))
    assert said is not None and "does not take the token" in said
    assert "wrong" not in said.replace("wrong password", "")


async def test_an_address_of_something_else(shop: Shop, server: WireServer) -> None:
    assert "Admin API" in str(await checked(PlatformAccess(f"{server.url}/blog", TOKEN, 2)))
    assert "does not answer" in str(await checked(PlatformAccess("http://127.0.0.1:9", TOKEN, 2)))
    for url in ("http://my-shop.myshopify.com", "my-shop.myshopify.com"):
        assert "https://" in str(await checked(PlatformAccess(url, TOKEN, 2)))


async def test_the_secret_is_in_no_repr_and_no_log(server: WireServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with AsyncExitStack() as stack:
            orders, _ = await open_shopify(access_to(server, GRANT), stack)
            assert await orders.check() is None
            shown = repr(vars(orders._client))
    for secret in ("client-secret", "shpat_"):
        assert secret not in caplog.text and secret not in shown


async def test_an_answer_that_has_no_end_is_not_read(shop: Shop, server: WireServer, orders: ShopifyOrders) -> None:
    server.answers["find"] = web.Response(body=b" " * (8 * 1024 * 1024 + 1))
    answer = await orders.find_order("1001")
    assert isinstance(answer, CallFailed) and answer.trouble is CallTrouble.UNREADABLE


# Tokens -------------------------------------------------------------------------------------------------------------


async def test_an_app_of_today_asks_for_its_token_once(shop: Shop, server: WireServer) -> None:
    async with AsyncExitStack() as stack:
        orders, _ = await open_shopify(access_to(server, GRANT), stack)
        number = shop.place([("cup", 1, "1.00")])
        for _ in range(2):
            assert isinstance(await orders.find_order(number), PlatformOrder)
        assert server.calls.count("token") == 1
        shop.token = "shpat_another"  # it was taken back
        assert isinstance(await orders.find_order(number), CallFailed)
        assert isinstance(await orders.find_order(number), PlatformOrder)
        assert server.calls.count("token") == 2
        shop.token = "shpat_yet-another"
        await orders.find_order(number)
        server.answers["token"] = web.Response(status=503, text="<html>")
        answer = await orders.find_order(number)
        assert isinstance(answer, CallFailed) and (answer.trouble, answer.reached) == (CallTrouble.FAILING, False)


def test_a_token_is_renewed_before_it_ends() -> None:
    now = 1000.0
    tokens = Tokens(GRANT, clock=lambda: now)
    assert tokens.current is None
    tokens.take(Granted("shpat_1", 86399.0))
    now += 86399.0 - RENEWED_BEFORE_SECONDS - 1
    assert tokens.current == "shpat_1"
    now += 1
    assert tokens.current is None


# The bucket ---------------------------------------------------------------------------------------------------------


async def test_an_empty_bucket_is_said_so_and_nothing_is_executed(
    shop: Shop, orders: ShopifyOrders, writer: ShopifyWriter
) -> None:
    order = await placed(shop, orders)
    shop.available = 149.0
    answer = await writer.cancel(order, {order.lines[0].line_id: 2}, freight=False, reference="Jitui")
    assert isinstance(answer, CallFailed) and (answer.trouble, answer.reached) == (CallTrouble.FAILING, False)
    assert shop.held(order.order_id) == []


def test_a_query_waits_until_the_bucket_holds_what_it_costs() -> None:
    now = 1000.0
    pace = Pace(clock=lambda: now)
    throttle = {"maximumAvailable": 2000.0, "currentlyAvailable": 50.0, "restoreRate": 100.0}
    pace.note("q", {"cost": {"requestedQueryCost": 150.0, "throttleStatus": throttle}})
    assert pace.wait_seconds("q") == 1.0
    assert pace.wait_seconds("another") == 0.0, "what it costs is not known yet"
    now += 0.25
    assert pace.wait_seconds("q") == 0.75
    now += 1.0
    assert pace.wait_seconds("q") == 0.0
    pace.note("q", {"cost": "?"})
    assert pace.wait_seconds("q") == 0.0
