"""A shop on a running Medusa: set up by its admin interface, with buyers on its store interface, and its books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

Json = Any
"""What a call answers; the tests take from it what they need."""

EMAIL = "boss@example.com"
SYSTEM, GATEWAY = "pp_system_default", "pp_gateway_tests"
"""Medusa's own payment provider, which does nothing, and that of `gateway.js`."""


@dataclass(frozen=True)
class Medusa:
    """A running Medusa. `token` is the key that Jitui gets; `session` that of a person in its admin."""

    url: str
    token: str
    session: str
    store_key: str
    region: str
    location: str
    shipping_option: str
    variants: Mapping[str, str]


async def call(method: str, url: str, body: Json = None, **headers: str) -> tuple[int, Json]:
    """The status and what was answered."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.request(method, url, json=body, headers=named)
    return answer.status_code, answer.json() if answer.content else None


async def done(method: str, url: str, body: Json = None, **headers: str) -> Json:
    """What a call answers that must succeed."""
    status, told = await call(method, url, body, **headers)
    assert status in (200, 201), (method, url, status, told)
    return told


# Set-up -----------------------------------------------------------------------------------------------------------


async def set_up(url: str, password: str) -> Medusa:
    """A region in CNY with tax and shipping, three products of which one's stock is not managed, and a secret key."""
    signed_in = await done("POST", f"{url}/auth/user/emailpass", {"email": EMAIL, "password": password})
    session: str = signed_in["token"]

    async def make(path: str, body: Json, named: str) -> str:
        told = await done("POST", f"{url}/admin/{path}", body, authorization=f"Bearer {session}")
        made: str = told[named]["id"] if named else ""
        return made

    region = {"name": "China", "currency_code": "cny", "countries": ["cn"], "payment_providers": [SYSTEM, GATEWAY]}
    region_id = await make("regions", {**region, "is_tax_inclusive": True}, "region")
    rate = {"name": "Standard", "code": "standard", "rate": 13}
    await make(
        "tax-regions", {"country_code": "cn", "provider_id": "tp_system", "default_tax_rate": rate}, "tax_region"
    )
    await make("price-preferences", {"attribute": "currency_code", "value": "cny", "is_tax_inclusive": True}, "")
    channel = await make("sales-channels", {"name": "Web"}, "sales_channel")
    location = await make(
        "stock-locations", {"name": "Hangzhou", "address": {"address_1": "1", "country_code": "cn"}}, "stock_location"
    )
    await make(f"stock-locations/{location}/sales-channels", {"add": [channel]}, "stock_location")
    await make(f"stock-locations/{location}/fulfillment-providers", {"add": ["manual_manual"]}, "stock_location")
    profile = await make("shipping-profiles", {"name": "Parcels", "type": "parcels"}, "shipping_profile")
    option = await _shipping_option(url, session, location, profile)
    variants = {}
    for sku, price, managed in (("cup", 39.9, True), ("plate", 60, True), ("card", 10, False)):
        variants[sku] = await _variant(url, session, (channel, profile, location), sku, price, managed)
    store = {"title": "Store", "type": "publishable"}
    told = await done("POST", f"{url}/admin/api-keys", store, authorization=f"Bearer {session}")
    store_key = told["api_key"]["token"]
    await make(f"api-keys/{told['api_key']['id']}/sales-channels", {"add": [channel]}, "api_key")
    told = await done(
        "POST", f"{url}/admin/api-keys", {"title": "Jitui", "type": "secret"}, authorization=f"Bearer {session}"
    )
    return Medusa(url, told["api_key"]["token"], session, store_key, region_id, location, option, variants)


