"""Migration 0031: what was stored before goes on, with a booking date and a deadline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from jitui.adapters.postgres.migrate import upgrade

POSTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_entries_get_a_booking_date_and_open_incidents_a_moment(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0028")
    ahead = datetime.now(UTC) + timedelta(days=3)
    with psycopg.connect(empty_database_url) as connection:
        for posting, at in (("captured:t1", POSTED), ("captured:t2", ahead)):
            connection.execute(
                "INSERT INTO ledger (lane, order_id, posting, debit, credit, amount_minor, currency, posted_at)"
                " VALUES (1, 'o-1', %s, 'provider_clearing:x', 'escrow', 5, 'CNY', %s)",
                (posting, at),
            )
        for state in ("open", "settled"):
            connection.execute(
                "INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor,"
                " currency, evidence, opened_at) VALUES (1, %s, 'o-1', %s, 's', 'goods_left_after_refund', %s, 5,"
                " 'CNY', '[]', %s)",
                (uuid4(), uuid4(), state, POSTED),
            )
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        booked = connection.execute("SELECT booked_at, posted_at > now() FROM ledger ORDER BY posting").fetchall()
        assert booked[0] == (POSTED, False)
        assert booked[1][0] < datetime.now(UTC) and booked[1][1], "nothing was booked in the future"
        states = connection.execute("SELECT state, due_at > now(), version FROM incident ORDER BY state").fetchall()
        assert states == [("open", True, 1), ("settled", None, 1)]
        connection.execute(
            "INSERT INTO ledger (lane, order_id, posting, debit, credit, amount_minor, currency, posted_at)"
            " VALUES (1, 'o-1', 'granted:r', 'escrow', 'buyer_payable', 5, 'CNY', %s)",
            (POSTED,),
        )
        stamped = connection.execute(
            "SELECT booked_at > now() - interval '1 minute' FROM ledger WHERE posting = 'granted:r'"
        ).fetchone()
        assert stamped == (True,), "a release that does not know the column has it filled"
