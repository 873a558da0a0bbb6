"""Large histories for the benchmarks, written by DuckDB in bounded memory; a value follows from its row's number."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import duckdb

MEMORY_MIB = 2048
_DAY_US = 86_400_000_000
_END_US = 1_767_196_800_000_000  # 2026-01-01T00:00 in Shanghai
DAYS = 545
REQUESTS_FROM_DAY = 380
EVENTS_A_REQUEST = 20
EVENTS_A_BUYER = 25

_MACROS = (
    # hashed twice: hash(i, salt) alone ends with an exclusive or, so that all draws of one row depend on one another
    "CREATE MACRO u(i, salt) AS hash(hash(i, salt))::DOUBLE / 18446744073709551616.0",
    "CREATE MACRO moment(us) AS make_timestamp(us::BIGINT)",
    "CREATE MACRO known(i, salt, value) AS CASE WHEN u(i, salt) < 0.98 THEN value END",
)

_REQUESTS = """
    SELECT 'r' || i AS request_id, 'o' || i AS order_id, {buyer} AS buyer_id,
           's' || floor(u(i, 'shop') * 5000)::BIGINT AS shop_id, moment({asked_us}) AS asked_at,
           floor(exp(3.2 + 2.4 * u(i, 'amount')) * 100)::BIGINT AS amount_minor,
           true AS whole_order, 'c' || floor(u(i, 'category') * 40)::BIGINT AS category_id, NULL::VARCHAR AS tier,
           NULL::TIMESTAMP AS closed_at
    FROM range({rows}) AS t (i)
"""

_FACTS = """
    SELECT 'r' || i AS request_id,
           known(i, 'k1', floor(u(i, 'age') * 1500)::BIGINT) AS "buyer.account_age_days",
           known(i, 'k2', floor(u(i, 'completed') * 30)::BIGINT) AS "buyer.completed_orders_365d",
           known(i, 'k3', floor(u(i, 'paid') * 20)::BIGINT) AS "buyer.paid_orders_90d",
           floor(pow(u(i, 'refunds'), 4) * 12)::BIGINT AS "buyer.refunds_before_shipment_90d",
           floor(pow(u(i, 'lost'), 12) * 3)::BIGINT AS "buyer.disputes_lost_365d",
           u(i, 'selected') < 0.98 AS "buyer.selected",
           u(i, 'restricted') < 0.01 AS "buyer.restricted",
           known(i, 'k4', floor(exp(4.361 + 1.4 * (u(i, 'order') - 0.5)) * 150)::BIGINT) AS "order.paid_minor",
           CASE WHEN u(i, 's') < 0.7 THEN 'unshipped' WHEN u(i, 's') < 0.85 THEN 'label_printed'
                WHEN u(i, 's') < 0.98 THEN 'shipped' END AS "order.shipment",
           CASE WHEN u(i, 'lines') < 0.98 THEN list_transform(range(1 + floor(pow(u(i, 'many'), 3) * 4)::BIGINT),
               lambda l: struct_pack(line_id := l::VARCHAR, customised := u(i + l, 'customised') < 0.02,
                                     virtual := u(i + l, 'virtual') < 0.02, covered := u(i + l, 'covered') < 0.97))
           END AS "order.lines",
           u(i, 'shop covered') < 0.98 AS "shop.covered",
           u(i, 'buyer cap') < 0.95 AS "caps.buyer_ok",
           u(i, 'shop cap') < 0.99 AS "caps.shop_ok",
           true AS "caps.platform_ok",
           u(i, 'paused') < 0.005 AS "service.paused"
    FROM range({rows}) AS t (i)