async def _shipping_option(url: str, session: str, location: str, profile: str) -> str:
    auth = f"Bearer {session}"
    told = await done(
        "POST",
        f"{url}/admin/stock-locations/{location}/fulfillment-sets?fields=*fulfillment_sets",
        {"name": "Parcels", "type": "shipping"},
        authorization=auth,
    )
    parcels = told["stock_location"]["fulfillment_sets"][0]["id"]
    zone = {"name": "China", "geo_zones": [{"type": "country", "country_code": "cn"}]}
    told = await done("POST", f"{url}/admin/fulfillment-sets/{parcels}/service-zones", zone, authorization=auth)
    made = {
        "name": "Standard",
        "service_zone_id": told["fulfillment_set"]["service_zones"][0]["id"],
        "shipping_profile_id": profile,
        "provider_id": "manual_manual",
        "price_type": "flat",
        "type": {"label": "Standard", "description": "Standard", "code": "standard"},
        "prices": [{"currency_code": "cny", "amount": 5}],
    }
    told = await done("POST", f"{url}/admin/shipping-options", made, authorization=auth)
    option: str = told["shipping_option"]["id"]
    return option


async def _variant(url: str, session: str, at: tuple[str, str, str], sku: str, price: float, managed: bool) -> str:
    auth, (channel, profile, location) = f"Bearer {session}", at
    made = {
        "title": sku,
        "status": "published",
        "shipping_profile_id": profile,
        "sales_channels": [{"id": channel}],
        "options": [{"title": "Kind", "values": ["one"]}],
        "variants": [
            {
                "title": sku,
                "sku": sku,
                "manage_inventory": managed,
                "options": {"Kind": "one"},
                "prices": [{"currency_code": "cny", "amount": price}],
            }
        ],
    }
    told = await done("POST", f"{url}/admin/products", made, authorization=auth)
    variant: str = told["product"]["variants"][0]["id"]
    if managed:
        found = await done("GET", f"{url}/admin/inventory-items?sku={sku}", authorization=auth)
        item = found["inventory_items"][0]["id"]
        level = {"location_id": location, "stocked_quantity": 1_000_000}
        await done("POST", f"{url}/admin/inventory-items/{item}/location-levels", level, authorization=auth)
    return variant


# A buyer ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bought:
    """An order: the number that its buyer knows, and the id that Medusa's calls want."""

    number: str
    there: str


async def place(
    medusa: Medusa,
    who: str,
    items: Sequence[tuple[str, int]] = (("cup", 1),),
    *,
    provider: str = SYSTEM,
    captured: bool = True,
) -> Bought:
    """A guest places an order and pays it; somebody captures the payment."""
    url, key = f"{medusa.url}/store", {"x_publishable_api_key": medusa.store_key}
    address = {"first_name": who, "last_name": "Li", "address_1": "1 Long Road", "city": "Hangzhou"}
    cart = {
        "region_id": medusa.region,
        "email": f"{who}@example.com",
        "shipping_address": {**address, "country_code": "cn", "postal_code": "310000"},
        "items": [{"variant_id": medusa.variants[sku], "quantity": quantity} for sku, quantity in items],
    }
    made = (await done("POST", f"{url}/carts", cart, **key))["cart"]["id"]
    await done("POST", f"{url}/carts/{made}/shipping-methods", {"option_id": medusa.shipping_option}, **key)
    collection = await done("POST", f"{url}/payment-collections", {"cart_id": made}, **key)
    sessions = f"{url}/payment-collections/{collection['payment_collection']['id']}/payment-sessions"
    await done("POST", sessions, {"provider_id": provider}, **key)
    told = await done("POST", f"{url}/carts/{made}/complete", **key)
    assert told["type"] == "order", told
    bought = Bought(str(told["order"]["display_id"]), told["order"]["id"])
    if captured:
        await capture(medusa, bought)
    return bought


# A person in its admin --------------------------------------------------------------------------------------------

_FIELDS = "fields=%2Bcustomer_id,%2Bfulfillment_status,*fulfillments,*fulfillments.items,*transactions"


async def admin(medusa: Medusa, method: str, path: str, body: Json = None) -> Json:
    """What somebody does in Medusa's admin; fails the test when it is refused."""
    return await done(method, f"{medusa.url}/admin/{path}", body, authorization=f"Bearer {medusa.session}")


