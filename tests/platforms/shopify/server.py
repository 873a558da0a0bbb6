"""A shop's Admin API 2026-04 by its documented schema: queries that do not fit it fail, as they do at Shopify.

What is copied from its behaviour: errors of a mutation are in an answer of 200; a refund needs a key, and the same key
is the same refund; a hold splits a fulfilment order, and one on hold is neither fulfilled nor split; a query that costs
more than the bucket holds is not executed. Sources are named in `errors.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web
from graphql import GraphQLResolveInfo, graphql
from graphql.execution.values import get_directive_values

from tests.platforms.shopify.schema import SCHEMA
from tests.platforms.shopify.shop import Json, Shop, whole
from tests.platforms.wire_server import WireServer

COST = 150.0
"""What a query asks of the bucket here; what it used of it is given back in part."""
PAGE_OF_CHANGES = 6
"""Fewer than are asked for, so that a test has pages."""


def serving(shop: Shop) -> WireServer:
    """A server of the shop; its labels are the operations' names, in small letters, and `token`."""

    async def answering(request: web.Request, body: bytes) -> web.Response:
        return await _answer(shop, request, body)

    return WireServer(answering, _label)


def _label(request: web.Request, body: bytes) -> str:
    if request.path.endswith("/access_token"):
        return "token"
    found = re.search(rb"(?:query|mutation) (\w+)", body)
    return found[1].decode().lower() if found else request.path


