"""Small histories for the tests of this folder, as CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

REQUESTS = "request_id,order_id,buyer_id,shop_id,asked_at,amount_minor,whole_order,category_id,closed_at"


def write_csv(folder: Path, table: str, header: str, rows: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table}.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def small_history(folder: Path, *, requests: Sequence[str]) -> Path:
    """A buyer `good` with ten completed orders and a new buyer `new`; orders o1 to o9 of 100.00 CNY, unshipped."""
    write_csv(folder, "requests", REQUESTS, requests)
    orders = [f"o{n},CNY,2025-06-01T00:00:00Z,2025-06-01T00:01:00Z,10000,0,none" for n in range(1, 10)]
    write_csv(folder, "orders", "order_id,currency,placed_at,paid_at,paid_minor,freight_minor,hold", orders)
    lines = [f"o{n},1,1,10000,false,false" for n in range(1, 10)]
    write_csv(folder, "order_lines", "order_id,line_id,quantity,paid_minor,customised,virtual", lines)
    write_csv(folder, "shipments", "order_id,degree,at,recorded_at", [])
    buyers = ["good,2020-01-01T00:00:00Z", "new,2025-05-20T00:00:00Z"]
    write_csv(folder, "buyers", "buyer_id,registered_at", buyers)
    events = [
        f"buyer,good,{kind},2025-0{month}-01T00:00:00Z"
        for kind in ("order_paid", "order_completed")
        for month in (1, 2, 3, 4, 5)
        for _ in range(2)
    ]
    write_csv(folder, "events", "subject,subject_id,kind,at", events)
    kinds = ("order_paid", "order_completed", "refund_before_shipment", "dispute_lost", "shipped", "shipped_on_time")
    records = [f"{kind},2020-01-01T00:00:00Z" for kind in kinds]
    write_csv(folder, "event_records", "kind,complete_from", records)
    return folder


def request(number: int, asked_at: str, buyer: str = "good", *, amount_minor: int = 10_000) -> str:
    return f"r{number},o{number},{buyer},s1,{asked_at},{amount_minor},true,c1,"
