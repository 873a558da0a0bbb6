"""A shop's REST API v3, as WooCommerce 11 documents and codes it, with its own faults.

What is copied from its behaviour: a refund checks what is left, saves its row and only then asks the gateway, so two at
once refund too much; a failure deletes the row and is a 500 with a number as `data`; a key with rights too low is 401
or 403. Sources are named in `errors.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.platforms.wire_server import WireServer
from tests.platforms.woocommerce.shop import SITE_IS_AHEAD, ApiKey, Declined, Json, Shop, dumped

ROOT = "/wp-json/wc/v3/"
_LISTED = ("any", "trash", "pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed")


def serving(shop: Shop) -> WireServer:
    """A server of the shop; its labels are `refund`, `cancel`, `mark`, `note`, and else `METHOD path`."""

    async def answering(request: web.Request, body: bytes) -> web.Response:
        return await _answer(shop, request, body)

    return WireServer(answering, _label)


def _label(request: web.Request, body: bytes) -> str:
    path = request.path.removeprefix(ROOT)
    match request.method, re.sub(r"\d+", "N", path):
        case "POST", "orders/N/refunds":
            return "refund"
        case "POST", "orders/N/notes":
            return "note"
        case "PUT", "orders/N":
            return "cancel" if b'"status"' in body else "mark"
    return f"{request.method} {path}"


def told(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in JSON."""
    return web.Response(status=status, text=dumped(body), content_type="application/json", headers=headers)


def failed(code: str, message: str, status: int, data: Any = None) -> web.Response:
    """WordPress' form of an error. A WP_Error whose data is a bare number is answered as 500, whatever the number."""
    return told({"code": code, "message": message, "data": {"status": status} if data is None else data}, status)


async def _answer(shop: Shop, request: web.Request, body: bytes) -> web.Response:
    if not request.path.startswith(ROOT):
        return web.Response(text="<html>My shop</html>", content_type="text/html")
    key = _key_of(shop, request)
    if isinstance(key, web.Response):
        return key
    refused = _may_not(key, request)
    if refused is not None:
        return refused
    try:
        asked = json.loads(body) if body else {}
    except ValueError:
        return failed("rest_invalid_json", "Invalid JSON body passed.", 400)
    path = request.path.removeprefix(ROOT)
    numbers = [int(found) for found in re.findall(r"\d+", path)]
    match request.method, re.sub(r"\d+", "N", path):
        case "GET", "orders":
            return _listed(shop, request)
        case "GET", "orders/N":
            return _order(shop, numbers[0])
        case "PUT", "orders/N":
            return _change(shop, numbers[0], asked)
        case "POST", "orders/batch":
            return told({})
        case "POST", "orders/N/notes":
            shop.notes[numbers[0]].append(asked["note"])
            return told({"id": 1, "note": asked["note"]}, 201)
        case "GET", "orders/N/refunds":
            found = [shop.shown_refund(refund) for refund in reversed(shop.refunds[numbers[0]])]
            return told(found[: int(request.query.get("per_page", "10"))])
        case "POST", "orders/N/refunds":
            return await _refund(shop, numbers[0], asked)
        case "GET", "orders/N/fulfillments" if shop.tells_shipments:
            if numbers[0] not in shop.orders:
                return failed("woocommerce_rest_order_invalid_id", "Invalid order ID.", 404)
            return told(shop.fulfilments[numbers[0]])
    if request.method == "GET" and path.startswith("payment_gateways/"):
        return _gateway(shop, path.removeprefix("payment_gateways/"))
    return failed("rest_no_route", "No route was found matching the URL and request method.", 404)


# Who asks -------------------------------------------------------------------------------------------------------


