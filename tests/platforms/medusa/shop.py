"""A shop on a running Medusa: set up by its admin interface, with buyers on its store interface, and its books."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

Json = Any
"""What a call answers; the tests take from it what they need."""

EMAIL = "boss@example.com"


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

    region = {"name": "China", "currency_code": "cny", "countries": ["cn"], "payment_providers": ["pp_system_default"]}
    region_id = await make("regions", {**region, "is_tax_inclusive": True}, "region")
    rate = {"name": "Standard", "code": "standard", "rate": 13}
    await make("tax-regions", {"country_code": "cn", "provider_id": "tp_system", "default_tax_rate": rate}, "tax_region")
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


async def _variant(
    url: str, session: str, at: tuple[str, str, str], sku: str, price: float, managed: bool
) -> str:
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


async def place(medusa: Medusa, who: str, items: Sequence[tuple[str, int]] = (("cup", 1),)) -> str:
    """A guest places an order and pays it; somebody captures the payment. Returns the order's number."""
    url, key = f"{medusa.url}/store", {"x_publishable_api_key": medusa.store_key}
    address = {"first_name": who, "last_name": "Li", "address_1": "1 Long Road", "city": "Hangzhou"}
    address |= {"country_code": "cn", "postal_code": "310000"}
    cart = {
        "region_id": medusa.region,
        "email": f"{who}@example.com",
        "shipping_address": address,
        "items": [{"variant_id": medusa.variants[sku], "quantity": quantity} for sku, quantity in items],
    }
    made = (await done("POST", f"{url}/carts", cart, **key))["cart"]["id"]
    await done("POST", f"{url}/carts/{made}/shipping-methods", {"option_id": medusa.shipping_option}, **key)
    collection = await done("POST", f"{url}/payment-collections", {"cart_id": made}, **key)
    sessions = f"{url}/payment-collections/{collection['payment_collection']['id']}/payment-sessions"
    await done("POST", sessions, {"provider_id": "pp_system_default"}, **key)
    told = await done("POST", f"{url}/carts/{made}/complete", **key)
    assert told["type"] == "order", told
    order = (await admin(medusa, "GET", f"orders/{told['order']['id']}"))["order"]
    for collection in order["payment_collections"]:
        for payment in collection["payments"]:
            await admin(medusa, "POST", f"payments/{payment['id']}/capture", {})
    return str(order["id"])


async def admin(medusa: Medusa, method: str, path: str, body: Json = None) -> Json:
    """What somebody does in Medusa's admin; fails the test when it is refused."""
    return await done(method, f"{medusa.url}/admin/{path}", body, authorization=f"Bearer {medusa.session}")
