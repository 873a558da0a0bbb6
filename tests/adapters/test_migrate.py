"""Migrations run forward only, change nothing the second time, and run one at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import NAMESPACE_OID, uuid5

import psycopg

from jitui.adapters.postgres.migrate import current_revision, newest_revision, upgrade


def test_an_empty_database_is_brought_to_the_newest_revision_once(empty_database_url: str) -> None:
    assert current_revision(empty_database_url) is None
    for _ in range(2):
        upgrade(empty_database_url)
        assert current_revision(empty_database_url) == newest_revision()


def test_two_starters_at_once_both_succeed(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as starters:
        list(starters.map(upgrade, [empty_database_url] * 4))
    assert current_revision(empty_database_url) == newest_revision()


def test_data_survive_the_way_from_the_first_revision_to_the_newest(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0001")
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("INSERT INTO shop (shop_id, updated_at) VALUES ('s', now())")
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT shop_id FROM shop").fetchall() == [("s",)]


def test_the_newest_file_is_the_end_of_the_chain() -> None:
    from alembic.script import ScriptDirectory

    from jitui.adapters.postgres.migrate import _config

    assert ScriptDirectory.from_config(_config()).get_current_head() == newest_revision()


def test_what_is_stored_without_a_currency_gets_that_of_its_orders_where_they_say_one(empty_database_url: str) -> None:
    """Usage is counted again; days and events have the currency of the orders if that is one, else none is known."""
    upgrade(empty_database_url, "0004")
    orders = [
        ("o1", "b", "s", "CNY"),
        ("o2", "b", "s", "CNY"),
        ("o3", "c", "mixed", "CNY"),
        ("o4", "c", "mixed", "JPY"),
    ]
    events = [
        ("e1", "b", "o1", 7),
        ("e2", "b", "o2", 8),
        ("e3", "c", "o3", 1),
        ("e4", "c", "o4", 2),
        ("e5", "d", None, 3),
    ]
    with psycopg.connect(empty_database_url) as connection:
        for buyer in ("b", "c", "d"):
            connection.execute("INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (1, %s, now())", (buyer,))
            connection.execute("INSERT INTO buyer_day VALUES (1, %s, 'order_paid', '2026-01-01', 2, 9)", (buyer,))
        connection.cursor().executemany(
            "INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at) "
            "VALUES (1, %s, %s, %s, %s, 0, now())",
            orders,
        )
        connection.cursor().executemany(
            "INSERT INTO buyer_event (lane, event_id, buyer_id, order_id, amount_minor, kind, at, recorded_at) "
            "VALUES (1, %s, %s, %s, %s, 'order_paid', now(), now())",
            events,
        )
        for shop in ("s", "mixed", "gone"):
            connection.execute("INSERT INTO shop_day VALUES (%s, 'order_paid', '2026-01-01', 2, 9)", (shop,))
        connection.execute("INSERT INTO usage_bucket VALUES ('shop', 's', 60, now(), 9, 999)")
        connection.execute("INSERT INTO roll_up VALUES ('usage', 3, now())")
        for number, (order_id, buyer, shop, currency) in enumerate(orders, 1):
            connection.execute(
                "INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, "
                "amount_minor, freight_minor, arm, on_timeout, requested_at) VALUES (1, %s, %s, %s, %s, 'refunding', "
                "1, 'other', %s, 5, 0, 'live', 'approve', now())",
                (uuid5(NAMESPACE_OID, order_id), order_id, buyer, shop, currency),
            )
            connection.execute(
                "INSERT INTO change (lane, position, kind, order_id, ticket_id, buyer_id, shop_id, at, body) VALUES "
                "(1, %s, 'ticket.approved', %s, %s, %s, %s, '2026-01-01T00:00:30Z', %s)",
                (
                    None if number == 4 else number,  # the last is not counted yet: the next roll-up does that
                    order_id,
                    uuid5(NAMESPACE_OID, order_id),
                    buyer,
                    shop,
                    '{"approved_by": "instant_refund", "amount_minor": 5}',
                ),
            )
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:

        def found(query: str) -> list[tuple[object, ...]]:
            return connection.execute(query.encode()).fetchall()

        assert found("SELECT event_id, currency FROM buyer_event ORDER BY 1") == [
            ("e1", "CNY"),
            ("e2", "CNY"),
            ("e3", None),
            ("e4", None),
            ("e5", None),
        ]
        assert found("SELECT buyer_id, currency FROM buyer_day ORDER BY 1") == [("b", "CNY"), ("c", ""), ("d", "")]
        assert found("SELECT shop_id, currency FROM shop_day ORDER BY 1") == [("gone", ""), ("mixed", ""), ("s", "CNY")]
        usage = (
            "SELECT ref, currency, approvals, amount_minor FROM usage_bucket WHERE bucket_seconds = 60 ORDER BY 1, 2"
        )
        assert found(usage) == [("", "CNY", 3, 15), ("mixed", "CNY", 1, 5), ("s", "CNY", 2, 10)]