def _key_of(shop: Shop, request: web.Request) -> ApiKey | web.Response | None:
    """The key by Basic authentication, which counts over TLS alone; None for nobody."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind != "Basic" or not shop.over_tls:
        return None
    name, _, secret = base64.b64decode(given).decode().partition(":")
    key = shop.keys.get(name)
    if key is None:
        return None
    if key.secret != secret:
        return failed("woocommerce_rest_authentication_error", "Consumer secret is invalid.", 401)
    return key


def _may_not(key: ApiKey | None, request: web.Request) -> web.Response | None:
    writes = request.method != "GET"
    if key is None:
        return failed("woocommerce_rest_cannot_view", "Sorry, you cannot list resources.", 401)
    if key.permissions not in (("write" if writes else "read"), "read_write"):
        said = f"The API key provided does not have {'write' if writes else 'read'} permissions."
        return failed("woocommerce_rest_authentication_error", said, 401)
    if not key.manager:
        code = "woocommerce_rest_cannot_create" if writes else "woocommerce_rest_cannot_view"
        return failed(code, "Sorry, you cannot list resources.", 403)
    return None


# Orders ---------------------------------------------------------------------------------------------------------


def _listed(shop: Shop, request: web.Request) -> web.Response:
    query = request.query
    per_page, page = int(query.get("per_page", "10")), int(query.get("page", "1"))
    if not 1 <= per_page <= 100 or query.get("status", "any") not in _LISTED:
        return failed("rest_invalid_param", "Invalid parameter(s): per_page", 400)
    found = [order for order in shop.orders.values() if order["status"] != "trash"]
    if include := query.get("include"):
        found = [order for order in found if str(order["id"]) in include.split(",")]
    if search := query.get("search"):
        found = [order for order in found if search in (order["number"], order["billing"]["email"])]
    if since := query.get("modified_after"):
        after = datetime.fromisoformat(since).replace(tzinfo=UTC)
        shift = SITE_IS_AHEAD * (query.get("dates_are_gmt") != "true")
        found = [order for order in found if order["date_modified_gmt"] + shift > after]
    by = "date_modified_gmt" if query.get("orderby") == "modified" else "date_created_gmt"
    found.sort(key=lambda order: (order[by], order["id"]), reverse=query.get("order", "desc") == "desc")
    pages = -(-len(found) // per_page)
    headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(pages)}
    part = found[(page - 1) * per_page : page * per_page]
    return told([shop.shown_order(order) for order in part], headers=headers)


def _order(shop: Shop, order_id: int) -> web.Response:
    if order_id not in shop.orders:
        return failed("woocommerce_rest_shop_order_invalid_id", "Invalid ID.", 404)
    return told(shop.shown_order(shop.orders[order_id]))


def _change(shop: Shop, order_id: int, asked: Mapping[str, Json]) -> web.Response:
    if order_id not in shop.orders:
        return failed("woocommerce_rest_shop_order_invalid_id", "Invalid ID.", 400)
    order = shop.orders[order_id]
    if asked.get("status", "any") not in _LISTED:
        return failed("rest_invalid_param", "Invalid parameter(s): status", 400)
    for meta in asked.get("meta_data", ()):
        order["meta_data"] = [one for one in order["meta_data"] if one["key"] != meta["key"]]
        order["meta_data"].append({"id": next(shop.ids), **meta})
    if "status" in asked:
        shop.set_status(order["number"], asked["status"])
    order["date_modified_gmt"] = shop.now()
    return _order(shop, order_id)


# Refunds --------------------------------------------------------------------------------------------------------


def _gateway(shop: Shop, method: str) -> web.Response:
    if method not in shop.gateways:
        return failed("woocommerce_rest_payment_gateway_invalid", "Resource does not exist.", 404)
    return told({"id": method, "enabled": True, "method_supports": shop.gateways[method].supports})


async def _refund(shop: Shop, order_id: int, asked: Mapping[str, Json]) -> web.Response:
    if order_id not in shop.orders:
        return failed("woocommerce_rest_invalid_order_id", shop.says("Invalid order ID."), 500, 404)
    order, amount = shop.orders[order_id], Decimal(asked["amount"])
    if amount < 0:
        said = shop.says("Refund amount must be greater than zero.")
        return failed("woocommerce_rest_invalid_order_refund", said, 500, 400)
    remaining = shop.remaining(order)
    await asyncio.sleep(0.01)  # nothing is locked between this reading and the row
    if amount > remaining:
        return _not_made(shop, "Invalid refund amount.")
    kept = shop.keep_refund(order, amount, asked.get("reason") or "")
    if asked.get("api_refund", True):
        said = await _paid_back(shop, order["payment_method"], amount)
        if said:
            shop.refunds[order_id].remove(kept)
            return _not_made(shop, said)
        kept["refunded_payment"] = True
    shop.close_when_refunded(order)
    order["date_modified_gmt"] = shop.now()
    return told(shop.shown_refund(kept), 201)


async def _paid_back(shop: Shop, method: str, amount: Decimal) -> str:
    """Why the gateway does not refund; empty when it did."""
    gateway = shop.gateways.get(method)
    if gateway is None:
        return "The payment gateway for this order does not exist."
    if "refunds" not in gateway.supports:
        return "The payment gateway for this order does not support automatic refunds."
    try:
        if gateway.pays is not None:
            await gateway.pays(amount)
    except Declined as declined:
        return str(declined)
    gateway.paid.append(amount)
    return ""


def _not_made(shop: Shop, message: str) -> web.Response:
    return failed("woocommerce_rest_cannot_create_order_refund", shop.says(message), 500, 500)
