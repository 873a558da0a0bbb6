"""A shop on a running Vendure: set up by its admin API, with buyers on its shop API, and its books to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

Json = Any
"""What a GraphQL call answers; the tests take from it what they need."""

PERMISSIONS = ("ReadOrder", "UpdateOrder", "ReadCustomer")


@dataclass(frozen=True)
class Vendure:
    """A running Vendure. `token` is the key that Jitui gets; `admin` the session of a person in its admin."""

    url: str
    token: str
    admin: str
    variants: Mapping[str, str]
    shipping_method: str


class VendureError(AssertionError):
    """Vendure answered with an error; most tests do not expect one."""


async def call(url: str, query: str, variables: Mapping[str, Json] | None = None, *, session: str = "") -> Json:
    """The data of a GraphQL call; fails the test on an error."""
    return (await _post(url, query, variables or {}, session))[0]


async def _post(url: str, query: str, variables: Mapping[str, Json], session: str) -> tuple[Json, str]:
    headers = {"authorization": f"Bearer {session}"} if session else {}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(url, json={"query": query, "variables": variables}, headers=headers)
    told = answer.json()
    if told.get("errors"):
        raise VendureError(told["errors"])
    return told["data"], answer.headers.get("vendure-auth-token", session)


# Set-up -----------------------------------------------------------------------------------------------------------


async def set_up(url: str, password: str) -> Vendure:
    """A channel in CNY with tax, shipping, two payment methods, two products, and a key with the rights Jitui needs."""
    sign_in = 'mutation ($p: String!) { login(username: "superadmin", password: $p) { __typename } }'
    _, admin = await _post(f"{url}/admin-api", sign_in, {"p": password}, "")

    async def do(query: str, **variables: Json) -> Json:
        return await call(f"{url}/admin-api", query, variables, session=admin)

    zone = await _zone_of(do)
    channel = (await do("{ activeChannel { id } }"))["activeChannel"]["id"]
    changed = {
        "id": channel,
        "defaultCurrencyCode": "CNY",
        "availableCurrencyCodes": ["CNY"],
        "pricesIncludeTax": True,
        "defaultTaxZoneId": zone,
        "defaultShippingZoneId": zone,
    }
    await do("mutation ($i: UpdateChannelInput!) { updateChannel(input: $i) { __typename } }", i=changed)
    method = await _shipping_method(do)
    for code, handler, arguments in (
        ("by-hand", "dummy-payment-handler", [{"name": "automaticSettle", "value": "true"}]),
        ("gateway", "instant", []),
    ):
        made = {
            "code": code,
            "enabled": True,
            "handler": {"code": handler, "arguments": arguments},
            "translations": [{"languageCode": "en", "name": code, "description": ""}],
        }
        await do("mutation ($i: CreatePaymentMethodInput!) { createPaymentMethod(input: $i) { id } }", i=made)
    variants = {sku: await _variant(do, sku, price) for sku, price in (("cup", 3990), ("plate", 6000))}
    return Vendure(url, await _key(do), admin, variants, method)


async def _zone_of(do: Any) -> str:
    country = await do(
        "mutation ($i: CreateCountryInput!) { createCountry(input: $i) { id } }",
        i={"code": "CN", "enabled": True, "translations": [{"languageCode": "en", "name": "China"}]},
    )
    zone = await do(
        "mutation ($i: CreateZoneInput!) { createZone(input: $i) { id } }",
        i={"name": "China", "memberIds": [country["createCountry"]["id"]]},
    )
    found: str = zone["createZone"]["id"]
    tax = await do(
        "mutation ($i: CreateTaxCategoryInput!) { createTaxCategory(input: $i) { id } }",
        i={"name": "Standard", "isDefault": True},
    )
    rate = {
        "name": "Standard",
        "enabled": True,
        "value": 13,
        "categoryId": tax["createTaxCategory"]["id"],
        "zoneId": found,
    }
    await do("mutation ($i: CreateTaxRateInput!) { createTaxRate(input: $i) { id } }", i=rate)
    return found


async def _shipping_method(do: Any) -> str:
    made = {
        "code": "standard",
        "fulfillmentHandler": "manual-fulfillment",
        "checker": {
            "code": "default-shipping-eligibility-checker",
            "arguments": [{"name": "orderMinimum", "value": "0"}],
        },
        "calculator": {
            "code": "default-shipping-calculator",
            "arguments": [
                {"name": "rate", "value": "500"},
                {"name": "includesTax", "value": "include"},
                {"name": "taxRate", "value": "0"},
            ],
        },
        "translations": [{"languageCode": "en", "name": "Standard", "description": ""}],
    }
    told = await do("mutation ($i: CreateShippingMethodInput!) { createShippingMethod(input: $i) { id } }", i=made)
    method: str = told["createShippingMethod"]["id"]
    return method


async def _variant(do: Any, sku: str, price: int) -> str:
    named = {"languageCode": "en", "name": sku}
    told = await do(
        "mutation ($i: CreateProductInput!) { createProduct(input: $i) { id } }",
        i={"enabled": True, "translations": [{**named, "slug": sku, "description": ""}]},
    )
    made = {
        "productId": told["createProduct"]["id"],
        "sku": sku,
        "price": price,
        "stockOnHand": 1_000_000,
        "translations": [named],
    }
    told = await do(
        "mutation ($i: [CreateProductVariantInput!]!) { createProductVariants(input: $i) { id } }", i=[made]
    )
    variant: str = told["createProductVariants"][0]["id"]
    return variant


async def _key(do: Any) -> str:
    role = await do(
        "mutation ($i: CreateRoleInput!) { createRole(input: $i) { id } }",
        i={"code": "jitui", "description": "Jitui", "permissions": list(PERMISSIONS)},
    )
    made = {
        "roleIds": [role["createRole"]["id"]],
        "translations": [{"languageCode": "en", "name": "Jitui"}],
    }
    told = await do("mutation ($i: CreateApiKeyInput!) { createApiKey(input: $i) { apiKey } }", i=made)
    key: str = told["createApiKey"]["apiKey"]
    return key


# A buyer ----------------------------------------------------------------------------------------------------------


async def place(
    vendure: Vendure, who: str, items: Sequence[tuple[str, int]] = (("cup", 1),), *, method: str = "gateway"
) -> str:
    """A guest places an order and pays it; returns the order's code."""
    url, session = f"{vendure.url}/shop-api", ""

    async def do(query: str, **variables: Json) -> Json:
        nonlocal session
        data, session = await _post(url, query, variables, session)
        return data

    for sku, quantity in items:
        add = "mutation ($v: ID!, $q: Int!) { addItemToOrder(productVariantId: $v, quantity: $q) { __typename } }"
        told = await do(add, v=vendure.variants[sku], q=quantity)
        assert told["addItemToOrder"]["__typename"] == "Order", told
    buyer = {"firstName": who, "lastName": "Li", "emailAddress": f"{who}@example.com"}
    await do("mutation ($i: CreateCustomerInput!) { setCustomerForOrder(input: $i) { __typename } }", i=buyer)
    address = {"streetLine1": "1 Long Road", "countryCode": "CN", "city": "Hangzhou", "postalCode": "310000"}
    await do("mutation ($i: CreateAddressInput!) { setOrderShippingAddress(input: $i) { __typename } }", i=address)
    await do(
        "mutation ($m: [ID!]!) { setOrderShippingMethod(shippingMethodId: $m) { __typename } }",
        m=[vendure.shipping_method],
    )
    await do('mutation { transitionOrderToState(state: "ArrangingPayment") { __typename } }')
    paid = await do(
        "mutation ($i: PaymentInput!) { addPaymentToOrder(input: $i) { __typename ... on Order { code state } } }",
        i={"method": method, "metadata": {}},
    )
    assert paid["addPaymentToOrder"]["__typename"] == "Order", paid
    code: str = paid["addPaymentToOrder"]["code"]
    return code


