"""The books of a shop on WooCommerce: orders as a person and a checkout make them, and what stands in them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

Json = Any

KEY, SECRET = "ck_0123456789abcdef0123456789abcdef01234567", "cs_89abcdef0123456789abcdef0123456789abcdef"
UNPAID = frozenset({"pending", "failed", "checkout-draft", "on-hold"})


@dataclass
class ApiKey:
    """A key: what it may, and whether its user is a shop manager."""

    secret: str
    permissions: str = "read_write"
    manager: bool = True


@dataclass
class Gateway:
    """A payment gateway. `pays`: called before it answers; it may raise Declined."""

    supports: tuple[str, ...] = ("products", "refunds")
    pays: Callable[[Decimal], Awaitable[None]] | None = None
    paid: list[Decimal] = field(default_factory=list)


class Declined(Exception):
    """What a gateway says when it does not refund."""


@dataclass
class Shop:
    """Everything that the database of the shop holds. `ahead`: how far its clock is before ours."""

    keys: dict[str, ApiKey] = field(default_factory=lambda: {KEY: ApiKey(SECRET)})
    gateways: dict[str, Gateway] = field(default_factory=lambda: {"card": Gateway(), "bacs": Gateway(("products",))})
    orders: dict[int, dict[str, Json]] = field(default_factory=dict)
    refunds: dict[int, list[dict[str, Json]]] = field(default_factory=dict)
    fulfilments: dict[int, list[dict[str, Json]]] = field(default_factory=dict)
    notes: dict[int, list[str]] = field(default_factory=dict)
    tells_shipments: bool = True
    over_tls: bool = True
    decimals: int = 2
    ahead: timedelta = timedelta(0)
    language: Mapping[str, str] = field(default_factory=dict)
    ids: count[int] = field(default_factory=lambda: count(311))

    def now(self) -> datetime:
        """The shop's clock, in whole seconds."""
        return (datetime.now(UTC) + self.ahead).replace(microsecond=0)

    def says(self, message: str) -> str:
        """A message in the language of the shop."""
        return self.language.get(message, message)

    def amount(self, value: Decimal) -> str:
        """As the shop writes amounts."""
        return f"{value:.{self.decimals}f}"

    # What people do there ---------------------------------------------------------------------------------------------

    def place(
        self,
        lines: Sequence[tuple[str, int, str]],
        *,
        customer_id: int = 7,
        email: str = "ann@example.com",
        status: str = "processing",
        currency: str = "CNY",
        shipping: str = "0",
        fee: str = "0",
        tax: str = "0",
        method: str = "card",
        at: datetime | None = None,
        number: str = "",
    ) -> str:
        """An order of lines (name, quantity, price of a unit after discounts and without tax); its number."""
        order_id, at = next(self.ids), at or self.now()
        rate = Decimal(tax)
        rows: list[dict[str, Json]] = []
        for name, quantity, price in lines:
            total = Decimal(price) * quantity
            rows.append(
                {
                    "id": next(self.ids),
                    "name": name,
                    "product_id": 90 + len(rows),
                    "variation_id": 0,
                    "quantity": quantity,
                    "subtotal": self.amount(total),
                    "total": self.amount(total),
                    "total_tax": self.amount(total * rate),
                    "sku": f"SKU-{name}",
                    "meta_data": [],
                }
            )
        whole = sum((Decimal(row["total"]) + Decimal(row["total_tax"]) for row in rows), Decimal(shipping))
        self.orders[order_id] = {
            "id": order_id,
            "number": number or str(order_id),
            "parent_id": 0,
            "status": status,
            "currency": currency,
            "total": whole + Decimal(fee),
            "shipping_total": Decimal(shipping),
            "customer_id": customer_id,
            "payment_method": method,
            "billing": {"email": email, "first_name": "Ann"},
            "date_created_gmt": at,
            "date_modified_gmt": at,
            "date_paid_gmt": None if status in UNPAID else at,
            "date_completed_gmt": at if status == "completed" else None,
            "meta_data": [],
            "line_items": rows,
        }
        self.refunds[order_id], self.fulfilments[order_id], self.notes[order_id] = [], [], []
        return number or str(order_id)

    def order(self, number: str) -> dict[str, Json]:
        """The order of this number."""
        return next(order for order in self.orders.values() if order["number"] == number)

    def touch(self, number: str, at: datetime | None = None) -> None:
        """The order is saved."""
        self.order(number)["date_modified_gmt"] = at or self.now()

    def set_status(self, number: str, status: str) -> None:
        """As the admin does it; completing writes the time, and nothing takes it away again."""
        order = self.order(number)
        order["status"] = status
        if status == "completed":
            order["date_completed_gmt"] = self.now()
        self.touch(number)

    def fulfil(
        self,
        number: str,
        units: Sequence[tuple[int, int]] = (),
        *,
        draft: bool = False,
        tracking: str = "",
        **more: Json,
    ) -> None:
        """A fulfilment of lines (by position) and units, or of all lines; a partly shipped order stays `processing`."""
        order = self.order(number)
        rows = order["line_items"]
        items = [(rows[at]["id"], quantity) for at, quantity in units] or [(row["id"], row["quantity"]) for row in rows]
        meta = [{"id": next(self.ids), "key": "_items", "value": [{"item_id": i, "qty": q} for i, q in items]}]
        if tracking:
            meta += [
                {"id": next(self.ids), "key": "_tracking_number", "value": tracking},
                {"id": next(self.ids), "key": "_shipment_provider", "value": "ups"},
            ]
        self.fulfilments[order["id"]].append(
            {
                "id": next(self.ids),
                "entity_type": "WC_Order",
                "entity_id": str(order["id"]),
                "status": "unfulfilled" if draft else "fulfilled",
                "is_fulfilled": not draft,
                "date_updated": f"{self.now():%Y-%m-%dT%H:%M:%S}",
                "date_deleted": None,
                "meta_data": meta,
                **more,
            }
        )
        self.touch(number)

    def refund_by_hand(
        self, number: str, amount: str, units: Sequence[tuple[int, int]] = (), reason: str = "goodwill"
    ) -> None:
        """A refund that a person records in the admin, with the quantities of lines (by position)."""
        order = self.order(number)
        self.keep_refund(order, Decimal(amount), reason, units)
        self.close_when_refunded(order)

    # What stands there ------------------------------------------------------------------------------------------------

    def remaining(self, order: Mapping[str, Json]) -> Decimal:
        """What is left to refund."""
        gone = sum((refund["amount"] for refund in self.refunds[order["id"]]), Decimal(0))
        return Decimal(order["total"] - gone)

    def refunded(self, number: str) -> list[str]:
        """The amounts of the order's refunds."""
        return [self.amount(refund["amount"]) for refund in self.refunds[self.order(number)["id"]]]

    def keep_refund(
        self, order: dict[str, Json], amount: Decimal, reason: str, units: Sequence[tuple[int, int]] = ()
    ) -> dict[str, Json]:
        """Save a refund's row; the gateway has not been asked yet."""
        rows = order["line_items"]
        kept = {
            "id": next(self.ids),
            "date_created_gmt": self.now(),
            "amount": amount,
            "reason": reason,
            "refunded_payment": False,
            "line_items": [
                {
                    **rows[at],
                    "id": next(self.ids),
                    "quantity": -quantity,
                    "total": "-1.00",
                    "total_tax": "0.00",
                    "meta_data": [{"id": 1, "key": "_refunded_item_id", "value": str(rows[at]["id"])}],
                }
                for at, quantity in units
            ],
        }
        self.refunds[order["id"]].append(kept)
        order["date_modified_gmt"] = self.now()
        return kept

    def close_when_refunded(self, order: dict[str, Json]) -> None:
        """A fully refunded order gets the status `refunded`."""
        if self.remaining(order) <= 0:
            order["status"] = "refunded"

    # What is shown ----------------------------------------------------------------------------------------------------

    def shown_order(self, order: Mapping[str, Json]) -> dict[str, Json]:
        """As the API writes it: amounts as texts, times without a zone, refunds in short."""
        dates: dict[str, str | None] = {}
        for name in ("date_created", "date_modified", "date_paid", "date_completed"):
            at = order[f"{name}_gmt"]
            dates[f"{name}_gmt"] = at and f"{at:%Y-%m-%dT%H:%M:%S}"
            dates[name] = at and f"{at + SITE_IS_AHEAD:%Y-%m-%dT%H:%M:%S}"
        amounts = {name: self.amount(order[name]) for name in ("total", "shipping_total")}
        short = [
            {"id": refund["id"], "reason": refund["reason"], "total": f"-{self.amount(refund['amount'])}"}
            for refund in self.refunds[order["id"]]
        ]
        return {**order, **dates, **amounts, "refunds": short}

    def shown_refund(self, refund: Mapping[str, Json]) -> dict[str, Json]:
        """As the API writes it."""
        at = refund["date_created_gmt"]
        return {
            **refund,
            "amount": self.amount(refund["amount"]),
            "date_created": f"{at + SITE_IS_AHEAD:%Y-%m-%dT%H:%M:%S}",
            "date_created_gmt": f"{at:%Y-%m-%dT%H:%M:%S}",
            "meta_data": [],
        }


SITE_IS_AHEAD = timedelta(hours=8)
"""The site's own time, in which WooCommerce writes what has no `_gmt`."""


def dumped(told: Json) -> str:
    """JSON of an answer."""
    return json.dumps(told, default=str)
