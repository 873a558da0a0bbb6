"""What a ledger entry costs with its booking date, its index and the constraint of a closed period (decision 0042).

.venv/bin/python -m benchmarks.ledger_booking
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import LiteralString

import psycopg

from jitui.adapters import embedded_postgres

ENTRIES = 100_000
_TABLE: LiteralString = """
DROP TABLE IF EXISTS entry;
CREATE TABLE entry (lane smallint, order_id text, posting text, debit text, credit text,
    amount_minor bigint CHECK (amount_minor > 0), currency text, posted_at timestamptz,
    PRIMARY KEY (lane, order_id, posting), CHECK (debit <> credit))
"""
_STEPS: dict[str, LiteralString] = {
    "as before": "SELECT 1",
    "booked_at with its default": "ALTER TABLE entry ADD booked_at timestamptz NOT NULL DEFAULT clock_timestamp()",
    "and the BRIN index": "CREATE INDEX booking ON entry USING brin (booked_at) "
    "WITH (pages_per_range = 16, autosummarize = on)",
    "and the constraint": "ALTER TABLE entry ADD CHECK (booked_at >= '2026-01-01') NOT VALID",
    "a B-tree in place of BRIN": "DROP INDEX booking; CREATE INDEX booking ON entry (booked_at)",
}
_FILL: LiteralString = """
DO $$ BEGIN FOR i IN 1..100000 LOOP
    INSERT INTO entry (lane, order_id, posting, debit, credit, amount_minor, currency, posted_at)
    VALUES (i % 256, md5(i::text), 'granted:' || md5(i::text), 'escrow', 'buyer_payable', 12900, 'CNY', now());
END LOOP; END $$
"""


def main() -> None:
    """Print bytes of WAL and microseconds for each entry, the best of three runs."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_postgres.running(Path(folder) / "pg") as server,
        psycopg.connect(server.url, autocommit=True) as connection,
    ):
        steps = list(_STEPS.values())
        for place, name in enumerate(_STEPS, start=1):
            wal, micros = min((_run(connection, steps[:place]) for _ in range(3)), key=lambda run: run[1])
            print(f"{name:30} {wal:7.1f} bytes of WAL {micros:7.2f} µs")


def _run(connection: psycopg.Connection[tuple[object, ...]], steps: list[LiteralString]) -> tuple[float, float]:
    connection.execute(_TABLE)
    for step in steps:
        connection.execute(step)
    connection.execute("CHECKPOINT")
    before = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    began = time.perf_counter()
    connection.execute(_FILL)
    took = time.perf_counter() - began
    written = connection.execute(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s::text::pg_lsn)::bigint", before
    ).fetchone()
    assert written is not None
    return int(str(written[0])) / ENTRIES, took / ENTRIES * 1e6


if __name__ == "__main__":
    main()