AMOUNT_ALONE = {"lines": [], "shipping": 0, "adjustment": 0}
"""Vendure 3.7.3 calls these deprecated, and breaks on a refund without them after its payment handler has paid."""

# A person in its admin --------------------------------------------------------------------------------------------

BOOKS = """
query ($code: String!) { orders(options: { filter: { code: { eq: $code } } }) { items {
  id code state updatedAt totalWithTax
  lines { id quantity orderPlacedQuantity productVariant { sku } }
  payments { id amount state refunds { id total state reason transactionId } }
  fulfillments { id state trackingCode lines { orderLineId quantity } }
} } }
"""


async def admin(vendure: Vendure, query: str, **variables: Json) -> Json:
    """What somebody does in Vendure's admin."""
    return await call(f"{vendure.url}/admin-api", query, variables, session=vendure.admin)


async def books(vendure: Vendure, code: str) -> Json:
    """The order as Vendure has it."""
    return (await admin(vendure, BOOKS, code=code))["orders"]["items"][0]


def refunds_in(order: Json) -> list[Json]:
    """Every refund of the order that did not fail."""
    return [one for paid in order["payments"] for one in paid["refunds"] if one["state"] != "Failed"]


def shipped_in(order: Json) -> bool:
    """Whether goods of it have left, for all Vendure knows."""
    return any(one["state"] in ("Shipped", "Delivered") for one in order["fulfillments"])


async def fulfil(vendure: Vendure, code: str, tracking: str = "SF100", *, to: str = "Shipped") -> tuple[str, str]:
    """Ship every line as somebody in the admin does; what the two steps answered."""
    order = await books(vendure, code)
    made = {
        "lines": [{"orderLineId": line["id"], "quantity": line["orderPlacedQuantity"]} for line in order["lines"]],
        "handler": {
            "code": "manual-fulfillment",
            "arguments": [{"name": "method", "value": "SF"}, {"name": "trackingCode", "value": tracking}],
        },
    }
    told = await admin(
        vendure,
        "mutation ($i: FulfillOrderInput!) { addFulfillmentToOrder(input: $i) { __typename ... on Fulfillment { id } "
        "... on ErrorResult { message } } }",
        i=made,
    )
    first = told["addFulfillmentToOrder"]
    if "id" not in first:
        return first["__typename"], ""
    told = await admin(
        vendure,
        "mutation ($id: ID!, $to: String!) { transitionFulfillmentToState(id: $id, state: $to) { __typename "
        "... on FulfillmentStateTransitionError { transitionError } } }",
        id=first["id"],
        to=to,
    )
    return first["__typename"], told["transitionFulfillmentToState"]["__typename"]


async def refund_by_hand(
    vendure: Vendure, code: str, amount: int, *, cancel: Sequence[tuple[int, int]] = (), reason: str = "goodwill"
) -> None:
    """Cancel units of lines, by their place, and refund an amount, in Vendure's admin."""
    order = await books(vendure, code)
    if cancel:
        lines = [{"orderLineId": order["lines"][place]["id"], "quantity": count} for place, count in cancel]
        await admin(
            vendure,
            "mutation ($i: CancelOrderInput!) { cancelOrder(input: $i) { __typename } }",
            i={"orderId": order["id"], "lines": lines, "reason": reason},
        )
    told = await admin(
        vendure,
        "mutation ($i: RefundOrderInput!) { refundOrder(input: $i) { __typename } }",
        i={**AMOUNT_ALONE, "paymentId": order["payments"][0]["id"], "amount": amount, "reason": reason},
    )
    assert told["refundOrder"]["__typename"] == "Refund", told
