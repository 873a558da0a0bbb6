"""Generated files in the form of the public Olist data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jitui.backtest.history.import_olist import FILES

Row = Mapping[str, object]


def order(order_id: str, status: str = "canceled", **other: object) -> Row:
    """An order that was paid and never left; a customer of its own."""
    return {
        "order_id": order_id,
        "customer_id": f"c-{order_id}",
        "order_status": status,
        "order_purchase_timestamp": "2018-03-01 10:00:00",
        "order_approved_at": "2018-03-01 10:30:00",
        "order_estimated_delivery_date": "2018-03-20 00:00:00",
        **other,
    }


def item(order_id: str, number: int = 1, price: object = 99.9, **other: object) -> Row:
    """One unit of one product."""
    return {
        "order_id": order_id,
        "order_item_id": number,
        "product_id": f"p{number}",
        "seller_id": f"s{number}",
        "shipping_limit_date": "2018-03-05 10:00:00",
        "price": price,
        "freight_value": 10.1,
        **other,
    }


def payment(order_id: str, value: object = 110.0, number: int = 1) -> Row:
    """One tender."""
    return {"order_id": order_id, "payment_sequential": number, "payment_type": "boleto", "payment_value": value}


def write_marketplace(folder: Path, orders: Sequence[Row], items: Sequence[Row], payments: Sequence[Row]) -> Path:
    """All six files; every order's customer is one buyer."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted({str(row["customer_id"]) for row in orders})
    rows: dict[str, Sequence[Row]] = {
        "orders": orders,
        "items": items,
        "payments": payments,
        "customers": [{"customer_id": name, "customer_unique_id": f"b-{name}"} for name in names],
        "products": [{"product_id": "p1", "product_category_name": "bebes"}],
        "categories": [{"product_category_name": "bebes", "product_category_name_english": "baby"}],
    }
    for name, (stem, columns) in FILES.items():
        texts = {
            column: pa.array([None if row.get(column) is None else str(row[column]) for row in rows[name]], pa.string())
            for column in columns
        }
        pq.write_table(pa.table(texts), folder / f"{stem}.parquet")
    return folder