async def tried(medusa: Medusa, method: str, path: str, body: Json = None) -> tuple[int, str]:
    """What somebody tries in Medusa's admin: the status, and Medusa's words where it refuses."""
    status, told = await call(method, f"{medusa.url}/admin/{path}", body, authorization=f"Bearer {medusa.session}")
    return status, "" if status == 200 else str(told.get("message", told))


async def books(medusa: Medusa, bought: Bought) -> Json:
    """The order as Medusa has it."""
    return (await admin(medusa, "GET", f"orders/{bought.there}?{_FIELDS}"))["order"]


def left_in(order: Json) -> dict[str, int]:
    """By product, the units that are left in the order."""
    return {item["variant_sku"]: item["quantity"] for item in order["items"]}


def lines_in(order: Json) -> dict[str, str]:
    """By product, the line."""
    return {item["variant_sku"]: item["id"] for item in order["items"]}


def payment_in(order: Json) -> Json:
    """The order's one payment."""
    return order["payment_collections"][0]["payments"][0]


def refunds_in(order: Json) -> list[tuple[float, str | None]]:
    """Every refund of the order: its amount, and its note."""
    paid = [payment for one in order["payment_collections"] for payment in one["payments"]]
    return [(refund["amount"], refund["note"]) for payment in paid for refund in payment["refunds"]]


def sent_in(order: Json) -> int:
    """How many fulfilments the order has that are not cancelled."""
    return sum(one["canceled_at"] is None for one in order["fulfillments"])


async def capture(medusa: Medusa, bought: Bought, amount: float | None = None) -> None:
    """Take the money of the order's payment, or a part of it."""
    body = {} if amount is None else {"amount": amount}
    await admin(medusa, "POST", f"payments/{payment_in(await books(medusa, bought))['id']}/capture", body)


async def fulfil(medusa: Medusa, bought: Bought, lines: Mapping[str, int]) -> tuple[int, str]:
    """Try to pack units of lines."""
    items = [{"id": line_id, "quantity": quantity} for line_id, quantity in lines.items()]
    body = {"items": items, "location_id": medusa.location}
    return await tried(medusa, "POST", f"orders/{bought.there}/fulfillments", body)


async def pack(medusa: Medusa, bought: Bought) -> tuple[int, str]:
    """Try to pack everything that is left."""
    order = await books(medusa, bought)
    return await fulfil(medusa, bought, {item["id"]: item["quantity"] for item in order["items"]})


async def ship(medusa: Medusa, bought: Bought, tracking: str = "SF100", *, delivered: bool = False) -> None:
    """Send what is packed, and let it arrive."""
    for sent in (await books(medusa, bought))["fulfillments"]:
        path = f"orders/{bought.there}/fulfillments/{sent['id']}"
        items = [{"id": item["line_item_id"], "quantity": item["quantity"]} for item in sent["items"]]
        label = {"tracking_number": tracking, "tracking_url": "", "label_url": ""}
        await admin(medusa, "POST", f"{path}/shipments", {"items": items, "labels": [label]})
        if delivered:
            await admin(medusa, "POST", f"{path}/mark-as-delivered", {})


async def edit(medusa: Medusa, bought: Bought, left: Mapping[str, int], note: str = "by hand") -> None:
    """Change the quantities of lines, as somebody does in the admin."""
    await admin(medusa, "POST", "order-edits", {"order_id": bought.there, "internal_note": note})
    for line_id, quantity in left.items():
        await admin(medusa, "POST", f"order-edits/{bought.there}/items/item/{line_id}", {"quantity": quantity})
    await admin(medusa, "POST", f"order-edits/{bought.there}/confirm")


async def refund_by_hand(medusa: Medusa, bought: Bought, amount: float, note: str = "goodwill") -> tuple[int, str]:
    """Try to refund an amount."""
    payment = payment_in(await books(medusa, bought))["id"]
    return await tried(medusa, "POST", f"payments/{payment}/refund", {"amount": amount, "note": note})