def told(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in JSON."""
    return web.json_response(body, status=status, headers=headers)


async def _answer(shop: Shop, request: web.Request, body: bytes) -> web.Response:
    if request.path == "/admin/oauth/access_token":
        return _token(shop, json.loads(body))
    if request.path != "/admin/api/2026-04/graphql.json":
        return told({"errors": "Not Found"}, 404)
    if request.headers.get("x-shopify-access-token") != shop.token:
        return told({"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}, 401)
    headers = {"x-shopify-api-version": shop.version}
    throttle = {"maximumAvailable": 2000.0, "currentlyAvailable": shop.available, "restoreRate": 100.0}
    cost: dict[str, Json] = {"requestedQueryCost": COST, "actualQueryCost": 12.0, "throttleStatus": throttle}
    if shop.available < COST:
        errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
        return told({"errors": errors, "extensions": {"cost": {**cost, "actualQueryCost": None}}}, headers=headers)
    asked = json.loads(body)
    done = await graphql(SCHEMA, asked["query"], _root(shop), shop, asked.get("variables"))
    answer: dict[str, Json] = {"data": done.data, "extensions": {"cost": cost}}
    if done.errors:
        answer["errors"] = [
            {"message": error.message, "extensions": error.extensions or {"code": "undefinedField"}}
            for error in done.errors
        ]
    return told(answer, headers=headers)


def _token(shop: Shop, asked: Mapping[str, Json]) -> web.Response:
    """A client credentials grant; each gives a new token."""
    if (asked.get("client_id"), asked.get("client_secret")) != shop.client:
        return told({"error": "application_cannot_be_found"}, 400)
    shop.token = f"shpat_granted_{next(shop.ids)}"
    return told({"access_token": shop.token, "scope": ",".join(shop.scopes), "expires_in": 86399})


class Denied(Exception):
    """A scope is missing."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.extensions = {"code": "ACCESS_DENIED"}


def _root(shop: Shop) -> dict[str, Any]:
    return {
        "shop": {"name": "My shop"},
        "currentAppInstallation": {"accessScopes": [{"handle": scope} for scope in shop.scopes]},
        "order": lambda info, **asked: _shown(shop.orders[asked["id"]]) if asked["id"] in shop.orders else None,
        "orders": lambda info, **asked: _listed(shop, asked),
        "fulfillmentOrderHold": lambda info, **asked: _hold(shop, asked["id"], asked["fulfillmentHold"]),
        "refundCreate": lambda info, **asked: _refund(shop, info, asked["input"]),
    }


# Reading ----------------------------------------------------------------------------------------------------------


def _listed(shop: Shop, asked: Mapping[str, Json]) -> dict[str, Json]:
    query, after = asked.get("query"), asked.get("after")
    found = list(shop.orders.values())
    if named := re.fullmatch(r'name:"(.*)"', query or ""):
        found = [order for order in found if named[1] in order["name"]]
    if since := re.fullmatch(r"updated_at:>='(.*)'", query or ""):
        moment = datetime.fromisoformat(since[1])
        found = [order for order in found if datetime.fromisoformat(order["updatedAt"]) >= moment]
    assert asked["sortKey"] == "UPDATED_AT" or named, "by the time of the last change"
    found.sort(key=_place)
    if after is not None:
        found = [order for order in found if _place(order) > tuple(json.loads(after))]
    part = found[: min(asked["first"], PAGE_OF_CHANGES)]
    end = json.dumps(_place(part[-1])) if part else None
    return {
        "nodes": [_shown(order) for order in part],
        "pageInfo": {"hasNextPage": len(found) > len(part), "endCursor": end},
    }


def _place(order: Mapping[str, Json]) -> tuple[str, str]:
    return order["updatedAt"], order["id"]


def _shown(order: Mapping[str, Json]) -> dict[str, Json]:
    """With the lists that are asked for by `first`."""
    return {
        **order,
        "lineItems": lambda info, first: whole(order["rows"], first),
        "transactions": lambda info, first: order["sales"][:first],
        "refunds": lambda info, first: [_shown_refund(made) for made in order["paybacks"][:first]],
        "fulfillments": lambda info, first: [_shown_sent(sent) for sent in order["sent"][:first]],
        "fulfillmentOrders": lambda info, first: whole([_shown_waiting(one) for one in order["waiting"]], first),
    }


def _shown_refund(made: Mapping[str, Json]) -> dict[str, Json]:
    return {**made, "transactions": lambda info, first: {"nodes": made["rows"][:first]}}


def _shown_sent(sent: Mapping[str, Json]) -> dict[str, Json]:
    return {**sent, "fulfillmentLineItems": lambda info, first: whole(sent["lines"], first)}


def _shown_waiting(one: Mapping[str, Json]) -> dict[str, Json]:
    return {**one, "lineItems": lambda info, first: whole(one["units"], first)}


# Holding ----------------------------------------------------------------------------------------------------------


def _hold(shop: Shop, gid: str, details: Mapping[str, Json]) -> dict[str, Json]:
    if "write_merchant_managed_fulfillment_orders" not in shop.scopes:
        raise Denied("Access denied for fulfillmentOrderHold field.")
    found = [(order, one) for order in shop.orders.values() for one in order["waiting"] if one["id"] == gid]
    if not found:
        return _not_held("FULFILLMENT_ORDER_NOT_FOUND", "Fulfillment order does not exist.")
    order, one = found[0]
    wanted = {row["id"]: row["quantity"] for row in details.get("fulfillmentOrderLineItems") or ()}
    handle = details.get("handle") or ""
    if len(handle) > 64 or any(hold["handle"] == handle for hold in one["fulfillmentHolds"]):
        return _not_held("DUPLICATE_FULFILLMENT_HOLD_HANDLE", "The handle is already in use by this app.")
    if wanted and one["fulfillmentHolds"]:
        return _not_held("FULFILLMENT_ORDER_NOT_SPLITTABLE", "The fulfillment order is not in a splittable state.")
    if any(wanted.get(unit["id"], 0) > unit["remainingQuantity"] for unit in one["units"]):
        return _not_held("INVALID_LINE_ITEM_QUANTITY", "The line item quantity is invalid.")
    if wanted:
        _split(shop, order, one, wanted)
    hold = {"id": shop.gid("FulfillmentHold"), "handle": handle, "heldByRequestingApp": True, **details}
    one["fulfillmentHolds"].append(hold)
    one["status"] = "ON_HOLD"
    shop.touch(order)
    return {"fulfillmentHold": hold, "fulfillmentOrder": _shown_waiting(one), "userErrors": []}


def _split(shop: Shop, order: dict[str, Json], one: dict[str, Json], wanted: Mapping[str, int]) -> None:
    """What is not wanted goes on in a fulfilment order of its own."""
    rest = [(unit["lineItem"], unit["remainingQuantity"] - wanted.get(unit["id"], 0)) for unit in one["units"]]
    rest = [(row, quantity) for row, quantity in rest if quantity]
    one["units"] = [unit for unit in one["units"] if unit["id"] in wanted]
    for unit in one["units"]:
        unit["remainingQuantity"] = unit["totalQuantity"] = wanted[unit["id"]]
    if rest:
        order["waiting"].append(shop._waiting("OPEN", rest, shop.now()))


def _not_held(code: str, message: str) -> dict[str, Json]:
    return {"fulfillmentHold": None, "userErrors": [{"code": code, "field": ["id"], "message": message}]}


# Paying back ------------------------------------------------------------------------------------------------------


async def _refund(shop: Shop, info: GraphQLResolveInfo[Any], asked: Mapping[str, Json]) -> dict[str, Json]:
    if "write_orders" not in shop.scopes:
        raise Denied("Access denied for refundCreate field. Required access: `write_orders` access scope.")
    directive = SCHEMA.get_directive("idempotent")
    assert directive is not None
    told_key = get_directive_values(directive, info.field_nodes[0], info.variable_values)
    if not told_key:
        return _not_made("The @idempotent directive is required for this mutation but was not provided.")
    key = str(told_key["key"])
    if key in shop.keys:
        before, made = shop.keys[key]
        if before != asked:
            return _not_made("The same idempotency key cannot be used with different operation parameters.")
        if made is None:
            return _not_made("This request is currently in progress, please try again.")
        return {"refund": _shown_refund(made), "userErrors": []}
    order = shop.orders.get(asked["orderId"])
    if order is None:
        return _not_made("Order does not exist", "orderId")
    shop.keys[key] = (asked, None)
    done = await _paid_back(shop, order, asked)
    if done["refund"] is None:
        del shop.keys[key]  # a request that was refused may come again
        return done
    shop.keys[key] = (asked, order["paybacks"][-1])
    return done


async def _paid_back(shop: Shop, order: dict[str, Json], asked: Mapping[str, Json]) -> dict[str, Json]:
    if asked.get("currency") != order["presentmentCurrencyCode"]:
        return _not_made("Currency must be the presentment currency", "currency")
    (row,) = asked["transactions"]
    parent = next((one for one in order["sales"] if one["id"] == row["parentId"]), None)
    if parent is None or parent["gateway"] != row["gateway"]:
        return _not_made("Transactions gateway is not the one of its parent", "transactions")
    amount, paid = Decimal(row["amount"]), Decimal(parent["amountSet"]["presentmentMoney"]["amount"])
    gone = sum((Decimal(text) for text in shop.refunded(order["name"][1:])), Decimal(0))
    if not 0 < amount <= paid - gone:
        return _not_made("Refund amount must be less than or equal to what is refundable", "transactions")
    removed = asked.get("refundLineItems") or ()
    for unit in removed:
        line = next(one for one in order["rows"] if one["id"] == unit["lineItemId"])
        assert unit["restockType"] == "CANCEL" and unit["locationId"]
        if unit["quantity"] > line["currentQuantity"] - line["fulfilled"]:
            return _not_made("Refund line items quantity cannot be more than what is unfulfilled", "refundLineItems")
    status = await shop.pay("SUCCESS" if parent["manualPaymentGateway"] else "")
    for unit in removed:
        line = next(one for one in order["rows"] if one["id"] == unit["lineItemId"])
        shop.take_out(order, line, unit["quantity"])
    made = shop.keep_refund(order, amount, asked.get("note") or "", parent, status)
    return {"refund": _shown_refund(made), "userErrors": []}


def _not_made(message: str, *path: str) -> dict[str, Json]:
    return {"refund": None, "userErrors": [{"field": list(path) or None, "message": message}]}
