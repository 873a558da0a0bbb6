"""Revision 0035: numbers of earlier parcels are claimed, those that a merchant told are entered, tickets watched."""

from __future__ import annotations

from uuid import UUID

import psycopg

from jitui.adapters.postgres.migrate import upgrade

Connection = psycopg.Connection[tuple[object, ...]]


def order(connection: Connection, name: str, buyer: str, *, left: int = 0) -> None:
    connection.execute(
        "INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (1, %s, now()) ON CONFLICT DO NOTHING", (buyer,)
    )
    connection.execute(
        "INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at, ship_by) "
        "VALUES (1, %s, %s, 's-1', 'CNY', 0, now(), now())",
        (name, buyer),
    )
    connection.execute(
        "INSERT INTO order_line (lane, order_id, line_id, position, sku, item_id, quantity, paid_minor, "
        "shipped_quantity) VALUES (1, %s, 'l1', 1, 's', 'i', 2, 100, %s)",
        (name, left),
    )


def parcel(connection: Connection, number: int, of: str, waybill: str, source: str, days_ago: int = 0) -> None:
    connection.execute(
        "INSERT INTO shipment (lane, order_id, shipment_id, degree, carrier, tracking_no, waybill, source, commanded, "
        "lines, happened_at, recorded_at) VALUES (1, %s, %s, 'picked_up', '', %s, %s, %s, false, '[]', now(), "
        "now() - make_interval(days => %s))",
        (of, UUID(int=number), waybill.upper(), waybill, source, days_ago),
    )


def test_what_was_there_before_is_claimed_entered_and_watched(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0028")
    with psycopg.connect(empty_database_url) as connection:
        for name, buyer, left in (("o-1", "b-1", 2), ("o-2", "b-2", 1), ("o-3", "b-3", 0)):
            order(connection, name, buyer, left=left)
        parcel(connection, 1, "o-1", "sf1", "merchant", days_ago=9)
        parcel(connection, 2, "o-2", "sf1", "carrier")
        parcel(connection, 3, "o-2", "sf2", "carrier")
        parcel(connection, 4, "o-3", "sf3", "carrier")
        connection.execute(
            "INSERT INTO change (lane, position, kind, order_id, shop_id, buyer_pseudonym, at, body) VALUES "
            "(1, 7, 'shipment.recorded', 'o-2', 's-1', 'bp', now(), "
            "jsonb_build_object('source', 'merchant', 'tracking_no', 'SF2'))"
        )
        for number, state in ((1, "awaiting_merchant"), (2, "closed")):
            connection.execute(
                "INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, "
                "amount_minor, freight_minor, arm, on_timeout, requested_at) VALUES "
                "(1, %s, 'o-3', 'b-3', 's-1', %s, 1, 'other', 'CNY', 1, 0, 'live', 'approve', now())",
                (UUID(int=number), state),
            )
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        claims = connection.execute("SELECT waybill, buyer_id FROM waybill_directory ORDER BY waybill").fetchall()
        assert claims == [("sf1", "b-2"), ("sf2", "b-2"), ("sf3", "b-3")], "the newest parcel of a number has it"
        entered = connection.execute("SELECT tracking_no, order_id FROM shipment WHERE entered_at IS NOT NULL")
        assert sorted(entered.fetchall()) == [("SF1", "o-1"), ("SF2", "o-2")]
        assert connection.execute("SELECT DISTINCT shop_id FROM shipment").fetchall() == [("s-1",)]
        gone = connection.execute("SELECT order_id FROM orders WHERE all_left").fetchall()
        watched = connection.execute("SELECT ticket_id, risk FROM shipping_watch").fetchall()
        position = connection.execute("SELECT position FROM roll_up WHERE name = 'shipping_watch'").fetchall()
    assert (gone, watched, position) == ([("o-1",)], [(UUID(int=1), "open_ticket")], [(7,)])
