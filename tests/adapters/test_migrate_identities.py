"""Revision 0008: existing keys are assigned to their buyers, events count once per order, parcels have a waybill."""

from __future__ import annotations

import hashlib
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from jitui.adapters.postgres.migrate import upgrade
from jitui.ids import lane_of

BUYER = "b-1"
LANE = lane_of(BUYER)
TICKET = UUID(int=(7 << 64) | LANE)
BEFORE = "0004"

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def old_database_url(empty_database_url: str) -> str:
    upgrade(empty_database_url, BEFORE)
    with psycopg.connect(empty_database_url) as connection:
        order = "INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at) "
        connection.execute(order + "VALUES (%s, 'o-1', %s, 's', 'CNY', 0, now())", (LANE, BUYER))
        connection.execute("INSERT INTO order_directory VALUES ('o-1', %s, %s)", (LANE, BUYER))
        for line in ("l1", "l2"):
            connection.execute(
                "INSERT INTO order_line (lane, order_id, line_id, position, sku, item_id, quantity, paid_minor, "
                "shipped_quantity, scanned_quantity) VALUES (%s, 'o-1', %s, 1, 's', 'i', 3, 100, 1, 1)",
                (LANE, line),
            )
    return empty_database_url


def test_a_key_still_finds_its_answer(old_database_url: str) -> None:
    answers = {
        "asked": b'{"ticket":{"buyer_id":"b-1"},"decision":{}}',
        "order": b'{"order_id":"o-1","buyer_id":"b-1"}',
        "refund": b'{"refund_id":"x","order_id":"o-1"}',
        "console": str(TICKET).encode(),
        "simulated": f'{{"kind":"plan","ticket_id":"{TICKET}"}}'.encode(),
        "of nobody": b'{"refused":"not-found"}',
        "no text": b"\xff\x00",
    }
    with psycopg.connect(old_database_url) as connection:
        connection.execute(
            "INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, "
            "amount_minor, freight_minor, arm, on_timeout, requested_at) "
            "VALUES (%s, %s, 'o-1', %s, 's', 'closed', 1, 'other', 'CNY', 1, 0, 'live', 'approve', now())",
            (LANE, TICKET, BUYER),
        )
        for key, answer in answers.items():
            lane = hashlib.sha256(key.encode()).digest()[0]
            connection.execute(
                "INSERT INTO idempotency VALUES (%s, 'k', 'POST /x', %s, '', 200, %s, now())", (lane, key, answer)
            )
    upgrade(old_database_url)
    with psycopg.connect(old_database_url) as connection:
        rows = connection.execute("SELECT key, lane, buyer_id FROM idempotency ORDER BY key").fetchall()
    assert rows == [(key, LANE, BUYER) for key in sorted(answers) if key not in ("of nobody", "no text")]


