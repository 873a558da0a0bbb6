"""Migrations run forward only, change nothing the second time, and run one at a time."""

from __future__ import annotations

import asyncio
import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import NAMESPACE_OID, uuid5

import psycopg
import pytest

from jitui.adapters.embedded_postgres import with_database
from jitui.adapters.postgres import migrate
from jitui.adapters.postgres.audit import PostgresAuditLog
from jitui.adapters.postgres.keys import PostgresKeys
from jitui.adapters.postgres.migrate import Standing, current_revision, newest_revision, standing, upgrade
from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.pool import make_pool
from jitui.errors import NotConfigured
from jitui.identity.audit import verify
from jitui.identity.keys import ApiKey, authenticate
from jitui.identity.people import Way


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


@pytest.mark.skipif("JITUI_TEST_DATABASE_URL" in os.environ, reason="makes a role, and signs in without a password")
def test_the_owner_of_the_database_needs_to_be_nobody_else(server_url: str) -> None:
    """No superuser, no membership, no extension."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain_owner LOGIN")
        connection.execute("CREATE DATABASE of_plain_owner OWNER plain_owner")
        try:
            as_owner = urlsplit(with_database(server_url, "of_plain_owner"))
            url = as_owner._replace(netloc=f"plain_owner@{as_owner.netloc.rpartition('@')[2]}").geturl()
            upgrade(url)
            with psycopg.connect(url) as owner:
                assert owner.execute("SELECT current_user::text, payouts_allowed()").fetchone() == ("plain_owner", True)
        finally:
            connection.execute("DROP DATABASE of_plain_owner WITH (FORCE)")
            connection.execute("DROP ROLE plain_owner")


def test_a_database_in_another_encoding_is_refused_with_what_to_do(server_url: str) -> None:
    options = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE in_ascii {options}".encode())
        try:
            with pytest.raises(NotConfigured, match=r"in_ascii has the encoding SQL_ASCII.* ENCODING 'UTF8'"):
                upgrade(with_database(server_url, "in_ascii"))
        finally:
            connection.execute("DROP DATABASE in_ascii WITH (FORCE)")


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


def test_keys_people_and_sessions_from_before_go_on_working(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0011")
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(
            "INSERT INTO api_key (key_id, secret_hash, scope, created_at) "
            "VALUES ('old', sha256('secret'), 'platform', now())"
        )
        connection.execute(
            "INSERT INTO console_person (name, role, subject_id, display_name, created_at) "
            "VALUES ('lin', 'buyer', 'b-1', 'Lin', now()), ('odd', 'merchant', '', 'Odd', now())"
        )
        connection.execute("INSERT INTO console_session VALUES ('token', 'lin', now(), now() + interval '1 hour')")
    upgrade(empty_database_url)

    async def look() -> None:
        async with make_pool(empty_database_url, max_size=1) as pool:
            key = await authenticate(PostgresKeys(pool), "jt_old_secret", datetime.now(UTC))
            assert isinstance(key, ApiKey)
            assert (key.permissions, key.expires_at, key.client) == (None, None, "old"), (
                "all that it could, without end"
            )
            session = await PostgresPeople(pool).find_session(b"token", datetime.now(UTC))
            assert session is not None and (session.person.name, session.way) == ("lin", Way.PASSWORD)
            assert len(await PostgresPeople(pool).accounts()) == 2
            assert (await verify(PostgresAuditLog(pool))).faults == ()

    asyncio.run(look())


def ahead(url: str, revision: str = "9998", needs: str | None = None) -> None:
    """What a newer version leaves behind."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])
        if needs is not None:
            connection.execute(f"COMMENT ON TABLE alembic_version IS '{needs}'".encode())


def test_tables_that_a_newer_version_has_expanded_are_used_as_they_are(database_url: str) -> None:
    ahead(database_url, needs=newest_revision())
    assert standing(database_url) == Standing("9998", newest_revision())
    assert standing(database_url).usable
    upgrade(database_url)
    assert current_revision(database_url) == "9998"


def test_tables_that_lack_what_this_version_uses_are_refused(database_url: str) -> None:
    ahead(database_url, needs="9997")
    assert not standing(database_url).usable
    with pytest.raises(NotConfigured, match=f"knows revision 9997, and this one ends at {newest_revision()}"):
        upgrade(database_url)


def test_tables_behind_this_version_are_not_used(empty_database_url: str) -> None:
    assert not standing(empty_database_url).usable
    upgrade(empty_database_url, "0001")
    assert not standing(empty_database_url).usable
    upgrade(empty_database_url)
    assert standing(empty_database_url) == Standing(newest_revision())
    assert standing(empty_database_url).usable


TAKES_AWAY = re.compile(
    r"^\s*(ALTER TABLE .*)?\b(DROP (TABLE|COLUMN|FUNCTION|VIEW)|RENAME)\b", re.MULTILINE | re.IGNORECASE
)


def test_a_migration_that_takes_something_away_says_which_program_it_needs() -> None:
    """From the first release on: a program of the version before it must know that it cannot go on."""
    for path in sorted((Path(migrate.__file__).parent / "migrations" / "versions").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        if path.name[:4] > "0012" and TAKES_AWAY.search(text):
            assert "COMMENT ON TABLE alembic_version IS" in text, path.name
