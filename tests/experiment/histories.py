"""Made-up histories with arms, in which the effect is known."""

from __future__ import annotations

from pathlib import Path

import duckdb

BEGIN = "TIMESTAMP '2026-01-01 04:00:00'"


def planted(
    folder: Path,
    *,
    buyers: int,
    days: int = 30,
    held_out_percent: int = 2,
    disputes_held_out: float = 0.04,
    disputes_live: float = 0.02,
    shops: int = 3,
    seed: int = 1,
) -> Path:
    """One or two requests a buyer, all eligible, with a rate of disputes for each arm and shorter waits in `live`."""
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SELECT setseed({(seed % 1000) / 1000})")
        connection.execute("SET threads = 1")  # random() in one order
        connection.execute(
            f"""CREATE TABLE made AS
                SELECT *, arm = 'live' AS is_live, random() AS chance, random() AS patience
                FROM (SELECT 'b' || b AS buyer_id, 's' || (b % {shops}) AS shop_id, n,
                             CASE WHEN hash(b + {seed} * 7919) % 100 < {held_out_percent} THEN 'hold_out' ELSE 'live'
                             END AS arm,
                             {BEGIN} + to_seconds(((hash(b * 31 + {seed}) % {days * 86400})
                                                   + n * 86400 * 3)::BIGINT) AS asked_at
                      FROM range({buyers}) r (b), range(2) t (n) WHERE n = 0 OR b % 4 = 0)"""
        )
        tables = {
            "requests": """SELECT buyer_id || '-' || n AS request_id, 'o' || buyer_id || '-' || n AS order_id, buyer_id,
                shop_id, asked_at,
                asked_at + to_seconds((CASE WHEN is_live THEN 60 ELSE 7200 END * (1 + patience))::BIGINT) AS closed_at
                FROM made""",
            "decisions": """SELECT buyer_id || '-' || n AS request_id,
                CASE WHEN is_live THEN 'instant' ELSE 'review' END AS outcome, arm, true AS eligible FROM made""",
            "events": f"""SELECT 'buyer' AS subject, buyer_id AS subject_id, 'dispute_lost' AS kind,
                asked_at + INTERVAL 2 DAY AS at, 'd' || buyer_id || '-' || n AS event_id,
                'o' || buyer_id || '-' || n AS order_id
                FROM made WHERE chance < CASE WHEN is_live THEN {disputes_live} ELSE {disputes_held_out} END
                UNION ALL
                SELECT 'buyer', 'nobody', 'order_cancelled', {BEGIN} + INTERVAL {days + 40} DAY, 'last', 'o-last'""",
        }
        for name, query in tables.items():
            connection.execute(f"COPY ({query}) TO '{folder}/{name}.parquet'")
    return folder