def test_an_order_that_was_counted_twice_is_counted_once_on_the_day_that_it_was_counted(old_database_url: str) -> None:
    events = [
        ("completed:o-1", "order_completed", "2026-06-01T23:30:00+08:00", "o-1", 100, None),
        ("late", "order_completed", "2026-06-02T00:30:00+08:00", "o-1", 70, None),
        ("other", "order_completed", "2026-06-02T00:30:00+08:00", "o-2", 7, None),
        ("back", "order_completed", "2026-06-01T00:00:00+08:00", "o-3", 5, None),
        ("stays", "order_completed", "2026-06-02T00:00:00+08:00", "o-3", 3, None),
        ("retraction", "order_completed", "2026-06-02T00:00:00+08:00", "o-3", 5, "back"),
        ("twice-1", "refund_requested", "2026-06-02T00:00:00+08:00", "o-1", 1, None),
        ("twice-2", "refund_requested", "2026-06-02T00:00:00+08:00", "o-1", 1, None),
    ]
    with psycopg.connect(old_database_url) as connection:
        for event in events:
            connection.execute(
                "INSERT INTO buyer_event (lane, buyer_id, recorded_at, event_id, kind, at, order_id, amount_minor, "
                "retracts) VALUES (%s, %s, now(), %s, %s, %s, %s, %s, %s)",
                (LANE, BUYER, *event),
            )
        counted = [("order_completed", "2026-06-01", 1, 100), ("order_completed", "2026-06-02", 3, 80)]
        for kind, day, count, amount in [*counted, ("refund_requested", "2026-06-02", 2, 2)]:
            row = (LANE, BUYER, kind, day, count, amount)
            connection.execute("INSERT INTO buyer_day VALUES (%s, %s, %s, %s, %s, %s)", row)
    upgrade(old_database_url, time_zone="Asia/Shanghai")
    with psycopg.connect(old_database_url) as connection:
        days = connection.execute(
            "SELECT kind, day::text, events, amount_minor FROM buyer_day ORDER BY 1, 2"
        ).fetchall()
        counting = connection.execute("SELECT event_id FROM buyer_event WHERE counts_for_order ORDER BY 1").fetchall()
    assert days == [
        ("order_completed", "2026-06-01", 1, 100),
        ("order_completed", "2026-06-02", 2, 10),
        ("refund_requested", "2026-06-02", 2, 2),
    ]
    assert counting == [("completed:o-1",), ("other",), ("stays",)]


def parcel(connection: Connection, number: int, carrier: str, tracking_no: str, degree: str, *lines: str) -> None:
    units = [{"line_id": line, "quantity": 1} for line in lines]
    connection.execute(
        "INSERT INTO shipment VALUES (%s, 'o-1', %s, %s, %s, %s, 'merchant', %s, %s, now(), now())",
        (LANE, UUID(int=number), degree, carrier, tracking_no, degree == "shipped", Jsonb(units)),
    )


def test_one_waybill_becomes_one_parcel_and_no_unit_that_had_left_is_lost(old_database_url: str) -> None:
    with psycopg.connect(old_database_url) as connection:
        parcel(connection, 1, "sf", "SF1", "shipped", "l1")
        parcel(connection, 2, "", "sf1", "delivered", "l1", "l2")
        parcel(connection, 3, "SF", "ＳＦ１", "label_printed", "l2")
        parcel(connection, 4, "sf", "SF-1", "label_printed", "l2")
        parcel(connection, 5, "sf", "SF2", "label_printed", "l2")
        parcel(connection, 6, "yto", "sf2", "picked_up", "l1")
    upgrade(old_database_url)
    with psycopg.connect(old_database_url) as connection:
        rows = connection.execute(
            "SELECT waybill, degree, carrier, commanded, lines, commanded_lines FROM shipment ORDER BY waybill"
        ).fetchall()
        lines = connection.execute("SELECT shipped_quantity, scanned_quantity FROM order_line").fetchall()
    assert rows == [
        ("sf-1", "label_printed", "sf", False, [{"line_id": "l2", "quantity": 1}], []),
        (
            "sf1", "delivered", "sf", True,
            [{"line_id": "l1", "quantity": 2}, {"line_id": "l2", "quantity": 1}], [{"line_id": "l1", "quantity": 1}],
        ),
        (
            "sf2", "picked_up", "yto", False,
            [{"line_id": "l2", "quantity": 1}, {"line_id": "l1", "quantity": 1}], [],
        ),
    ]  # fmt: skip
    assert lines == [(1, 1), (1, 1)]


def test_goods_of_a_parcel_that_has_left_have_left_whichever_of_its_rows_named_them(old_database_url: str) -> None:
    with psycopg.connect(old_database_url) as connection:
        parcel(connection, 1, "sf", "SF1", "shipped", "l1")
        parcel(connection, 2, "", "sf1", "picked_up", "l1", "l2")
    upgrade(old_database_url)
    with psycopg.connect(old_database_url) as connection:
        lines = connection.execute(
            "SELECT line_id, shipped_quantity, scanned_quantity FROM order_line ORDER BY 1"
        ).fetchall()
    assert lines == [("l1", 1, 1), ("l2", 1, 2)]