"""

_EVENTS = """
    SELECT 'buyer' AS subject, {buyer} AS subject_id,
           CASE WHEN u(i, 'kind') < 0.45 THEN 'order_paid' WHEN u(i, 'kind') < 0.85 THEN 'order_completed'
                WHEN u(i, 'kind') < 0.98 THEN 'refund_before_shipment' ELSE 'dispute_lost' END AS kind,
           moment({at_us}) AS at, moment({at_us} + floor(pow(u(i, 'lag'), 3) * 3 * 86400e6)) AS recorded_at,
           'e' || i AS event_id, NULL::VARCHAR AS order_id, floor(u(i, 'money') * 30000)::BIGINT AS amount_minor,
           NULL::BIGINT AS times, NULL::VARCHAR AS retracts
    FROM range({events}) AS t (i)
    UNION ALL BY NAME
    SELECT 'shop' AS subject, 's' || shop AS subject_id, kind, moment({start_us} + day * 86400e6 + 43200e6) AS at,
           moment({start_us} + day * 86400e6 + 43200e6) AS recorded_at, NULL::VARCHAR AS event_id,
           NULL::VARCHAR AS order_id, NULL::BIGINT AS amount_minor, 40 + (hash(shop, day) % 30)::BIGINT AS times,
           NULL::VARCHAR AS retracts
    FROM range(5000) AS s (shop), range({days}) AS d (day), (VALUES ('shipped'), ('shipped_on_time')) AS k (kind)
"""

_KINDS = ("order_paid", "order_completed", "refund_before_shipment", "dispute_lost", "shipped", "shipped_on_time")


def write_given_facts(folder: Path, rows: int) -> None:
    """`requests` and their logged `facts`: everything that the default policy reads, two in a hundred unknown."""
    asked_us = f"{_END_US - DAYS * _DAY_US} + floor(i * {DAYS * _DAY_US / rows!r})"
    buyer = "'b' || floor(u(i, 'buyer') * 1000000)::BIGINT"
    _write(
        folder,
        {"requests": _REQUESTS.format(rows=rows, asked_us=asked_us, buyer=buyer), "facts": _FACTS.format(rows=rows)},
    )


def write_events(folder: Path, events: int) -> None:
    """`requests`, `buyers`, `events` and `event_records`; a tenth of the buyers have a third of the events."""
    requests, buyers = max(1, events // EVENTS_A_REQUEST), max(1, events // EVENTS_A_BUYER)
    buyer = f"'b' || floor(pow(u(i, 'buyer'), 2) * {buyers})::BIGINT"
    start_us = _END_US - DAYS * _DAY_US
    first_us, span_us = start_us + REQUESTS_FROM_DAY * _DAY_US, (DAYS - REQUESTS_FROM_DAY) * _DAY_US
    at_us = f"{start_us} + floor(u(i, 'at') * {DAYS * _DAY_US})"
    records = ", ".join(f"('{kind}')" for kind in _KINDS)
    tables = {
        "requests": _REQUESTS.format(
            rows=requests, asked_us=f"{first_us} + floor(u(i, 'ask') * {span_us})", buyer=buyer
        ),
        "buyers": f"""
            SELECT 'b' || i AS buyer_id, moment({start_us} - floor(u(i, 'registered') * 9e13)) AS registered_at
            FROM range({buyers}) AS t (i)""",
        "events": _EVENTS.format(buyer=buyer, at_us=at_us, events=events, start_us=start_us, days=DAYS),
        "event_records": f"""SELECT kind, moment({start_us}) AS complete_from, NULL::TIMESTAMP AS fresh_until
                             FROM (VALUES {records}) AS t (kind)""",
    }
    _write(folder, tables)


def _write(folder: Path, tables: Mapping[str, str]) -> None:
    folder.mkdir(parents=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{MEMORY_MIB}MiB",
        "temp_directory": str(folder / "spill"),
        "preserve_insertion_order": False,
    }
    with closing(duckdb.connect(config=config)) as connection:
        for macro in _MACROS:
            connection.execute(macro)
        for name, query in tables.items():
            connection.execute(f"COPY ({query}) TO '{folder / name}.parquet' (COMPRESSION zstd)")
