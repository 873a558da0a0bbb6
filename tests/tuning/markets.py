"""Made-up marketplaces in which it is known which setting is better, and a policy with parameters to tune on them."""

from __future__ import annotations

from pathlib import Path

import duckdb

from jitui.policy import Policy

POLICY = """\
policy: tuned
version: "1"
effective_from: 2025-01-26T00:00:00+08:00
currency: CNY
title: {zh: 极速退款, en: Instant refund}
parameters: {limit_minor: 30000, least_on_time_percent: 0, least_age_days: 90, spare: 3}
features:
  shop.shipped_30d: {count: shipped, over: 30d}
  shop.shipped_on_time_30d: {count: shipped_on_time, over: 30d}
definitions:
  trusted: buyer.account_age_days >= least_age_days && order.paid_minor < limit_minor
  late: shop.shipped_on_time_30d * 100 < shop.shipped_30d * least_on_time_percent
conditions:
  - {id: trusted, when: trusted, public: true, text: {zh: 可信, en: Trusted}}
  - {id: shop_ships_on_time, when: "!late", public: false, text: {zh: 及时, en: On time}}
  - {id: selected, when: buyer.selected, public: false, text: {zh: 选定, en: Selected}}
  - {id: within_caps, when: caps.buyer_ok, public: false, text: {zh: 限额, en: Caps}}
selection: {hold_out_percent: 10}
caps: {per_buyer: {count: spare, over: 30d}}
loss: {incident_cost_percent: 50, review_minute_cost_minor: 60}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 已自动审核通过, en: Approved automatically}
"""


def policy(**values: int) -> Policy:
    return Policy.from_text(POLICY).with_parameters(values)


def market(
    folder: Path,
    *,
    buyers: int = 12_000,
    incidents: bool = True,
    late_shops_percent: int = 8,
    late_incident: float = 0.2,
    incident: float = 0.001,
    known_percent: int = 100,
    disputes: bool = False,
) -> Path:
    """Two requests of each buyer within 60 days. Parcels of late shops often leave unseen, of others hardly ever.

    So the better setting takes larger orders and leaves late shops out: more is refunded at once, and less is lost.
    """
    folder.mkdir(parents=True)
    unseen = f"CASE WHEN late THEN {late_incident} ELSE {incident} END" if incidents else "-1"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE MACRO u(a, b, salt) AS hash(a, salt, b)::DOUBLE / 18446744073709551616.0")
        connection.execute(
            f"""CREATE TABLE made AS
                SELECT 'r' || b || '-' || n AS request_id, 'o' || b || '-' || n AS order_id, 'b' || b AS buyer_id,
                       's' || shop AS shop_id, late, u(b, n, 'known') * 100 < {known_percent} AS known,
                       TIMESTAMP '2026-01-01 04:00:00' + to_seconds((u(b, n, 'when') * 60 * 86400)::BIGINT) AS asked_at,
                       (exp(4.9 + 0.8 * sqrt(-2 * ln(greatest(u(b, n, 'z'), 1e-9))) * cos(6.2832 * u(b, n, 'y')))
                        * 100)::BIGINT AS paid_minor,
                       (u(b, 0, 'age') * 900)::BIGINT AS age_days, u(b, n, 'unseen') < {unseen} AS unseen
                FROM (SELECT b, n, (u(b, n, 'shop') * 200)::BIGINT AS shop,
                             hash((u(b, n, 'shop') * 200)::BIGINT, 'late') % 100 < {late_shops_percent} AS late
                      FROM range({buyers}) r (b), range(2) t (n))"""
        )
        tables = {
            "requests": """SELECT request_id, order_id, buyer_id, shop_id, asked_at, paid_minor AS amount_minor,
                asked_at + INTERVAL 5 HOUR AS closed_at FROM made""",
            "orders": """SELECT order_id, 'CNY' AS currency, asked_at - INTERVAL 1 HOUR AS placed_at, paid_minor
                FROM made""",
            "shipments": """SELECT order_id, 'shipped' AS degree, asked_at - INTERVAL 10 MINUTE AS at,
                asked_at + INTERVAL 1 HOUR AS recorded_at FROM made WHERE unseen
                UNION ALL SELECT order_id, 'shipped', asked_at + INTERVAL 1 DAY, asked_at + INTERVAL 1 DAY
                FROM made WHERE NOT unseen""",
            "facts": """SELECT request_id, CASE WHEN known THEN age_days END AS "buyer.account_age_days",
                100::BIGINT AS "shop.shipped_30d",
                CASE WHEN late THEN 60 ELSE 97 END::BIGINT AS "shop.shipped_on_time_30d" FROM made""",
        }
        if disputes:
            tables["events"] = """
                SELECT 'buyer' AS subject, buyer_id AS subject_id, 'dispute_lost' AS kind, asked_at + after AS at,
                       request_id || which AS event_id, NULL::VARCHAR AS retracts
                FROM made, (VALUES (INTERVAL 90 DAY, '-in', 0), (INTERVAL 91 DAY, '-out', 1),
                                   (INTERVAL 5 DAY, '-back', 2), (INTERVAL 0 DAY, '-before', 3)) e (after, which, k)
                WHERE hash(request_id) % 4 = k
                UNION ALL SELECT 'buyer', buyer_id, 'dispute_lost', asked_at + INTERVAL 6 DAY, NULL,
                    request_id || '-back' FROM made"""
        for name, query in tables.items():
            connection.execute(f"COPY ({query}) TO '{folder}/{name}.parquet'")
    return folder
