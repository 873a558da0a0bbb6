"""How fast shipping risks are listed and looked for: `python -m benchmarks.shipping_risks [ORDERS]` (1,000,000).

A database of its own is filled by SQL: of the orders half are completed, most others have left; 2 in 1,000 wait with a
label, 1 in 1,000 was scanned without tracking, 4 in 1,000 have to be shipped. A hundred shops, one with a tenth of it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import LiteralString

import psycopg

from jitui.adapters import embedded_postgres
from jitui.adapters.embedded_postgres import ServerOptions
from jitui.adapters.postgres.migrate import upgrade
from jitui.adapters.postgres.pool import make_pool
from jitui.adapters.postgres.shipping_risks import PostgresShippingRisks
from jitui.aftersales.shipping_risks import RiskFilter, RiskKind, RiskTimes

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ROUNDS = 20

_FILL: tuple[LiteralString, ...] = (
    """
INSERT INTO buyer (lane, buyer_id, updated_at)
SELECT n %% 256, 'b-' || n, now() FROM generate_series(0, %(orders)s / 4) n
""",
    """
INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at, paid_at, completed_at,
    ship_by, all_left)
SELECT (n / 4) %% 256, 'o-' || n, 'b-' || n / 4, 'shop-' || CASE WHEN n %% 10 = 0 THEN 0 ELSE n %% 100 END, 'CNY', 0,
    t.at - interval '1 hour', t.at, CASE WHEN n %% 2 = 0 THEN t.at + interval '5 days' END, t.at + interval '2 days',
    n %% 1000 NOT IN (101, 203, 305, 407)
FROM generate_series(1, %(orders)s) n, LATERAL (SELECT %(now)s::timestamptz - n * interval '7 seconds' AS at) t
""",
    """
INSERT INTO order_line (lane, order_id, line_id, position, sku, item_id, quantity, paid_minor, shipped_quantity)
SELECT lane, order_id, 'l1', 1, 'sku', 'item', 2, 9900, CASE WHEN all_left THEN 2 ELSE 0 END FROM orders
""",
    """
INSERT INTO shipment (lane, order_id, shipment_id, degree, carrier, tracking_no, waybill, source, commanded, lines,
    happened_at, recorded_at, entered_at, shop_id)
SELECT lane, order_id, gen_random_uuid(), CASE WHEN m IN (101, 203) THEN 'label_printed' WHEN m = 7 THEN 'picked_up'
    ELSE 'delivered' END, 'sf', 'SF' || order_id, 'sf' || order_id, 'merchant', m NOT IN (101, 203, 7),
    '[{"line_id": "l1", "quantity": 2}]', paid_at, paid_at, CASE WHEN m <> 7 THEN paid_at END, shop_id
FROM (SELECT *, substr(order_id, 3)::int %% 1000 AS m FROM orders) o WHERE m NOT IN (305, 407)
""",
    """
INSERT INTO waybill_directory (waybill, lane, buyer_id, told_by, claimed_at)
SELECT s.waybill, s.lane, o.buyer_id, 'merchant', s.recorded_at FROM shipment s JOIN orders o USING (lane, order_id)
""",
    """
INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor,
    freight_minor, arm, on_timeout, requested_at)
SELECT lane, gen_random_uuid(), order_id, buyer_id, shop_id,
    CASE WHEN n %% 100 = 3 AND n < %(orders)s / 10 THEN 'awaiting_merchant' ELSE 'refunded' END, 1, 'other', 'CNY',
    9900, 0, 'live', 'approve', paid_at
FROM (SELECT *, substr(order_id, 3)::int AS n FROM orders) o WHERE n %% 10 = 3
""",
    """
INSERT INTO shipping_watch (lane, ticket_id, risk, order_id, shop_id, since)
SELECT lane, ticket_id, 'open_ticket', order_id, shop_id, requested_at FROM ticket WHERE state = 'awaiting_merchant'
""",
)


async def measure(url: str, orders: int) -> None:
    """Fill, then time each list by itself and all together, first pages and pages far behind."""
    begun = perf_counter()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in _FILL:
            await connection.execute(statement, {"orders": orders, "now": NOW})
        await connection.execute("VACUUM ANALYZE")
    print(f"{orders:,} orders filled in {perf_counter() - begun:.0f} s")
    async with make_pool(url, max_size=2) as pool:
        found = PostgresShippingRisks(pool, RiskTimes())
        asked: Mapping[str, RiskFilter] = {
            **{f"{kind}, all shops": RiskFilter(None, (kind,)) for kind in RiskKind},
            "all kinds, all shops": RiskFilter(),
            "all kinds, a shop of a tenth": RiskFilter("shop-0"),
            "all kinds, a shop of a hundredth": RiskFilter("shop-7"),
        }
        for name, wanted in asked.items():
            await _page(found, name, wanted)
        times = []
        for _ in range(5):
            begun = perf_counter()
            due = await found.due_reminders(NOW, 200)
            times.append(perf_counter() - begun)
        print(f"due reminders, {len(due)} found: {median(times) * 1000:.1f} ms")


async def _page(found: PostgresShippingRisks, name: str, wanted: RiskFilter) -> None:
    after, pages = None, 0
    while pages < 99:
        page = await found.risks(RiskFilter(wanted.shop_id, wanted.kinds, after, 50), NOW)
        if len(page) < 50:
            break
        after, pages = (page[-1].since, page[-1].risk, page[-1].subject), pages + 1
    told = []
    for place in (None, after):
        times = []
        for _ in range(ROUNDS):
            begun = perf_counter()
            await found.risks(RiskFilter(wanted.shop_id, wanted.kinds, place, 50), NOW)
            times.append((perf_counter() - begun) * 1000)
        told.append(f"{median(times):.1f} (worst {max(times):.1f})")
    print(f"{name}: first page {told[0]} ms, page {pages + 1} {told[1]} ms")


def main() -> None:
    """Measure on a server of its own."""
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    options = ServerOptions(durable=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_postgres.running(Path(folder) / "postgres", options) as server,
    ):
        upgrade(server.url, single_person=True)
        asyncio.run(measure(server.url, orders))


if __name__ == "__main__":
    main()
