"""The books of a shop on Shopify: orders as a checkout and a merchant make them, and what stands in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

Json = Any

TOKEN = "shpat_0123456789abcdef0123456789abcdef"
SCOPES = (
    "write_orders",
    "read_customers",
    "write_merchant_managed_fulfillment_orders",
    "write_third_party_fulfillment_orders",
)
RATE = Decimal("0.14")
"""What one unit of the buyer's currency is worth in the shop's own, USD."""


def bag(amount: Decimal, currency: str) -> dict[str, Json]:
    """An amount as the buyer saw it and as the shop books it; Shopify writes at least one decimal."""
    shown = f"{amount}" if "." in f"{amount}" else f"{amount}.0"
    return {
        "presentmentMoney": {"amount": shown, "currencyCode": currency},
        "shopMoney": {"amount": f"{amount * RATE:.2f}", "currencyCode": "USD"},
    }


def whole(nodes: Sequence[Json], first: int) -> dict[str, Json]:
    """A connection of the first nodes."""
    return {"nodes": nodes[:first], "pageInfo": {"hasNextPage": len(nodes) > first, "endCursor": None}}


@dataclass
class Shop:
    """Everything that Shopify holds for the shop. `pays`: what its gateway answers to a refund."""

    token: str = TOKEN
    scopes: tuple[str, ...] = SCOPES
    client: tuple[str, str] = ("client-id", "client-secret")
    version: str = "2026-04"
    available: float = 2000.0
    pays: str = "SUCCESS"
    paying: Callable[[], Awaitable[None]] | None = None
    ahead: timedelta = timedelta(0)
    orders: dict[str, dict[str, Json]] = field(default_factory=dict)
    keys: dict[str, tuple[Json, dict[str, Json] | None]] = field(default_factory=dict)
    ids: count[int] = field(default_factory=lambda: count(1001))

    def gid(self, kind: str) -> str:
        """A new id."""
        return f"gid://shopify/{kind}/{next(self.ids)}"

    def now(self) -> datetime:
        """The shop's clock, in whole seconds."""
        return (datetime.now(UTC) + self.ahead).replace(microsecond=0)

    # What people do there ---------------------------------------------------------------------------------------------

    def place(
        self,
        lines: Sequence[tuple[str, int, str]],
        *,
        customer: str | None = "7",
        email: str | None = "ann@example.com",
        currency: str = "CNY",
        shipping: str = "0",
        discount: str = "0",
        tax: str = "0",
        gateway: str = "shopify_payments",
        manual: bool = False,
        captured: bool = True,
        at: datetime | None = None,
    ) -> str:
        """An order of lines (title, quantity, price of a unit); the discount is on the first. Its number."""
        gid, at = self.gid("Order"), at or self.now()
        rows: list[dict[str, Json]] = []
        total = Decimal(shipping) - Decimal(discount)
        for title, quantity, price in lines:
            before = Decimal(price) * quantity
            taxed = (before * Decimal(tax)).quantize(Decimal(price))
            total += before + taxed
            rows.append(
                {
                    "id": self.gid("LineItem"),
                    "title": title,
                    "sku": f"SKU-{title}",
                    "quantity": quantity,
                    "currentQuantity": quantity,
                    "fulfilled": 0,
                    "product": {"id": self.gid("Product")},
                    "originalTotalSet": bag(before, currency),
                    "discountAllocations": [],
                    "taxLines": [{"priceSet": bag(taxed, currency)}] if taxed else [],
                }
            )
        if Decimal(discount):
            rows[0]["discountAllocations"] = [{"allocatedAmountSet": bag(Decimal(discount), currency)}]
        sale = {
            "id": self.gid("OrderTransaction"),
            "kind": "SALE" if captured else "AUTHORIZATION",
            "status": "SUCCESS",
            "gateway": gateway,
            "manualPaymentGateway": manual,
            "amountSet": bag(total, currency),
            "createdAt": at.isoformat(),
            "processedAt": at.isoformat(),
        }
        number = str(next(self.ids))
        self.orders[gid] = {
            "id": gid,
            "name": f"#{number}",
            "email": email,
            "createdAt": at.isoformat(),
            "updatedAt": at.isoformat(),
            "cancelledAt": None,
            "presentmentCurrencyCode": currency,
            "currencyCode": "USD",
            "taxesIncluded": False,
            "customer": None if customer is None else {"id": f"gid://shopify/Customer/{customer}"},
            "totalPriceSet": bag(total, currency),
            "displayFulfillmentStatus": "UNFULFILLED",
            "rows": rows,
            "sales": [sale],
            "paybacks": [],
            "sent": [],
            "waiting": [self._waiting("OPEN", [(row, row["quantity"]) for row in rows], at)],
        }
        return number

    def _waiting(self, status: str, units: Sequence[tuple[Json, int]], at: datetime) -> dict[str, Json]:
        return {
            "id": self.gid("FulfillmentOrder"),
            "status": status,
            "updatedAt": at.isoformat(),
            "assignedLocation": {"location": {"id": "gid://shopify/Location/1"}},
            "fulfillmentHolds": [],
            "units": [
                {
                    "id": self.gid("FulfillmentOrderLineItem"),
                    "remainingQuantity": quantity,
                    "totalQuantity": quantity,
                    "lineItem": row,
                }
                for row, quantity in units
            ],
        }

    def order(self, number: str) -> dict[str, Json]:
        """The order of this number."""
        return next(order for order in self.orders.values() if order["name"] == f"#{number}")

    def touch(self, order: dict[str, Json], at: datetime | None = None) -> None:
        """The order is saved."""
        order["updatedAt"] = (at or self.now()).isoformat()

    def fulfil(
        self, number: str, units: Sequence[tuple[int, int]] = (), *, display: str = "FULFILLED", **more: Json
    ) -> bool:
        """Ship lines (by position) and units, or all; False where a hold, or too few units, forbid it."""
        order = self.order(number)
        wanted = dict(units) or {at: row["currentQuantity"] - row["fulfilled"] for at, row in enumerate(order["rows"])}
        open_units = [
            unit for one in order["waiting"] if one["status"] in ("OPEN", "IN_PROGRESS") for unit in one["units"]
        ]
        for at, quantity in wanted.items():
            mine = [unit for unit in open_units if unit["lineItem"] is order["rows"][at]]
            if sum(unit["remainingQuantity"] for unit in mine) < quantity:
                return False
        for at, quantity in wanted.items():
            order["rows"][at]["fulfilled"] += quantity
            for unit in (unit for unit in open_units if unit["lineItem"] is order["rows"][at]):
                taken = min(quantity, unit["remainingQuantity"])
                unit["remainingQuantity"] -= taken
                quantity -= taken
        now = self.now().isoformat()
        order["sent"].append(
            {
                "id": self.gid("Fulfillment"),
                "status": "SUCCESS",
                "displayStatus": display,
                "createdAt": now,
                "updatedAt": now,
                "deliveredAt": now if display == "DELIVERED" else None,
                "trackingInfo": [{"number": "1Z999", "company": "UPS"}],
                "lines": [{"quantity": units, "lineItem": order["rows"][at]} for at, units in wanted.items()],
                **more,
            }
        )
        self._close(order)
        return True

    def _close(self, order: dict[str, Json]) -> None:
        for one in order["waiting"]:
            if not any(unit["remainingQuantity"] for unit in one["units"]) and one["status"] != "CLOSED":
                one["status"], one["fulfillmentHolds"] = "CLOSED", []
        left = sum(row["currentQuantity"] - row["fulfilled"] for row in order["rows"])
        if order["sent"]:
            order["displayFulfillmentStatus"] = "PARTIALLY_FULFILLED" if left else "FULFILLED"
        self.touch(order)

    def refund_by_hand(self, number: str, amount: str, units: Sequence[tuple[int, int]] = ()) -> None:
        """A refund in the admin that also takes out units (by position)."""
        order = self.order(number)
        for at, quantity in units:
            self.take_out(order, order["rows"][at], quantity)
        self.keep_refund(order, Decimal(amount), "goodwill", order["sales"][0], "SUCCESS")

    # What Shopify does ------------------------------------------------------------------------------------------------

    def take_out(self, order: dict[str, Json], row: dict[str, Json], quantity: int) -> bool:
        """Units that are not fulfilled leave the order, those on hold first; False where there are too few."""
        units = [unit for one in order["waiting"] for unit in one["units"] if unit["lineItem"] is row]
        units.sort(key=lambda unit: not self._is_held(order, unit))
        if sum(unit["remainingQuantity"] for unit in units) < quantity:
            return False
        row["currentQuantity"] -= quantity
        for unit in units:
            taken = min(quantity, unit["remainingQuantity"])
            unit["remainingQuantity"] -= taken
            quantity -= taken
        self._close(order)
        return True

    def _is_held(self, order: Mapping[str, Json], unit: Json) -> bool:
        return any(one["fulfillmentHolds"] and unit in one["units"] for one in order["waiting"])

    def keep_refund(
        self, order: dict[str, Json], amount: Decimal, note: str, parent: Json, status: str
    ) -> dict[str, Json]:
        """A refund with one transaction."""
        now, currency = self.now().isoformat(), order["presentmentCurrencyCode"]
        made = {
            "id": self.gid("Refund"),
            "note": note,
            "createdAt": now,
            "totalRefundedSet": bag(amount, currency),
            "rows": [
                {
                    "id": self.gid("OrderTransaction"),
                    "kind": "REFUND",
                    "status": status,
                    "errorCode": "PROCESSING_ERROR" if status == "FAILURE" else None,
                    "gateway": parent["gateway"],
                    "manualPaymentGateway": parent["manualPaymentGateway"],
                    "amountSet": bag(amount, currency),
                    "createdAt": now,
                    "processedAt": now,
                    "parentTransaction": parent,
                }
            ],
        }
        order["paybacks"].append(made)
        self.touch(order)
        return made

    async def pay(self, status: str = "") -> str:
        """What the gateway answers."""
        await asyncio.sleep(0.01)
        if self.paying is not None:
            await self.paying()
        return status or self.pays

    # What stands there ------------------------------------------------------------------------------------------------

    def refunded(self, number: str) -> list[str]:
        """The amounts of the order's refunds, as the buyer gets them."""
        return [made["totalRefundedSet"]["presentmentMoney"]["amount"] for made in self.order(number)["paybacks"]]

    def held(self, number: str) -> list[int]:
        """The units on hold, by fulfilment order."""
        held = [one for one in self.order(number)["waiting"] if one["fulfillmentHolds"]]
        return [sum(unit["remainingQuantity"] for unit in one["units"]) for one in held]
